//! What a publisher's pages show: one view struct a page.

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;

use super::fields::Fields;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, Visitor};

/// What an account has registered.
#[derive(Template)]
#[template(path = "publishing/list.html", config = ".askama.toml")]
pub struct List {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// The applications, by name.
    pub rows: Vec<Row>,
}

/// One registered application in the list.
pub struct Row {
    /// Its `client_id`.
    pub client_id: String,
    /// What people see.
    pub display_name: Label,
    /// Its name.
    pub name: Label,
    /// What it runs on.
    pub kind: &'static str,
    /// Published as a cloud service.
    pub official: bool,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// What it always includes.
    pub required: Vec<String>,
    /// What may be added.
    pub optional: Vec<String>,
}

/// The form of a new application.
#[derive(Template)]
#[template(path = "publishing/new.html", config = ".askama.toml")]
pub struct New {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// What stands in the form.
    pub fields: Fields,
    /// Why it was not registered.
    pub problem: Option<String>,
}

/// One registered application, with the form that changes it.
#[derive(Template)]
#[template(path = "publishing/application.html", config = ".askama.toml")]
pub struct Published {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// What the form was filled from.
    pub seen: String,
    /// Its `client_id`.
    pub client_id: String,
    /// What people see.
    pub display_name: Label,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// When it was registered.
    pub created_at: Timestamp,
    /// What stands in the form.
    pub fields: Fields,
    /// Why it was not changed.
    pub problem: Option<String>,
    /// Whether it has secrets at all.
    pub confidential: bool,
    /// Its live secrets.
    pub secrets: Vec<SecretRow>,
    /// Who stands on older scopes.
    pub behind: Vec<BehindRow>,
    /// Whether there are more of them.
    pub more_behind: bool,
}

/// One secret, without itself.
pub struct SecretRow {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One account that stands on older scopes.
pub struct BehindRow {
    /// Its alias.
    pub alias: Label,
    /// Its number.
    pub id: String,
    /// When it authorized what it has.
    pub since: Timestamp,
}

/// A secret, shown this once; or that an application is registered.
#[derive(Template)]
#[template(path = "publishing/secret.html", config = ".askama.toml")]
pub struct Told {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The application, as people see it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// Whether it was registered just now.
    pub registered: bool,
    /// The secret; none for what cannot keep one.
    pub secret: Option<String>,
}

/// Asks once more before a secret is deleted.
#[derive(Template)]
#[template(path = "publishing/delete_secret.html", config = ".askama.toml")]
pub struct DeleteSecret {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The application, as people see it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// The secret.
    pub secret: SecretRow,
    /// Whether it is the only one.
    pub last: bool,
}

fn here() -> Here {
    Here::At(nav::PUBLISHER)
}

fn status(problem: Option<&String>) -> StatusCode {
    if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
}

impl Page for List {
    fn here(&self) -> Here {
        here()
    }
}

impl Page for New {
    fn here(&self) -> Here {
        here()
    }

    fn status(&self) -> StatusCode {
        status(self.problem.as_ref())
    }
}

impl Page for Published {
    fn here(&self) -> Here {
        here()
    }

    fn status(&self) -> StatusCode {
        status(self.problem.as_ref())
    }
}

impl Page for Told {
    fn here(&self) -> Here {
        here()
    }
}

impl Page for DeleteSecret {
    fn here(&self) -> Here {
        here()
    }
}
