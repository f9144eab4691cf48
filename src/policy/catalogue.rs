//! The scope catalogue: which scopes there are, what each lets an application do, in plain words and in actions.
//!
//! Comes in: the files `policies/scopes/<name>.json` (their form is `schemas/scope.json`). Goes out: answers for the
//! consent page (title, words, risk), for decisions (which scopes give an action) and for the schema. It knows no
//! grant and no application.
//!
//! To add a scope, edit or add a file there; nothing in Rust and nothing in the schema names a service.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::calls::{self, Calls};
use super::exchange::Exchanging;
use super::load::problem::{Problem, Source};
use crate::model::call::Action;
use crate::model::scope::{Scope, ScopeSet};

/// How much harm a scope can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// It shows little and changes nothing.
    Low,
    /// It shows what is private.
    Medium,
    /// It can destroy or spend.
    High,
}

impl RiskLevel {
    /// The word used in scope files and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A scope's risk, with its reason in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// How much.
    pub level: RiskLevel,
    /// Why.
    pub why: String,
}

/// What authors say to each other in a scope file. Nobody else is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Comment {
    /// One line.
    Line(String),
    /// Several.
    Lines(Vec<String>),
}

/// One scope, as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeEntry {
    /// The scope.
    pub scope: Scope,
    /// What authors say to each other of it.
    #[serde(rename = "$comment", default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Comment>,
    /// Its short name on pages.
    pub title: String,
    /// What it lets the application do, to be read after "It may:".
    pub consent: String,
    /// What could go wrong.
    pub risk: Risk,
    /// The actions that it gives, beside those of its `:read` and `:write` parts.
    #[serde(default)]
    pub actions: Vec<Action>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeFile {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    #[serde(rename = "$comment", default)]
    _comment: Option<Comment>,
    service: String,
    title: String,
    scopes: Vec<ScopeEntry>,
    #[serde(default)]
    calls: Option<calls::File>,
}

/// All scopes of a policy set.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    entries: BTreeMap<Scope, ScopeEntry>,
    services: BTreeMap<String, String>,
    by_action: HashMap<Action, ScopeSet>,
    calls: HashMap<String, Calls>,
}

impl Catalogue {
    /// Reads scope files. All problems of all files are found, not only the first.
    pub(super) fn read(sources: &[Source]) -> Result<Self, Vec<Problem>> {
        let mut catalogue = Self::default();
        let mut problems = Vec::new();
        for source in sources {
            match serde_json::from_str::<ScopeFile>(&source.text) {
                Ok(file) => catalogue.take(source, file, &mut problems),
                Err(error) => {
                    problems.push(Problem::of_json(source, &error, "schemas/scope.json describes the form."))
                }
            }
        }
        if problems.is_empty() { Ok(catalogue) } else { Err(problems) }
    }

    /// A scope's entry; nothing for a scope that no file names.
    #[must_use]
    pub fn get(&self, scope: &Scope) -> Option<&ScopeEntry> {
        self.entries.get(scope)
    }

    /// Whether a file names the scope.
    #[must_use]
    pub fn knows(&self, scope: &Scope) -> bool {
        self.entries.contains_key(scope)
    }

    /// How the calls of a product are read, where its file says so.
    #[must_use]
    pub fn calls(&self, service: &str) -> Option<&Calls> {
        self.calls.get(service)
    }

    /// Every scope, in order.
    pub fn scopes(&self) -> impl Iterator<Item = &ScopeEntry> {
        self.entries.values()
    }

    /// Every service by its short name, with its title.
    pub fn services(&self) -> impl Iterator<Item = (&str, &str)> {
        self.services.iter().map(|(name, title)| (name.as_str(), title.as_str()))
    }

    /// Every action with the scopes that give it themselves.
    pub fn actions(&self) -> impl Iterator<Item = (&Action, &ScopeSet)> {
        self.by_action.iter()
    }

    /// Whether any scope gives the action.
    #[must_use]
    pub fn knows_action(&self, action: &Action) -> bool {
        self.by_action.contains_key(action)
    }

    /// The narrowest scopes that would allow `action`: any one of them is enough. Empty for an unknown action.
    #[must_use]
    pub fn scopes_for(&self, action: &Action) -> ScopeSet {
        self.by_action.get(action).cloned().unwrap_or_default()
    }

