//! `ACS3-HMAC-SHA256` as a request carries it: in `Authorization` and `x-acs-…` headers.
//!
//! Every `x-acs-` header of the request must be among the signed ones, and `Host` too: they say what is done, and where.

use http::{HeaderMap, HeaderName, header};

use super::{Named, NotProven, Received, Signing, fresh, single};
use crate::token::random::{Secret, equal};
use crate::token::signature::{Parts, acs3, hex, unhex};

/// Such a signature.
#[derive(Debug)]
pub(in crate::sidecar) struct Carried {
    pub(super) named: Named,
    pub(super) signed_at: i64,
    pub(super) nonce: String,
    pub(super) body: [u8; 32],
    signed: String,
    signature: String,
}

impl Carried {
    /// Reads what follows the scheme's name in `Authorization`.
    pub(super) fn read(text: &str, headers: &HeaderMap) -> Result<Self, NotProven> {
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(NotProven::Incomplete("Authorization"))?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(NotProven::Incomplete("Authorization has a part that is not known")),
            };
            if place.replace(value).is_some() {
                return Err(NotProven::Incomplete("Authorization has a part twice"));
            }
        }
        let credential = credential.ok_or(NotProven::Incomplete("Authorization names no Credential"))?;
        let signed = signed.ok_or(NotProven::Incomplete("Authorization names no SignedHeaders"))?;
        let signature = signature.ok_or(NotProven::Incomplete("Authorization has no Signature"))?;
        let must = |name: &'static str| single(headers, name)?.ok_or(NotProven::Incomplete(name));
        if single(headers, ACCESS_KEY_ID)?.is_some_and(|id| id != credential) {
            return Err(NotProven::TwoCredentials);
        }
        let body = unhex(must(CONTENT_SHA256)?).ok_or(NotProven::Incomplete(CONTENT_SHA256))?;
        let nonce = must(NONCE)?;
        if nonce.is_empty() {
            return Err(NotProven::Incomplete(NONCE));
        }
        Ok(Self {
            named: Named {
                access_key_id: credential.to_owned(),
                security_token: Secret::new(
                    single(headers, SECURITY_TOKEN)?.ok_or(NotProven::UnknownKey)?.to_owned(),
                ),
            },
            signed_at: fresh::iso8601(must(DATE)?)?,
            nonce: nonce.to_owned(),
            body,
            signed: signed.to_owned(),
            signature: signature.to_owned(),
        })
    }

    /// Whether it fits the request.
    pub(super) fn check(&self, signing: &Signing, received: &Received<'_>) -> Result<(), NotProven> {
        let headers = self.headers(received)?;
        let parts = Parts {
            method: received.method,
            path: received.uri.path(),
            query: received.uri.query().unwrap_or_default(),
            headers: &headers,
        };
        let signature = acs3::signature(&signing.acs3, &parts, &hex(&self.body));
        if equal(signature.as_bytes(), self.signature.as_bytes()) { Ok(()) } else { Err(NotProven::Wrong) }
    }

    /// The signed headers, in order. None that says what is done may be left out.
    fn headers<'a>(&'a self, received: &Received<'a>) -> Result<Vec<(&'a str, &'a str)>, NotProven> {
        let mut headers: Vec<(&str, &str)> = Vec::with_capacity(16);
        for name in self.signed.split(';') {
            if headers.last().is_some_and(|(last, _)| *last >= name) {
                return Err(NotProven::Incomplete("SignedHeaders are not in order"));
            }
            let value = single(received.headers, name)?;
            headers.push((name, value.ok_or(NotProven::Incomplete("a signed header is missing"))?));
        }
        let is_signed = |name: &str| headers.iter().any(|(signed, _)| *signed == name);
        let unsigned = |name: &&HeaderName| must_be_signed(name.as_str()) && !is_signed(name.as_str());
        if !is_signed(header::HOST.as_str()) || received.headers.keys().any(|name| unsigned(&name)) {
            return Err(NotProven::Incomplete("SignedHeaders lack host or an x-acs- header of the request"));
        }
        let has_body = self.body != EMPTY;
        let typed = received.headers.contains_key(header::CONTENT_TYPE);
        if has_body && typed && !is_signed(header::CONTENT_TYPE.as_str()) {
            return Err(NotProven::Incomplete("SignedHeaders lack content-type"));
        }
        Ok(headers)
    }
}

fn must_be_signed(name: &str) -> bool {
    name.starts_with("x-acs-")
}

/// Takes out what belongs to a signature.
pub(super) fn strip(headers: &mut HeaderMap) {
    for name in [
        ACCESS_KEY_ID,
        SECURITY_TOKEN,
        NONCE,
        "x-acs-signature-method",
        "x-acs-signature-version",
        "x-acs-signature-type",
    ] {
        headers.remove(name);
    }
}

const ACCESS_KEY_ID: &str = "x-acs-accesskey-id";
const SECURITY_TOKEN: &str = "x-acs-security-token";
const NONCE: &str = "x-acs-signature-nonce";
const DATE: &str = "x-acs-date";
const CONTENT_SHA256: &str = "x-acs-content-sha256";

/// The SHA-256 of nothing.
const EMPTY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];
