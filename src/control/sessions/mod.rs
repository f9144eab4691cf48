//! Who is signed in where, and ending it: for everybody their own, for administrators those of their account.
//!
//! Comes in: a browser or a program that is signed in. Goes out: lists, paged, the newest first; a session that is
//! ended lets its browser do nothing more. What applications hold goes on: it was authorized, not signed in.

pub(in crate::control) mod api;
mod pages;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use jiff::Timestamp;

use super::page::nav::{MY_SESSIONS, SESSIONS};
use super::{Control, Problem, Reply};
use crate::control::admin::request::invalid;
use crate::control::directory::is_text;
use crate::model::account::{Principal, PrincipalKey, PrincipalKind};
use crate::model::id::AccountId;
use crate::store::{Actor, BrowserSession, SessionFilter, SessionId, SessionPlace};

pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(MY_SESSIONS, get(pages::own))
        .route("/me/sessions/end", post(pages::end_own))
        .route("/me/sessions/end-others", post(pages::end_others))
        .route(SESSIONS, get(pages::list))
        .route("/console/sessions/end", post(pages::end))
        .route("/console/sessions/end-all", post(pages::end_all))
}

/// A page of a list.
struct Listed {
    sessions: Vec<(BrowserSession, Principal)>,
    /// Where the next page goes on; nothing when this is the last.
    next: Option<String>,
}

/// A page of the live sessions of an account, or of one principal in it, after the place that an earlier page named.
async fn listed(
    control: &Control,
    account: &AccountId,
    of: Option<&PrincipalKey>,
    after: Option<&str>,
    limit: u32,
) -> Reply<Listed> {
    let wrong = || invalid("`after` is not what a list of sessions gives as `next`.");
    let after = after.map(|text| place(text).ok_or_else(wrong)).transpose()?;
    let filter = SessionFilter { account: account.clone(), of: of.cloned(), after, limit };
    let sessions = control.store().sessions(&filter, control.clock().now()).await?;
    let full = sessions.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = sessions
        .last()
        .filter(|_| full)
        .map(|(last, _)| format!("{}.{}", last.opened_at.as_microsecond(), last.id()));
    Ok(Listed { sessions, next })
}

/// A page of somebody's own live sessions. A role is shared: who has come in as one sees the session that they are in,
/// and none of the others'.
async fn listed_own(
    control: &Control,
    key: &PrincipalKey,
    current: Option<&[u8; 32]>,
    after: Option<&str>,
    limit: u32,
) -> Reply<Listed> {
    let mut found = listed(control, &key.account, Some(key), after, limit).await?;
    if key.kind == PrincipalKind::Role {
        let session = match current {
            Some(hash) => control.store().session(hash, control.clock().now()).await?,
            None => None,
        };
        found = Listed { sessions: session.into_iter().collect(), next: None };
    }
    Ok(found)
}

/// Ends one of somebody's own sessions: in a role, the one that they are in.
async fn end_own(control: &Control, whom: &Principal, current: Option<&[u8; 32]>, id: &str) -> Reply<()> {
    let is_current = current.is_some_and(|hash| SessionId::of(hash).to_string() == id);
    if whom.key.kind == PrincipalKind::Role && !is_current {
        return Err(no_session());
    }
    api::end_one(control, &whom.key.account, Some(&whom.key), id, &Actor::from(whom)).await
}

/// Ends somebody's own sessions but the one that they are in, and says how many: in a role there are none.
async fn end_others(control: &Control, whom: &Principal, current: Option<&[u8; 32]>) -> Reply<u64> {
    if whom.key.kind == PrincipalKind::Role {
        return Ok(0);
    }
    let now = control.clock().now();
    Ok(control.store().end_sessions(&whom.key, current, &Actor::from(whom), now).await?)
}

fn place(text: &str) -> Option<SessionPlace> {
    let (at, id) = text.split_once('.')?;
    let opened_at = Timestamp::from_microsecond(at.parse().ok()?).ok()?;
    Some(SessionPlace { opened_at, id: id.parse().ok()? })
}

/// The principal of the account with this login; what is another account's is not there.
async fn somebody(control: &Control, account: &AccountId, login: &str) -> Reply<Principal> {
    let found = if is_text(login) { control.store().credential(login).await? } else { None };
    let found = found.map(|found| found.principal).filter(|found| found.key.account == *account);
    found.ok_or_else(|| {
        let detail = "Nobody of this account has that login.";
        Problem::new(axum::http::StatusCode::NOT_FOUND, "not_found", detail)
            .next("A login is a name, @ and the account's alias.")
    })
}

/// There is no such session that the one who asks may end.
fn no_session() -> Problem {
    let detail = "There is no live session of that name.";
    Problem::new(axum::http::StatusCode::NOT_FOUND, "not_found", detail)
        .next("It may have ended; the list shows those that have not.")
}
