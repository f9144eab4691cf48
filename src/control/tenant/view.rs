//! What the pages about the account's rules show.

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;

use crate::control::page::consent::Asker;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, ScopeLine, Visitor};

/// The account's rules.
#[derive(Template)]
#[template(path = "tenant/policy.html", config = ".askama.toml")]
pub struct Policy {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The revision that the form is about.
    pub revision: u64,
    /// Whether who is refused can ask.
    pub ask: bool,
    /// After how many days a request expires.
    pub days: u32,
    /// What those read who are refused, to be edited.
    pub message: String,
    /// Blocked applications.
    pub blocked: Vec<RuleRow>,
    /// Applications approved beforehand.
    pub approved: Vec<RuleRow>,
    /// Why the last change was not made.
    pub problem: Option<String>,
}

impl Page for Policy {
    fn here(&self) -> Here {
        Here::At(nav::POLICY)
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}

/// A rule in the list.
pub struct RuleRow {
    /// The application, as people see it.
    pub display_name: Label,
    /// Its name.
    pub name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// Why it is blocked, or with which scopes it is approved.
    pub what: Label,
    /// Why it has no effect as things are.
    pub without_effect: Option<String>,
    /// By whom.
    pub by: Label,
    /// When.
    pub at: Timestamp,
}

/// What is said about one application, and what can be.
#[derive(Template)]
#[template(path = "tenant/rule.html", config = ".askama.toml")]
pub struct RulePage {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application.
    pub asker: Asker,
    /// Whether it is installed; `active`, `suspended` or nothing.
    pub installed: Option<&'static str>,
    /// The rule as it stands.
    pub rule: Option<RuleRow>,
    /// Whether that rule is a block.
    pub blocked: bool,
    /// Whether it can be approved beforehand: it is not the account's own, and not blocked.
    pub can_be_approved: bool,
    /// What it requires.
    pub required: Vec<ScopeLine>,
    /// What may be added, with whether it is approved now.
    pub optional: Vec<(ScopeLine, bool)>,
}

impl Page for RulePage {
    fn here(&self) -> Here {
        Here::At(nav::POLICY)
    }
}
