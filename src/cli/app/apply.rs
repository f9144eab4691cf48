//! `consentry app apply FILE`: an account's official applications and assignments as a file says them.
//!
//! Comes in: a file, and what the account has. Goes out: the changes that make the one like the other, made or only
//! told. It grants nothing that the file does not name, takes nothing away unless told to, and does nothing twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::plan::{Change, Plan, Present, plan};
use super::table::{at, word};
use super::verbs::{Told, every, found};
use crate::cli::Failure;
use crate::cli::api::Api;

/// A file to be applied.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The file: TOML, one [[application]] each
    file: PathBuf,
    /// Only tell what would be changed
    #[arg(long)]
    dry_run: bool,
    /// Take away scopes and assignments that the file does not name
    #[arg(long)]
    prune: bool,
}

/// What a file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "application")]
    applications: Vec<Wanted>,
}

/// What a file says about one application. What it does not say stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Its name or client ID.
    pub(super) application: String,
    /// Every scope that it may be granted, the required ones included.
    pub(super) scopes: Option<BTreeSet<String>>,
    /// Who may use it: everybody, or those assigned.
    pub(super) mode: Option<Mode>,
    /// Assigned users, by login.
    pub(super) users: Option<BTreeSet<String>>,
    /// Assigned groups, by name.
    pub(super) groups: Option<BTreeSet<String>>,
    /// Assigned roles, by id or login.
    pub(super) roles: Option<BTreeSet<String>>,
}

/// Who may use an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    All,
    Assigned,
}

impl Mode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Assigned => "assigned",
        }
    }
}

impl Apply {
    pub(super) async fn go(self, api: &Api) -> Result<Told, Failure> {
        let mut plans = Vec::new();
        for wanted in self.read()? {
            let present = present(api, &wanted).await?;
            plans.push(plan(&wanted, &present, self.prune));
        }
        let impossible: Vec<_> = plans
            .iter()
            .filter_map(|plan| Some(format!("{}: {}", plan.name, plan.impossible.as_ref()?)))
            .collect();
        if !impossible.is_empty() {
            return Err(Failure::No(format!("nothing was changed: {}", impossible.join("; "))));
        }
        if !self.dry_run {
            for plan in &plans {
                for change in &plan.changes {
                    make(api, plan, change).await?;
                }
            }
        }
        Ok(told(&plans, self.dry_run))
    }

    fn read(&self) -> Result<Vec<Wanted>, Failure> {
        let shown = self.file.display();
        let text = fs::read_to_string(&self.file)
            .map_err(|error| Failure::Invalid(format!("{shown} cannot be read: {error}")))?;
        let file: File = toml::from_str(&text)
            .map_err(|error| Failure::Invalid(format!("{shown} is not a file of applications: {error}")))?;
        let mut names = BTreeSet::new();
        for wanted in &file.applications {
            if !names.insert(&wanted.application) {
                let name = &wanted.application;
                return Err(Failure::Invalid(format!("{shown} names {name:?} twice; say it once")));
            }
        }
        Ok(file.applications)
    }
}

/// What the account has of it.
async fn present(api: &Api, wanted: &Wanted) -> Result<Present, Failure> {
    let name = &wanted.application;
    let offer = found(api, "/official-applications", name).await?;
    let installed = found(api, "/applications", name).await?;
    let words = |value: &Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if let (Some(offer), Some(installed)) = (&offer, &installed) {
        let (official, other) = (word(at(offer, "client_id")), word(at(installed, "client_id")));
        if official != other {
            return Err(Failure::Usage(format!(
                "an official application and an installed one of another publisher are named {name:?}; give the \
                 client ID: {official}, {other}"
            )));
        }
    }
    let client_id = [&installed, &offer].into_iter().flatten().find_map(|one| at(one, "client_id").as_str());
    let mut present = Present {
        client_id: client_id.map(str::to_owned),
        required: offer.as_ref().map(|one| words(at(one, "required_scopes"))).unwrap_or_default(),
        optional: offer.as_ref().map(|one| words(at(one, "optional_scopes"))).unwrap_or_default(),
        official: offer.is_some(),
        ..Present::default()
    };
    let Some(installed) = installed else { return Ok(present) };
    present.revision = at(&installed, "revision").as_u64();
    present.granted = words(at(at(&installed, "scopes"), "granted"));
    present.all = at(&installed, "assignment") == "all";
    let id = present.client_id.clone().unwrap_or_default();
    for (kind, wanted, list) in [
        ("users", &wanted.users, &mut present.users),
        ("groups", &wanted.groups, &mut present.groups),
        ("roles", &wanted.roles, &mut present.roles),
    ] {
        if wanted.is_some() {
            let path = format!("/applications/{id}/assignees");
            let all = every(api, &path, &[("kind", kind)], "assignees").await?;
            let text = |one: &Value, name: &str| at(one, name).as_str().unwrap_or_default().to_owned();
            *list = all.iter().map(|one| (text(one, "name"), text(one, "login"))).collect();
        }
    }
    Ok(present)
}

async fn make(api: &Api, plan: &Plan, change: &Change) -> Result<(), Failure> {
    let id = &plan.client_id;
    match change {
        Change::Provision { scopes, at_most, replace } => {
            let mut body = json!({ "scopes": scopes, "at_most": at_most });
            if let (Some(revision), Some(body)) = (replace, body.as_object_mut()) {
                body.insert("replace".to_owned(), (*revision).into());
            }
            api.ask(Method::POST, &format!("/official-applications/{id}/provision"), Some(&body)).await?;
        }
        Change::Mode(mode) => {
            let body = json!({ "mode": mode.as_str() });
            api.ask(Method::PATCH, &format!("/applications/{id}/assignments"), Some(&body)).await?;
        }
        Change::Assign(kind, names) => each_part(api, id, "add", kind, names).await?,
        Change::Unassign(kind, names) => each_part(api, id, "remove", kind, names).await?,
    }
    Ok(())
}

/// A few hundred at a time, as the API takes them.
async fn each_part(api: &Api, id: &str, verb: &str, kind: &str, names: &[String]) -> Result<(), Failure> {
    for part in names.chunks(AT_ONCE) {
        let body = json!({ verb: { kind: part } });
        api.ask(Method::PATCH, &format!("/applications/{id}/assignments"), Some(&body)).await?;
    }
    Ok(())
}

fn told(plans: &[Plan], dry_run: bool) -> Told {
    let (mut text, mut changes, mut left) = (String::new(), Vec::new(), Vec::new());
    for plan in plans {
        for change in &plan.changes {
            text.push_str(&format!("{}: {change}\n", plan.name));
            changes.push(json!({ "application": plan.name, "change": change.to_string() }));
        }
        for one in &plan.left {
            text.push_str(&format!("{}: left as it is: {one}\n", plan.name));
            left.push(json!({ "application": plan.name, "left": one }));
        }
    }
    text.push_str(&match (changes.len(), dry_run) {
        (0, _) => "Nothing to change.\n".to_owned(),
        (1, true) => "1 change would be made.\n".to_owned(),
        (many, true) => format!("{many} changes would be made.\n"),
        (1, false) => "1 change made.\n".to_owned(),
        (many, false) => format!("{many} changes made.\n"),
    });
    (json!({ "dry_run": dry_run, "changes": changes, "left": left }), text)
}

const AT_ONCE: usize = 200;
