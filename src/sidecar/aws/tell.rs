//! Refusals as the SDKs of AWS parse them: each protocol has a shape of its own, and codes that its clients know.

use bytes::Bytes;
use http::{Request, StatusCode};

use super::{signed_for, target};
use crate::config::route::Service;
use crate::net::body::Inbound;
use crate::sidecar::adapter::Shaped;
use crate::sidecar::refuse::Told;

/// A protocol's shape of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sidecar) enum Shape {
    /// `<ErrorResponse>`: STS, and SQS of old.
    Query,
    /// `<Response><Errors>`: EC2.
    Ec2,
    /// `<Error>`: S3.
    Object,
    /// `{"__type"}`.
    Json,
}

impl Shape {
    /// The shape that whoever sent this request parses. `only` is the service that the route takes.
    pub(in crate::sidecar) fn of(only: Option<Service>, request: Option<&Request<Inbound>>) -> Self {
        let headers = request.map(Request::headers);
        let signed = || headers.and_then(|headers| signed_for(headers).ok().flatten());
        let in_target = headers.is_some_and(|headers| headers.contains_key("x-amz-target"));
        let service = only.or_else(signed);
        match service {
            Some(Service::S3) => Self::Object,
            Some(Service::Ec2) => Self::Ec2,
            Some(Service::Sts) => Self::Query,
            Some(Service::Sqs) if !in_target => Self::Query,
            Some(Service::DynamoDb | Service::Lambda | Service::Sqs) => Self::Json,
            None if in_target || headers.is_some_and(|headers| matches!(target(headers), Ok(Some(_)))) => {
                Self::Json
            }
            None => {
                let kind = headers.and_then(|headers| headers.get("content-type"));
                let is_form = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form"));
                if is_form { Self::Query } else { Self::Object }
            }
        }
    }
}

/// The refusal in that shape.
pub(in crate::sidecar) fn tell(shape: Shape, told: &Told<'_>) -> Shaped {
    let (code, status) = code(shape, told);
    let text = sentence(told);
    let id = told.decision;
    let (content_type, body) = match shape {
        Shape::Json => {
            let body =
                serde_json::json!({ "__type": code, "message": text, "Message": text, "RequestId": id });
            ("application/x-amz-json-1.0", body.to_string())
        }
        Shape::Query => {
            let kind = if status.is_server_error() { "Receiver" } else { "Sender" };
            let error = error(code, &text);
            let error = format!("<Error><Type>{kind}</Type>{error}</Error><RequestId>{id}</RequestId>");
            (
                "text/xml",
                format!("{XML}<ErrorResponse xmlns=\"https://consentry.invalid/\">{error}</ErrorResponse>"),
            )
        }
        Shape::Ec2 => {
            let error = error(code, &text);
            let errors = format!("<Errors><Error>{error}</Error></Errors><RequestID>{id}</RequestID>");
            ("text/xml", format!("{XML}<Response>{errors}</Response>"))
        }
        Shape::Object => {
            let error = error(code, &text);
            ("application/xml", format!("{XML}<Error>{error}<RequestId>{id}</RequestId></Error>"))
        }
    };
    Shaped { status, content_type, body: Bytes::from(body) }
}

fn error(code: &str, text: &str) -> String {
    format!("<Code>{code}</Code><Message>{}</Message>", escaped(text))
}

/// What failed, what is missing, and where it can be resolved, in the one sentence that SDKs show.
fn sentence(told: &Told<'_>) -> String {
    let mut text = format!("{} {}", ended(told.detail), told.next);
    if let Some(needed) = told.needed {
        text.push_str(&format!(" Scopes needed: {needed}."));
    }
    if let Some(application) = told.application {
        text.push_str(&format!(" Application: {application}."));
    }
    if let Some(page) = told.page {
        text.push_str(&format!(" See {page}."));
    }
    format!("{text} ({}, decision {})", told.code, told.decision)
}

fn ended(detail: &str) -> String {
    let mut text = detail.trim_end_matches('.').to_owned();
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    text.push('.');
    text
}

/// The code that clients act upon, and the status that goes with it.
fn code(shape: Shape, told: &Told<'_>) -> (&'static str, StatusCode) {
    let of = |object, query, ec2, json| match shape {
        Shape::Object => object,
        Shape::Query => query,
        Shape::Ec2 => ec2,
        Shape::Json => json,
    };
    let (code, status) = match told.code {
        // The same request twice within a second is mostly meant twice: clients sign it anew, and try again.
        "signature_replayed" => (
            of("SlowDown", "Throttling", "RequestLimitExceeded", "ThrottlingException"),
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        "signature_expired" => (
            of(
                "RequestTimeTooSkewed",
                "SignatureDoesNotMatch",
                "RequestExpired",
                "InvalidSignatureException",
            ),
            StatusCode::FORBIDDEN,
        ),
        "signature_invalid" | "signature_incomplete" => (
            of("SignatureDoesNotMatch", "SignatureDoesNotMatch", "AuthFailure", "InvalidSignatureException"),
            StatusCode::FORBIDDEN,
        ),
        "security_token_expired" => (
            of("ExpiredToken", "ExpiredToken", "RequestExpired", "ExpiredTokenException"),
            StatusCode::FORBIDDEN,
        ),
        "access_key_unknown"
        | "security_token_invalid"
        | "security_token_of_another_key"
        | "invalid_token"
        | "unauthenticated"
        | "credential_ambiguous" => (
            of("InvalidAccessKeyId", "InvalidClientTokenId", "AuthFailure", "UnrecognizedClientException"),
            StatusCode::FORBIDDEN,
        ),
        "body_too_large" => (
            of("EntityTooLarge", "ValidationError", "InvalidParameterValue", "ValidationException"),
            told.status,
        ),
        _ if told.status == StatusCode::FORBIDDEN => (
            of("AccessDenied", "AccessDenied", "UnauthorizedOperation", "AccessDeniedException"),
            told.status,
        ),
        _ if told.status == StatusCode::SERVICE_UNAVAILABLE => {
            (of("ServiceUnavailable", "ServiceUnavailable", "Unavailable", "ServiceUnavailable"), told.status)
        }
        _ if told.status.is_server_error() => {
            (of("InternalError", "InternalFailure", "InternalError", "InternalFailure"), told.status)
        }
        _ => (of("InvalidRequest", "ValidationError", "InvalidRequest", "ValidationException"), told.status),
    };
    (code, status)
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other if other.is_control() => out.push(' '),
            other => out.push(other),
        }
        out
    })
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
