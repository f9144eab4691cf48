//! Signed requests: where a request's signature stands, whether it proves who calls, and what of it goes no further.
//!
//! Comes in: a request without a bearer token, on a route whose clients sign. Goes out: the access key that it names,
//! and with that key's secret the proof: the signature fits every byte that it covers, its time has not run out, and it
//! was not seen before. What is not covered by the signature is no part of what is decided. The signatures themselves
//! are made in `token::signature`.
//!
//! To add a scheme: a file here with a type that has the functions of [`Signature`], an arm in each of them, and the
//! place where [`find`] recognises it.

mod acs1;
mod acs3;
mod fresh;
mod keys;
mod nonces;
mod prove;
mod sigv4;
#[cfg(test)]
mod tests;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};

use super::adapter::{Asked, Head};
use super::refuse::Refusal;
use crate::net::body::Inbound;
use crate::net::canonical::Canonical;
use crate::token::random::{Secret, equal, sha256};

pub(super) use acs1::may_be_form;
pub(super) use keys::AccessKeys;
pub(super) use nonces::{Mark, Nonces};

/// Which family of schemes a route's clients sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schemes {
    /// The cloud's own: `ACS3-HMAC-SHA256`, and `HMAC-SHA1` before it.
    Acs,
    /// That of AWS: Signature Version 4.
    Aws,
}

/// A signature as a request carries it, one arm for each scheme.
#[derive(Debug)]
pub(super) enum Signature {
    /// `ACS3-HMAC-SHA256`, of both styles.
    Acs3(acs3::Carried),
    /// `HMAC-SHA1` of parameters.
    Acs1Rpc(acs1::Rpc),
    /// `HMAC-SHA1` of headers.
    Acs1Roa(acs1::Roa),
    /// `AWS4-HMAC-SHA256`.
    SigV4(sigv4::Carried),
}

/// Where a request's signature is.
#[derive(Debug)]
pub(super) enum Found {
    /// It carries none.
    Nowhere,
    /// The head has it.
    Here(Signature),
    /// Only a form in the body can have it.
    PerhapsInForm,
}

/// What a signature and its body have to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// It covers the body by this SHA-256.
    Sha256([u8; 32]),
    /// It covers the body by this MD5.
    Md5([u8; 16]),
    /// It covers the body in a way for which all of it is needed at once.
    Whole,
    /// It says that it does not cover the body.
    Uncovered,
    /// It is the first of a chain that covers the body piece by piece.
    Chunks,
}

/// What names a caller in a signed request.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// The access key's id.
    pub(super) access_key_id: String,
    /// The security token.
    pub(super) security_token: Secret,
}

/// What an access key signs with.
pub(super) struct Signing {
    /// The access key's id.
    pub(super) access_key_id: Box<str>,
    /// Its secret.
    pub(super) secret: Secret,
    /// The same, ready for `ACS3-HMAC-SHA256`.
    pub(super) acs3: hmac::Key,
}

/// A request as its bytes came, but for headers that no server may see.
#[derive(Clone, Copy)]
pub(super) struct Received<'a> {
    /// Its method.
    pub(super) method: &'a str,
    /// Its target, as its sender wrote it.
    pub(super) uri: &'a Uri,
    /// Its headers.
    pub(super) headers: &'a HeaderMap,
    /// Its body, where that was read.
    pub(super) body: Option<&'a Bytes>,
}

