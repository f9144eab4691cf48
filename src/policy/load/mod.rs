//! A policy folder as one checked, immutable set.
//!
//! Comes in: a folder with `scopes/*.json`, `guardrails/*.cedar` and `console.cedar`, or the one built into the binary.
//! Goes out: [`Policies`], named by a hash of what they were read from, or every problem that was found, with its
//! place. A set is taken whole or not at all. `rights/*.cedar` (users' own permits) is not read yet.

pub mod embedded;
pub mod format;
pub mod guardrails;
pub mod problem;
pub mod schema;
mod split;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use aws_lc_rs::digest::{Context as Digest, SHA256};
use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet};

use self::guardrails::{Authored, Kind};
use self::problem::{Problem, Problems, Source};
use self::schema::Vocabulary;
use super::catalogue::Catalogue;
use crate::model::call::Action;
use crate::model::scope::{Scope, ScopeSet};

/// Whether a scope file, `scopes/<name>.json` with this text, is one that a policy folder could hold.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check_scope_file(path: &str, text: &str) -> Result<(), Problems> {
    let source = Source { path: path.into(), text: text.into() };
    let catalogue = Catalogue::read(&[source]).map_err(Problems)?;
    Vocabulary::of(&catalogue).map(drop).map_err(|error| {
        let mend = "Give its scopes and actions other names.";
        Problems(vec![Problem::without_text(path, error, mend)])
    })
}

/// What a policy set was read from, as a hash: two sets of one version decide alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyVersion(String);

impl PolicyVersion {
    /// The version as 16 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One whole, checked set of policies.
#[derive(Debug)]
pub struct Policies {
    version: PolicyVersion,
    catalogue: Catalogue,
    warnings: Vec<Problem>,
    files: Files,
    pub(super) guardrails: Vec<Authored>,
    pub(super) console: PolicySet,
    /// The actions of the console, once they are asked for: a sidecar never does.
    pub(super) console_actions: OnceLock<Option<Entities>>,
    /// Each action as Cedar sees it, inside all scopes that give it.
    pub(super) actions: HashMap<Action, Entity>,
}

impl Policies {
    /// Reads the folder `dir`.
    ///
    /// # Errors
    /// Everything that is wrong with its files; then nothing of it is used.
    pub fn load(dir: &Path) -> Result<Self, Problems> {
        Self::of(&Files::read(dir)?)
    }

    /// The set that was built into the binary. Its policies were held against the schema by the tests, and are not again
    /// at each start: that would take most of the time until a process serves, and much of its memory.
    ///
    /// # Errors
    /// Never in a binary that passed its tests, which load it.
    pub fn embedded() -> Result<Self, Problems> {
        let files = Files::embedded();
        let catalogue = Catalogue::read(&files.scopes).map_err(Problems)?;
        Self::made(&files, catalogue, None)
    }

    /// Checks files that were read before.
    pub(super) fn of(files: &Files) -> Result<Self, Problems> {
        let catalogue = Catalogue::read(&files.scopes).map_err(Problems)?;
        let vocabulary = Vocabulary::of(&catalogue).map_err(|error| {
            let mend = "This is a mistake in Consentry or in a scope's name; please report it.";
            Problems(vec![Problem::without_text("schemas/model.cedarschema", error, mend)])
        })?;
        // It is not kept: once the policies are checked it only takes room, most of a set's.
        Self::made(files, catalogue, Some(&vocabulary))
    }

    /// The set, its policies held against `vocabulary` if there is one.
    fn made(files: &Files, catalogue: Catalogue, vocabulary: Option<&Vocabulary>) -> Result<Self, Problems> {
        let mut warnings = files.warnings.clone();
        let mut read = |kind, sources: &[Source], schema| {
            guardrails::read(kind, sources, schema, &catalogue, &mut warnings)
        };
        let guardrails = read(Kind::Guardrails, &files.guardrails, vocabulary.map(|both| &both.calls));
        let console =
            read(Kind::Console, std::slice::from_ref(&files.console), vocabulary.map(|both| &both.console));
        let (guardrails, console) = match (guardrails, console) {
            (Ok(guardrails), Ok(console)) => (guardrails, console),
            (guardrails, console) => {
                let both = [guardrails.err(), console.err()].into_iter().flatten().flatten();
                return Err(Problems(both.collect()));
            }
        };
        let console = PolicySet::from_policies(console.into_iter().map(|one| one.policy));
        let (Ok(console), Some(actions)) = (console, actions(&catalogue)) else {
            let mend = "This is a mistake in Consentry; please report it.";
            return Err(Problems(vec![Problem::without_text("console.cedar", "it cannot be joined", mend)]));
        };
        let (version, files) = (files.version(), files.clone());
        let console_actions = OnceLock::new();
        Ok(Self { version, catalogue, warnings, files, guardrails, console, console_actions, actions })
    }

    /// Which set this is.
    #[must_use]
    pub fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// Its scopes and actions.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The files that it was read from: each one's path in the policy folder, and its text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.all().map(|source| (&*source.path, &*source.text))
    }

    /// What is worth a look without being wrong.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The guardrails' ids with their reasons, in the order of the files.
    pub fn guardrails(&self) -> impl Iterator<Item = (&str, &str)> {
        self.guardrails.iter().map(|one| (one.id(), one.reason.as_str()))
    }

    /// The reason of the guardrail `id`.
    #[must_use]
    pub fn reason(&self, id: &str) -> Option<&str> {
        self.guardrails.iter().find(|one| one.id() == id).map(|one| one.reason.as_str())
    }

