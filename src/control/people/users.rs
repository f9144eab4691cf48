//! Users: the list, one of them, adding one, and what is done to them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::view::{List, Made, New, OnePerson, Row};
use super::{HOME, address, mendable, names, onward, posted, user_page, visit};
use crate::control::console::{Turned, Visit};
use crate::control::directory::people::{NewUser, User, create, find, give_link, page, reset_factors};
use crate::control::directory::{PAGE, apply, display_name, is_text, known_groups};
use crate::control::form::Parameters;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem, Reply};
use crate::store::{By, PeopleFilter, PersonChange, Rules};

/// `GET /console/people`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, HOME).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let one = |name: &str| query.one(name).ok().flatten().filter(|text| is_text(text));
    let search: String = one("search").unwrap_or_default().chars().take(100).collect();
    let filter = PeopleFilter {
        search: Some(search.clone()).filter(|search| !search.is_empty()),
        after: one("after").map(str::to_owned),
        ..PeopleFilter::users(PAGE + 1)
    };
    let (found, next) = page(control.store().people(visit.by.account(), &filter).await?, PAGE);
    let rules = control.store().rules(visit.by.account()).await?;
    Ok(respond(&List {
        visitor: Some(visit.person.visitor()),
        csrf: visit.person.csrf(),
        account: visit.account,
        rows: found.into_iter().map(|person| Row::from(User::from(person))).collect(),
        first: filter.after.is_some().then(|| address(HOME, &[("search", &search)])),
        next: next.map(|next| address(HOME, &[("search", &search), ("after", &next)])),
        demands: rules.administrators_need_second_factor,
        search,
    }))
}

/// `GET /console/people/new`
pub(super) async fn new(State(control): State<Arc<Control>>, headers: HeaderMap) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, "/console/people/new").await?;
    Ok(respond(&new_page(visit, &Parameters::default(), None)))
}

/// `POST /console/people`
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = posted(&control, &headers, &body, "/console/people/new").await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let new = NewUser {
        name: one("name").unwrap_or_default().trim().to_owned(),
        display_name: one("display_name").map(str::to_owned),
        groups: names(one("groups").unwrap_or_default()),
        administrator: one("administrator").is_some(),
        invite: Some(true),
    };
    match create(&control, &visit.by, new).await {
        Ok(added) => {
            let login = added.user.login.clone();
            person_page(&control, visit, &login, added.invitation.map(Made::from), None).await
        }
        Err(problem) => Ok(respond(&new_page(visit, &form, Some(mendable(problem)?)))),
    }
}

/// `GET /console/people/users/{login}`
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(login): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, &user_page(&login)).await?;
    person_page(&control, visit, &login, None, None).await
}

/// `POST /console/people/users/{login}`: what is done stands in the field `do`.
pub(super) async fn change(
    State(control): State<Arc<Control>>,
    Path(login): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = user_page(&login);
    let (visit, form) = posted(&control, &headers, &body, &back).await?;
    match carry_out(&control, &visit, &login, &form).await {
        Ok(None) => Ok(onward(&control, &back)),
        Ok(Some(made)) => person_page(&control, visit, &login, Some(made), None).await,
        Err(problem) => {
            let why = mendable(problem)?;
            person_page(&control, visit, &login, None, Some(why)).await
        }
    }
}

/// `POST /console/people/rules`
pub(super) async fn rules(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = posted(&control, &headers, &body, HOME).await?;
    let second = form.one("administrators_need_second_factor").ok().flatten() == Some("yes");
    let rules = Rules { administrators_need_second_factor: second };
    let (actor, now) = (visit.by.actor(), control.clock().now());
    control.store().set_rules(visit.by.account(), rules, By::Person(&actor), now).await?;
    Ok(onward(&control, HOME))
}

async fn carry_out(control: &Control, visit: &Visit, login: &str, form: &Parameters) -> Reply<Option<Made>> {
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    let change = match one("do") {
        "link" => return give_link(control, &visit.by, login).await.map(|link| Some(link.into())),
        "reset" => return reset_factors(control, &visit.by, login).await.map(|()| None),
        "name" => {
            PersonChange { display_name: Some(display_name(one("display_name"))?), ..PersonChange::default() }
        }
        "groups" => PersonChange {
            groups: Some(known_groups(control, &visit.by, &names(one("groups"))).await?),
            ..PersonChange::default()
        },
        "enable" => PersonChange { enabled: Some(true), ..PersonChange::default() },
        "disable" => PersonChange { enabled: Some(false), ..PersonChange::default() },
        "administrator" => PersonChange { full_access: Some(true), ..PersonChange::default() },
        "no-administrator" => PersonChange { full_access: Some(false), ..PersonChange::default() },
        _ => {
            let detail = "The form does not say what is to be done.";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_form", detail));
        }
    };
    let key = find(control, &visit.by, login).await?.principal.key;
    apply(control, &visit.by, &key, &change, true).await.map(|_| None)
}

async fn person_page(
    control: &Control,
    visit: Visit,
    login: &str,
    made: Option<Made>,
    problem: Option<String>,
) -> Result<Response, Turned> {
    let user: User = find(control, &visit.by, login).await?.into();
    Ok(respond(&OnePerson {
        visitor: Some(visit.person.visitor()),
        csrf: visit.person.csrf(),
        account: visit.account,
        id: user.id.clone(),
        link_until: user.link_until.filter(|until| *until > control.clock().now()),
        resettable: user.passkeys > 0 || user.authenticator,
        row: user.into(),
        made,
        problem,
    }))
}

fn new_page(visit: Visit, form: &Parameters, problem: Option<String>) -> New {
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    New {
        visitor: Some(visit.person.visitor()),
        csrf: visit.person.csrf(),
        account: visit.account,
        name: Label::new(one("name")),
        display_name: Label::long(one("display_name")),
        groups: one("groups").to_owned(),
        administrator: !one("administrator").is_empty(),
        problem,
    }
}