    /// Whether `scopes` allow `action`, product scopes counting for their parts.
    #[must_use]
    pub fn allows(&self, scopes: &ScopeSet, action: &Action) -> bool {
        self.by_action.get(action).is_some_and(|giving| giving.iter().any(|scope| scopes.covers(scope)))
    }

    /// What `scopes` are in detail: themselves and the parts that they imply, as far as the catalogue knows them.
    #[must_use]
    pub fn spelled_out(&self, scopes: &ScopeSet) -> ScopeSet {
        self.entries.keys().filter(|scope| scopes.covers(scope)).cloned().collect()
    }

    fn take(&mut self, source: &Source, file: ScopeFile, problems: &mut Vec<Problem>) {
        if self.services.insert(file.service.clone(), file.title).is_some() {
            let message = format!("the service {:?} has another file already", file.service);
            let mend = "Put all scopes of a service into one file.";
            problems.push(Problem::new(source, place(source, &file.service), message, mend));
        }
        for entry in file.scopes {
            problems.extend(self.objections(source, &file.service, &entry));
            for action in &entry.actions {
                self.by_action.entry(action.clone()).or_default().insert(entry.scope.clone());
            }
            self.entries.insert(entry.scope.clone(), entry);
        }
        if let Some(calls) = file.calls {
            match Calls::read(calls, |action| self.by_action.contains_key(action), &file.service) {
                Ok(calls) => drop(self.calls.insert(file.service.clone(), calls)),
                Err(why) => {
                    let mend = "schemas/scope.json describes the form of calls.";
                    problems.push(Problem::new(source, place(source, "calls"), why, mend));
                }
            }
        }
        let missing: Vec<Scope> = self
            .entries
            .keys()
            .filter_map(|scope| scope.whole().filter(|whole| !self.entries.contains_key(whole)))
            .filter(|whole| source.text.contains(&format!("\"{whole}:")))
            .collect();
        for whole in missing {
            let span = place(source, &format!("{whole}:read"));
            let message = format!("{whole} has parts, and is not described itself");
            problems.push(Problem::new(
                source,
                span,
                message,
                format!("Add a scope {whole:?} to the file.", whole = whole.as_str()),
            ));
        }
    }

    fn objections(&self, source: &Source, service: &str, entry: &ScopeEntry) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut object = |at: &str, message: String, mend: &str| {
            found.push(Problem::new(source, place(source, at), message, mend));
        };
        let scope = entry.scope.as_str();
        if self.entries.contains_key(&entry.scope) {
            object(scope, format!("the scope {scope} is described twice"), "Keep one of the two.");
        }
        if entry.title.trim().is_empty()
            || entry.consent.trim().is_empty()
            || entry.risk.why.trim().is_empty()
        {
            let message = format!("the scope {scope} lacks a title, a consent text or a reason for its risk");
            object(scope, message, "Say in plain words what an application may do with it.");
        }
        let divided = entry.scope.as_str().starts_with('/') && entry.scope.whole().is_none();
        if entry.actions.is_empty() && !divided {
            object(scope, format!("the scope {scope} gives no action"), "List at least one in `actions`.");
        }
        for action in &entry.actions {
            if Exchanging::is(action) {
                let message = format!("{:?} is of no scope", action.as_str());
                object(
                    action.as_str(),
                    message,
                    "Leave it out: whoever has any scope may, unless a guardrail forbids it.",
                );
                continue;
            }
            let operation = action.as_str().strip_prefix(service).and_then(|rest| rest.strip_prefix(':'));
            if !operation.is_some_and(is_operation) {
                let message = format!("{:?} is not an action of {service}", action.as_str());
                object(
                    action.as_str(),
                    message,
                    "Write it as <service>:<Operation>, letters and digits only; a tool of an MCP server as \
                     <service>:CallTool/<tool>.",
                );
            }
        }
        found
    }
}

/// An operation, or one with what it is about: a tool by its name.
fn is_operation(text: &str) -> bool {
    let (operation, about) = text.split_once('/').map_or((text, None), |(first, rest)| (first, Some(rest)));
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'$');
    let is_name = |about: &str| !about.is_empty() && about.len() <= 256 && about.bytes().all(named);
    !operation.is_empty()
        && operation.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && about.is_none_or(is_name)
}

/// Where `value` stands, quoted, for the last time: of two that are equal the later one is the mistake.
fn place(source: &Source, value: &str) -> std::ops::Range<usize> {
    let quoted = format!("\"{value}\"");
    source.text.rfind(&quoted).map_or(0..0, |start| start..start.saturating_add(quoted.len()))
}
