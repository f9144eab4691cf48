//! Requests for approval in the admin API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, Body, invalid};
use crate::control::browser::install;
use crate::control::paging::next;
use crate::control::tenant::api::{RuleSet, put};
use crate::control::tenant::rules::{id, sentence};
use crate::control::{Control, Problem, Reply};
use crate::model::application::Application;
use crate::model::id::GrantKey;
use crate::model::scope::ScopeSet;
use crate::policy::ConsoleAction;
use crate::store::{ApprovalRequest, Ask, RequestFilter, RequestState, Standing};

/// A page of requests, the latest asked for first.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct ApprovalRequests {
    requests: Vec<Request>,
    /// Give it as `after` to get the next page; null when this is the last.
    next: Option<String>,
}

/// All requests for one application that wait for one decision, or that one decision has answered.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Request {
    /// The application's `client_id`.
    client_id: String,
    /// Its name.
    name: String,
    /// What people see.
    display_name: String,
    /// Its publisher's name.
    publisher: String,
    /// What it requires.
    #[schema(value_type = Vec<String>)]
    required_scopes: ScopeSet,
    /// What may be added.
    #[schema(value_type = Vec<String>)]
    optional_scopes: ScopeSet,
    /// Its number: requests after a decision are another round.
    round: u64,
    /// `open`, `expired`, `denied`, `approved` or `blocked`.
    state: &'static str,
    /// How many have asked.
    askers: u64,
    /// When the first one did.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// When the last one did.
    #[schema(value_type = String, format = DateTime)]
    last_asked_at: Timestamp,
    /// Until when it waits.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// When it was decided.
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    /// The login of who decided.
    decided_by: Option<String>,
    /// What they said.
    word: Option<String>,
    /// Where an administrator approves it: the application's consent page.
    consent: String,
}

/// One request, and who has asked.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct RequestWithAskers {
    #[serde(flatten)]
    request: Request,
    /// Who has asked, the latest first.
    asked: Vec<Asker>,
    /// Give it as `after` to get the next ones; null when these are the last.
    next: Option<String>,
}

/// Somebody who has asked.
#[derive(Serialize, ToSchema)]
struct Asker {
    /// Their login.
    login: String,
    /// What for.
    reason: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// A no.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Denial {
    /// The round that was read. One that is not open any more is a conflict.
    round: u64,
    /// Why, for those who have asked; 1 to 400 characters.
    word: String,
}

/// A block.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Block {
    /// Why, for those who have asked; at most 400 characters.
    #[serde(default)]
    word: String,
}

/// List requests for approval
#[utoipa::path(get, path = "/api/v1/approval-requests", tag = "approval requests",
    operation_id = "listApprovalRequests",
    params(("state" = Option<String>, Query, description = "Only `open`, `expired`, `denied`, `approved` or `blocked` ones."),
        ("after" = Option<String>, Query, description = "Only those after this one."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 200; 50 unless given.")),
    responses((status = 200, description = "A page of requests.", body = ApprovalRequests), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<ApprovalRequests>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&["state", "after", "limit"])?;
    let words = "`state` is one of open, expired, denied, approved, blocked.";
    let state = asked.parameter("state").map(str::parse).transpose().map_err(|_| invalid(words))?;
    let (found, next) = page(&control, &by, state, asked.parameter("after"), limit(&asked)?).await?;
    let requests = found.into_iter().map(|(application, request)| shown(&control, application, request));
    Ok(Json(ApprovalRequests { requests: requests.collect(), next }))
}

/// Show the latest request for one application
#[utoipa::path(get, path = "/api/v1/approval-requests/{client_id}", tag = "approval requests",
    operation_id = "showApprovalRequest",
    params(("client_id", description = "The application's client ID."),
        ("after" = Option<String>, Query, description = "Only who comes after this one."),
        ("limit" = Option<u32>, Query, description = "At most so many askers, 1 to 200; 50 unless given.")),
    responses((status = 200, description = "The request, and who has asked.", body = RequestWithAskers), Refusals))]
pub(in crate::control) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<RequestWithAskers>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&["after", "limit"])?;
    let (application, request) = find(&control, &by, &client_id).await?;
    let (found, next) = askers(&control, &request, asked.parameter("after"), limit(&asked)?).await?;
    let asked = found.into_iter().map(|ask| Asker { login: ask.login, reason: ask.reason, at: ask.at });
    let asked = asked.collect();
    Ok(Json(RequestWithAskers { request: shown(&control, application, request), asked, next }))
}

/// Deny a request
///
/// Those who have asked see by whom and why. They can ask again.
#[utoipa::path(post, path = "/api/v1/approval-requests/{client_id}/deny", tag = "approval requests",
    operation_id = "denyApprovalRequest",
    params(("client_id", description = "The application's client ID.")), request_body = Denial,
    responses((status = 200, description = "Denied.", body = Request), Refusals))]
