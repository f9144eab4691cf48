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
use axum::routing::{get, post};

use super::console::{self, Turned, Visit, address, onward};
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
    console::posted(control, headers, body, ConsoleAction::ManagePeople, back).await
}

/// What a person can mend on the page, told there; anything else is a page of its own.
fn mendable(problem: Problem) -> Result<String, Turned> {
    match problem.status() {
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT => Ok(problem.detail().to_owned()),
        _ => Err(problem.into()),
    }
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
