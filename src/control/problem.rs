//! How a route that is not OAuth's says no: RFC 9457 problem details, with a stable `code` and the next step.
//!
//! Comes in: an error of a lower layer, or a reason. Goes out: one JSON shape. What failed inside is logged, never
//! told.

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::store::{InstallRefused, StoreError};

/// A refusal by the control plane, as a value. `detail` and `next` are read by people; programs go by `code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    next: String,
}

/// What handlers of the console and the admin API end in when they refuse.
pub type Reply<T> = Result<T, Problem>;

impl Problem {
    /// A problem with its status, its stable code and one sentence about this occurrence.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        Self {
            kind: format!("urn:consentry:problem:{code}"),
            title,
            status,
            code,
            detail: detail.into(),
            next: String::new(),
        }
    }

    /// The same, with what the reader can do next.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next = step.into();
        self
    }

    /// There is nothing at this address.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
    }

    /// The address is there, and does not do that.
    #[must_use]
    pub fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not take this method.",
        )
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence about this occurrence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What to do next; empty when there is nothing to do.
    #[must_use]
    pub fn next_step(&self) -> &str {
        &self.next
    }

    /// Something broke inside. The reason goes to the log, not to the answer.
    #[must_use]
    pub fn internal(what: &str, why: &dyn std::fmt::Display) -> Self {
        tracing::error!(what, error = %why, "the control plane failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on our side.")
            .next("Try again; if it goes on, tell the operator when it happened.")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) | StoreError::Corrupt { .. } => {
                tracing::error!(error = %error, "the store failed");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store_unavailable",
                    "The store cannot answer now; nothing was changed.",
                )
                .next("Try again in a few seconds.")
            }
            StoreError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", error.to_string())
                .next("Read it again, then decide again."),
            StoreError::Exists(_) => Self::new(StatusCode::CONFLICT, "exists", error.to_string()),
            StoreError::Missing(_) => Self::new(StatusCode::NOT_FOUND, "not_found", error.to_string()),
            StoreError::Unwritable(_) => {
                tracing::error!(error = %error, "the store cannot be written");
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "store_unwritable",
                    "The store cannot be written now; nothing was changed.",
                )
                .next("Tell the operator: its disk is full or read-only.")
            }
        }
    }
}

impl From<InstallRefused> for Problem {
    fn from(refused: InstallRefused) -> Self {
        match refused {
            InstallRefused::NotAnAdministrator(_) => {
                Self::new(StatusCode::FORBIDDEN, "not_an_administrator", refused.to_string())
                    .next("Ask an administrator of your account to authorize the application.")
            }
            InstallRefused::NotOffered(_) => {
                Self::new(StatusCode::BAD_REQUEST, "scope_not_offered", refused.to_string())
                    .next("Choose among the scopes that the application offers.")
            }
            InstallRefused::Required(_) => {
                Self::new(StatusCode::BAD_REQUEST, "scope_required", refused.to_string())
                    .next("Name it too; to refuse it, delete the application.")
            }
            InstallRefused::Blocked(_) => {
                Self::new(StatusCode::CONFLICT, "application_blocked", refused.to_string())
                    .next("Take the block back in the account's application policy, then decide again.")
            }
            InstallRefused::Beyond(_) => {
                Self::new(StatusCode::BAD_REQUEST, "scope_beyond", refused.to_string())
                    .next("Allow that scope as well, or leave the application as it is.")
            }
            InstallRefused::NoApplication(_) => {
                Self::new(StatusCode::NOT_FOUND, "not_found", refused.to_string())
            }
            InstallRefused::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

fn status_number<S: serde::Serializer>(status: &StatusCode, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u16(status.as_u16())
}
