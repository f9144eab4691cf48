//! The REST protocols: S3 (`bucket/key`) and Lambda (`function/name`), named by method, path and query.

use bytes::Bytes;
use http::{HeaderMap, header};

use super::json::Node;
use super::kinds::{Kind, is_bucket};
use super::names::{Found, Names};
use super::places::{self, Places};
use super::requests::{Asks, Requests};
use super::single;
use crate::config::route::Service;
use crate::model::call::Action;
use crate::model::id::AccountId;
use crate::sidecar::adapter::{Asked, Head, NotUnderstood, Reading};

/// What a request to S3 asks for. Some operations name a second bucket, or all their objects, in the body.
pub(in crate::sidecar) fn object(
    names: &Names,
    (requests, places): (&Requests, &Places),
    head: &Head<'_>,
    body: Option<&Bytes>,
) -> Result<Reading, NotUnderstood> {
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
    let Asks { action, parts, .. } =
        requests.find(head.method, head.path, head.query.unwrap_or_default(), head.headers)?;
    let part = |name: &str| parts.iter().find(|(known, _)| *known == name).map(|(_, part)| decoded(part));
    let (bucket, key) = (part("Bucket").transpose()?, part("Key").transpose()?);
    let mut found = Found::of(owner(names, head.headers)?);
    if let Some(bucket) = &bucket {
        if !is_bucket(bucket) {
            return Err(NotUnderstood::Malformed { what: "the bucket", expected: "the name of a bucket" });
        }
        found.name(key.map_or_else(|| bucket.clone(), |key| format!("{bucket}/{key}")))?;
    }
    if let Some(source) = single(head.headers, "x-amz-copy-source")? {
        // Who copies reads, and what is read is guarded as such.
        let source = source_named(source)?;
        found.copied = Some((Action::new("s3:GetObject"), source.clone()));
        found.name(source)?;
    }
    if let Some(key) = single(head.headers, "x-amz-server-side-encryption-aws-kms-key-id")? {
        Kind::Key.named(names, (Service::S3, None), key)?.map_or(Ok(()), |key| found.add(key))?;
    }
    let operation = if head.has_body { Some(places.of(action.as_str())?) } else { None };
    if let Some(operation) = operation.filter(|operation| operation.is_named_in_xml()) {
        let Some(body) = body else { return Ok(Reading::NeedsBody) };
        check_whole(head.headers)?;
        places::Reading { names, operation, bucket: bucket.as_deref() }.xml(&mut found, body)?;
    }
    Ok(Reading::Asked(found.asked(action.clone())))
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

/// A body that has to be read must be there as it is, and under the signature.
fn check_whole(headers: &HeaderMap) -> Result<(), NotUnderstood> {
    let payload = single(headers, "x-amz-content-sha256")?;
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if payload.is_some_and(|payload| !is_hash(payload)) || headers.contains_key(header::CONTENT_ENCODING) {
        return Err(NotUnderstood::Malformed {
            what: "the body of this operation",
            expected: "sent in one piece and signed by its SHA-256",
        });
    }
    Ok(())
}

/// What a request to Lambda asks for. Some operations name something in the body.
pub(in crate::sidecar) fn function(
    names: &Names,
    (requests, places): (&Requests, &Places),
    head: &Head<'_>,
    body: Option<&Bytes>,
) -> Result<Asked, NotUnderstood> {
    if head.headers.contains_key("x-amz-target") {
        return Err(NotUnderstood::Ambiguous("the operation"));
    }
    let Asks { action, parts, query } =
        requests.find(head.method, head.path, head.query.unwrap_or_default(), head.headers)?;
    let (operation, mut found) = (places.of(action.as_str())?, Found::default());
    let reading = places::Reading { names, operation, bucket: None };
    reading.head(&mut found, &parts, &query)?;
    if operation.has_json() {
        if head.headers.contains_key(header::CONTENT_ENCODING) {
            return Err(BODY);
        }
        let body = body.filter(|body| !body.is_empty()).map_or(Ok(Node::Object(Vec::new())), Node::read)?;
        reading.json(&mut found, &body)?;
    }
    Ok(found.asked(action.clone()))
}

/// Resolves the escapes of a part of a path, once.
pub(super) fn decoded(part: &str) -> Result<String, NotUnderstood> {
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
const BODY: NotUnderstood =
    NotUnderstood::Malformed { what: "the body", expected: "JSON that is not encoded further" };
