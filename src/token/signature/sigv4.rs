//! Signature Version 4 of AWS (`AWS4-HMAC-SHA256`), in both directions: what a caller signed is recomputed with the
//! secret that it was given, and what goes to an upstream is signed with the secret that was got for it.
//!
//! Comes in: a request as it stands on the wire. Goes out: whether its signature is good, or the headers that sign it.
//! Only the `Authorization` header carries a signature here, never the query. S3 encodes a path once, all others
//! twice; nothing of a request is changed by either. The signing of a body's chunks is [`super::chunks`]'.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;

use super::hex;
use crate::token::random::{Secret, equal, sha256};

/// What of a request is signed, as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, still percent-encoded.
    pub path: &'a str,
    /// Its query, still percent-encoded, without the question mark.
    pub query: Option<&'a str>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What stands for its body: the SHA-256 in hexadecimal digits, or a word such as `UNSIGNED-PAYLOAD`.
    pub payload: &'a str,
}

/// What a signature is good for besides its request: the credential's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The day, `20261122`.
    pub date: &'a str,
    /// The region: `eu-central-1`.
    pub region: &'a str,
    /// The service's name: `s3`.
    pub service: &'a str,
}

/// What an `Authorization` header claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Whose secret it was signed with.
    pub key_id: &'a str,
    /// What for.
    pub scope: Scope<'a>,
    signed: Vec<&'a str>,
    signature: &'a str,
}

/// Why a signature proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// The header is not of this form.
    #[error("the Authorization header is not one of AWS4-HMAC-SHA256")]
    Form,
    /// It has no date, or another one than its scope, or two.
    #[error("the request has no X-Amz-Date that fits the day of its signature")]
    Date,
    /// Something that decides is not under the signature.
    #[error("the signature leaves out the header {0}")]
    LeftOut(&'static str),
    /// The signature is another one.
    #[error("the signature does not fit the request and the secret of its access key")]
    Different,
}

/// The key of a day, region and service; chunks of a body are signed with it too.
pub struct SigningKey {
    key: hmac::Key,
    /// `20261122/eu-central-1/s3/aws4_request`.
    pub(super) scope: String,
}

/// A good signature, for what follows it in the body.
pub struct Verified {
    pub(super) key: SigningKey,
    pub(super) date: String,
    pub(super) signature: String,
}

impl<'a> Claim<'a> {
    /// Reads an `Authorization` header; nothing of it is believed yet.
    ///
    /// # Errors
    /// [`NotSigned::Form`].
    pub fn read(authorization: &'a str) -> Result<Self, NotSigned> {
        let parts = authorization.strip_prefix(ALGORITHM).ok_or(NotSigned::Form)?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in parts.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(NotSigned::Form)?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(NotSigned::Form),
            };
            if place.replace(value).is_some() {
                return Err(NotSigned::Form);
            }
        }
        let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature) else {
            return Err(NotSigned::Form);
        };
        let mut parts = credential.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or(NotSigned::Form);
        let (key_id, date, region, service, end) = (next()?, next()?, next()?, next()?, next()?);
        let signed: Vec<&str> = signed.split(';').collect();
        let ordered = signed.windows(2).all(|pair| pair.first() < pair.last());
        if parts.next().is_some() || end != TERMINATOR || !ordered || signature.len() != 64 {
            return Err(NotSigned::Form);
        }
        Ok(Self { key_id, scope: Scope { date, region, service }, signed, signature })
    }

    /// When it says that it was made, in seconds since 1970.
    ///
    /// # Errors
    /// [`NotSigned::Date`].
    pub fn signed_at(&self, headers: &HeaderMap) -> Result<i64, NotSigned> {
        self.date(headers).and_then(moment).ok_or(NotSigned::Date)
    }

    /// The signature itself, in hexadecimal digits.
    #[must_use]
    pub fn signature(&self) -> &'a str {
        self.signature
    }

    /// Whether `request` was signed so with `secret`; whether that was of late is for the caller to ask. Everything that
    /// decides what is done must be under the signature: the host, the body's hash, and every header that begins with
    /// `x-amz-`.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, request: &Signable<'_>, secret: &Secret) -> Result<Verified, NotSigned> {
        let date = self.date(request.headers).ok_or(NotSigned::Date)?;
        let covers = |name: &str| self.signed.binary_search(&name).is_ok();
        if !covers("host") {
            return Err(NotSigned::LeftOut("host"));
        }
        let decides = |name: &HeaderName| name.as_str().starts_with("x-amz-");
        if request.headers.keys().any(|name| decides(name) && !covers(name.as_str())) {
            return Err(NotSigned::LeftOut("x-amz-*"));
        }
        let key = SigningKey::new(secret, self.scope);
        let signature = key.signature(date, &canonical(request, &self.signed, self.scope.service)?);
        if !equal(signature.as_bytes(), self.signature.as_bytes()) {
            return Err(NotSigned::Different);
        }
        Ok(Verified { key, date: date.to_owned(), signature })
    }

    /// The request's date, which must be of the day that the signature is for.
    fn date<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let of_day = |date: &&str| self.scope.date.len() == 8 && date.starts_with(self.scope.date);
        single(headers, "x-amz-date").filter(of_day)
    }
}

