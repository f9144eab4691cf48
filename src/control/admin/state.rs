//! Suspending, resuming and deleting an application, with the receipt that says where it is true.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc::{self, error::TrySendError};
use utoipa::ToSchema;

use super::openapi::Refusals;
use super::request::{Administrator, Asked, not_installed};
use crate::control::{Control, Problem, Reply, pieces};
use crate::grants::acknowledge::{Confirmation, CutBefore, Receipt};
use crate::model::grant::{Grant, GrantState};
use crate::model::id::{GrantKey, Revision, Seq};
use crate::policy::ConsoleAction;
use crate::store::StoreError;

/// What became of a change, and where.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Effect {
    /// Whether it is known to be true everywhere; false only when the answer was not to wait.
    effective: bool,
    /// The grant's revision by which it is true.
    revision: u64,
    /// Milliseconds from the commit until it was true everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<u64>,
    /// Each sidecar's part.
    #[serde(skip_serializing_if = "Option::is_none")]
    sidecars: Option<Vec<SidecarEffect>>,
    /// Open streams that were cut for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    streams_closed: Option<u64>,
    /// Until when a cloud's own credentials work at the cloud that sidecars have given for the grant before; absent where
    /// there are none. Nobody can end those.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    roles_until: Option<Timestamp>,
}

/// One sidecar's part: it has confirmed, or it is known to have stopped by itself.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct SidecarEffect {
    /// Which sidecar.
    id: String,
    /// It confirmed after so many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_ms: Option<u64>,
    /// It could not be reached, and what it knew ended so many milliseconds after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<u64>,
}

impl Effect {
    /// The answer: 200 with the receipt, or 202 when it was not waited for.
    pub(in crate::control) fn answer(revision: Revision, receipt: Option<Receipt>) -> Response {
        let status = if receipt.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
        (status, Json(Self::of(revision, receipt))).into_response()
    }

    pub(in crate::control) fn of(revision: Revision, receipt: Option<Receipt>) -> Self {
        let Some(receipt) = receipt else {
            let revision = revision.0;
            return Self {
                effective: false,
                revision,
                elapsed_ms: None,
                sidecars: None,
                streams_closed: None,
                roles_until: None,
            };
        };
        Self {
            effective: true,
            revision: revision.0,
            elapsed_ms: Some(receipt.elapsed_ms),
            sidecars: Some(receipt.sidecars.into_iter().map(SidecarEffect::of).collect()),
            streams_closed: Some(receipt.streams_closed),
            roles_until: receipt.roles_until,
        }
    }
}

impl SidecarEffect {
    fn of(part: Confirmation) -> Self {
        Self { id: part.id.into(), confirmed_ms: part.confirmed_ms, stopped_by: part.stopped_by }
    }
}

fn line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// A change in the making: how many streams had been cut before it, so that the receipt counts its own.
pub(in crate::control) struct Change {
    before: CutBefore,
    wait: bool,
    /// The grant, where the receipt is to say what has left for it.
    grant: Option<GrantKey>,
}

impl Change {
    /// Begins; call it before the store is asked to change anything.
    pub(in crate::control) fn begin(control: &Control, wait: bool) -> Self {
        Self { before: control.source().cut_so_far(), wait, grant: None }
    }

    /// The receipt is to say what has left for this grant.
    pub(in crate::control) fn of(self, grant: &GrantKey) -> Self {
        Self { grant: Some(grant.clone()), ..self }
    }

    /// Once it is true everywhere: nothing leaves for it any more, and all that has is known.
    async fn everywhere(
        &self,
        control: &Control,
        seq: Seq,
        word: impl FnMut(&Confirmation) + Send,
    ) -> Receipt {
        let receipt = control.source().everywhere(seq, &self.before, word).await;
        let roles_until = match &self.grant {
            Some(grant) => control.roles_until(grant).await,
            None => None,
        };
        Receipt { roles_until, ..receipt }
    }

    /// Answers each sidecar's word as it comes, a line of JSON each, and at last the whole receipt in a line.
    fn told(self, control: Arc<Control>, revision: Revision, seq: Seq) -> Response {
        let each = |part: &Confirmation| line(&SidecarEffect::of(part.clone()));
        let last = move |receipt| line(&Effect::of(revision, Some(receipt)));
        ([(CONTENT_TYPE, LINES_OF_JSON)], self.tell(control, seq, Bytes::new(), each, last)).into_response()
    }

