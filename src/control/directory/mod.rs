//! The admin API of the directory: people, groups and roles of the account, and what it demands of them.
//!
//! Comes in: what an administrator asks for. Goes out: JSON, and one-time links, which are told once. What concerns
//! calls is true at every sidecar when the answer comes, unless it is not to be waited for. The console's pages about
//! people do through the functions here what they do.

pub(in crate::control) mod groups;
pub(in crate::control) mod people;
pub(in crate::control) mod roles;
pub(in crate::control) mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Serialize;

use super::admin::request::{Administrator, Asked, invalid};
use super::admin::state::Change;
use super::{Control, Problem, Reply};
use crate::model::account::{Account, Principal, PrincipalKey};
use crate::model::id::{GroupName, PrincipalId};
use crate::store::{By, NewPrincipal, PasswordLink, Person, PersonChange, StoreError};
use crate::token::random::fill;

/// The routes, below the admin API's.
pub(in crate::control) fn api() -> Router<Arc<Control>> {
    Router::new()
        .route("/api/v1/directory/users", get(people::list).post(people::add))
        .route("/api/v1/directory/users/{login}", get(people::show).patch(people::change))
        .route("/api/v1/directory/users/{login}/password-link", post(people::link))
        .route("/api/v1/directory/users/{login}/factors", axum::routing::delete(people::reset))
        .route("/api/v1/directory/groups", get(groups::list).post(groups::add))
        .route(
            "/api/v1/directory/groups/{group}",
            get(groups::show).patch(groups::change).delete(groups::remove),
        )
        .route("/api/v1/directory/groups/{group}/members/{login}", put(groups::join).delete(groups::leave))
        .route("/api/v1/directory/roles", get(roles::list).post(roles::add))
        .route("/api/v1/directory/roles/{role}", get(roles::show).patch(roles::change))
        .route("/api/v1/directory/rules", get(rules::show).put(rules::replace))
}

/// Changes somebody, and waits until every sidecar knows if it is to be waited for. Answers whether it is known.
pub(in crate::control) async fn apply(
    control: &Control,
    by: &Administrator,
    key: &PrincipalKey,
    change: &PersonChange,
    wait: bool,
) -> Reply<bool> {
    let waiting = Change::begin(control, wait);
    let now = control.clock().now();
    let seq = control.store().change_person(key, change, By::Person(&by.actor()), now).await;
    let seq = seq.map_err(|error| missing_is(error, nobody))?;
    Ok(waiting.settle(control, seq).await.is_some())
}

/// Changes somebody, and answers who they are now, and whether every sidecar knows.
async fn changed(
    control: &Control,
    by: &Administrator,
    key: &PrincipalKey,
    change: &PersonChange,
    wait: bool,
) -> Reply<(Person, bool)> {
    let known = apply(control, by, key, change, wait).await?;
    Ok((control.store().person(key).await?.ok_or_else(nobody)?, known))
}

/// What is to become of somebody, of what was asked for.
async fn meant(
    control: &Control,
    by: &Administrator,
    named: Option<String>,
    enabled: Option<bool>,
    groups: Option<Vec<String>>,
) -> Reply<PersonChange> {
    let groups = match groups {
        Some(names) => Some(known_groups(control, by, &names).await?),
        None => None,
    };
    let display_name = named.as_deref().map(display_name).transpose()?;
    Ok(PersonChange { display_name, enabled, groups, ..PersonChange::default() })
}

/// Adds somebody, and answers who they are.
async fn added(
    control: &Control,
    by: &Administrator,
    principal: Principal,
    link: Option<&PasswordLink>,
) -> Reply<Person> {
    let key = principal.key.clone();
    let (new, now) = (NewPrincipal { principal, password_hash: None }, control.clock().now());
    control.store().add_person(&new, link, By::Person(&by.actor()), now).await?;
    control.store().person(&key).await?.ok_or_else(nobody)
}