impl SigningKey {
    /// The key that is made of `secret` for `scope`.
    #[must_use]
    pub fn new(secret: &Secret, scope: Scope<'_>) -> Self {
        let begin = zeroize::Zeroizing::new(format!("AWS4{}", secret.expose()));
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, begin.as_bytes());
        for part in [scope.date, scope.region, scope.service, TERMINATOR] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        let Scope { date, region, service } = scope;
        Self { key, scope: format!("{date}/{region}/{service}/{TERMINATOR}") }
    }

    /// The signature of a canonical request.
    fn signature(&self, date: &str, canonical: &str) -> String {
        let hash = hex(&sha256(canonical.as_bytes()));
        self.sign(&format!("{ALGORITHM}\n{date}\n{}\n{hash}", self.scope))
    }

    /// The signature of a string to sign, in hexadecimal digits.
    pub(super) fn sign(&self, text: &str) -> String {
        hex(hmac::sign(&self.key, text.as_bytes()).as_ref())
    }
}

/// The `Authorization` of `request`, signed by `key_id` with `secret`; `date` is what stands in its `x-amz-date`. The
/// host, the body's type and all headers that begin with `x-amz-` are signed; they must be what the upstream gets.
///
/// # Errors
/// A header is no text.
pub fn authorization(
    request: &Signable<'_>,
    key_id: &str,
    secret: &Secret,
    scope: Scope<'_>,
    date: &str,
) -> Result<String, NotSigned> {
    let signs =
        |name: &str| matches!(name, "host" | "content-type" | "content-md5") || name.starts_with("x-amz-");
    let mut signed: Vec<&str> =
        request.headers.keys().map(HeaderName::as_str).filter(|name| signs(name)).collect();
    signed.sort_unstable();
    let key = SigningKey::new(secret, scope);
    let signature = key.signature(date, &canonical(request, &signed, scope.service)?);
    let (scope, signed) = (&key.scope, signed.join(";"));
    Ok(format!("{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"))
}

/// The moment as `x-amz-date` says it, `20261122T123000Z`. `now` in seconds since 1970.
#[must_use]
pub fn date(now: i64) -> String {
    let at = Timestamp::from_second(now).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// What stands for a body whose bytes are known.
#[must_use]
pub fn payload(body: &[u8]) -> String {
    hex(&sha256(body))
}

fn moment(date: &str) -> Option<i64> {
    if date.len() != 16 {
        return None;
    }
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok()).flatten()
}

