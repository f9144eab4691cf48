//! The OAuth 2.1 and OpenID Connect endpoints, at the paths of the real service.
//!
//! One endpoint, one file. Applications read errors as RFC 6749 §5.2 has them: `error` and `error_description`.

pub(crate) mod authorize;
mod client;
pub(crate) mod decision;
mod discovery;
mod introspect;
mod keys;
pub(crate) mod live;
pub(crate) mod request;
mod revoke;
mod token;
mod userinfo;

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

use super::audit::Because;
use super::form::{NotAForm, Repeated};
use super::{Control, Problem};
use crate::store::StoreError;

pub(in crate::control) use client::{Client, claimed as claimed_client};

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery::get))
        .route("/.well-known/oauth-authorization-server", get(discovery::get))
        .route(request::PATH, get(authorize::get).post(authorize::post))
        .route("/v1/token", post(token::post))
        .route("/v1/userinfo", get(userinfo::get).post(userinfo::post))
        .route("/v1/revoke", post(revoke::post))
        .route("/v1/introspect", post(introspect::post))
        .route("/v1/keys", get(keys::get))
}

/// The metadata of an issuer with a path, where the well-known part goes before the path (RFC 8414 §3.1); the form
/// with the path first comes from serving everything below the path.
pub(super) fn inserted_metadata(path: &str) -> Router<Arc<Control>> {
    if path.is_empty() {
        return Router::new();
    }
    Router::new()
        .route(&format!("/.well-known/openid-configuration{path}"), get(discovery::get))
        .route(&format!("/.well-known/oauth-authorization-server{path}"), get(discovery::get))
}

/// An error as an application reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthError {
    code: Code,
    description: String,
    basic: bool,
}

/// The registered error codes that we answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    InvalidScope,
    InvalidTarget,
    InvalidRedirectUri,
    InvalidClientMetadata,
    UnauthorizedClient,
    UnsupportedGrantType,
    ServerError,
    Unavailable,
}

impl Code {
    /// The word (RFC 6749 §5.2, RFC 7591 §3.2.2, RFC 8707 §2).
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::ServerError => "server_error",
            Self::Unavailable => "temporarily_unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::InvalidScope
            | Self::InvalidTarget
            | Self::InvalidRedirectUri
            | Self::InvalidClientMetadata
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType => StatusCode::BAD_REQUEST,
        }
    }
}

impl OAuthError {
    /// An error with its description for the application's developer.
    pub(crate) fn new(code: Code, description: impl Into<String>) -> Self {
        Self { code, description: description.into(), basic: false }
    }

    /// The client has not proved who it is. A client that tried with Basic is challenged to (RFC 6749 §5.2).
    pub(crate) fn client(description: impl Into<String>, tried_basic: bool) -> Self {
        Self { basic: tried_basic, ..Self::new(Code::InvalidClient, description) }
    }

    /// Nothing can be signed or made random now.
    pub(crate) fn not_issued(why: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %why, "a token could not be issued");
        Self::new(Code::Unavailable, "tokens cannot be issued now; try again in a few seconds")
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %error, "the store failed");
        match error {
            StoreError::Unavailable(_) | StoreError::Corrupt { .. } | StoreError::Unwritable(_) => {
                Self::new(Code::Unavailable, "the store cannot answer now; try again in a few seconds")
            }
            StoreError::Conflict(_) | StoreError::Exists(_) | StoreError::Missing(_) => {
                Self::new(Code::ServerError, "something was changed meanwhile; start again")
            }
        }
    }
}

impl From<Repeated> for OAuthError {
    fn from(repeated: Repeated) -> Self {
        Self::new(Code::InvalidRequest, repeated.to_string())
    }
}

impl From<NotAForm> for OAuthError {
    fn from(fault: NotAForm) -> Self {
        Self::new(Code::InvalidRequest, fault.to_string())
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
            error_description: &'a str,
        }
        let description = request::printable(&self.description);
        let body = Body { error: self.code.as_str(), error_description: &description };
        let mut response = unstored(&body);
        response.extensions_mut().insert(Because(self.code.as_str()));
        *response.status_mut() = self.code.status();
        if self.basic {
            let challenge = HeaderValue::from_static("Basic realm=\"consentry\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if self.code == Code::Unavailable {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// JSON that no cache may keep (RFC 6749 §5.1).
pub(crate) fn unstored(body: &impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    response.headers_mut().extend(never_stored());
    response
}

/// The headers that keep an answer out of every cache.
pub(crate) fn never_stored() -> [(HeaderName, HeaderValue); 2] {
    [(CACHE_CONTROL, HeaderValue::from_static("no-store")), (PRAGMA, HeaderValue::from_static("no-cache"))]
}

/// What applications are told when a page would have had a problem.
impl From<OAuthError> for Problem {
    fn from(error: OAuthError) -> Self {
        Self::new(error.code.status(), error.code.as_str(), error.description)
    }
}
