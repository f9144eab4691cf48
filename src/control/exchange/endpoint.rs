//! `POST /v1/exchange`: an application presents its access token and is given an access key.
//!
//! Options come as a form: `scope` for fewer scopes, `duration_seconds` for a shorter life. Errors are those of a
//! protected resource (RFC 6750 §3.1), and policy's own words where a guardrail forbids it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::By;
use crate::control::Control;
use crate::control::audit::Because;
use crate::control::form::Parameters;
use crate::control::oauth::unstored;
use crate::control::peer::Address;
use crate::grants::exchange::{Exchange, NotExchanged};
use crate::token::random::{Secret, identifier};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credential<'a> {
    request_id: String,
    access_key_id: &'a str,
    access_key_secret: &'a str,
    security_token: &'a str,
    expiration: String,
}

/// Answers one exchange.
pub(super) async fn post(
    State(control): State<Arc<Control>>,
    Address(ip): Address,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(token) = bearer(&headers) else {
        return refused(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "send an access token: Authorization: Bearer <token>",
        );
    };
    let asked = match options(&headers, &body) {
        Ok((scope, seconds)) => Exchange { token: token.to_owned(), seconds, scope },
        Err(why) => return refused(StatusCode::BAD_REQUEST, "invalid_request", &why),
    };
    match control.exchange(&asked, By::Bearer(ip)).await {
        Ok(exchanged) => {
            let Ok(expiration) = Timestamp::from_second(exchanged.expires_at) else {
                return refused(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "temporarily_unavailable",
                    "the clock is wrong",
                );
            };
            unstored(&Credential {
                request_id: identifier().unwrap_or_default(),
                access_key_id: &exchanged.access_key_id,
                access_key_secret: Secret::expose(&exchanged.access_key_secret),
                security_token: Secret::expose(&exchanged.security_token),
                expiration: expiration.to_string(),
            })
        }
        Err(why) => not_exchanged(&why),
    }
}

/// The scopes and seconds that are asked for. A body that is no form is taken for a mistake, and not for no wish.
fn options(headers: &HeaderMap, body: &Bytes) -> Result<(Option<String>, Option<u32>), String> {
    if body.is_empty() {
        return Ok((None, None));
    }
    let form = Parameters::from_body(headers, body).map_err(|why| why.to_string())?;
    let one = |name: &str| form.one(name).map_err(|why| why.to_string());
    let seconds = one("duration_seconds")?.map(|text| match text.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(seconds),
        Ok(_) | Err(_) => Err("duration_seconds is no number of seconds".to_owned()),
    });
    Ok((one("scope")?.map(str::to_owned), seconds.transpose()?))
}

fn not_exchanged(why: &NotExchanged) -> Response {
    let text = why.to_string();
    match why {
        NotExchanged::Token => refused(StatusCode::UNAUTHORIZED, "invalid_token", &text),
        NotExchanged::Scope(_) => refused(StatusCode::BAD_REQUEST, "invalid_scope", &text),
        NotExchanged::Denied { code, .. } => refused(StatusCode::FORBIDDEN, code, &text),
        NotExchanged::TooOften(seconds) => {
            let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "slow_down", &text);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            response
        }
        NotExchanged::Unavailable(_) => {
            let text = "no credential can be made now; try again in a few seconds";
            let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", text);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
    }
}

fn refused(status: StatusCode, code: &'static str, description: &str) -> Response {
    let mut response = unstored(&json!({ "error": code, "error_description": description }));
    *response.status_mut() = status;
    response.extensions_mut().insert(Because(code));
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"consentry\", error=\"invalid_token\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response.into_response()
}

/// The one bearer token (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (scheme, token) = lines.next()?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && lines.next().is_none()).then_some(token.trim())
}
