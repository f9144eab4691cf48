//! Signing what goes to a cloud, with the signature that it takes.
//!
//! Comes in: a request that has the form in which the upstream will see it, and whose credentials sign it. Goes out: the
//! same with the headers of the signature, and nothing left of another one. Bodies are not read here: one that streams
//! goes by the hash that the caller has declared, or unsigned where the cloud takes that (S3).

use http::header::{AUTHORIZATION, DATE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use super::{Credentials, Sts};
use crate::config::sts::Cloud;
use crate::model::call::Call;
use crate::net::body::Inbound;
use crate::net::upstream::Upstream;
use crate::sidecar::refuse::{NoIdentity, Refusal};
use crate::token::random::{self, sha256};
use crate::token::signature::sigv4::{self, NotSigned, Scope, Signable};
use crate::token::signature::{Parts, acs3, hex};

/// What of a request's head stands before its headers.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

/// A request cannot be signed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the call cannot be signed for its cloud: {0}")]
pub(super) struct Unsigned(String);

impl Sts {
    /// Signs a call, in the form that `upstream` will get. `now` in seconds since 1970.
    pub(in crate::sidecar) fn sign(
        &self,
        request: &mut Request<Inbound>,
        call: &Call,
        upstream: &Upstream,
        by: &Credentials,
        now: i64,
    ) -> Result<(), Refusal> {
        request.headers_mut().insert(HOST, upstream.host().clone());
        let method = request.method().clone();
        let target = request.uri().path_and_query().cloned().ok_or(Refusal::Internal)?;
        let place = Place { method: method.as_str(), path: target.path(), query: target.query() };
        let body = request.body().whole().cloned();
        let headers = request.headers_mut();
        let service = call.action.service();
        let signed = match (self.cloud(), body) {
            (Cloud::Aws, body) if service == "s3" => {
                let payload = object_payload(headers, body.as_deref());
                aws_with(headers, place, (service, self.region()), by, &payload, now)
            }
            (Cloud::Aws, Some(body)) => aws(headers, place, (service, self.region()), by, &body, now),
            (Cloud::Alibaba, Some(body)) => {
                name(headers, call, place.query, &body);
                acs(headers, place, by, &body, now)
            }
            (Cloud::Alibaba, None) => {
                name(headers, call, place.query, &[]);
                let declared = headers.get(ACS_HASH).and_then(|hash| hash.to_str().ok()).map(str::to_owned);
                let declared = declared.filter(|hash| is_hash(hash));
                declared.ok_or_else(no_hash).and_then(|hash| acs_with(headers, place, by, &hash, now))
            }
            (Cloud::Aws, None) => Err(no_hash()),
        };
        signed.map_err(|error| Refusal::NoIdentity(NoIdentity::Failed(error.to_string())))
    }
}

/// Signs for AWS what has this body.
pub(super) fn aws(
    headers: &mut HeaderMap,
    place: Place<'_>,
    (service, region): (&str, &str),
    by: &Credentials,
    body: &[u8],
    now: i64,
) -> Result<(), Unsigned> {
    headers.remove(AMZ_HASH);
    aws_with(headers, place, (service, region), by, &sigv4::payload(body), now)
}

/// Signs for AWS, `payload` standing for the body.
fn aws_with(
    headers: &mut HeaderMap,
    place: Place<'_>,
    (service, region): (&str, &str),
    by: &Credentials,
    payload: &str,
    now: i64,
) -> Result<(), Unsigned> {
    let date = sigv4::date(now);
    headers.remove(DATE);
    headers.insert(AMZ_DATE, value(&date)?);
    if service == "s3" {
        headers.insert(AMZ_HASH, value(payload)?);
    }
    headers.remove(AMZ_TOKEN);
    if let Some(token) = &by.token {
        headers.insert(AMZ_TOKEN, secret(token.expose())?);
    }
    let day = date.get(..8).unwrap_or_default();
    let Place { method, path, query } = place;
    let request = Signable { method, path, query, headers, payload };
    let scope = Scope { date: day, region, service };
    let signed = sigv4::authorization(&request, &by.key_id, &by.secret, scope, &date);
    let signed = signed.map_err(|error: NotSigned| Unsigned(error.to_string()))?;
    headers.insert(AUTHORIZATION, secret(&signed)?);
    Ok(())
}

/// What stands for the body of a call to S3. The upstream holds the body to the hash that the caller has declared; what
/// was signed piece by piece has been verified on the way and goes on without its framing.
fn object_payload(headers: &HeaderMap, body: Option<&[u8]>) -> String {
    let declared = headers.get(AMZ_HASH).and_then(|declared| declared.to_str().ok());
    match (body, declared) {
        (Some(body), _) => sigv4::payload(body),
        (None, Some(declared)) if is_hash(declared) || declared == UNSIGNED_WITH_TRAILER => {
            declared.to_owned()
        }
        (None, Some(_) | None) => UNSIGNED.to_owned(),
    }
}

/// Signs for Alibaba Cloud what has this body.
pub(super) fn acs(
    headers: &mut HeaderMap,
    place: Place<'_>,
    by: &Credentials,
    body: &[u8],
    now: i64,
) -> Result<(), Unsigned> {
    acs_with(headers, place, by, &hex(&sha256(body)), now)
}

/// Signs for Alibaba Cloud, `hash` standing for the body.
fn acs_with(
    headers: &mut HeaderMap,
    place: Place<'_>,
    by: &Credentials,
    hash: &str,
    now: i64,
) -> Result<(), Unsigned> {
    for name in ["x-acs-accesskey-id", "x-acs-security-token", "x-acs-signature-type", "x-acs-bearer-token"] {
        headers.remove(name);
    }
    let nonce = random::identifier().map_err(|error| Unsigned(error.to_string()))?;
    let at = jiff::Timestamp::from_second(now).map_err(|error| Unsigned(error.to_string()))?;
    headers.insert("x-acs-date", value(&at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())?);
    headers.insert("x-acs-signature-nonce", value(&nonce)?);
    headers.insert(ACS_HASH, value(hash)?);
    headers.insert("x-acs-accesskey-id", value(&by.key_id)?);
    if let Some(token) = &by.token {
        headers.insert("x-acs-security-token", secret(token.expose())?);
    }
    let signs = |name: &str| matches!(name, "host" | "content-type") || name.starts_with("x-acs-");
    let mut signed: Vec<(&str, &str)> = Vec::with_capacity(12);
    for (name, value) in &*headers {
        if signs(name.as_str()) {
            let text = value.to_str().map_err(|_| Unsigned(format!("{name} is no text")))?;
            signed.push((name.as_str(), text.trim()));
        }
    }
    signed.sort_unstable();
    if signed.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        return Err(Unsigned("a header that is signed stands there twice".to_owned()));
    }
    let Place { method, path, query } = place;
    let parts = Parts { method, path, query: query.unwrap_or_default(), headers: &signed };
    let signature = acs3::signature(&acs3::key(by.secret.expose()), &parts, hash);
    let authorization = acs3::authorization(&by.key_id, &parts, &signature);
    headers.insert(AUTHORIZATION, secret(&authorization)?);
    Ok(())
}

