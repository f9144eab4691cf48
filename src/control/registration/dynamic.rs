//! `POST /v1/register`: an application registers itself (RFC 7591 §3).
//!
//! Whatever kind of client it says it is, it is a public one: a secret that anybody can ask for proves nothing. What it
//! got instead of what it asked for is in the answer, as §3.2.1 has it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Described, Unfit};
use crate::control::oauth::{Code, OAuthError};
use crate::control::peer::Address;
use crate::control::publishing::applications::client_id;
use crate::control::{Control, Problem};
use crate::store::OwnRegistration;

/// Answers one registration.
pub(super) async fn post(
    State(control): State<Arc<Control>>,
    Address(address): Address,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let registrar = &control.registrar;
    if !registrar.is_dynamic() {
        return Err(Problem::not_found().into_response());
    }
    let refused = |error: OAuthError| error.into_response();
    if !registrar.asked.take(None, address, control.clock().seconds()) {
        let often = OAuthError::new(Code::Unavailable, "too many applications were registered from here");
        return Err(refused(often));
    }
    let described = read(&headers, &body).map_err(refused)?;
    let id = client_id().map_err(IntoResponse::into_response)?;
    let name = format!("self-{id}");
    let (now, policies) = (control.clock().now(), control.policies());
    let known_as = (id, name, "nobody who is known");
    let application = described.application(known_as, &registrar.settings, policies.catalogue(), now);
    let application = application.map_err(|unfit| refused(unfit.into()))?;
    let registration =
        OwnRegistration { application: &application, document: None, most: registrar.settings.most };
    let done = control.store().register_itself(registration, now).await;
    if !done.map_err(|error| refused(error.into()))? {
        let full = OAuthError::new(Code::Unavailable, "no more applications can be registered now");
        return Err(refused(full));
    }
    let body = json!({
        "client_id": application.id,
        "client_id_issued_at": now.as_second(),
        "client_name": application.display_name,
        "redirect_uris": application.redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "scope": application.required.union(&application.optional).to_string(),
    });
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    response.headers_mut().extend(crate::control::oauth::never_stored());
    Ok(response)
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Described, OAuthError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let unfit = |text: &str| OAuthError::new(Code::InvalidClientMetadata, text);
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(unfit("send the client's metadata as application/json"));
    }
    serde_json::from_slice(body).map_err(|_| unfit("the body is not the metadata of a client in JSON"))
}

impl From<Unfit> for OAuthError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::RedirectUri(why) => Self::new(Code::InvalidRedirectUri, why),
            Unfit::Metadata(why) => Self::new(Code::InvalidClientMetadata, why),
        }
    }
}
