//! `POST /v1/introspect` (RFC 7662): an application asks whether a token of its own can still be used.
//!
//! Only about a client's own tokens: to anybody else every token is inactive. A client with a secret proves itself by
//! it; a public one has nothing to prove with but the token itself, which nobody can guess (§4). What makes a token
//! inactive is what would make a sidecar refuse it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::Control;
use super::client::{Client, about_token};
use super::{OAuthError, live, unstored};
use crate::token::random::sha256;

/// Answers about one token.
pub(super) async fn post(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let (client, token) = about_token(&control, &headers, &body).await?;
    let known = match about_access(&control, &client, &token).await? {
        Some(known) => Some(known),
        None => about_refresh(&control, &client, &token).await?,
    };
    Ok(unstored(&known.unwrap_or_else(|| json!({ "active": false }))))
}

async fn about_access(control: &Control, client: &Client, token: &str) -> Result<Option<Value>, OAuthError> {
    let Some((caller, live)) = live::caller(control, token, None).await? else { return Ok(None) };
    if caller.application != client.application.id {
        return Ok(None);
    }
    Ok(Some(json!({
        "active": true,
        "iss": control.issuer().as_str(),
        "aud": live::audience_of(token),
        "client_id": caller.application,
        "sub": caller.subject,
        "scope": live.scopes(&caller.scopes).to_string(),
        "token_type": "Bearer",
        "exp": live.ends_by(caller.expires_at),
        "grant": caller.grant().to_string(),
        "rev": caller.revision,
    })))
}

async fn about_refresh(control: &Control, client: &Client, token: &str) -> Result<Option<Value>, OAuthError> {
    let now = control.clock().now();
    let Some(refresh) = control.store().refresh(&sha256(token.as_bytes()), now).await? else {
        return Ok(None);
    };
    let kept = &refresh.authorization;
    if kept.grant.application != client.application.id {
        return Ok(None);
    }
    let standing = live::standing(control, &kept.grant, &kept.principal, kept.revision, &kept.family).await?;
    Ok(standing.map(|live| {
        json!({
            "active": true,
            "iss": control.issuer().as_str(),
            "client_id": kept.grant.application,
            "sub": control.subjects().of(&kept.principal),
            "scope": live.scopes(&kept.scopes).to_string(),
            "token_type": "refresh_token",
            "exp": live.ends_by(refresh.expires_at.as_second()),
        })
    }))
}
