//! What the console's pages about requests show.

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;

use crate::control::page::consent::Asker;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, ScopeLine, Visitor};

/// The requests of an account.
#[derive(Template)]
#[template(path = "requests/list.html", config = ".askama.toml")]
pub struct Requests {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// Which ones are shown: a word of the address, and whether it is this one.
    pub states: Vec<(&'static str, bool)>,
    /// The requests, the latest asked for first.
    pub rows: Vec<RequestRow>,
    /// The address of the next page.
    pub next: Option<String>,
}

impl Page for Requests {
    fn here(&self) -> Here {
        Here::At(nav::REQUESTS)
    }
}

/// A request in the list.
pub struct RequestRow {
    /// The application, as people see it.
    pub display_name: Label,
    /// Its name.
    pub name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// Its publisher's name.
    pub publisher: Label,
    /// How many have asked.
    pub askers: u64,
    /// When the last one did.
    pub last_asked_at: Timestamp,
    /// How it stands.
    pub state: &'static str,
    /// Until when it waits.
    pub expires_at: Timestamp,
    /// Who has decided, and when.
    pub decided: Option<(Label, Timestamp)>,
}

/// One request, with who has asked and what can be answered.
#[derive(Template)]
#[template(path = "requests/request.html", config = ".askama.toml")]
pub struct RequestPage {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application.
    pub asker: Asker,
    /// The request.
    pub row: RequestRow,
    /// Which round the page shows.
    pub round: u64,
    /// Whether somebody can decide about it.
    pub open: bool,
    /// What was said about it.
    pub word: Label,
    /// Where it is approved.
    pub consent: String,
    /// Whether the application is installed, so that this is about what it has come to require.
    pub installed: bool,
    /// What it requires.
    pub required: Vec<ScopeLine>,
    /// What may be added.
    pub optional: Vec<ScopeLine>,
    /// Who has asked, the latest first.
    pub askers: Vec<AskerRow>,
    /// The address of the next ones.
    pub next: Option<String>,
    /// What was typed into the form, after it was not taken.
    pub typed: String,
    /// Why it was not taken.
    pub problem: Option<String>,
}

impl Page for RequestPage {
    fn here(&self) -> Here {
        Here::At(nav::REQUESTS)
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}

/// Somebody who has asked.
pub struct AskerRow {
    /// Their login.
    pub login: Label,
    /// What for.
    pub reason: Label,
    /// When.
    pub at: Timestamp,
}
