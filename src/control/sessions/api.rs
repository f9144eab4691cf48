//! Sessions in the admin API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Listed, listed, listed_own, no_session, somebody};
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::Asked;
use crate::control::{Control, Problem, Reply};
use crate::model::account::{Principal, PrincipalKey};
use crate::model::id::AccountId;
use crate::policy::ConsoleAction;
use crate::store::{Actor, BrowserSession, StoreError};

/// A page of sessions, the newest first.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Sessions {
    sessions: Vec<Session>,
    /// Give it as `after` to get the next page; null when this is the last.
    next: Option<String>,
}

/// Somebody signed in at a browser.
#[derive(Serialize, ToSchema)]
struct Session {
    /// What it is ended by.
    id: String,
    /// Whose it is.
    login: String,
    /// Whether this request was made in it.
    current: bool,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// When they proved who they are; earlier where a provider knew them from before.
    #[schema(value_type = String, format = DateTime)]
    authenticated_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// How: `password`, `totp`, `passkey`, `recovery-code`, `provider`.
    how: Vec<&'static str>,
    /// The provider that vouched for them, if one did.
    provider: Option<String>,
    /// From which address; empty when that is not known.
    address: String,
    /// What the browser called itself.
    user_agent: String,
}

impl Session {
    fn of(session: BrowserSession, principal: Principal, current: Option<[u8; 32]>) -> Self {
        Self {
            id: session.id().to_string(),
            login: principal.login,
            current: current == Some(session.hash),
            opened_at: session.opened_at,
            authenticated_at: session.authenticated_at,
            expires_at: session.expires_at,
            how: session.factors.iter().map(|factor| factor.as_str()).collect(),
            provider: session.vouched.map(|vouched| vouched.provider),
            address: session.address,
            user_agent: session.user_agent,
        }
    }
}

/// How many sessions were ended.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Ended {
    ended: u64,
}

/// List my sessions
///
/// Where whoever asks is signed in. In a role, which is shared, only the session in which it is asked.
#[utoipa::path(get, path = "/api/v1/me/sessions", tag = "sessions", operation_id = "listMySessions",
    params(("after" = Option<String>, Query, description = "What an earlier page gave as `next`."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "A page of sessions.", body = Sessions), Refusals))]
pub(in crate::control) async fn own(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Sessions>> {
    let (principal, current) = asked.anybody(&control).await?;
    asked.only(&["after", "limit"])?;
    let (after, limit) = (asked.parameter("after"), asked.limit()?);
    let found = listed_own(&control, &principal.key, current.as_ref(), after, limit).await?;
    Ok(Json(shown(found, current)))
}

/// End one of my sessions
#[utoipa::path(delete, path = "/api/v1/me/sessions/{session_id}", tag = "sessions",
    operation_id = "endMySession", params(("session_id", description = "The session's id.")),
    responses((status = 204, description = "Ended."), Refusals))]
pub(in crate::control) async fn end_own(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    asked: Asked,
) -> Reply<StatusCode> {
    let (principal, current) = asked.anybody(&control).await?;
    asked.only(&[])?;
    super::end_own(&control, &principal, current.as_ref(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End my other sessions
///
/// All but the one in which it is asked; with a token, all.
#[utoipa::path(delete, path = "/api/v1/me/sessions", tag = "sessions", operation_id = "endMyOtherSessions",
    responses((status = 200, description = "Ended.", body = Ended), Refusals))]
pub(in crate::control) async fn end_others(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Ended>> {
    let (principal, current) = asked.anybody(&control).await?;
    asked.only(&[])?;
    Ok(Json(Ended { ended: super::end_others(&control, &principal, current.as_ref()).await? }))
}

/// List sessions
///
/// Who of the account is signed in, and where.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", operation_id = "listSessions",
    params(("login" = Option<String>, Query, description = "Only this user's."),
        ("after" = Option<String>, Query, description = "What an earlier page gave as `next`."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "A page of sessions.", body = Sessions), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Sessions>> {
    let by = asked.may(&control, ConsoleAction::Sessions).await?;
    asked.only(&["login", "after", "limit"])?;
    let of = match asked.parameter("login") {
        Some(login) => Some(somebody(&control, by.account(), login).await?.key),
        None => None,
    };
    let current = asked.anybody(&control).await?.1;
    page(&control, &asked, by.account(), of.as_ref(), current).await
}

/// End a session
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}", tag = "sessions", operation_id = "endSession",
    params(("session_id", description = "The session's id.")),
    responses((status = 204, description = "Ended."), Refusals))]
pub(in crate::control) async fn end(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    asked: Asked,
) -> Reply<StatusCode> {
    let by = asked.may(&control, ConsoleAction::Sessions).await?;
    asked.only(&[])?;
    end_one(&control, by.account(), None, &id, &by.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End all sessions of a user
#[utoipa::path(delete, path = "/api/v1/users/{login}/sessions", tag = "sessions",
    operation_id = "endSessionsOfUser", params(("login", description = "Whose.")),
    responses((status = 200, description = "Ended.", body = Ended), Refusals))]
pub(in crate::control) async fn end_all(
    State(control): State<Arc<Control>>,
    Path(login): Path<String>,
    asked: Asked,
) -> Reply<Json<Ended>> {
    let by = asked.may(&control, ConsoleAction::Sessions).await?;
    asked.only(&[])?;
    let of = somebody(&control, by.account(), &login).await?;
    let now = control.clock().now();
    let ended = control.store().end_sessions(&of.key, None, &by.actor(), now).await?;
    Ok(Json(Ended { ended }))
}

async fn page(
    control: &Control,
    asked: &Asked,
    account: &AccountId,
    of: Option<&PrincipalKey>,
    current: Option<[u8; 32]>,
) -> Reply<Json<Sessions>> {
    let found = listed(control, account, of, asked.parameter("after"), asked.limit()?).await?;
    Ok(Json(shown(found, current)))
}

fn shown(found: Listed, current: Option<[u8; 32]>) -> Sessions {
    let shown = found.sessions.into_iter().map(|(session, whose)| Session::of(session, whose, current));
    Sessions { sessions: shown.collect(), next: found.next }
}

/// Ends a session by its name, if it is the account's and, where given, this principal's.
pub(super) async fn end_one(
    control: &Control,
    account: &AccountId,
    of: Option<&PrincipalKey>,
    id: &str,
    by: &Actor,
) -> Reply<()> {
    let id = id.parse().map_err(|_| no_session())?;
    match control.store().end_session(account, of, id, by, control.clock().now()).await {
        Err(StoreError::Missing(_)) => Err(no_session()),
        other => other.map_err(Problem::from),
    }
}