/// Why a signed request proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotProven {
    /// A part is missing, stands twice, or cannot be read.
    #[error("the signature is incomplete: {0}")]
    Incomplete(&'static str),
    /// More than one credential.
    #[error("the request carries more than one credential")]
    TwoCredentials,
    /// The access key is none that was exchanged here.
    #[error("the access key is unknown here: only one that was exchanged for an access token is taken")]
    UnknownKey,
    /// The security token is another key's.
    #[error("the security token belongs to another access key")]
    OtherKey,
    /// The security token proves nothing.
    #[error("{0}")]
    Token(String),
    /// The credential's time is over.
    #[error("the exchanged credential has expired")]
    Expired,
    /// The request was signed too long ago, or in the future.
    #[error("the request's time is too long ago, or more than a minute ahead of this sidecar's")]
    Skewed,
    /// The request was signed before this process began, which cannot know whether the one before it has seen it.
    #[error("the request was signed before this sidecar was started, and may have been received before")]
    Unremembered,
    /// The signature does not fit.
    #[error("the signature does not fit the request")]
    Wrong,
    /// The body is another than was signed.
    #[error("the body is not the one that was signed")]
    OtherBody,
    /// It was seen before.
    #[error("the request was received before")]
    Replayed,
    /// Whether it was seen before could not be remembered.
    #[error("so many signed requests came lately that this one cannot be told from a repeated one")]
    Full,
}

/// Where the signature of a request stands, by its head.
pub(super) fn find(schemes: Schemes, head: &Head<'_>) -> Result<Found, NotProven> {
    match schemes {
        Schemes::Acs => acs(head),
        Schemes::Aws => sigv4::find(head),
    }
}

/// The signature that a form in the body carries, if it does.
pub(super) fn find_in_form(
    schemes: Schemes,
    head: &Head<'_>,
    body: &Bytes,
) -> Result<Option<Signature>, NotProven> {
    match schemes {
        Schemes::Acs => Ok(acs1::Rpc::read(head, Some(body))?.map(Signature::Acs1Rpc)),
        Schemes::Aws => Ok(None),
    }
}

fn acs(head: &Head<'_>) -> Result<Found, NotProven> {
    if head.headers.contains_key("x-acs-bearer-token") {
        return Err(NotProven::TwoCredentials);
    }
    let Some(authorization) = single(head.headers, header::AUTHORIZATION.as_str())? else {
        if let Some(rpc) = acs1::Rpc::read(head, None)? {
            return Ok(Found::Here(Signature::Acs1Rpc(rpc)));
        }
        return Ok(if head.has_body && acs1::may_be_form(head.headers) {
            Found::PerhapsInForm
        } else {
            Found::Nowhere
        });
    };
    let found = if let Some(rest) = authorization.strip_prefix("ACS3-HMAC-SHA256 ") {
        Signature::Acs3(acs3::Carried::read(rest, head.headers)?)
    } else if let Some(rest) = authorization.strip_prefix("acs ") {
        Signature::Acs1Roa(acs1::Roa::read(rest, head)?)
    } else {
        return Ok(Found::Nowhere);
    };
    if acs1::is_signed_query(head.query.unwrap_or_default()) {
        return Err(NotProven::TwoCredentials);
    }
    Ok(Found::Here(found))
}

impl Signature {
    /// Whose it says it is.
    pub(super) fn named(&self) -> &Named {
        match self {
            Self::Acs3(carried) => &carried.named,
            Self::Acs1Rpc(carried) => &carried.named,
            Self::Acs1Roa(carried) => &carried.named,
            Self::SigV4(carried) => &carried.named,
        }
    }

    /// When it was made, in seconds since 1970, as the request says.
    pub(super) fn signed_at(&self) -> i64 {
        match self {
            Self::Acs3(carried) => carried.signed_at,
            Self::Acs1Rpc(carried) => carried.signed_at,
            Self::Acs1Roa(carried) => carried.signed_at,
            Self::SigV4(carried) => carried.signed_at,
        }
    }

    /// What tells it from every other of its key: where the scheme has nothing of the kind, the signature itself.
    pub(super) fn nonce(&self) -> &str {
        match self {
            Self::Acs3(carried) => &carried.nonce,
            Self::Acs1Rpc(carried) => &carried.nonce,
            Self::Acs1Roa(carried) => &carried.nonce,
            Self::SigV4(carried) => carried.signature(),
        }
    }

