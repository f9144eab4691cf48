//! The REST protocols: S3 (`bucket/key`) and Lambda (`function/name`), named by method, path and query.

use bytes::Bytes;
use http::HeaderMap;

use super::json::Node;
use super::names::{Named, Names};
use super::requests::Requests;
use super::{asked, single};
use crate::model::id::AccountId;
use crate::sidecar::adapter::{Asked, Head, NotUnderstood};

/// What a request to S3 asks for.
pub(in crate::sidecar) fn object(
    names: &Names,
    requests: &Requests,
    head: &Head<'_>,
) -> Result<Asked, NotUnderstood> {
    if names.has_bucket(head.host) {
        return Err(NotUnderstood::Malformed {
            what: "the host",
            expected: "the service's alone: name the bucket in the path (path-style addressing)",
        });
    }
    if head.headers.contains_key("x-amz-target") {
        return Err(NotUnderstood::Ambiguous("the operation"));
    }
    check_rights(head.headers)?;
    check_payload(head.headers)?;
    // S3 takes it for a blank, others for itself.
    if head.path.contains('+') {
        return Err(NotUnderstood::Malformed { what: "the path", expected: "with %2B or %20 instead of +" });
    }
    let (action, parts) =
        requests.find(head.method, head.path, head.query.unwrap_or_default(), head.headers)?;
    let part = |name: &str| parts.iter().find(|(known, _)| *known == name).map(|(_, part)| *part);
    let resource = match (part("Bucket"), part("Key")) {
        (None, _) => "*".to_owned(),
        (Some(bucket), key) => {
            let bucket = decoded(bucket)?;
            if !is_bucket(&bucket) {
                return Err(NotUnderstood::Malformed {
                    what: "the bucket",
                    expected: "the name of a bucket",
                });
            }
            match key {
                Some(key) => format!("{bucket}/{}", decoded(key)?),
                None => bucket,
            }
        }
    };
    let account = owner(names, head.headers)?;
    let mut named = vec![Named { name: resource, account: account.clone() }];
    if let Some(source) = single(head.headers, "x-amz-copy-source")? {
        named.push(Named { name: source_named(source)?, account });
    }
    asked(action.clone(), named)
}

/// The object that is copied, as `x-amz-copy-source` names it: what is done is done to both.
fn source_named(text: &str) -> Result<String, NotUnderstood> {
    let text = text.strip_prefix('/').unwrap_or(text);
    let path = text.split_once("?versionId=").map_or(text, |(path, _)| path);
    let (bucket, key) = path.split_once('/').ok_or(SOURCE)?;
    let (bucket, key) = (decoded(bucket)?, decoded(key)?);
    let dots = key.split('/').any(|segment| matches!(segment, "." | ".."));
    if !is_bucket(&bucket) || key.is_empty() || dots || path.contains(['?', '+']) {
        return Err(SOURCE);
    }
    Ok(format!("{bucket}/{key}"))
}

fn is_bucket(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (3..=255).contains(&name.len()) && name.bytes().all(plain)
}

/// The account that the caller expects to own the bucket.
fn owner(names: &Names, headers: &HeaderMap) -> Result<Option<AccountId>, NotUnderstood> {
    let expected = |name| single(headers, name)?.map(|number| names.account(number)).transpose();
    match (expected("x-amz-expected-bucket-owner")?, expected("x-amz-source-expected-bucket-owner")?) {
        (Some(one), Some(other)) if one != other => Err(NotUnderstood::Ambiguous("the account")),
        (one, other) => Ok(one.or(other)),
    }
}

/// Headers that give rights to others ask for another operation besides the one that is named.
fn check_rights(headers: &HeaderMap) -> Result<(), NotUnderstood> {
    let own = |acl: &str| matches!(acl, "private" | "bucket-owner-full-control");
    let given = headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-"));
    if given || single(headers, "x-amz-acl")?.is_some_and(|acl| !own(acl)) {
        return Err(NotUnderstood::Malformed {
            what: "x-amz-acl or x-amz-grant-…",
            expected: "left out: give rights by PutObjectAcl or PutBucketAcl, which are decided on their own",
        });
    }
    Ok(())
}

