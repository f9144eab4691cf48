//! Groups: the list, one with its members, adding and deleting, joining and leaving.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::view::{Groups, OneGroup, Row};
use super::{GROUPS, address, mendable, onward, posted, visit};
use crate::control::console::{Turned, Visit};
use crate::control::directory::groups::{create, delete, known, member};
use crate::control::directory::people::{User, page};
use crate::control::directory::{PAGE, is_text};
use crate::control::form::Parameters;
use crate::control::page::respond;
use crate::control::{Control, Problem, Reply};
use crate::model::id::GroupName;
use crate::store::PeopleFilter;

/// `GET /console/people/groups`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, GROUPS).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let after = query.one("after").ok().flatten().and_then(|text| text.parse().ok());
    list_page(&control, visit, after, None).await
}

/// `POST /console/people/groups`
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = posted(&control, &headers, &body, GROUPS).await?;
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    match create(&control, &visit.by, one("name").trim(), one("description")).await {
        Ok(group) => Ok(onward(&control, &group_page(group.as_str()))),
        Err(problem) => {
            let why = mendable(problem)?;
            list_page(&control, visit, None, Some(why)).await
        }
    }
}

/// `GET /console/people/groups/{group}`
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(group): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, &group_page(&group)).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let after = query.one("after").ok().flatten().filter(|text| is_text(text)).map(str::to_owned);
    one_page(&control, visit, &group, after, None).await
}

/// `POST /console/people/groups/{group}`: what is done stands in the field `do`.
pub(super) async fn change(
    State(control): State<Arc<Control>>,
    Path(group): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = group_page(&group);
    let (visit, form) = posted(&control, &headers, &body, &back).await?;
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    if one("do") == "delete" {
        delete(&control, &visit.by, &group, true).await?;
        return Ok(onward(&control, GROUPS));
    }
    match carry_out(&control, &visit, &group, one("do"), one("login").trim()).await {
        Ok(()) => Ok(onward(&control, &back)),
        Err(problem) => {
            // A login that nobody has is mended on the page as well.
            let why = if problem.status() == StatusCode::NOT_FOUND {
                problem.detail().to_owned()
            } else {
                mendable(problem)?
            };
            one_page(&control, visit, &group, None, Some(why)).await
        }
    }
}

async fn carry_out(control: &Control, visit: &Visit, group: &str, what: &str, login: &str) -> Reply<()> {
    let inside = match what {
        "join" => true,
        "leave" => false,
        _ => {
            let detail = "The form does not say what is to be done.";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_form", detail));
        }
    };
    member(control, &visit.by, (group, login), inside, true).await.map(drop)
}

async fn list_page(
    control: &Control,
    visit: Visit,
    after: Option<GroupName>,
    problem: Option<String>,
) -> Result<Response, Turned> {
    let mut rows = control.store().groups(visit.by.account(), after.as_ref(), PAGE + 1).await?;
    let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let next = rows.last().filter(|_| more).map(|last| address(GROUPS, &[("after", last.name.as_str())]));
    Ok(respond(&Groups {
        visitor: Some(visit.person.visitor()),
        csrf: visit.person.csrf(),
        account: visit.account,
        rows,
        first: after.map(|_| GROUPS.to_owned()),
        next,
        problem,
    }))
}

async fn one_page(
    control: &Control,
    visit: Visit,
    name: &str,
    after: Option<String>,
    problem: Option<String>,
) -> Result<Response, Turned> {
    let group = known(control, &visit.by, name).await?;
    let path = group_page(group.name.as_str());
    let filter = PeopleFilter {
        group: Some(group.name.clone()),
        after: after.clone(),
        ..PeopleFilter::users(PAGE + 1)
    };
    let (found, next) = page(control.store().people(visit.by.account(), &filter).await?, PAGE);
    Ok(respond(&OneGroup {
        visitor: Some(visit.person.visitor()),
        csrf: visit.person.csrf(),
        account: visit.account,
        group,
        rows: found.into_iter().map(|person| Row::from(User::from(person))).collect(),
        first: after.map(|_| path.clone()),
        next: next.map(|next| address(&path, &[("after", &next)])),
        problem,
    }))
}

fn group_page(name: &str) -> String {
    format!("{GROUPS}/{name}")
}
