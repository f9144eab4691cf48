//! The account's rules in the admin API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Objection, rules};
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, Body, invalid};
use crate::control::admin::state::Effect;
use crate::control::{Control, Reply};
use crate::model::id::ApplicationId;
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;
use crate::store::{Manner, Standing, Unknown};

/// What the account has said about applications.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct ApplicationPolicy {
    /// Rises with each change; 0 while nothing was ever said.
    revision: u64,
    /// What becomes of applications that nobody has decided about: `ask` or `refuse`.
    unknown_applications: &'static str,
    /// After how many days a request for approval expires.
    request_days: u32,
    /// What those read who are refused.
    message: String,
    /// Applications that nobody can authorize or use.
    blocked: Vec<BlockedApplication>,
    /// Applications that the first access installs.
    preapproved: Vec<PreApprovedApplication>,
}

/// A blocked application.
#[derive(Serialize, ToSchema)]
struct BlockedApplication {
    /// Its `client_id`.
    client_id: String,
    /// Its name.
    name: String,
    /// Why.
    word: String,
    /// The login of who blocked it.
    by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// An application that is approved beforehand.
#[derive(Serialize, ToSchema)]
struct PreApprovedApplication {
    /// Its `client_id`.
    client_id: String,
    /// Its name.
    name: String,
    /// All that it is installed with.
    #[schema(value_type = Vec<String>)]
    scopes: ScopeSet,
    /// The login of who approved it, in whose name it is installed.
    by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Why it has no effect as things are: `approver_lost_the_right`, `requires_more`, `disabled`; null when it has.
    without_effect: Option<&'static str>,
}

/// What the account says from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct WantedPolicy {
    /// The revision that was read; another one now is a conflict.
    revision: u64,
    /// `ask` or `refuse`.
    #[schema(value_type = String)]
    unknown_applications: String,
    /// 1 to 90.
    request_days: u32,
    /// At most 400 characters.
    #[serde(default)]
    message: String,
    /// At most 500 with the pre-approved ones. An installed one is suspended.
    #[serde(default)]
    blocked: Vec<WantedBlock>,
    /// What is here as it was before stays in the name of who approved it.
    #[serde(default)]
    preapproved: Vec<WantedPreApproval>,
}

/// An application to be blocked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WantedBlock {
    /// Its `client_id`.
    client_id: String,
    /// Why; at most 400 characters.
    #[serde(default)]
    word: String,
}

/// An application to be approved beforehand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WantedPreApproval {
    /// Its `client_id`.
    client_id: String,
    /// All that it is to be installed with; what it requires must be among it.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
}

/// What is said about one application.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct WantedRule {
    /// `blocked` or `preapproved`.
    rule: String,
    /// Why it is blocked; at most 400 characters.
    #[serde(default)]
    word: String,
    /// For `preapproved`: all that it is to be installed with; what it requires must be among it.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
}

/// What became of saying it.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct RuleSet {
    /// The application.
    client_id: String,
    /// What is said about it now: `blocked`, `preapproved`, or nothing.
    rule: Option<&'static str>,
    /// How it ended the use of the application, when that was installed; null when there was nothing to end.
    suspended: Option<Effect>,
}

/// Show the application policy
///
/// What becomes of applications that nobody has decided about, and which are blocked or approved beforehand.
#[utoipa::path(get, path = "/api/v1/tenant-policy", tag = "application policy", operation_id = "showPolicy",
    responses((status = 200, description = "What the account has said.", body = ApplicationPolicy), Refusals))]
pub(in crate::control) async fn show(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<ApplicationPolicy>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&[])?;
    Ok(Json(read(&control, &by).await?))
}

/// Replace the application policy
///
/// A blocked application that is installed is suspended, everywhere, before the answer. A pre-approved one is
/// installed at its first access, in the name of who approved it, if they may authorize then; nothing that it comes to
/// require later is included, and deleting it ends the pre-approval.
#[utoipa::path(put, path = "/api/v1/tenant-policy", tag = "application policy", operation_id = "replacePolicy",
    params(("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = WantedPolicy,
    responses((status = 200, description = "Stored, and true everywhere.", body = ApplicationPolicy),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = ApplicationPolicy),
        Refusals))]