    /// What tells it from every other, if the same request may not come again: where it has nothing that its sender would
    /// have made another, and repeating what it asks for changes nothing, it may; and perhaps it may as long as that is
    /// not known.
    pub(super) fn mark(&self, asked: Option<&Asked>, now: i64) -> Result<Option<Mark<'_>>, NotProven> {
        let may_repeat = match self {
            Self::Acs3(_) | Self::Acs1Rpc(_) => false,
            Self::Acs1Roa(carried) => carried.may_look && asked.is_none_or(only_looks),
            Self::SigV4(_) => asked.is_none_or(only_looks),
        };
        let signed_at = self.signed_at();
        let until = fresh::until(signed_at, now, self.age())?;
        let access_key_id = &self.named().access_key_id;
        Ok((!may_repeat).then(|| Mark { access_key_id, nonce: self.nonce(), signed_at, until }))
    }

    /// How it covers the body.
    pub(super) fn payload(&self) -> Payload {
        match self {
            Self::Acs3(carried) => Payload::Sha256(carried.body),
            Self::Acs1Rpc(_) => Payload::Whole,
            Self::Acs1Roa(carried) => Payload::Md5(carried.body),
            Self::SigV4(carried) => carried.payload,
        }
    }

    /// How many seconds old it may be.
    pub(super) fn age(&self) -> i64 {
        match self {
            Self::Acs3(_) | Self::Acs1Rpc(_) | Self::Acs1Roa(_) => fresh::AGE,
            Self::SigV4(carried) => carried.age(),
        }
    }

    /// Whether it fits the request. A body that is covered by its hash is not looked at here.
    pub(super) fn check(&self, signing: &Signing, received: &Received<'_>) -> Result<(), NotProven> {
        match self {
            Self::Acs3(carried) => carried.check(signing, received),
            Self::Acs1Rpc(carried) => carried.check(signing, received),
            Self::Acs1Roa(carried) => carried.check(signing, received),
            Self::SigV4(carried) => carried.check(signing, received),
        }
    }

    /// Takes it, and all that belongs to it, out of the request: none of it is for the upstream. What carries a bearer
    /// token too is taken out by `net::headers` in any case.
    pub(super) fn strip(
        &self,
        request: &mut Request<Inbound>,
        canonical: Canonical,
        body: Option<&Bytes>,
    ) -> Result<Canonical, Refusal> {
        match self {
            Self::Acs3(_) | Self::Acs1Roa(_) => {
                acs3::strip(request.headers_mut());
                Ok(canonical)
            }
            Self::Acs1Rpc(_) => {
                acs3::strip(request.headers_mut());
                acs1::strip(request, canonical, body).map_err(Refusal::Malformed)
            }
            Self::SigV4(_) => {
                sigv4::strip(request.headers_mut());
                Ok(canonical)
            }
        }
    }
}

impl Payload {
    /// Whether it covers `body` by a hash, and by that of another.
    pub(super) fn is_other_than(&self, body: &[u8]) -> bool {
        match self {
            Self::Sha256(hash) => !equal(&sha256(body), hash),
            Self::Md5(hash) => !equal(&acs1::md5(body), hash),
            Self::Whole | Self::Uncovered | Self::Chunks => false,
        }
    }
}

/// Whether the operation is a mere look. Clients take the same one twice within a second, with the same signature.
fn only_looks(asked: &Asked) -> bool {
    let operation = asked.action.as_str().split_once(':').map_or("", |(_, operation)| operation);
    LOOKS.iter().any(|begin| operation.starts_with(begin))
}

/// The one value of a header, without blanks around it.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, NotProven> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(NotProven::Incomplete("a header that belongs to it stands twice"));
    }
    let text =
        std::str::from_utf8(value.as_bytes()).map_err(|_| NotProven::Incomplete("a header is no text"))?;
    Ok(Some(text.trim()))
}

/// How the operations begin that change nothing.
const LOOKS: [&str; 9] =
    ["Get", "List", "Describe", "Head", "Query", "Scan", "BatchGet", "TransactGet", "Select"];
