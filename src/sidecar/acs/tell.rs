//! Refusals as the cloud's SDKs parse them: a `Code` that programs go by, a `Message` for people, and for what policy
//! denied an `AccessDeniedDetail` with the next step.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::Serialize;

use crate::net::body::Inbound;
use crate::sidecar::adapter::Shaped;
use crate::sidecar::refuse::Told;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    request_id: &'a str,
    host_id: &'a str,
    code: &'a str,
    message: String,
    recommend: &'a str,
    access_denied_detail: Detail<'a>,
}

/// Texts alone: SDKs expect nothing else.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Detail<'a> {
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    next_step: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'a str>,
    decision: &'a str,
}

/// The refusal in that shape.
pub(in crate::sidecar) fn shaped(told: &Told<'_>, request: Option<&Request<Inbound>>) -> Option<Shaped> {
    let (status, code) = said(told.code, told.status);
    let host = request.and_then(|request| request.headers().get(header::HOST)?.to_str().ok());
    let body = Body {
        request_id: told.decision,
        host_id: host.unwrap_or_default(),
        code,
        message: format!("{}. {}", told.detail.trim_end_matches('.'), told.next),
        recommend: told.page.unwrap_or_default(),
        access_denied_detail: Detail {
            reason: told.code,
            application: told.application,
            scope: told.needed.map(ToString::to_string),
            next_step: told.next,
            page: told.page,
            decision: told.decision,
        },
    };
    let body = Bytes::from(serde_json::to_vec(&body).ok()?);
    Some(Shaped { status, content_type: "application/json", body })
}

/// The cloud's status and code for one of ours.
fn said(code: &str, status: StatusCode) -> (StatusCode, &'static str) {
    let bad = StatusCode::BAD_REQUEST;
    match code {
        "insufficient_scope" | "access_denied" | "not_installed" | "not_assigned" | "consent_required" => {
            (StatusCode::FORBIDDEN, "NoPermission")
        }
        "unauthenticated" => (status, "MissingAccessKeyId"),
        "invalid_token" => (status, "InvalidBearerToken"),
        "credential_ambiguous" => (bad, "InvalidCredentials"),
        "access_key_unknown" => (StatusCode::NOT_FOUND, "InvalidAccessKeyId.NotFound"),
        "security_token_of_another_key" => (bad, "InvalidSecurityToken.MismatchWithAccessKey"),
        "security_token_invalid" => (bad, "InvalidSecurityToken.Malformed"),
        "security_token_expired" => (bad, "InvalidSecurityToken.Expired"),
        "signature_incomplete" => (bad, "IncompleteSignature"),
        "signature_invalid" => (bad, "SignatureDoesNotMatch"),
        "signature_expired" => (bad, "InvalidTimeStamp.Expired"),
        "signature_replayed" => (bad, "SignatureNonceUsed"),
        "action_missing" => (status, "MissingAction"),
        "action_ambiguous" | "malformed_request" => (status, "InvalidParameter"),
        "method_not_allowed" => (status, "UnsupportedHTTPMethod"),
        "internal" => (status, "InternalError"),
        _ if status.is_server_error() => (status, "ServiceUnavailable"),
        _ => (status, "InvalidRequest"),
    }
}
