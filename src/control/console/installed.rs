//! `GET /console`: the installed applications of an account, searched, ordered and a page at a time.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;

use super::{MOST, Pager, Turned, USUAL, Visit};
use crate::control::form::Parameters;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, Visitor, respond};
use crate::control::{Control, paging, rescope};
use crate::model::grant::GrantState;
use crate::policy::ConsoleAction;
use crate::store::Listed;

/// The installed applications of an account.
#[derive(Template)]
#[template(path = "console/installed.html", config = ".askama.toml")]
pub struct Installed {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// What is searched for.
    pub search: String,
    /// The state that is looked for; empty for any.
    pub state: String,
    /// What the list is ordered by.
    pub sort: String,
    /// How many stand on a page.
    pub limit: u32,
    /// How many are active.
    pub active: u64,
    /// How many are suspended.
    pub suspended: u64,
    /// The applications of this page.
    pub rows: Vec<Row>,
    /// The ways to other pages.
    pub pager: Pager,
}

impl Page for Installed {
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
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// Whether it may be used.
    pub state: GrantState,
    /// Whether its publisher has changed something that nobody has decided about.
    pub waiting: bool,
}

impl From<&Listed> for Row {
    fn from(listed: &Listed) -> Self {
        let (grant, application) = (&listed.installed.grant, &listed.installed.application);
        Self {
            display_name: Label::new(&application.display_name),
            name: Label::new(&application.name),
            client_id: application.id.to_string(),
            publisher: Label::new(&application.publisher_name),
            official: application.official,
            authorized_at: grant.authorized_at,
            authorized_by: Label::new(&grant.authorized_by_login),
            last_used: listed.last_used,
            state: grant.state,
            waiting: !rescope::waiting(&listed.installed).is_empty(),
        }
    }
}

/// Shows a page of them.
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::List, nav::APPLICATIONS).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let given = |name: &str| query.one(name).ok().flatten();
    let wanted = paging::installed(|name| given(name).or((name == "limit").then_some(USUAL)), MOST)?;
    let page = control.store().installed_page(visit.by.account(), &wanted).await?;
    let counts = control.store().installed_counts(visit.by.account()).await?;
    let count = |state| counts.iter().find(|(found, _)| *found == state).map_or(0, |(_, count)| *count);
    let next = page.items.last().filter(|_| page.more).map(|last| paging::place_text(&last.place));
    let kept = ["search", "state", "sort", "limit"].map(|name| (name, given(name).unwrap_or_default()));
    let word = |name: &str| given(name).unwrap_or_default().to_owned();
    Ok(respond(&Installed {
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        search: word("search"),
        state: word("state"),
        sort: given("sort").unwrap_or(paging::NEWEST_FIRST).to_owned(),
        limit: wanted.limit,
        active: count(GrantState::Active),
        suspended: count(GrantState::Suspended),
        rows: page.items.iter().map(Row::from).collect(),
        pager: Pager::of(nav::APPLICATIONS, &kept, given("after"), next),
    }))
}
