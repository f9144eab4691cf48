//! `AWS4-HMAC-SHA256` as a request carries it: in `Authorization` and `x-amz-…` headers.
//!
//! The body is covered by `x-amz-content-sha256` (S3), or by its hash alone, for which it is read. S3 also takes a body
//! that is not covered, and one whose chunks are signed one by one: those are verified as they stream, and what they hold
//! goes on without them.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};

use super::{Found, Named, NotProven, Payload, Received, Signature, Signing, single};
use crate::net::body::{Broken, Inbound};
use crate::net::sieve::Sieve;
use crate::sidecar::adapter::Head;
use crate::token::random::Secret;
use crate::token::signature::chunks::Chunks;
use crate::token::signature::sigv4::{self, Claim, NotSigned, Signable, Verified};
use crate::token::signature::unhex;

/// Such a signature.
#[derive(Debug)]
pub(in crate::sidecar) struct Carried {
    pub(super) named: Named,
    pub(super) signed_at: i64,
    pub(super) payload: Payload,
    /// For S3.
    is_object: bool,
    signature: String,
}

/// Where it stands, by the head of a request.
pub(super) fn find(head: &Head<'_>) -> Result<Found, NotProven> {
    let Some(text) = single(head.headers, header::AUTHORIZATION.as_str())? else { return Ok(Found::Nowhere) };
    if !text.starts_with("AWS4-HMAC-SHA256 ") {
        return Ok(Found::Nowhere);
    }
    let claim = Claim::read(text)?;
    let token = single(head.headers, SECURITY_TOKEN)?.ok_or(NotProven::UnknownKey)?;
    let is_object = claim.scope.service == "s3";
    let payload = match single(head.headers, CONTENT_SHA256)? {
        Some(hash) if unhex(hash).is_some() => Payload::Sha256(unhex(hash).unwrap_or_default()),
        Some("UNSIGNED-PAYLOAD" | "STREAMING-UNSIGNED-PAYLOAD-TRAILER") if is_object => Payload::Uncovered,
        Some(CHUNKS | CHUNKS_AND_TRAILER) if is_object => Payload::Chunks,
        Some(_) => return Err(NotProven::Incomplete(CONTENT_SHA256)),
        // S3 itself insists on it; all others are signed with the hash of what they read.
        None if is_object => return Err(NotProven::Incomplete(CONTENT_SHA256)),
        None => Payload::Whole,
    };
    Ok(Found::Here(Signature::SigV4(Carried {
        named: Named {
            access_key_id: claim.key_id.to_owned(),
            security_token: Secret::new(token.to_owned()),
        },
        signed_at: claim.signed_at(head.headers)?,
        payload,
        is_object,
        signature: claim.signature().to_owned(),
    })))
}

impl Carried {
    /// The signature itself: there is nothing else that tells one request from another.
    pub(super) fn signature(&self) -> &str {
        &self.signature
    }

    /// As at the cloud.
    pub(super) fn age(&self) -> i64 {
        if self.is_object { 900 } else { 300 }
    }

    /// Whether it fits the request.
    pub(super) fn check(&self, signing: &Signing, received: &Received<'_>) -> Result<(), NotProven> {
        let body = || received.body.map_or(&[][..], |body| body);
        let payload = match (self.payload, single(received.headers, CONTENT_SHA256)?) {
            (Payload::Whole, _) => sigv4::payload(body()),
            (Payload::Sha256(_) | Payload::Md5(_) | Payload::Uncovered | Payload::Chunks, said) => {
                said.unwrap_or_default().to_owned()
            }
        };
        verify(signing, received, &payload).map(drop)
    }

    /// Whether it fits the head, and from then on each chunk of the body, which loses its framing.
    pub(super) fn chain(&self, signing: &Signing, request: &mut Request<Inbound>) -> Result<(), NotProven> {
        let headers = request.headers();
        let said = single(headers, CONTENT_SHA256)?.unwrap_or_default().to_owned();
        let received =
            Received { method: request.method().as_str(), uri: request.uri(), headers, body: None };
        let verified = verify(signing, &received, &said)?;
        let length = single(headers, DECODED_LENGTH)?.and_then(|length| length.parse::<u64>().ok());
        let length = length.ok_or(NotProven::Incomplete(DECODED_LENGTH))?;
        if request.body().whole().is_some() {
            return Err(NotProven::OtherBody);
        }
        let chunks = Chunks::new(verified, length, said == CHUNKS_AND_TRAILER);
        request.body_mut().sift(Box::new(Unframed { chunks, length }));
        unframe(request.headers_mut(), length);
        Ok(())
    }
}

fn verify(signing: &Signing, received: &Received<'_>, payload: &str) -> Result<Verified, NotProven> {
    let text = single(received.headers, header::AUTHORIZATION.as_str())?.unwrap_or_default();
    let request = Signable {
        method: received.method,
        path: received.uri.path(),
        query: received.uri.query(),
        headers: received.headers,
        payload,
    };
    Ok(Claim::read(text)?.verify(&request, &signing.secret)?)
}

/// What goes on is what the chunks hold, and S3 takes it as it comes: it has been verified.
fn unframe(headers: &mut HeaderMap, length: u64) {
    for name in [DECODED_LENGTH, "x-amz-trailer", "x-amz-sdk-checksum-algorithm"] {
        headers.remove(name);
    }
    headers.insert(CONTENT_SHA256, HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encodings = encodings.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let kept: Vec<&str> =
        encodings.map(str::trim).filter(|one| !one.eq_ignore_ascii_case("aws-chunked")).collect();
    let kept = HeaderValue::from_str(&kept.join(", ")).ok().filter(|kept| !kept.is_empty());
    headers.remove(header::CONTENT_ENCODING);
    if let Some(kept) = kept {
        headers.insert(header::CONTENT_ENCODING, kept);
    }
}

/// Takes out what belongs to a signature. The hash stays: it is said of the body, and the upstream may hold it to that.
pub(super) fn strip(headers: &mut HeaderMap) {
    headers.remove(SECURITY_TOKEN);
    headers.remove("x-amz-date");
}

/// Chunks without their framing.
struct Unframed {
    chunks: Chunks,
    length: u64,
}

impl Sieve for Unframed {
    fn take(&mut self, piece: Bytes) -> Result<Bytes, Broken> {
        self.chunks.take(&piece).map_err(|_| Broken::Other)
    }

    fn end(&mut self) -> Result<Bytes, Broken> {
        self.chunks.end().map_err(|_| Broken::Other)
    }

    fn length(&self, _: Option<u64>) -> Option<u64> {
        Some(self.length)
    }
}

impl fmt::Debug for Unframed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unframed").field("length", &self.length).finish_non_exhaustive()
    }
}

impl From<NotSigned> for NotProven {
    fn from(why: NotSigned) -> Self {
        match why {
            NotSigned::Form => Self::Incomplete("Authorization"),
            NotSigned::Date => {
                Self::Incomplete("x-amz-date must be there once, of the day that was signed for")
            }
            NotSigned::LeftOut(_) => {
                Self::Incomplete("SignedHeaders lack host or an x-amz- header of the request")
            }
            NotSigned::Different => Self::Wrong,
        }
    }
}

const SECURITY_TOKEN: &str = "x-amz-security-token";
const CONTENT_SHA256: &str = "x-amz-content-sha256";
const DECODED_LENGTH: &str = "x-amz-decoded-content-length";
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const CHUNKS_AND_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