/// Chunks that are signed one by one can be verified only with the secret of the signature before them.
fn check_payload(headers: &HeaderMap) -> Result<(), NotUnderstood> {
    let payload = single(headers, "x-amz-content-sha256")?.unwrap_or_default();
    let signed =
        single(headers, "authorization")?.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 "));
    if payload.starts_with("STREAMING-AWS4") && !signed {
        return Err(NotUnderstood::Malformed {
            what: "x-amz-content-sha256",
            expected: "of a body without signed chunks, where the request is not signed",
        });
    }
    Ok(())
}

/// What a request to Lambda asks for. Some operations name their function in the body.
pub(in crate::sidecar) fn function(
    names: &Names,
    requests: &Requests,
    head: &Head<'_>,
    body: Option<&Bytes>,
) -> Result<Asked, NotUnderstood> {
    if head.headers.contains_key("x-amz-target") {
        return Err(NotUnderstood::Ambiguous("the operation"));
    }
    let (action, parts) =
        requests.find(head.method, head.path, head.query.unwrap_or_default(), head.headers)?;
    let mut named = Named { name: "*".to_owned(), account: None };
    for (kind, text) in parts {
        let text = decoded(text)?;
        match kind {
            "FunctionName" => named = function_named(names, &text)?,
            "LayerName" => named = layer_named(names, &text)?,
            "Resource" | "ResourceArn" => named = by_arn(names, &text)?,
            _ => {}
        }
    }
    let operation = action.as_str();
    if matches!(
        operation,
        "lambda:CreateFunction" | "lambda:CreateEventSourceMapping" | "lambda:UpdateEventSourceMapping"
    ) {
        let body = Node::read(body.ok_or(FUNCTION)?)?;
        match body.text("FunctionName")? {
            Some(text) => named = function_named(names, text)?,
            None if operation == "lambda:UpdateEventSourceMapping" => {}
            None => return Err(FUNCTION),
        }
    }
    asked(action.clone(), vec![named])
}

/// `name`, `123456789012:function:name` or the ARN, each perhaps with a version or alias behind it.
fn function_named(names: &Names, text: &str) -> Result<Named, NotUnderstood> {
    let (account, rest) = if text.starts_with("arn:") {
        let (account, rest) = names.arn("lambda", text)?;
        (account, rest.strip_prefix("function:").ok_or(FUNCTION)?)
    } else if let Some((number, rest)) = text.split_once(":function:") {
        (Some(names.account(number)?), rest)
    } else {
        (None, text.strip_prefix("function:").unwrap_or(text))
    };
    let mut parts = rest.split(':');
    let name = parts.next().unwrap_or_default();
    if !is_plain(name) || parts.nth(1).is_some() {
        return Err(FUNCTION);
    }
    Ok(Named { name: format!("function/{name}"), account })
}

fn layer_named(names: &Names, text: &str) -> Result<Named, NotUnderstood> {
    let (account, name) = if text.starts_with("arn:") {
        let (account, rest) = names.arn("lambda", text)?;
        (account, rest.strip_prefix("layer:").ok_or(FUNCTION)?)
    } else {
        (None, text)
    };
    if is_plain(name) { Ok(Named { name: format!("layer/{name}"), account }) } else { Err(FUNCTION) }
}

fn by_arn(names: &Names, arn: &str) -> Result<Named, NotUnderstood> {
    let (account, rest) = names.arn("lambda", arn)?;
    match rest.split_once(':') {
        Some(("function", _)) => function_named(names, arn),
        Some(("layer", _)) => layer_named(names, arn),
        Some((kind, name)) if is_plain(kind) && is_plain(name) => {
            Ok(Named { name: format!("{kind}/{name}"), account })
        }
        Some(_) | None => Err(FUNCTION),
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 170 && name.bytes().all(plain)
}

/// Resolves the escapes of a part of a path, once.
fn decoded(part: &str) -> Result<String, NotUnderstood> {
    const TEXT: NotUnderstood =
        NotUnderstood::Malformed { what: "a part of the path", expected: "text once decoded" };
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = rest.next().and_then(|byte| char::from(byte).to_digit(16));
            digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(TEXT)
        };
        bytes.push(digit()? * 16 + digit()?);
    }
    let text = String::from_utf8(bytes).map_err(|_| TEXT)?;
    if text.chars().any(char::is_control) { Err(TEXT) } else { Ok(text) }
}

const SOURCE: NotUnderstood =
    NotUnderstood::Malformed { what: "x-amz-copy-source", expected: "a bucket and a key" };
const FUNCTION: NotUnderstood =
    NotUnderstood::Malformed { what: "the function", expected: "named by its name or ARN" };
