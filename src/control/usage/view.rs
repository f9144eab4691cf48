//! What the pages about use show: one view struct a page.

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;

use super::chart::{self, Columns, Stretch};
use super::figures::Figures;
use super::survey::Used;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, Visitor};

/// What is used and what is not.
#[derive(Template)]
#[template(path = "usage/overview.html", config = ".askama.toml")]
pub struct Overview {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// Over how many days.
    pub days: i64,
    /// The choices of days.
    pub choices: Vec<i64>,
    /// The applications.
    pub rows: Vec<Row>,
    /// The address of the next page.
    pub next: Option<String>,
}

/// One application's use.
pub struct Row {
    /// Its `client_id`.
    pub client_id: String,
    /// What people see.
    pub display_name: Label,
    /// Its name.
    pub name: Label,
    /// `active` or `suspended`.
    pub state: &'static str,
    /// The grant's revision.
    pub revision: u64,
    /// When the present scopes were authorized.
    pub authorized_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// Neither used nor authorized in that time.
    pub stale: bool,
    /// Authorized within that time.
    pub young: bool,
    /// Its scopes.
    pub scopes: Vec<ScopeRow>,
    /// What one click would take away.
    pub unused: Vec<String>,
}

/// One scope's use on the page of its application's details.
#[derive(Debug, Clone)]
pub struct ScopeUsed {
    /// The scope.
    pub scope: String,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// How many calls it has allowed in the last 30 days.
    pub calls: u64,
}

/// One scope's use.
pub struct ScopeRow {
    /// The scope.
    pub scope: String,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// The application requires it.
    pub required: bool,
    /// Not used in that time.
    pub unused: bool,
    /// Whether anybody could see it used.
    pub of_calls: bool,
    /// The parts that were used, where that is less than the whole.
    pub only: Vec<String>,
}

impl From<&Used> for Row {
    fn from(used: &Used) -> Self {
        let scopes = used.scopes.iter().map(|one| ScopeRow {
            scope: one.scope.to_string(),
            last_used: one.last_used,
            required: one.required,
            unused: used.unused.contains(&one.scope),
            of_calls: one.scope.as_str().starts_with('/'),
            only: one.only.iter().map(ToString::to_string).collect(),
        });
        Self {
            client_id: used.client_id.clone(),
            display_name: Label::new(&used.display_name),
            name: Label::new(&used.name),
            state: used.state,
            revision: used.revision,
            authorized_at: used.authorized_at,
            expires_at: used.expires_at,
            last_used: used.last_used,
            stale: used.stale,
            young: used.young,
            scopes: scopes.collect(),
            unused: used.unused.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Page for Overview {
    fn here(&self) -> Here {
        Here::At(nav::USE)
    }
}

/// When a grant is to end.
#[derive(Template)]
#[template(path = "usage/expiry.html", config = ".askama.toml")]
pub struct Expiry {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The application, as people see it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// The grant's revision.
    pub revision: u64,
    /// When it ends now.
    pub expires_at: Option<Timestamp>,
    /// Whether that has come.
    pub over: bool,
    /// Which way is chosen: `never`, `days` or `date`.
    pub chosen: &'static str,
    /// So many days, as typed.
    pub days: String,
    /// The date, as typed.
    pub date: String,
    /// Why it was not set.
    pub problem: Option<String>,
}

impl Page for Expiry {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}

/// Figures with their pictures.
pub struct Drawn {
    /// The figures.
    pub figures: Figures,
    /// The account's alias.
    pub account: Label,
    /// The application, as people see it, for the figures of one.
    pub application: Option<Label>,
    /// Calls a day.
    pub days: Columns,
    /// Refusals by reason.
    pub refusals: Vec<Stretch>,
    /// How high that picture is.
    pub refusals_height: f64,
    /// What the sidecar itself took.
    pub own: Columns,
}

impl Drawn {
    pub(super) fn of(figures: Figures, account: Label, application: Option<Label>) -> Self {
        Self {
            days: chart::of_days(&figures.days),
            refusals: chart::of_counts(&figures.refusals),
            refusals_height: chart::height_of(figures.refusals.len()),
            own: chart::of_classes(&figures.own.classes),
            figures,
            account,
            application,
        }
    }

    fn time(bound: &Option<u32>) -> String {
        bound.as_ref().map_or_else(|| "-".to_owned(), |us| format!("≤ {}", chart::duration(&us.to_string())))
    }

    fn class(name: &str) -> String {
        chart::duration(name)
    }

    /// So many of all, in percent.
    fn percent(&self, part: u64) -> String {
        match self.figures.calls() {
            0 => "-".to_owned(),
            all => format!("{:.1} %", part as f64 * 100.0 / all as f64),
        }
    }
}

/// The report inside of the console.
#[derive(Template)]
#[template(path = "usage/report.html", config = ".askama.toml")]
pub struct Report {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// Over how many days.
    pub over: i64,
    /// The choices of days.
    pub choices: Vec<i64>,
    /// The `client_id`, for the report of one application.
    pub client_id: Option<String>,
    /// The figures.
    pub drawn: Drawn,
}

impl Page for Report {
    fn here(&self) -> Here {
        Here::At(nav::REPORT)
    }
}

/// The report as a file of its own.
#[derive(Template)]
#[template(path = "usage/standalone.html", config = ".askama.toml")]
pub struct Standalone {
    /// The style sheet.
    pub style: &'static str,
    /// The figures.
    pub drawn: Drawn,
}