/// The account of who asks.
async fn own_account(control: &Control, by: &Administrator) -> Reply<Account> {
    let account = control.store().account(by.account()).await?;
    Ok(account.ok_or_else(|| StoreError::Missing(format!("account {}", by.account())))?)
}

/// The first `limit` of what was found, and where the next page begins if there is one.
fn first<T>(mut found: Vec<T>, limit: u32, name: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(name);
    (found, next)
}

/// 200 when it is true everywhere, else 202.
fn told(known: bool, body: impl Serialize) -> Response {
    let status = if known { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(body)).into_response()
}

/// What the store does not have, as the API says it.
pub(in crate::control) fn missing_is(error: StoreError, missing: impl Fn() -> Problem) -> Problem {
    match error {
        StoreError::Missing(_) => missing(),
        StoreError::Unavailable(_)
        | StoreError::Corrupt { .. }
        | StoreError::Conflict(_)
        | StoreError::Exists(_)
        | StoreError::Unwritable(_) => error.into(),
    }
}

/// The answer for somebody whom the account does not have, whether or not another has them.
pub(in crate::control) fn nobody() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "This account has nobody by that name.")
        .next("GET /api/v1/directory/users and /roles list who there is.")
}

fn no_group() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "This account has no group of that name.")
        .next("GET /api/v1/directory/groups lists them.")
}

/// Groups that are there, by name; a misspelt one is told rather than made.
pub(in crate::control) async fn known_groups(
    control: &Control,
    by: &Administrator,
    names: &[String],
) -> Reply<Vec<GroupName>> {
    if names.len() > MOST_GROUPS {
        return Err(invalid(format!("Somebody can be in at most {MOST_GROUPS} groups.")));
    }
    let mut groups = Vec::new();
    for name in names {
        let shown: String = name.chars().take(128).collect();
        let group: GroupName =
            name.parse().map_err(|_| invalid(format!("{shown:?} is not a group's name.")))?;
        if control.store().group(by.account(), &group).await?.is_none() {
            return Err(invalid(format!("There is no group {shown:?} in this account."))
                .next("Add the group first, or mend its name."));
        }
        groups.push(group);
    }
    Ok(groups)
}

/// A name as it stands before the `@` of a login, or as a role or group has it.
pub(in crate::control) fn name(text: &str) -> Reply<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let good = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    if good { Ok(text) } else { Err(invalid("A name is 1 to 64 characters of A-Z a-z 0-9 . _ -")) }
}

/// A name that people see: one line of at most 100 characters.
pub(in crate::control) fn display_name(text: &str) -> Reply<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err(invalid("A display name is 1 to 100 characters on one line."));
    }
    Ok(text.to_owned())
}

/// Whether a text from outside can be looked for: PostgreSQL takes no NUL, and nobody's name has a control character.
pub(in crate::control) fn is_text(text: &str) -> bool {
    text.len() <= 256 && !text.chars().any(char::is_control)
}

fn text(given: &str) -> Reply<String> {
    if is_text(given) {
        Ok(given.to_owned())
    } else {
        Err(invalid("A parameter is too long, or is no text."))
    }
}

/// A number of 18 digits, as the real service's are; users' begin with 2, roles' with 3.
pub(in crate::control) fn fresh_id(first: char) -> Reply<PrincipalId> {
    let mut bytes = [0; 8];
    fill(&mut bytes).map_err(|why| Problem::internal("an id", &why))?;
    let digits = u64::from_be_bytes(bytes) % 100_000_000_000_000_000;
    format!("{first}{digits:017}").parse().map_err(|why| Problem::internal("an id", &why))
}

/// How many of a list are wanted: `limit`, 1 to 100, 50 unless given.
fn limit(asked: &Asked) -> Reply<u32> {
    match asked.parameter("limit") {
        None => Ok(PAGE),
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MOST).contains(limit))
            .ok_or_else(|| invalid(format!("`limit` is a number from 1 to {MOST}."))),
    }
}

/// How many people a page shows.
pub(in crate::control) const PAGE: u32 = 50;
const MOST: u32 = 100;
const MOST_GROUPS: usize = 50;
