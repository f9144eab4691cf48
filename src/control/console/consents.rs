//! `/console/applications/{client_id}/consents`: who has agreed in person to an official application, and ending that.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;

use super::{MOST, Pager, Turned, USUAL, Visit, address, application_page, onward, posted};
use crate::control::admin::request::invalid;
use crate::control::admin::{applications, consents};
use crate::control::form::Parameters;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, Visitor, respond};
use crate::control::{Control, paging};
use crate::policy::ConsoleAction;
use crate::store::Agreed;

/// The personal consents of an application.
#[derive(Template)]
#[template(path = "console/consents.html", config = ".askama.toml")]
pub struct Consents {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The application, as people see it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// How many there are.
    pub total: u64,
    /// What is searched for.
    pub search: String,
    /// The consents of this page.
    pub rows: Vec<Row>,
    /// Whether one has been withdrawn just now.
    pub done: bool,
    /// The ways to other pages.
    pub pager: Pager,
}

impl Page for Consents {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// One person's own consent.
pub struct Row {
    /// Whose, for the form.
    pub login: String,
    /// Whose, for people.
    pub shown: Label,
    /// What people see.
    pub display_name: Label,
    /// To what.
    pub scopes: Vec<String>,
    /// When.
    pub at: Timestamp,
}

impl From<Agreed> for Row {
    fn from(one: Agreed) -> Self {
        Self {
            shown: Label::new(&one.login),
            login: one.login,
            display_name: Label::new(&one.display_name),
            scopes: one.scopes.iter().map(ToString::to_string).collect(),
            at: one.at,
        }
    }
}

/// Shows a page of them.
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let path = page(&client_id);
    let visit = Visit::of(&control, &headers, ConsoleAction::Assign, &path).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let given = |name: &str| query.one(name).ok().flatten();
    let wanted = paging::page(|name| given(name).or((name == "limit").then_some(USUAL)), MOST)?;
    let installed = applications::find(&control, &visit.by, &client_id).await?;
    let key = &installed.grant.key;
    let found = control.store().consents_page(key, &wanted).await?;
    let total = control.store().consents_count(key).await?;
    let next = found.items.last().filter(|_| found.more).map(|last| last.place.clone());
    let kept = ["search", "limit"].map(|name| (name, given(name).unwrap_or_default()));
    Ok(respond(&Consents {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        display_name: Label::new(&installed.application.display_name),
        client_id: installed.application.id.to_string(),
        total,
        search: given("search").unwrap_or_default().to_owned(),
        rows: found.items.into_iter().map(Row::from).collect(),
        done: given("done").is_some(),
        pager: Pager::of(&path, &kept, given("after"), next),
    }))
}

/// Ends one, everywhere.
pub(super) async fn withdraw(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let path = page(&client_id);
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Assign, &path).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let login = one("login").ok_or_else(|| invalid("The form does not say whose consent is meant."))?;
    consents::end(&control, &visit.by, &client_id, login, true).await?;
    Ok(onward(&control, &address(&path, &[("search", one("search").unwrap_or_default()), ("done", "1")])))
}

fn page(client_id: &str) -> String {
    format!("{}/consents", application_page(client_id))
}
