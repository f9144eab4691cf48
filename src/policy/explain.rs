//! What a decision rested on, and what a grant's policies are, for people to read.
//!
//! Comes in: a decision record, the grant as it is now, the policies in force. Goes out: an [`Explanation`] or a
//! [`Shown`], both plain values that travel as JSON and print as text. Decides nothing, and tells what the record
//! says even where grant or policies have changed since.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::compile::{concerns, concerns_exchanges};
use super::exchange::Exchanging;
use super::load::{self, Policies};
use super::{denial, generate};
use crate::model::call::Action;
use crate::model::decision::{Decision, Outcome};
use crate::model::grant::Installed;
use crate::model::scope::ScopeSet;

/// Why a call ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The decision record's id.
    pub decision: String,
    /// What happened, in a sentence.
    pub headline: String,
    /// The policies and facts that decided, most telling first.
    pub because: Vec<Because>,
    /// Whether the grant has changed since, so that the same call could end otherwise now.
    pub changed_since: bool,
    /// What to do next; empty when nothing needs doing.
    pub next: String,
}

/// One ground of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// The policy's id, or the word for a fact, such as `scope`.
    pub id: String,
    /// What it says.
    pub says: String,
}

/// Explains `record`. `installed` is the grant as it is now, if there is one.
#[must_use]
pub fn explain(record: &Decision, installed: Option<&Installed>, policies: &Policies) -> Explanation {
    let mut because: Vec<Because> = record
        .policy
        .iter()
        .map(|id| Because { id: id.to_string(), says: says(id, record, installed, policies) })
        .collect();
    if let Some(scopes) = giving(record, policies) {
        because.push(Because { id: "scope".to_owned(), says: scopes });
    }
    let revision = installed.map(|installed| installed.grant.revision.0);
    Explanation {
        decision: record.id.to_string(),
        headline: headline(record, installed),
        because,
        changed_since: record.grant_revision.is_some() && record.grant_revision != revision,
        next: next(record, installed),
    }
}

fn headline(record: &Decision, installed: Option<&Installed>) -> String {
    let unread = || format!("{} {}", record.method, record.path);
    let mut text = record.action.as_deref().map_or_else(unread, str::to_owned);
    if let Some(resource) = &record.resource {
        text.push_str(&format!(" on {resource}"));
    }
    match (installed, &record.application) {
        (Some(installed), Some(id)) => {
            text.push_str(&format!(", by application {} ({id})", installed.application.name));
        }
        (None, Some(id)) => text.push_str(&format!(", by application {id}")),
        (_, None) => {}
    }
    if let Some(principal) = &record.principal {
        text.push_str(&format!(", for {principal}"));
    }
    let end = match record.outcome {
        Outcome::Forwarded => "was allowed and passed on",
        Outcome::Answered => "was answered by the sidecar itself",
        Outcome::Denied => "was denied by policy",
        Outcome::Refused => "was refused before policy was asked",
        Outcome::Failed => "was allowed, and the upstream failed",
    };
    format!("{text}, {end} ({}).", record.code)
}

fn says(id: &str, record: &Decision, installed: Option<&Installed>, policies: &Policies) -> String {
    if let Some(reason) = policies.reason(id) {
        return format!("Guardrail: {reason}");
    }
    let revision =
        record.grant_revision.map(|revision| format!(" (revision {revision})")).unwrap_or_default();
    match id.rsplit(':').next().filter(|_| id.starts_with("grant:")) {
        Some("permit") => {
            let by = installed
                .filter(|installed| record.grant_revision.is_none_or(|was| was == installed.grant.revision.0))
                .map(|installed| {
                    let grant = &installed.grant;
                    format!(", authorized by {} at {}", grant.authorized_by_login, grant.authorized_at)
                })
                .unwrap_or_default();
            format!("The account's grant{revision} allows it{by}.")
        }
        Some("ceiling") => format!("It is outside of the account's grant{revision}."),
        Some("assigned") => {
            "Only principals whom an administrator assigned may use the application.".to_owned()
        }
        Some("consent") => "Each principal has to agree to this application in person.".to_owned(),
        Some(_) | None => "A policy that is no longer loaded.".to_owned(),
    }
}

