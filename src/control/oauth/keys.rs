//! `GET /v1/keys`: the public keys (RFC 7517 §5) of the issuer and of the enrolled sidecars.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::super::{Control, Problem};

/// Answers the key set. It may be kept for less time than a new key is published before it signs.
pub(super) async fn get(State(control): State<Arc<Control>>) -> Result<Response, Problem> {
    let keys = control.key_set().await?;
    let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, keys).into_response())
}