fn canonical(request: &Signable<'_>, signed: &[&str], service: &str) -> Result<String, NotSigned> {
    let mut text = String::with_capacity(512);
    text.push_str(request.method);
    text.push('\n');
    if service == "s3" {
        for (index, segment) in request.path.split('/').enumerate() {
            if index > 0 {
                text.push('/');
            }
            encode_decoded(&mut text, segment);
        }
    } else {
        encode(&mut text, request.path.bytes(), true);
    }
    text.push('\n');
    query(&mut text, request.query.unwrap_or_default());
    text.push('\n');
    for name in signed {
        let mut values = request.headers.get_all(*name).iter().peekable();
        if values.peek().is_none() {
            // It was signed, and is not there: whoever removed it has changed the request.
            return Err(NotSigned::Different);
        }
        text.push_str(name);
        text.push(':');
        while let Some(value) = values.next() {
            let value = std::str::from_utf8(value.as_bytes()).map_err(|_| NotSigned::Different)?;
            let mut words = value.split([' ', '\t']).filter(|word| !word.is_empty());
            text.push_str(words.next().unwrap_or_default());
            for word in words {
                text.push(' ');
                text.push_str(word);
            }
            if values.peek().is_some() {
                text.push(',');
            }
        }
        text.push('\n');
    }
    let _ = write!(text, "\n{}\n{}", signed.join(";"), request.payload);
    Ok(text)
}

/// The parameters in order, each name and value encoded once whatever way they came.
fn query(text: &mut String, query: &str) {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let mut pairs: Vec<(String, String)> = parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let spelled = |part| {
                let mut text = String::with_capacity(part_length(part));
                encode_decoded(&mut text, part);
                text
            };
            (spelled(name), spelled(value))
        })
        .collect();
    pairs.sort();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        let _ = write!(text, "{name}={value}");
    }
}

fn part_length(part: &str) -> usize {
    part.len().saturating_add(8)
}

/// Decodes escapes and encodes again, so that each text has one spelling. A slash that was encoded stays so.
fn encode_decoded(text: &mut String, part: &str) {
    encode(text, percent_decoded(part.as_bytes()), false);
}

fn percent_decoded(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (byte, behind) = rest.split_first()?;
        if let (b'%', [high, low, behind @ ..]) = (byte, behind)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            rest = behind;
            return Some(high * 16 + low);
        }
        rest = behind;
        Some(*byte)
    })
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Unreserved characters stand for themselves (RFC 3986 §2.3), and so does the slash in a path.
fn encode(text: &mut String, bytes: impl Iterator<Item = u8>, is_path: bool) {
    const UPPER: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain || (is_path && byte == b'/') {
            text.push(char::from(byte));
            continue;
        }
        text.push('%');
        for digit in [byte >> 4, byte & 15] {
            text.push(UPPER.get(usize::from(digit)).copied().map_or('0', char::from));
        }
    }
}

