//! Refusals as MCP clients understand them.
//!
//! What a new token can mend keeps its status and challenge: clients then authorize. What no token can mend is a
//! JSON-RPC error in an answer that is otherwise fine: clients show it, and do not send the person to authorize in
//! vain. In between stands what is installed or agreed to no more: its token is worth nothing, and authorizing anew is
//! what helps.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::json;

use super::message::{Message, Unfit};
use crate::net::body::Inbound;
use crate::sidecar::adapter::Shaped;
use crate::sidecar::refuse::Told;

/// The refusal in the protocol's own shape. Where no message was sent, it answers none.
pub(in crate::sidecar) fn tell(told: &Told<'_>, request: Option<&Request<Inbound>>) -> Shaped {
    // An empty body is one that broke off, or none was sent.
    let body = request.and_then(|request| request.body().whole()).filter(|body| !body.is_empty());
    let message = body.map(|body| Message::parse(body));
    let unfit = message.as_ref().and_then(|message| message.as_ref().err().copied());
    let id = message.and_then(Result::ok).and_then(|message| message.id);
    let status = if id.is_some() { status(told) } else { anonymous(told) };
    let error = json!({
        "code": code(told, unfit),
        "message": format!("{} {}", sentence(told.detail), told.next).trim_end(),
        "data": {
            "code": told.code,
            "next": told.next,
            "page": told.page,
            "decision": told.decision,
            "scope": told.needed.filter(|_| told.attainable).map(ToString::to_string),
        },
    });
    let body = json!({ "jsonrpc": "2.0", "id": id, "error": error });
    Shaped { status, content_type: "application/json", body: Bytes::from(body.to_string()) }
}

/// What of the challenge is said: authorizing is asked for only where it helps.
pub(in crate::sidecar) fn challenge(told: &Told<'_>, own: Option<String>) -> Option<String> {
    match status(told) {
        StatusCode::UNAUTHORIZED if own.is_none() => {
            Some(format!("Bearer error=\"invalid_token\", resource_metadata=\"{}\"", told.metadata))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => own,
        _ => None,
    }
}

/// The status of an answer to a request.
fn status(told: &Told<'_>) -> StatusCode {
    match (told.status, told.code) {
        (StatusCode::FORBIDDEN, "not_installed" | "consent_required") => StatusCode::UNAUTHORIZED,
        (StatusCode::FORBIDDEN, _) if told.needed.is_some() && told.attainable => StatusCode::FORBIDDEN,
        (StatusCode::FORBIDDEN, _) => StatusCode::OK,
        (status, _) => status,
    }
}

/// The status where no answer is waited for: an error of HTTP is all that its sender sees.
fn anonymous(told: &Told<'_>) -> StatusCode {
    match status(told) {
        StatusCode::OK => told.status,
        status => status,
    }
}

fn code(told: &Told<'_>, unfit: Option<Unfit>) -> i32 {
    match (unfit, told.code, told.status) {
        (Some(Unfit::Syntax), _, _) => PARSE,
        (Some(Unfit::Twice | Unfit::Batch | Unfit::Part(..)), _, _) => INVALID,
        (None, "action_ambiguous", _) => MISMATCH,
        (None, "unknown_session", _) => NO_SESSION,
        (None, _, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => DENIED,
        (None, _, status) if status.is_server_error() => INTERNAL,
        (None, _, _) => INVALID,
    }
}

fn sentence(detail: &str) -> String {
    if detail.ends_with('.') { detail.to_owned() } else { format!("{detail}.") }
}

/// Of JSON-RPC 2.0 §5.1.
const PARSE: i32 = -32700;
const INVALID: i32 = -32600;
const INTERNAL: i32 = -32603;
/// Of MCP: headers and body differ; a session is not known.
const MISMATCH: i32 = -32020;
const NO_SESSION: i32 = -32001;
/// Ours: policy or the account says no.
const DENIED: i32 = -32003;