pub(in crate::control) async fn replace(
    State(control): State<Arc<Control>>,
    asked: Asked,
    body: Body,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::SetPolicy).await?;
    let wait = asked.waits()?;
    let wanted: WantedPolicy = body.read()?;
    let unknown: Unknown = wanted
        .unknown_applications
        .parse()
        .map_err(|_| invalid("`unknown_applications` is `ask` or `refuse`."))?;
    let message = rules::sentence("message", &wanted.message)?;
    let manner = Manner { unknown, request_days: wanted.request_days, message };
    let mut all: Vec<(ApplicationId, Standing)> = Vec::new();
    for WantedBlock { client_id, word } in wanted.blocked {
        all.push((named(&client_id)?, Standing::Blocked { word: rules::sentence("word", &word)? }));
    }
    for WantedPreApproval { client_id, scopes } in wanted.preapproved {
        let scopes = scopes.into_iter().collect();
        all.push((named(&client_id)?, Standing::PreApproved { scopes }));
    }
    let receipt = rules::write(&control, &by, &manner, &all, wanted.revision, wait).await?;
    let status = if receipt.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(read(&control, &by).await?)).into_response())
}

/// Block or pre-approve one application
#[utoipa::path(put, path = "/api/v1/tenant-policy/applications/{client_id}", tag = "application policy",
    operation_id = "setRule",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = WantedRule,
    responses((status = 200, description = "Stored, and true everywhere unless it was not to be waited for.",
        body = RuleSet), Refusals))]
pub(in crate::control) async fn set_rule(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Json<RuleSet>> {
    let by = asked.may(&control, ConsoleAction::SetPolicy).await?;
    let wait = asked.waits()?;
    let wanted: WantedRule = body.read()?;
    let standing = match wanted.rule.as_str() {
        "blocked" if wanted.scopes.is_empty() => {
            Standing::Blocked { word: rules::sentence("word", &wanted.word)? }
        }
        "preapproved" if wanted.word.is_empty() => {
            Standing::PreApproved { scopes: wanted.scopes.into_iter().collect() }
        }
        "blocked" | "preapproved" => {
            return Err(invalid("`word` goes with `blocked`, and `scopes` with `preapproved`."));
        }
        _ => return Err(invalid("`rule` is `blocked` or `preapproved`.")),
    };
    Ok(Json(put(&control, &by, &client_id, Some(&standing), wait).await?))
}

/// Take back what is said about one application
///
/// An application that a block has suspended stays suspended until somebody resumes it.
#[utoipa::path(delete, path = "/api/v1/tenant-policy/applications/{client_id}", tag = "application policy",
    operation_id = "takeBackRule",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    responses((status = 200, description = "Taken back.", body = RuleSet), Refusals))]
pub(in crate::control) async fn take_back(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<RuleSet>> {
    let by = asked.may(&control, ConsoleAction::SetPolicy).await?;
    let wait = asked.waits()?;
    Ok(Json(put(&control, &by, &client_id, None, wait).await?))
}

/// Sets a rule, and says what came of it.
pub(in crate::control) async fn put(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    standing: Option<&Standing>,
    wait: bool,
) -> Reply<RuleSet> {
    let (grant, receipt) = rules::set(control, by, client_id, standing, wait).await?;
    let rule = standing.map(|standing| match standing {
        Standing::Blocked { .. } => "blocked",
        Standing::PreApproved { .. } => "preapproved",
    });
    let suspended = grant.map(|grant| Effect::of(grant.revision, receipt));
    Ok(RuleSet { client_id: client_id.to_owned(), rule, suspended })
}

async fn read(control: &Control, by: &Administrator) -> Reply<ApplicationPolicy> {
    let (revision, manner, looked) = rules::read(control, by).await?;
    let (mut blocked, mut preapproved) = (Vec::new(), Vec::new());
    for rules::Looked { application, rule, objection } in looked {
        let (client_id, name) = (application.id.into(), application.name);
        match rule.standing {
            Standing::Blocked { word } => {
                blocked.push(BlockedApplication { client_id, name, word, by: rule.by_login, at: rule.at });
            }
            Standing::PreApproved { scopes } => {
                let without_effect = objection.map(|objection| match objection {
                    Objection::NoAdministrator => "approver_lost_the_right",
                    Objection::RequiresMore(_) => "requires_more",
                    Objection::Disabled => "disabled",
                });
                let (by, at) = (rule.by_login, rule.at);
                preapproved.push(PreApprovedApplication { client_id, name, scopes, by, at, without_effect });
            }
        }
    }
    Ok(ApplicationPolicy {
        revision,
        unknown_applications: manner.unknown.as_str(),
        request_days: manner.request_days,
        message: manner.message,
        blocked,
        preapproved,
    })
}

fn named(client_id: &str) -> Reply<ApplicationId> {
    client_id.parse().map_err(|_| invalid("A `client_id` that is named is none."))
}
