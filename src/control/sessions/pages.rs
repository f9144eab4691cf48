//! The pages of sessions: one's own, and an administrator's.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use super::view::{List, Own, Row};
use super::{api, listed, listed_own, somebody};
use crate::control::browser::csrf;
use crate::control::browser::session::SignedIn;
use crate::control::console::{Turned, Visit, anybody};
use crate::control::form::Parameters;
use crate::control::page::nav::{MY_SESSIONS, SESSIONS};
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::policy::ConsoleAction;

/// `GET /me/sessions`
pub(super) async fn own(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let person = anybody(&control, &headers, MY_SESSIONS).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let after = query.one("after").ok().flatten();
    let key = &person.principal.key;
    let current = &person.session.hash;
    let found = listed_own(&control, key, Some(current), after, AT_ONCE).await?;
    let rows: Vec<Row> = found.sessions.iter().map(|(one, whose)| Row::of(one, whose, current)).collect();
    Ok(respond(&Own {
        csrf: person.csrf(),
        visitor: Some(person.visitor()),
        others: after.is_some() || found.next.is_some() || rows.iter().any(|row| !row.current),
        next: found.next.map(|next| address(MY_SESSIONS, &[("after", &next)])),
        rows,
    }))
}

/// `POST /me/sessions/end`
pub(super) async fn end_own(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, form) = posted(&control, &headers, &body).await?;
    let id = form.one("session").ok().flatten().unwrap_or_default();
    super::end_own(&control, &person.principal, Some(&person.session.hash), id).await?;
    Ok(to(&control, MY_SESSIONS, &[]))
}

/// `POST /me/sessions/end-others`
pub(super) async fn end_others(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, _) = posted(&control, &headers, &body).await?;
    super::end_others(&control, &person.principal, Some(&person.session.hash)).await?;
    Ok(to(&control, MY_SESSIONS, &[]))
}

/// `GET /console/sessions`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::Sessions, SESSIONS).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let one = |name: &str| query.one(name).ok().flatten();
    let login = one("login").map(str::trim).filter(|login| !login.is_empty());
    let whose = match login {
        Some(login) => Some(somebody(&control, visit.by.account(), login).await.map(|found| found.key)),
        None => None,
    };
    let nobody =
        matches!(&whose, Some(Err(problem)) if problem.status() == axum::http::StatusCode::NOT_FOUND);
    let mut rows = Vec::new();
    let mut next = None;
    if !nobody {
        let whose = whose.transpose()?;
        let found = listed(&control, visit.by.account(), whose.as_ref(), one("after"), AT_ONCE).await?;
        let current = &visit.person.session.hash;
        rows = found.sessions.iter().map(|(one, whose)| Row::of(one, whose, current)).collect();
        next = found.next.map(|next| match login {
            Some(login) => address(SESSIONS, &[("login", login), ("after", &next)]),
            None => address(SESSIONS, &[("after", &next)]),
        });
    }
    Ok(respond(&List {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        login: Label::new(login.unwrap_or_default()),
        nobody,
        rows,
        next,
    }))
}

/// `POST /console/sessions/end`
pub(super) async fn end(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = administered(&control, &headers, &body).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let by = visit.by.actor();
    api::end_one(&control, visit.by.account(), None, one("session").unwrap_or_default(), &by).await?;
    let login = one("login").map(|login| ("login", login));
    Ok(to(&control, SESSIONS, login.as_slice()))
}

/// `POST /console/sessions/end-all`
pub(super) async fn end_all(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = administered(&control, &headers, &body).await?;
    let login = form.one("login").ok().flatten().unwrap_or_default();
    let whose = somebody(&control, visit.by.account(), login).await?;
    let now = control.clock().now();
    control.store().end_sessions(&whose.key, None, &visit.by.actor(), now).await?;
    Ok(to(&control, SESSIONS, &[("login", login)]))
}

/// A form of somebody who is signed in.
async fn posted(
    control: &Control,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(SignedIn, Parameters), Turned> {
    let person = anybody(control, headers, MY_SESSIONS).await?;
    let form = form(headers, body)?;
    csrf::check(control, headers, &person, form.one(csrf::FIELD).ok().flatten())?;
    Ok((person, form))
}

/// A form of an administrator.
async fn administered(
    control: &Control,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(Visit, Parameters), Turned> {
    let visit = Visit::of(control, headers, ConsoleAction::Sessions, SESSIONS).await?;
    let form = form(headers, body)?;
    csrf::check(control, headers, &visit.person, form.one(csrf::FIELD).ok().flatten())?;
    Ok((visit, form))
}

fn form(headers: &HeaderMap, body: &Bytes) -> Result<Parameters, Problem> {
    Parameters::from_body(headers, body).map_err(|_| csrf::forged())
}

fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    if parameters.is_empty() {
        return path.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{path}?{query}")
}

fn to(control: &Control, path: &str, parameters: &[(&str, &str)]) -> Response {
    Redirect::to(&address(&format!("{}{path}", control.issuer().path()), parameters)).into_response()
}

/// Sessions on a page.
const AT_ONCE: u32 = 50;