pub(in crate::control) async fn deny(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Json<Request>> {
    let by = asked.may(&control, ConsoleAction::Deny).await?;
    asked.only(&[])?;
    let Denial { round, word } = body.read()?;
    let (application, _) = find(&control, &by, &client_id).await?;
    let request = say_no(&control, &by, &application, round, &word).await?;
    Ok(Json(shown(&control, application, request)))
}

/// Block the application that was asked for
///
/// The same as to block it in the application policy, for an application that somebody has asked for.
#[utoipa::path(post, path = "/api/v1/approval-requests/{client_id}/block", tag = "approval requests",
    operation_id = "blockRequested",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = Block,
    responses((status = 200, description = "Blocked, everywhere unless it was not to be waited for.", body = RuleSet),
        Refusals))]
pub(in crate::control) async fn block(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Json<RuleSet>> {
    let by = asked.may(&control, ConsoleAction::SetPolicy).await?;
    let wait = asked.waits()?;
    let Block { word } = body.read()?;
    find(&control, &by, &client_id).await?;
    let standing = Standing::Blocked { word: sentence("word", &word)? };
    Ok(Json(put(&control, &by, &client_id, Some(&standing), wait).await?))
}

/// Denies a round.
///
/// # Errors
/// 400 without a word, 409 when the round is not open any more.
pub(super) async fn say_no(
    control: &Control,
    by: &Administrator,
    application: &Application,
    round: u64,
    word: &str,
) -> Reply<ApprovalRequest> {
    let word = sentence("word", word)?;
    if word.is_empty() {
        return Err(invalid("`word` says why, to those who have asked."));
    }
    let key = GrantKey { account: by.account().clone(), application: application.id.clone() };
    Ok(control.store().deny(&key, round, &word, &by.actor(), control.clock().now()).await?)
}

/// The latest request of the account for an application.
///
/// # Errors
/// 404 when nobody has asked.
pub(super) async fn find(
    control: &Control,
    by: &Administrator,
    client_id: &str,
) -> Reply<(Application, ApprovalRequest)> {
    let nobody = || {
        let detail = "Nobody in this account has asked for an application with that client ID.";
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
            .next("GET /api/v1/approval-requests lists who has asked for what.")
    };
    let application = id(client_id).map_err(|_| nobody())?;
    let key = GrantKey { account: by.account().clone(), application };
    control.store().approval_request(&key, control.clock().now()).await?.ok_or_else(nobody)
}

/// A page of requests, and where the next one begins.
pub(super) async fn page(
    control: &Control,
    by: &Administrator,
    state: Option<RequestState>,
    after: Option<&str>,
    limit: u32,
) -> Reply<(Vec<(Application, ApprovalRequest)>, Option<String>)> {
    let after = match after {
        None => None,
        Some(text) => {
            let mut parts = text.splitn(3, '~');
            let mut part = || parts.next().ok_or_else(unknown_place);
            let (at, round, application) = (time(part()?)?, part()?, part()?);
            let round = round.parse().map_err(|_| unknown_place())?;
            Some((at, application.parse().map_err(|_| unknown_place())?, round))
        }
    };
    let filter = RequestFilter { state, after, limit };
    let now = control.clock().now();
    let found = control.store().approval_requests(by.account(), &filter, now).await?;
    let next = next(&found, limit, |(application, request)| {
        format!("{}~{}~{}", request.last_asked_at.as_microsecond(), request.round, application.id)
    });
    Ok((found, next))
}

/// Who has asked, and where the next ones begin.
pub(super) async fn askers(
    control: &Control,
    request: &ApprovalRequest,
    after: Option<&str>,
    limit: u32,
) -> Reply<(Vec<Ask>, Option<String>)> {
    let after = match after {
        None => None,
        Some(text) => {
            let (at, login) = text.split_once('~').ok_or_else(unknown_place)?;
            Some((time(at)?, login))
        }
    };
    let found = control.store().askers(&request.key, request.round, after, limit).await?;
    let next = next(&found, limit, |ask| format!("{}~{}", ask.at.as_microsecond(), ask.login));
    Ok((found, next))
}

fn shown(control: &Control, application: Application, request: ApprovalRequest) -> Request {
    let consent = format!("{}{}", control.issuer().origin(), install::address(control, &application));
    let decided = request.decided;
    Request {
        client_id: application.id.into(),
        name: application.name,
        display_name: application.display_name,
        publisher: application.publisher_name,
        required_scopes: application.required,
        optional_scopes: application.optional,
        round: request.round,
        state: request.state.as_str(),
        askers: request.askers,
        opened_at: request.opened_at,
        last_asked_at: request.last_asked_at,
        expires_at: request.expires_at,
        decided_at: decided.as_ref().map(|decided| decided.at),
        decided_by: decided.as_ref().map(|decided| decided.by.clone()),
        word: decided.map(|decided| decided.word),
        consent,
    }
}

fn limit(asked: &Asked) -> Reply<u32> {
    let Some(text) = asked.parameter("limit") else { return Ok(AT_ONCE) };
    let limit = text.parse().ok().filter(|limit| (1..=200).contains(limit));
    limit.ok_or_else(|| invalid("`limit` is a number from 1 to 200."))
}

fn time(text: &str) -> Reply<Timestamp> {
    let at = text.parse().ok().and_then(|at| Timestamp::from_microsecond(at).ok());
    at.ok_or_else(unknown_place)
}

fn unknown_place() -> Problem {
    invalid("`after` is no place in this list.").next("Give what `next` said, or leave it out.")
}

/// How many are shown at once.
pub(super) const AT_ONCE: u32 = 50;