    /// A body that says `first` at once, each sidecar's word as it comes, and `last` when the change at `seq` is true
    /// everywhere. Who stops listening does not stop the change.
    pub(in crate::control) fn tell(
        self,
        control: Arc<Control>,
        seq: Seq,
        first: Bytes,
        mut each: impl FnMut(&Confirmation) -> Bytes + Send + 'static,
        last: impl FnOnce(Receipt) -> Bytes + Send + 'static,
    ) -> Body {
        let (pieces, told) = mpsc::channel(PIECES);
        tokio::spawn(async move {
            let _ = pieces.send(first).await;
            let mut late = Vec::new();
            let word = |part: &Confirmation| {
                if let Err(TrySendError::Full(piece)) = pieces.try_send(each(part)) {
                    late.push(piece);
                }
            };
            let receipt = self.everywhere(&control, seq, word).await;
            for piece in late {
                let _ = pieces.send(piece).await;
            }
            let _ = pieces.send(last(receipt)).await;
        });
        pieces::body(told)
    }

    /// Waits until the change at `seq` is true everywhere, unless it is not to be waited for.
    pub(in crate::control) async fn settle(self, control: &Control, seq: Seq) -> Option<Receipt> {
        if self.wait { Some(self.everywhere(control, seq, |_| ()).await) } else { None }
    }
}

/// Puts an application into a state, and waits until that is true everywhere if it is to be waited for.
///
/// # Errors
/// 404 `not_installed`, the store's.
pub(in crate::control) async fn set(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    state: GrantState,
    wait: bool,
) -> Reply<(Grant, Option<Receipt>)> {
    let change = Change::begin(control, wait);
    let (grant, seq) = put(control, by, client_id, state).await?;
    Ok((grant.clone(), change.of(&grant.key).settle(control, seq).await))
}

/// Puts an application into a state.
///
/// # Errors
/// 404 `not_installed`, the store's.
pub(in crate::control) async fn put(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    state: GrantState,
) -> Reply<(Grant, Seq)> {
    let key = by.grant_key(client_id)?;
    let changed = control.store().set_state(&key, state, &by.actor(), control.clock().now()).await;
    changed.map_err(|error| missing_is_not_installed(error, client_id))
}

/// A store's answer about a grant that is not there, as the API says it.
pub(super) fn missing_is_not_installed(error: StoreError, client_id: &str) -> Problem {
    match error {
        StoreError::Missing(_) => not_installed(client_id),
        StoreError::Unavailable(_)
        | StoreError::Corrupt { .. }
        | StoreError::Conflict(_)
        | StoreError::Exists(_)
        | StoreError::Unwritable(_) => error.into(),
    }
}

/// Delete an application
///
/// Revokes the grant: its tokens, assumed identities and open streams end. Answers when that is true everywhere,
/// with each sidecar's own word. The application can be authorized again later, as if for the first time. With
/// `accept: application/x-ndjson` each sidecar's word is answered as it comes, and the whole in the last line.
#[utoipa::path(delete, path = "/api/v1/applications/{client_id}", tag = "applications",
    operation_id = "deleteApplication",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    responses((status = 200, description = "Deleted, everywhere.",
            content((Effect = "application/json"), (SidecarEffect = "application/x-ndjson"))),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = Effect), Refusals))]
pub(super) async fn revoke(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::Revoke).await?;
    if asked.waits()? && asked.takes(LINES_OF_JSON) {
        let change = Change::begin(&control, true);
        let (grant, seq) = put(&control, &by, &client_id, GrantState::Revoked).await?;
        return Ok(change.of(&grant.key).told(control, grant.revision, seq));
    }
    let (grant, receipt) = set(&control, &by, &client_id, GrantState::Revoked, asked.waits()?).await?;
    Ok(Effect::answer(grant.revision, receipt))
}

/// Suspend an application
///
/// Stops it everywhere, and keeps what was authorized.
#[utoipa::path(post, path = "/api/v1/applications/{client_id}/suspend", tag = "applications",
    operation_id = "suspendApplication",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    responses((status = 200, description = "Suspended, everywhere.", body = Effect),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = Effect), Refusals))]
pub(super) async fn suspend(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::Suspend).await?;
    let (grant, receipt) = set(&control, &by, &client_id, GrantState::Suspended, asked.waits()?).await?;
    Ok(Effect::answer(grant.revision, receipt))
}

/// Resume a suspended application
///
/// It goes on with what was authorized before.
#[utoipa::path(post, path = "/api/v1/applications/{client_id}/resume", tag = "applications",
    operation_id = "resumeApplication",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    responses((status = 200, description = "Resumed, everywhere.", body = Effect),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = Effect), Refusals))]
pub(super) async fn resume(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::Resume).await?;
    let (grant, receipt) = set(&control, &by, &client_id, GrantState::Active, asked.waits()?).await?;
    Ok(Effect::answer(grant.revision, receipt))
}

const LINES_OF_JSON: &str = "application/x-ndjson";
/// So many pieces may wait to be read.
const PIECES: usize = 256;
