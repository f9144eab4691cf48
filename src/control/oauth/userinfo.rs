//! `GET|POST /v1/userinfo`: who the person is, as far as the token's scopes say (OpenID Connect Core §5.3).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::Control;
use super::super::form::Parameters;
use super::{OAuthError, live, unstored};
use crate::token::issue::IdentityClaims;

/// With the token in the header.
pub(super) async fn get(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
) -> Result<Response, OAuthError> {
    answer(&control, bearer(&headers)).await
}

/// With the token in the header or in the form, not in both (RFC 6750 §2).
pub(super) async fn post(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let form = Parameters::from_body(&headers, &body).unwrap_or_default();
    match (bearer(&headers), form.one("access_token")?) {
        (Some(_), Some(_)) => Ok(challenge(StatusCode::BAD_REQUEST, Some("invalid_request"))),
        (header, in_form) => answer(&control, header.or(in_form)).await,
    }
}

async fn answer(control: &Control, token: Option<&str>) -> Result<Response, OAuthError> {
    let Some(token) = token else { return Ok(challenge(StatusCode::UNAUTHORIZED, None)) };
    let audience = Some(control.issuer().as_str());
    let Some((caller, live)) = live::caller(control, token, audience).await? else {
        return Ok(challenge(StatusCode::UNAUTHORIZED, Some("invalid_token")));
    };
    let scopes = live.scopes(&caller.scopes);
    if !scopes.iter().any(|scope| scope.as_str() == "openid") {
        return Ok(challenge(StatusCode::FORBIDDEN, Some("insufficient_scope")));
    }
    let mut response = unstored(&IdentityClaims::new(&caller.subject, &live.member.principal, &scopes));
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (scheme, token) = lines.next()?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && lines.next().is_none()).then_some(token.trim())
}

/// RFC 6750 §3. Who brought no token is told no error code.
fn challenge(status: StatusCode, error: Option<&'static str>) -> Response {
    let text = match error {
        None => "Bearer realm=\"consentry\"",
        Some("invalid_request") => "Bearer realm=\"consentry\", error=\"invalid_request\"",
        Some("insufficient_scope") => {
            "Bearer realm=\"consentry\", error=\"insufficient_scope\", scope=\"openid\""
        }
        Some(_) => "Bearer realm=\"consentry\", error=\"invalid_token\"",
    };
    let mut response = unstored(&json!({ "error": error.unwrap_or("invalid_token") }));
    *response.status_mut() = status;
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(text));
    response.into_response()
}