/// Which scopes give the action, and which of them counted.
fn giving(record: &Decision, policies: &Policies) -> Option<String> {
    let action = Action::new(record.action.as_deref()?);
    if Exchanging::is(&action) {
        return Some(format!("{action} is given by every scope."));
    }
    let held: ScopeSet = record.scopes.as_deref()?.parse().ok()?;
    let giving = policies.catalogue().scopes_for(&action);
    if giving.is_empty() {
        return Some(format!("No scope gives {action}."));
    }
    let counted: Vec<&str> = held
        .iter()
        .filter(|scope| giving.iter().any(|one| scope.covers(one)))
        .map(|scope| scope.as_str())
        .collect();
    let all: Vec<&str> = giving.iter().map(|scope| scope.as_str()).collect();
    Some(if counted.is_empty() {
        format!(
            "{action} needs {}; the call had {}.",
            all.join(" or "),
            if held.is_empty() { "no scope".to_owned() } else { held.to_string() }
        )
    } else {
        format!("{action} is given by {}.", counted.join(" and "))
    })
}

fn next(record: &Decision, installed: Option<&Installed>) -> String {
    match record.outcome {
        Outcome::Forwarded | Outcome::Answered => return String::new(),
        Outcome::Failed => return "Ask who runs the upstream; policy had no part in it.".to_owned(),
        Outcome::Denied | Outcome::Refused => {}
    }
    let needed: ScopeSet = record.missing.iter().filter_map(|scope| scope.parse().ok()).collect();
    match (&*record.code, installed) {
        ("insufficient_scope", Some(installed)) => denial::MissingScope::of(needed, installed).next_step(),
        ("not_installed" | "insufficient_scope", _) => {
            "An administrator of the account has to authorize the application.".to_owned()
        }
        ("not_assigned", _) => "An administrator of the account can assign the application.".to_owned(),
        ("consent_required", _) => {
            "The user signs in to the application again and agrees to what it asks for.".to_owned()
        }
        ("access_denied", _) => {
            "No scope changes this. Ask the people who keep the guardrails named here.".to_owned()
        }
        ("policy_error", _) => "Run `consentry policy check` and read the sidecar's log.".to_owned(),
        ("unauthenticated", _) => {
            "The application has to send its access token in the Authorization header.".to_owned()
        }
        ("invalid_token", _) => "The application has to refresh its token, or sign in again.".to_owned(),
        (_, _) => "Ask the operator of the sidecar, with the decision's id.".to_owned(),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline)?;
        for because in &self.because {
            writeln!(f, "  {}\n    {}", because.id, because.says)?;
        }
        if self.changed_since {
            writeln!(f, "The grant has changed since; the same call may end otherwise now.")?;
        }
        if !self.next.is_empty() {
            writeln!(f, "Next: {}", self.next)?;
        }
        Ok(())
    }
}

/// A grant's policies, as they decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The grant's id, `account/application`.
    pub grant: String,
    /// Its revision.
    pub revision: u64,
    /// The policy set's version.
    pub policies: String,
    /// What was generated, as Cedar text.
    pub generated: String,
    /// The guardrails that can concern the application, as Cedar text.
    pub guardrails: String,
}

/// Shows what decides about the calls of `installed`.
#[must_use]
pub fn show(installed: &Installed, policies: &Policies) -> Shown {
    let grant = &installed.grant;
    let guardrails: Vec<&str> = policies
        .guardrails
        .iter()
        .filter(|one| {
            concerns(&one.policy, installed, &grant.scopes, policies.catalogue())
                || concerns_exchanges(&one.policy, installed, policies.catalogue())
        })
        .map(|one| one.text())
        .collect();
    let text = generate::policies(installed, &grant.scopes, policies.catalogue());
    Shown {
        grant: grant.key.to_string(),
        revision: grant.revision.0,
        policies: policies.version().to_string(),
        generated: load::format::pretty(&text).unwrap_or(text),
        guardrails: guardrails.join("\n\n"),
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "// Generated from grant {}, revision {}.\n", self.grant, self.revision)?;
        writeln!(f, "{}", self.generated)?;
        if self.guardrails.is_empty() {
            writeln!(f, "// No guardrail of policy set {} concerns it.", self.policies)
        } else {
            writeln!(f, "// Guardrails of policy set {} that can concern it.\n", self.policies)?;
            writeln!(f, "{}", self.guardrails)
        }
    }
}
