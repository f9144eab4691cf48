//! The secrets of a published application: making one, seeing which there are, deleting one. Two at a time, so that
//! one can be replaced without an outage.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::applications::own;
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, invalid};
use crate::control::{Control, Problem, Reply};
use crate::policy::ConsoleAction;
use crate::store::{Secret as Kept, StoreError};
use crate::token::random::{Secret, identifier};

/// The live secrets of an application, without the secrets themselves.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Secrets {
    secrets: Vec<SecretMark>,
}

/// Which secret.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct SecretMark {
    /// Its id. It is not the secret.
    id: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A new secret. It is shown this once.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct NewSecret {
    /// Its id.
    id: String,
    /// The secret. Only its hash is kept.
    client_secret: String,
}

/// A fresh secret, as it is kept and as it is told.
pub(super) fn fresh(now: Timestamp) -> Reply<(Kept, Secret)> {
    let failed = |why| Problem::internal("a client secret", &why);
    let secret = Secret::random().map_err(failed)?;
    let kept = Kept { id: identifier().map_err(failed)?, hash: secret.hash(), created_at: now };
    Ok((kept, secret))
}

/// List an application's secrets
#[utoipa::path(get, path = "/api/v1/publisher/applications/{client_id}/secrets", tag = "publisher",
    operation_id = "listSecrets", params(("client_id", description = "The application's client ID.")),
    responses((status = 200, description = "Which secrets there are.", body = Secrets), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<Secrets>> {
    let by = asked.may(&control, ConsoleAction::Publish).await?;
    asked.only(&[])?;
    let application = own(&control, &by, &client_id).await?;
    let secrets = control.store().secrets(&application.id).await?;
    let secrets =
        secrets.into_iter().map(|one| SecretMark { id: one.id, created_at: one.created_at }).collect();
    Ok(Json(Secrets { secrets }))
}

/// Make another secret
///
/// To replace one: make another, let the application use it, delete the old one.
#[utoipa::path(post, path = "/api/v1/publisher/applications/{client_id}/secrets", tag = "publisher",
    operation_id = "addSecret", params(("client_id", description = "The application's client ID.")),
    responses((status = 201, description = "The secret, shown this once.", body = NewSecret), Refusals))]
pub(in crate::control) async fn add(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::Publish).await?;
    asked.only(&[])?;
    let (kept, secret) = added(&control, &by, &client_id).await?;
    let body = NewSecret { id: kept.id, client_secret: secret.expose().to_owned() };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// Makes another secret for an application of the account.
///
/// # Errors
/// 404, 400 for a public application, 409 for a third secret, the store's.
pub(super) async fn added(control: &Control, by: &Administrator, client_id: &str) -> Reply<(Kept, Secret)> {
    let application = own(control, by, client_id).await?;
    if !application.kind.is_confidential() {
        return Err(invalid("A NativeApp has no secret: it could not keep one (RFC 8252 section 8.5)."));
    }
    let (kept, secret) = fresh(control.clock().now())?;
    control.store().add_secret(&application.id, &kept, &by.actor()).await.map_err(|error| match error {
        StoreError::Conflict(_) => {
            Problem::new(StatusCode::CONFLICT, "conflict", "The application has two live secrets already.")
                .next("Delete the one that is not used any more.")
        }
        StoreError::Unavailable(_)
        | StoreError::Corrupt { .. }
        | StoreError::Exists(_)
        | StoreError::Missing(_)
        | StoreError::Unwritable(_) => error.into(),
    })?;
    Ok((kept, secret))
}

/// Delete a secret
#[utoipa::path(delete, path = "/api/v1/publisher/applications/{client_id}/secrets/{secret_id}", tag = "publisher",
    operation_id = "deleteSecret",
    params(("client_id", description = "The application's client ID."), ("secret_id", description = "The secret's id.")),
    responses((status = 204, description = "Deleted."), Refusals))]
pub(in crate::control) async fn remove(
    State(control): State<Arc<Control>>,
    Path((client_id, secret_id)): Path<(String, String)>,
    asked: Asked,
) -> Reply<StatusCode> {
    let by = asked.may(&control, ConsoleAction::Publish).await?;
    asked.only(&[])?;
    removed(&control, &by, &client_id, &secret_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a secret of an application of the account.
///
/// # Errors
/// 404, the store's.
pub(super) async fn removed(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    secret_id: &str,
) -> Reply<()> {
    let application = own(control, by, client_id).await?;
    control.store().delete_secret(&application.id, secret_id, &by.actor(), control.clock().now()).await?;
    Ok(())
}
