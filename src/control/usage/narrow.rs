//! Taking optional scopes from a grant: a new revision without them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, ChangeAsked, ChangeWanted, invalid, not_installed};
use crate::control::admin::state::{Change, Effect};
use crate::control::{Control, Problem, Reply};
use crate::grants::acknowledge::Receipt;
use crate::model::grant::Grant;
use crate::model::id::Revision;
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;
use crate::store::{InstallRefused, StoreError};

/// What to take away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Narrow {
    /// Optional scopes that the grant holds.
    #[schema(value_type = Vec<String>)]
    without: Vec<Scope>,
    /// The revision that this was decided on; another one now is a conflict.
    revision: u64,
}

/// Takes scopes from the account's grant, and waits until that is true everywhere if it is to be waited for.
///
/// # Errors
/// 404 `not_installed`, 400 when no scope is named, 409 `conflict`, 403 `not_an_administrator`, the store's.
pub(super) async fn narrowed(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    without: &ScopeSet,
    seen: Revision,
    wait: bool,
) -> Reply<(Grant, Option<Receipt>)> {
    if without.is_empty() {
        return Err(invalid("Name at least one scope to take away."));
    }
    let key = by.grant_key(client_id)?;
    let change = Change::begin(control, wait).of(&key);
    let now = control.clock().now();
    let narrowed = control.store().narrow(&key, without, seen, &by.actor(), now).await;
    let (grant, seq) = narrowed.map_err(|refused| told(refused, client_id))?;
    Ok((grant, change.settle(control, seq).await))
}

/// A store's refusal to change a grant, as the API says it.
pub(super) fn told(refused: InstallRefused, client_id: &str) -> Problem {
    if let InstallRefused::Store(StoreError::Missing(_)) = &refused {
        return not_installed(client_id);
    }
    refused.into()
}

/// Take scopes from an application
///
/// A new revision of the grant without these optional scopes. Tokens that are out lose them at once, and nothing else.
#[utoipa::path(post, path = "/api/v1/applications/{client_id}/narrow", tag = "use", operation_id = "narrowApplication",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = Narrow,
    responses((status = 200, description = "Narrowed, everywhere.", body = Effect),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = Effect), Refusals))]
pub(in crate::control) async fn narrow(
    State(control): State<Arc<Control>>,
    change: ChangeAsked,
) -> Reply<Response> {
    let ChangeWanted { by, client_id, wait, body } = change.read(&control, ConsoleAction::Authorize).await?;
    let Narrow { without, revision } = body;
    let without = without.into_iter().collect();
    let (grant, receipt) = narrowed(&control, &by, &client_id, &without, Revision(revision), wait).await?;
    Ok(Effect::answer(grant.revision, receipt))
}