/// The third signature of Alibaba Cloud wants operation and version in headers, where older clients name them among the
/// parameters.
fn name(headers: &mut HeaderMap, call: &Call, query: Option<&str>, form: &[u8]) {
    if !headers.contains_key(ACS_ACTION) {
        let operation = call.action.as_str().split_once(':').map_or("", |(_, operation)| operation);
        if let Ok(operation) = HeaderValue::from_str(operation) {
            headers.insert(ACS_ACTION, operation);
        }
    }
    if !headers.contains_key(ACS_VERSION) {
        let all = [query.unwrap_or_default().as_bytes(), form];
        let mut all = all.into_iter().flat_map(url::form_urlencoded::parse);
        let version = all.find(|(name, _)| name == "Version");
        if let Some(Ok(version)) = version.map(|(_, version)| HeaderValue::from_str(&version)) {
            headers.insert(ACS_VERSION, version);
        }
    }
}

fn no_hash() -> Unsigned {
    Unsigned("its body streams, and its hash is not declared".to_owned())
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn value(text: &str) -> Result<HeaderValue, Unsigned> {
    HeaderValue::from_str(text).map_err(|error| Unsigned(error.to_string()))
}

fn secret(text: &str) -> Result<HeaderValue, Unsigned> {
    let mut value = value(text)?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) const ACS_ACTION: HeaderName = HeaderName::from_static("x-acs-action");
pub(super) const ACS_VERSION: HeaderName = HeaderName::from_static("x-acs-version");
const ACS_HASH: HeaderName = HeaderName::from_static("x-acs-content-sha256");
const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const AMZ_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const AMZ_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// A body that S3 takes as it comes.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The same in chunks with a checksum behind them.
const UNSIGNED_WITH_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
