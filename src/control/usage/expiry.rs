//! The end that an administrator sets for a grant: it stops everywhere then, by each sidecar's own clock too.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use super::narrow::told;
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, ChangeAsked, ChangeWanted, invalid};
use crate::control::admin::state::{Change, Effect};
use crate::control::{Control, Reply};
use crate::grants::acknowledge::Receipt;
use crate::model::grant::Grant;
use crate::model::id::Revision;
use crate::policy::ConsoleAction;

/// When a grant ends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Expiry {
    /// RFC 3339, later than now, at most ten years ahead; null for a grant that lasts until it is deleted.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<Timestamp>,
    /// The revision that this was decided on; another one now is a conflict. Not looked at unless given.
    revision: Option<u64>,
}

/// Sets when the account's grant ends, and waits until that is known everywhere if it is to be waited for.
///
/// # Errors
/// 404 `not_installed`, 400 for an end that is past or too far off, 409 `conflict`, 403 `not_an_administrator`, the
/// store's.
pub(super) async fn set_end(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    end: Option<Timestamp>,
    seen: Option<Revision>,
    wait: bool,
) -> Reply<(Grant, Option<Receipt>)> {
    let key = by.grant_key(client_id)?;
    let now = control.clock().now();
    if let Some(end) = end {
        check(end, now).map_err(invalid)?;
    }
    let change = Change::begin(control, wait).of(&key);
    let set = control.store().set_end(&key, end, seen, &by.actor(), now).await;
    let (grant, seq) = set.map_err(|refused| told(refused, client_id))?;
    Ok((grant, change.settle(control, seq).await))
}

/// Whether an end can be set: it is to come, and not beyond what anybody plans.
///
/// # Errors
/// A sentence.
pub(in crate::control) fn check(end: Timestamp, now: Timestamp) -> Result<(), String> {
    let latest = now.saturating_add(SignedDuration::from_hours(LONGEST_YEARS * 366 * 24));
    if end.as_second() <= now.as_second() {
        return Err(
            "The end must lie in the future. To stop the application now, suspend or delete it.".to_owned()
        );
    }
    if latest.is_ok_and(|latest| end > latest) {
        return Err(format!(
            "The end must lie within {LONGEST_YEARS} years; without one it lasts until it is deleted."
        ));
    }
    Ok(())
}

/// Set when an application's authorization ends
///
/// At its end it stops everywhere as if it were suspended: calls, tokens, open streams. No token outlives it. Setting
/// another end renews it; after its end that is a new beginning, and what was issued before stays dead.
#[utoipa::path(put, path = "/api/v1/applications/{client_id}/expiry", tag = "use", operation_id = "setExpiry",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = Expiry,
    responses((status = 200, description = "Set, and known everywhere.", body = Effect),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = Effect), Refusals))]
pub(in crate::control) async fn set(
    State(control): State<Arc<Control>>,
    change: ChangeAsked,
) -> Reply<Response> {
    let ChangeWanted { by, client_id, wait, body } = change.read(&control, ConsoleAction::Authorize).await?;
    let Expiry { expires_at, revision } = body;
    let (grant, receipt) =
        set_end(&control, &by, &client_id, expires_at, revision.map(Revision), wait).await?;
    Ok(Effect::answer(grant.revision, receipt))
}

const LONGEST_YEARS: i64 = 10;
