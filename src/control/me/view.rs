//! What a person's own pages show.

use askama::Template;
use jiff::Timestamp;

use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, ScopeLine, Visitor};

/// The applications that act as a person.
#[derive(Template)]
#[template(path = "me/applications.html", config = ".askama.toml")]
pub struct Mine {
    /// The person.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// Their login.
    pub login: Label,
    /// The applications, the last used first.
    pub rows: Vec<Row>,
    /// The address of the next page.
    pub next: Option<String>,
}

/// One of them.
pub struct Row {
    /// Its `client_id`.
    pub client_id: String,
    /// What people see.
    pub display_name: Label,
    /// Its publisher's sentence about it, or nothing.
    pub description: Label,
    /// The publisher's name.
    pub publisher: Label,
    /// `third-party`, `official` or `first-party`.
    pub relation: &'static str,
    /// An administrator has stopped it, or it has come to its end.
    pub stopped: bool,
    /// What it may do.
    pub may: Vec<ScopeLine>,
    /// When the person agreed.
    pub consented_at: Option<Timestamp>,
    /// When it last acted as the person.
    pub last_used: Option<Timestamp>,
    /// Whether it may hold something of theirs.
    pub signed_in: bool,
}

impl Page for Mine {
    fn here(&self) -> Here {
        Here::At(nav::ME)
    }
}
