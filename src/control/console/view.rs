//! What the console's pages show: one view struct a page.

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;

use crate::control::page::consent::Asker;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, ScopeLine, Visitor};
use crate::grants::acknowledge::Receipt;
use crate::model::decision::Decision;
use crate::model::grant::{GrantState, Installed};
use crate::model::id::Revision;

/// The installed applications of an account.
#[derive(Template)]
#[template(path = "console/list.html", config = ".askama.toml")]
pub struct List {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// The applications, the latest authorization first.
    pub rows: Vec<Row>,
}

impl Page for List {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// One installed application in the list.
pub struct Row {
    /// What people see.
    pub display_name: Label,
    /// Its name.
    pub name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// Its publisher's name.
    pub publisher: Label,
    /// Published by a cloud service.
    pub official: bool,
    /// When.
    pub authorized_at: Timestamp,
    /// By whom, the login.
    pub authorized_by: Label,
    /// What was granted.
    pub scopes: Vec<String>,
    /// Whether it may be used.
    pub state: GrantState,
}

impl From<&Installed> for Row {
    fn from(installed: &Installed) -> Self {
        let (grant, application) = (&installed.grant, &installed.application);
        Self {
            display_name: Label::new(&application.display_name),
            name: Label::new(&application.name),
            client_id: application.id.to_string(),
            publisher: Label::new(&application.publisher_name),
            official: application.official,
            authorized_at: grant.authorized_at,
            authorized_by: Label::new(&grant.authorized_by_login),
            scopes: grant.scopes.iter().map(ToString::to_string).collect(),
            state: grant.state,
        }
    }
}

/// Everything about one installed application.
#[derive(Template)]
#[template(path = "console/details.html", config = ".askama.toml")]
pub struct Details {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application.
    pub application: Asker,
    /// `WebApp`, `NativeApp` or `ServerApp`.
    pub kind: &'static str,
    /// Whether it may be used.
    pub state: GrantState,
    /// Whether it is suspended.
    pub suspended: bool,
    /// When it was authorized.
    pub authorized_at: Timestamp,
    /// By whom, the login.
    pub authorized_by: Label,
    /// The grant's revision.
    pub revision: Revision,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// Who may use it, in words.
    pub users: String,
    /// What was granted.
    pub granted: Vec<ScopeLine>,
    /// What was offered and declined.
    pub declined: Vec<ScopeLine>,
    /// Its latest calls.
    pub decisions: Vec<CallRow>,
    /// The generated policies, as Cedar.
    pub policies: String,
}

impl Page for Details {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// One call, from its decision record.
pub struct CallRow {
    /// The record's id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// `forwarded`, `denied`, `refused` or `failed`.
    pub outcome: &'static str,
    /// Why it was not forwarded; empty when it was.
    pub reason: String,
    /// For whom.
    pub principal: Label,
    /// What was to be done; the method and path when that was not understood.
    pub action: Label,
    /// To what.
    pub resource: Label,
}

impl From<&Decision> for CallRow {
    fn from(decision: &Decision) -> Self {
        let action = decision.action.as_deref().unwrap_or(&decision.method);
        let resource = decision.resource.as_ref().unwrap_or(&decision.path);
        let mut reason = if decision.code == "ok" { String::new() } else { decision.code.to_string() };
        if !decision.missing.is_empty() {
            reason = format!("{reason}: needs {}", decision.missing.join(" or "));
        } else if !decision.policy.is_empty() && !reason.is_empty() {
            reason = format!("{reason}: {}", decision.policy.join(", "));
        }
        Self {
            id: decision.id.to_string(),
            at: decision.at,
            outcome: decision.outcome.as_str(),
            reason,
            principal: Label::new(decision.principal.as_deref().unwrap_or("unknown")),
            action: Label::new(action),
            resource: Label::long(resource),
        }
    }
}

/// Asks once more before an application is deleted.
#[derive(Template)]
#[template(path = "console/delete.html", config = ".askama.toml")]
pub struct Delete {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application, as people see it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
}

impl Page for Delete {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// What the deletion has come to.
#[derive(Template)]
#[template(path = "console/receipt.html", config = ".askama.toml")]
pub struct Deleted {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// The application, as people saw it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// The revision at which it ended.
    pub revision: Revision,
    /// When it was deleted.
    pub at: Timestamp,
    /// Who has confirmed.
    pub receipt: Receipt,
}

impl Page for Deleted {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// The official applications, installed or to be provisioned.
#[derive(Template)]
#[template(path = "console/official.html", config = ".askama.toml")]
pub struct Official {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The applications.
    pub offers: Vec<Offer>,
}

impl Page for Official {
    fn here(&self) -> Here {
        Here::At(nav::OFFICIAL)
    }
}

/// One official application.
pub struct Offer {
    /// The application.
    pub asker: Asker,
    /// Whether the account has it.
    pub installed: bool,
    /// What provisioning always includes.
    pub required: Vec<ScopeLine>,
    /// What may be added.
    pub optional: Vec<ScopeLine>,
}

/// Who may use an installed application.
#[derive(Template)]
#[template(path = "console/assignments.html", config = ".askama.toml")]
pub struct Assignments {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application, as people see it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// Whether everybody may.
    pub all: bool,
    /// Assigned users, one login a line.
    pub users: String,
    /// Assigned groups, one a line.
    pub groups: String,
    /// Assigned roles, one a line.
    pub roles: String,
    /// Why the last change was not made.
    pub problem: Option<String>,
}

impl Page for Assignments {
    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }

    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}
