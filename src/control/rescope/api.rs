//! The scopes of a grant in the admin API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Wanted, find, rescope, waiting};
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Asked, ChangeAsked, ChangeWanted, invalid};
use crate::control::admin::state::Effect;
use crate::control::{Control, Reply};
use crate::grants::acknowledge::Receipt;
use crate::model::grant::{Grant, Installed, Waiting};
use crate::model::id::Revision;
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;

/// What a grant holds, and what it could.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct GrantedScopes {
    /// The grant's revision.
    revision: u64,
    /// What it holds.
    #[schema(value_type = Vec<String>)]
    granted: ScopeSet,
    /// What was offered and declined.
    #[schema(value_type = Vec<String>)]
    declined: ScopeSet,
    /// What the application requires now.
    #[schema(value_type = Vec<String>)]
    required: ScopeSet,
    /// What may be added.
    #[schema(value_type = Vec<String>)]
    optional: ScopeSet,
    /// What the publisher has changed and nobody has decided about.
    waiting: WaitingScopes,
}

/// How an application's scopes differ from what was authorized. None of it counts until an administrator decides.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct WaitingScopes {
    /// Required by now, and not granted: nobody can sign in anew until it is accepted.
    #[schema(value_type = Vec<String>)]
    required: ScopeSet,
    /// Offered by now.
    #[schema(value_type = Vec<String>)]
    optional: ScopeSet,
    /// Granted, and not offered any more.
    #[schema(value_type = Vec<String>)]
    withdrawn: ScopeSet,
}

impl WaitingScopes {
    /// What of `installed` waits.
    pub(in crate::control) fn of(installed: &Installed) -> Self {
        let Waiting { required, optional, withdrawn } = waiting(installed);
        Self { required, optional, withdrawn }
    }
}

/// What a grant is to hold.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct WantedScopes {
    /// The revision that was read; another one now is a conflict.
    revision: u64,
    /// All of it. What the application requires and is granted must be among it; what it has come to require is
    /// accepted by naming it. What is offered and not named is declined.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
}

/// What is to be added to a grant, and taken from it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct ChangedScopes {
    /// The revision that was read; another one now is a conflict. Without it, whatever stands is changed.
    revision: Option<u64>,
    /// To be added. What is granted already is passed over.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    add: Vec<Scope>,
    /// To be taken away. What is not granted is passed over.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    remove: Vec<Scope>,
}

/// What became of a change of scope.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Rescoped {
    /// What the grant holds now.
    #[schema(value_type = Vec<String>)]
    granted: ScopeSet,
    /// What was added to it.
    #[schema(value_type = Vec<String>)]
    added: ScopeSet,
    /// What was taken from it.
    #[schema(value_type = Vec<String>)]
    removed: ScopeSet,
    /// Where that is true.
    effect: Effect,
}

/// Show the scopes of a grant
///
/// What is granted, what is offered, and what the publisher has changed since.
#[utoipa::path(get, path = "/api/v1/applications/{client_id}/scopes", tag = "applications",
    operation_id = "showScopes", params(("client_id", description = "The application's client ID.")),
    responses((status = 200, description = "The scopes.", body = GrantedScopes), Refusals))]
pub(in crate::control) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<GrantedScopes>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&[])?;
    let installed = find(&control, &by, &client_id).await?;
    let waiting = WaitingScopes::of(&installed);
    let Installed { grant, application } = installed;
    Ok(Json(GrantedScopes {
        revision: grant.revision.0,
        granted: grant.scopes,
        declined: grant.declined,
        required: application.required,
        optional: application.optional,
        waiting,
    }))
}

/// Replace the scopes of a grant
///
/// The grant gets a new revision. Tokens that are out go on with what of them is still granted; what was taken away
/// has ended everywhere when the answer comes.
#[utoipa::path(put, path = "/api/v1/applications/{client_id}/scopes", tag = "applications",
    operation_id = "replaceScopes",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = WantedScopes,
    responses((status = 200, description = "Replaced, everywhere.", body = Rescoped),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = Rescoped), Refusals))]
pub(in crate::control) async fn replace(
    State(control): State<Arc<Control>>,
    change: ChangeAsked,
) -> Reply<Response> {
    let ChangeWanted { by, client_id, wait, body } = change.read(&control, ConsoleAction::Authorize).await?;
    let WantedScopes { revision, scopes } = body;
    let installed = find(&control, &by, &client_id).await?;
    let scopes: ScopeSet = scopes.into_iter().collect();
    let declined = installed.application.optional.beyond(&scopes);
    let wanted = Wanted { scopes, declined, seen: Revision(revision) };
    let before = installed.grant.scopes;
    let (grant, receipt) = rescope(&control, &by, &client_id, wanted, wait).await?;
    Ok(answer(&before, grant, receipt))
}

/// Add scopes to a grant, or take some away
///
/// What is not named stays as it is, and what waits for a decision goes on waiting.
#[utoipa::path(patch, path = "/api/v1/applications/{client_id}/scopes", tag = "applications",
    operation_id = "changeScopes",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = ChangedScopes,
    responses((status = 200, description = "Changed, everywhere.", body = Rescoped),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = Rescoped), Refusals))]
pub(in crate::control) async fn change(
    State(control): State<Arc<Control>>,
    change: ChangeAsked,
) -> Reply<Response> {
    let ChangeWanted { by, client_id, wait, body } = change.read(&control, ConsoleAction::Authorize).await?;
    let ChangedScopes { revision, add, remove } = body;
    let (add, remove): (ScopeSet, ScopeSet) = (add.into_iter().collect(), remove.into_iter().collect());
    if let Some(scope) = add.iter().find(|scope| remove.contains(scope)) {
        return Err(invalid(format!("The scope {scope} is to be added and taken away.")));
    }
    let grant = find(&control, &by, &client_id).await?.grant;
    let wanted = Wanted {
        scopes: grant.scopes.union(&add).without(&remove),
        declined: grant.declined.union(&remove),
        seen: revision.map_or(grant.revision, Revision),
    };
    // Whoever takes a part away that a whole still includes would believe that it is gone.
    if let Some(scope) = remove.iter().find(|scope| wanted.scopes.covers(scope)) {
        return Err(invalid(format!("The scope {scope} is a part of one that stays."))
            .next("Take the whole away, and add what of it is to stay."));
    }
    let (after, receipt) = rescope(&control, &by, &client_id, wanted, wait).await?;
    Ok(answer(&grant.scopes, after, receipt))
}

fn answer(before: &ScopeSet, grant: Grant, receipt: Option<Receipt>) -> Response {
    let status = if receipt.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let body = Rescoped {
        added: grant.scopes.without(before),
        removed: before.without(&grant.scopes),
        effect: Effect::of(grant.revision, receipt),
        granted: grant.scopes,
    };
    (status, Json(body)).into_response()
}
