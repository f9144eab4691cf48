//! `POST /v1/revoke` (RFC 7009): an application gives a token back; everything of the same authorization ends.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::Control;
use super::super::browser::session::later;
use super::super::signing::LONGEST_TOKEN_SECONDS;
use super::client::about_token;
use super::{OAuthError, live};
use crate::store::StoreError;
use crate::token::random::sha256;

/// Ends the family of a refresh or access token. A token that is unknown, over or somebody else's is answered 200
/// all the same (§2.2): there is nothing left to end, and nothing to learn.
pub(super) async fn post(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let (client, token) = about_token(&control, &headers, &body).await?;
    let now = control.clock().now();
    let refresh = control.store().refresh(&sha256(token.as_bytes()), now).await?;
    let found = match refresh {
        Some(refresh) => Some((refresh.authorization.grant.application, refresh.authorization.family)),
        None => live::proven(&control, &token, None).map(|caller| (caller.application, caller.family)),
    };
    if let Some((application, family)) = found
        && application == client.application.id
    {
        match control.store().end_family(&family, later(now, LONGEST_TOKEN_SECONDS), now).await {
            Ok(()) | Err(StoreError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        control.heard_everywhere().await?;
    }
    Ok(StatusCode::OK.into_response())
}
