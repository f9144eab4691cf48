//! The console's pages about the account's people: users, groups, roles, and what the account demands of them.
//!
//! Comes in: an administrator's browser. Goes out: pages. What is done here is done by the admin API's functions. A
//! one-time link is shown once, in the answer to the form that made it.

mod groups;
mod roles;
mod users;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use url::form_urlencoded;

use super::browser::csrf;
use super::console::{Turned, Visit};
use super::form::Parameters;
use super::{Control, Problem};
use crate::policy::ConsoleAction;

/// The routes.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(HOME, get(users::list).post(users::add))
        .route("/console/people/new", get(users::new))
        .route("/console/people/rules", post(users::rules))
        .route("/console/people/users/{login}", get(users::show).post(users::change))
        .route(GROUPS, get(groups::list).post(groups::add))
        .route("/console/people/groups/{group}", get(groups::show).post(groups::change))
        .route(ROLES, get(roles::list).post(roles::add))
        .route("/console/people/roles/{role}", post(roles::change))
}

/// Who is at the browser, if they may manage people.
async fn visit(control: &Control, headers: &HeaderMap, back: &str) -> Result<Visit, Turned> {
    Visit::of(control, headers, ConsoleAction::ManagePeople, back).await
}

/// A form of ours, from somebody who may manage people.
async fn posted(
    control: &Control,
    headers: &HeaderMap,
    body: &Bytes,
    back: &str,
) -> Result<(Visit, Parameters), Turned> {
    let visit = visit(control, headers, back).await?;
    let form = Parameters::from_body(headers, body).map_err(|fault| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", fault.to_string())
    })?;
    csrf::check(control, headers, &visit.person, form.one(csrf::FIELD).ok().flatten())?;
    Ok((visit, form))
}

/// What a person can mend on the page, told there; anything else is a page of its own.
fn mendable(problem: Problem) -> Result<String, Turned> {
    match problem.status() {
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT => Ok(problem.detail().to_owned()),
        _ => Err(problem.into()),
    }
}

fn onward(control: &Control, path: &str) -> Response {
    Redirect::to(&format!("{}{path}", control.issuer().path())).into_response()
}

/// An address of ours with what is not empty of a query.
fn address(path: &str, query: &[(&str, &str)]) -> String {
    let given = query.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// One name a line, or with spaces between.
fn names(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || c == ',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn user_page(login: &str) -> String {
    format!("{HOME}/users/{login}")
}

const HOME: &str = "/console/people";
const GROUPS: &str = "/console/people/groups";
const ROLES: &str = "/console/people/roles";