    pub(super) fn action(&self, action: &Action) -> Option<(&Entity, EntityUid)> {
        self.actions.get(action).map(|entity| (entity, entity.uid()))
    }
}

/// Each action as Cedar sees it: inside all scopes that give it, and the wholes that those are parts of.
fn actions(catalogue: &Catalogue) -> Option<HashMap<Action, Entity>> {
    let kind: EntityTypeName = "Action".parse().ok()?;
    let uid = |id: &str| EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id));
    let entity = |(action, scopes): (&Action, &ScopeSet)| {
        let wholes = scopes.iter().filter_map(Scope::whole);
        let parents = scopes.iter().cloned().chain(wholes).map(|scope| uid(scope.as_str()));
        (action.clone(), Entity::new_no_attrs(uid(action.as_str()), parents.collect()))
    };
    Some(catalogue.actions().map(entity).collect())
}

/// The texts of a policy folder, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) scopes: Vec<Source>,
    pub(super) guardrails: Vec<Source>,
    pub(super) console: Source,
    warnings: Vec<Problem>,
}

impl Files {
    pub(super) fn read(dir: &Path) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut folder = |name: &str, ending: &str| match folder(dir, name, ending, &mut warnings) {
            Ok(sources) => sources,
            Err(problem) => {
                problems.push(problem);
                Vec::new()
            }
        };
        let scopes = folder("scopes", ".json");
        let guardrails = folder("guardrails", ".cedar");
        let console = file(dir, "console.cedar").map_err(|problem| problems.push(problem));
        if problems.is_empty() && scopes.is_empty() {
            let mend = "Without scopes no application may do anything; put at least identity.json there.";
            problems.push(Problem::without_text("scopes", "the folder holds no scope file", mend));
        }
        match console {
            Ok(console) if problems.is_empty() => Ok(Self { scopes, guardrails, console, warnings }),
            Ok(_) | Err(()) => Err(Problems(problems)),
        }
    }

    /// The files built into the binary.
    pub(super) fn embedded() -> Self {
        let sources = |files: &[(&str, &str)]| {
            files.iter().map(|(path, text)| Source { path: (*path).into(), text: (*text).into() }).collect()
        };
        let console = Source { path: "console.cedar".into(), text: embedded::CONSOLE.into() };
        let (scopes, guardrails) = (sources(embedded::SCOPES), sources(embedded::GUARDRAILS));
        Self { scopes, guardrails, console, warnings: Vec::new() }
    }

    /// Files that came by another way than a folder, in the order in which a folder's are read.
    pub(super) fn of_texts(texts: Vec<(String, String)>) -> Result<Self, Problems> {
        let (mut scopes, mut guardrails, mut console) = (Vec::new(), Vec::new(), None);
        for (path, text) in texts {
            let source = Source { path: path.into(), text: text.into() };
            if source.path.starts_with("scopes/") {
                scopes.push(source);
            } else if source.path.starts_with("guardrails/") {
                guardrails.push(source);
            } else {
                console = Some(source);
            }
        }
        let mend = "Look at the policies of the control plane, and at its version.";
        let missing = || Problems(vec![Problem::without_text("console.cedar", "the file is missing", mend)]);
        let console = console.filter(|source| &*source.path == "console.cedar").ok_or_else(missing)?;
        Ok(Self { scopes, guardrails, console, warnings: Vec::new() })
    }

    fn all(&self) -> impl Iterator<Item = &Source> {
        self.scopes.iter().chain(&self.guardrails).chain([&self.console])
    }

    /// The hash of everything that decides.
    pub(super) fn version(&self) -> PolicyVersion {
        let mut digest = Digest::new(&SHA256);
        for source in self.all() {
            for part in [&source.path, &source.text] {
                digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                digest.update(part.as_bytes());
            }
        }
        let hash = digest.finish();
        PolicyVersion(hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The files that hold guardrail cases.
pub(super) fn case_files(dir: &Path) -> Result<Vec<Source>, Problem> {
    folder(dir, "guardrails", ".test.json", &mut Vec::new())
}

/// The files of one folder by name. A folder that is missing is a problem even when it could be empty: one that is
/// being replaced at the moment would otherwise lift every guardrail.
fn folder(dir: &Path, name: &str, ending: &str, warnings: &mut Vec<Problem>) -> Result<Vec<Source>, Problem> {
    let unreadable = |error: std::io::Error| {
        let mend = format!("Give {} a folder {name}/, empty if need be.", dir.display());
        Problem::without_text(name, format!("the folder cannot be read: {error}"), mend)
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir.join(name)).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut sources = Vec::new();
    for found in names.iter().filter(|found| !found.starts_with('.')) {
        let path = format!("{name}/{found}");
        if found.ends_with(ending) {
            sources.push(file(dir, &path)?);
        } else if ![".cedar", ".test.json", ".md"].iter().any(|known| found.ends_with(known)) {
            let mend = format!("Name it *{ending}, or move it elsewhere.");
            warnings.push(Problem::without_text(&path, "the file is not read", mend));
        }
    }
    Ok(sources)
}

fn file(dir: &Path, path: &str) -> Result<Source, Problem> {
    let text = std::fs::read_to_string(dir.join(path)).map_err(|error| {
        let mend = format!("Check {}, and that this user may read it.", dir.join(path).display());
        Problem::without_text(path, format!("the file cannot be read: {error}"), mend)
    })?;
    Ok(Source { path: path.into(), text: text.into() })
}