/// The only algorithm, and how an `Authorization` header begins.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn secret() -> Secret {
        Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned())
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            headers
        })
    }

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const DAY: Scope<'static> = Scope { date: "20130524", region: "us-east-1", service: "s3" };
    /// 2013-05-24T00:00:00Z.
    const THEN: i64 = 1_369_353_600;

    #[test]
    fn the_examples_of_amazon_are_signed_as_there() {
        // From Amazon's public description of the header signature for S3.
        let headers = headers(&[
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130524T000000Z"),
        ]);
        for (query, signature) in [
            ("lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ] {
            let request =
                Signable { method: "GET", path: "/", query: Some(query), headers: &headers, payload: EMPTY };
            let value = authorization(&request, "AKIAIOSFODNN7EXAMPLE", &secret(), DAY, "20130524T000000Z");
            assert!(value.unwrap().ends_with(signature), "{query}");
        }
    }

    fn signed(path: &str, query: Option<&str>, service: &str) -> (HeaderMap, String) {
        let headers = headers(&[
            ("host", "127.0.0.1:8080"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-target", "DynamoDB_20120810.PutItem"),
            ("accept", "*/*"),
        ]);
        let request = Signable { method: "POST", path, query, headers: &headers, payload: EMPTY };
        let scope = Scope { service, ..DAY };
        let value = authorization(&request, "STS.x", &secret(), scope, "20130524T000000Z").unwrap();
        (headers, value)
    }

    #[test]
    fn what_was_signed_is_verified_in_every_spelling_of_path_and_query() {
        for (path, query, service) in [
            ("/", None, "dynamodb"),
            ("/bucket/a%20b/%C3%BC.txt", Some("x=%2F&a"), "s3"),
            ("/functions/arn%3Aaws/x", None, "lambda"),
        ] {
            let (headers, value) = signed(path, query, service);
            let claim = Claim::read(&value).unwrap();
            assert_eq!((claim.key_id, claim.scope.service), ("STS.x", service));
            let request = Signable { method: "POST", path, query, headers: &headers, payload: EMPTY };
            assert!(claim.verify(&request, &secret()).is_ok(), "{path}");
        }
        // Another spelling of the same name is the same name to S3, and another one elsewhere.
        let (headers, value) = signed("/b/%41", None, "s3");
        let request =
            Signable { method: "POST", path: "/b/A", query: None, headers: &headers, payload: EMPTY };
        assert!(Claim::read(&value).unwrap().verify(&request, &secret()).is_ok());
        let (headers, value) = signed("/b/%41", None, "lambda");
        let request = Signable { headers: &headers, ..request };
        assert!(Claim::read(&value).unwrap().verify(&request, &secret()).is_err());
    }

    #[test]
    fn each_part_is_under_the_signature() {
        let (headers, value) = signed("/b/k", Some("a=b"), "s3");
        let claim = Claim::read(&value).unwrap();
        let good =
            Signable { method: "POST", path: "/b/k", query: Some("a=b"), headers: &headers, payload: EMPTY };
        let other = |name: &'static str, value: &'static str| {
            let mut headers = headers.clone();
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            headers
        };
        let verify = |request: &Signable<'_>| claim.verify(request, &secret()).map(drop);
        assert_eq!(verify(&good), Ok(()));
        let (target, host, more) =
            (other("x-amz-target", "x"), other("host", "evil"), other("x-amz-acl", "public-read"));
        for bad in [
            Signable { method: "GET", ..good },
            Signable { path: "/b/l", ..good },
            Signable { query: Some("a=c"), ..good },
            Signable { payload: "UNSIGNED-PAYLOAD", ..good },
            Signable { headers: &target, ..good },
            Signable { headers: &host, ..good },
            Signable { headers: &more, ..good },
        ] {
            assert!(verify(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(claim.verify(&good, &Secret::new("x".to_owned())).map(drop), Err(NotSigned::Different));
        assert_eq!(claim.signed_at(&headers), Ok(THEN));
        assert_eq!(claim.signed_at(&other("x-amz-date", "20130524T000000Z")), Err(NotSigned::Date));
    }

    #[test]
    fn a_header_of_another_form_is_no_claim() {
        let (_, good) = signed("/", None, "s3");
        for (from, to) in [
            ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA512 "),
            ("Signature=", "Signature=0"),
            ("/aws4_request", "/aws4"),
            ("/us-east-1/", "//"),
            ("host;", "x;host;"),
            (", Signature", ", Credential=a/20130524/b/c/aws4_request, Signature"),
        ] {
            assert_eq!(Claim::read(&good.replace(from, to)).err(), Some(NotSigned::Form), "{to}");
        }
    }

    #[test]
    fn dates_are_written_as_they_are_read() {
        assert_eq!(date(THEN), "20130524T000000Z");
        assert_eq!(moment("20130524T000000Z"), Some(THEN));
        for wrong in ["20130524T000000", "2013-05-24T00:00Z", "20131324T000000Z"] {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }
}
