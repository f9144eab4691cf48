//! `/console/applications/{client_id}/assignments`: who may use an application: everybody, or those on the list, which
//! is searched and shown a page at a time; single ones are added and taken away.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::{MOST, Pager, Turned, USUAL, Visit, address, application_page, onward, posted};
use crate::control::admin::applications;
use crate::control::admin::assignments::{self as assigned, ChangeOfAssigned, Named};
use crate::control::admin::request::invalid;
use crate::control::form::Parameters;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, Visitor, respond};
use crate::control::{Control, paging};
use crate::model::grant::AssignmentMode;
use crate::policy::ConsoleAction;
use crate::store::{Assignee, AssigneeCounts, AssigneeKind, PageOf};

/// Who may use an application.
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
    /// The three kinds, each with its list.
    pub kinds: Vec<KindLink>,
    /// The kind that is shown: `users`, `groups` or `roles`.
    pub kind: &'static str,
    /// How one of them is named.
    pub named: &'static str,
    /// What is searched for among the assigned.
    pub search: String,
    /// The assigned of this page.
    pub rows: Vec<Row>,
    /// What is searched for among those who are not.
    pub find: String,
    /// Who was found.
    pub found: Vec<Row>,
    /// Whether there are more.
    pub found_more: bool,
    /// What was typed in to be added.
    pub names: String,
    /// Whether something has been changed just now.
    pub done: bool,
    /// Why the last change was not made.
    pub problem: Option<String>,
    /// The ways to other pages.
    pub pager: Pager,
}

impl Page for Assignments {
    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }

    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// The way to the list of one kind.
pub struct KindLink {
    /// What it is called.
    pub label: &'static str,
    /// Where it is.
    pub address: String,
    /// How many are assigned.
    pub count: u64,
    /// Whether it is the one that is shown.
    pub current: bool,
}

/// A user, group or role.
pub struct Row {
    /// What a form names it by.
    pub value: String,
    /// What people know it by.
    pub login: Label,
    /// What people see; a role's id besides.
    pub display_name: Label,
    /// Whether it can log in.
    pub enabled: bool,
}

impl Row {
    fn of(kind: AssigneeKind, one: Assignee) -> Self {
        let (login, name) = (Label::new(&one.login), Label::new(&one.display_name));
        match kind {
            AssigneeKind::User => Self { value: one.login, login, display_name: name, enabled: one.enabled },
            AssigneeKind::Group => Self { value: one.id, login, display_name: name, enabled: one.enabled },
            AssigneeKind::Role => {
                Self { display_name: Label::new(&one.id), value: one.id, login, enabled: one.enabled }
            }
        }
    }
}

/// Shows a page of it.
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::Assign, &page(&client_id)).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    shown(&control, visit, &client_id, &query, None).await
}

/// Changes it, everywhere.
pub(super) async fn change(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let path = page(&client_id);
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Assign, &path).await?;
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    let kind = assigned::kind(Some(one("kind")).filter(|word| !word.is_empty()))?;
    let mode = match one("mode") {
        "" => None,
        word => Some(word.parse().map_err(|_| invalid("Choose who may use the application."))?),
    };
    let typed = one("names").split_whitespace().chain(form.all("name")).map(str::to_owned).collect();
    let wanted = ChangeOfAssigned {
        mode,
        add: named(kind, typed),
        remove: named(kind, form.all("remove").map(str::to_owned).collect()),
    };
    match assigned::change(&control, &visit.by, &client_id, &wanted, true).await {
        Ok(_) => {
            let kept = [("kind", one("kind")), ("search", one("search")), ("done", "1")];
            Ok(onward(&control, &address(&path, &kept)))
        }
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => {
            let why = problem.detail().to_owned();
            shown(&control, visit, &client_id, &form, Some(why)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// The page, as asked for by an address or by a form that was not carried out.
async fn shown(
    control: &Control,
    visit: Visit,
    client_id: &str,
    asked: &Parameters,
    problem: Option<String>,
) -> Result<Response, Turned> {
    let given = |name: &str| asked.one(name).ok().flatten();
    let word = |name: &str| given(name).unwrap_or_default();
    let kind = assigned::kind(given("kind"))?;
    let wanted = paging::page(|name| given(name).or((name == "limit").then_some(USUAL)), MOST)?;
    let installed = applications::find(control, &visit.by, client_id).await?;
    let key = &installed.grant.key;
    let counts = control.store().assignee_counts(key).await?;
    let rows = control.store().assignees(key, kind, &wanted).await?;
    let next = rows.items.last().filter(|_| rows.more).map(|last| last.place.clone());
    let found = match given("find") {
        Some(find) => {
            let find = paging::page(|name| (name == "search").then_some(find), FOUND)?;
            control.store().assignable(key, kind, &PageOf { limit: FOUND, ..find }).await?
        }
        None => crate::store::Page { items: Vec::new(), more: false },
    };
    let kept = [("kind", word("kind")), ("search", word("search")), ("limit", word("limit"))];
    let path = page(client_id);
    Ok(respond(&Assignments {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        display_name: Label::new(&installed.application.display_name),
        client_id: installed.application.id.to_string(),
        all: installed.grant.assignment == AssignmentMode::All,
        kinds: kinds(&path, kind, counts),
        kind: words(kind).0,
        named: words(kind).1,
        search: word("search").to_owned(),
        rows: rows.items.into_iter().map(|one| Row::of(kind, one)).collect(),
        find: word("find").to_owned(),
        found: found.items.into_iter().map(|one| Row::of(kind, one)).collect(),
        found_more: found.more,
        names: word("names").to_owned(),
        done: given("done").is_some(),
        problem,
        pager: Pager::of(&path, &kept, given("after"), next),
    }))
}

fn kinds(path: &str, shown: AssigneeKind, counts: AssigneeCounts) -> Vec<KindLink> {
    let link = |kind, label, count| KindLink {
        label,
        address: address(path, &[("kind", words(kind).0)]),
        count,
        current: kind == shown,
    };
    vec![
        link(AssigneeKind::User, "Users", counts.users),
        link(AssigneeKind::Group, "Groups", counts.groups),
        link(AssigneeKind::Role, "Roles", counts.roles),
    ]
}

/// The word for a kind in an address, and how one of it is named.
fn words(kind: AssigneeKind) -> (&'static str, &'static str) {
    match kind {
        AssigneeKind::User => ("users", "One login a line, as in alice@acme"),
        AssigneeKind::Group => ("groups", "One name a line"),
        AssigneeKind::Role => ("roles", "One role a line, by id or login"),
    }
}

fn named(kind: AssigneeKind, names: Vec<String>) -> Named {
    match kind {
        AssigneeKind::User => Named { users: names, ..Named::default() },
        AssigneeKind::Group => Named { groups: names, ..Named::default() },
        AssigneeKind::Role => Named { roles: names, ..Named::default() },
    }
}

fn page(client_id: &str) -> String {
    format!("{}/assignments", application_page(client_id))
}

/// How many are shown of those who could be added.
const FOUND: u32 = 20;
