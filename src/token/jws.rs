//! The compact form of a signed token (RFC 7515 §7.1): written, and taken apart with every shape checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use super::keys::Purpose;

/// Longer tokens are not ours.
pub(super) const LONGEST: usize = 8 * 1024;

/// The encoded header with its dot.
pub(super) fn prefix(purpose: Purpose, kid: &str) -> Box<str> {
    let (alg, typ) = (purpose.algorithm().as_str(), purpose.token_type());
    let header = format!(r#"{{"alg":"{alg}","typ":"{typ}","kid":"{kid}"}}"#);
    let mut prefix = URL_SAFE_NO_PAD.encode(header);
    prefix.push('.');
    prefix.into_boxed_str()
}

/// The signing input (RFC 7515 §5.1), with room for the signature.
pub(super) fn unsigned<C: Serialize>(prefix: &str, claims: &C) -> Option<String> {
    let claims = serde_json::to_vec(claims).ok()?;
    let mut token = String::with_capacity(prefix.len() + claims.len() * 4 / 3 + 96);
    token.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    Some(token)
}

/// Adds the signature.
pub(super) fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, token);
}

/// A token taken apart. Nothing of it is believed yet.
pub(super) struct Parts<'t> {
    /// What the signature is over.
    pub(super) signed: &'t [u8],
    /// The header, decoded.
    pub(super) header: Vec<u8>,
    /// The claims, decoded.
    pub(super) claims: Vec<u8>,
    /// The signature, decoded.
    pub(super) signature: Vec<u8>,
}

/// Three parts in strict base64url, or nothing.
pub(super) fn split(token: &str) -> Option<Parts<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    if claims.contains('.') {
        return None;
    }
    Some(Parts {
        signed: signed.as_bytes(),
        header: decode(header)?,
        claims: decode(claims)?,
        signature: decode(signature)?,
    })
}

/// The key that a token names. Read from a token that has been verified.
pub(super) fn kid(token: &str) -> Option<Box<str>> {
    let parts = split(token)?;
    let header: Header<'_> = serde_json::from_slice(&parts.header).ok()?;
    header.kid.map(|kid| Box::from(&*kid))
}

/// The header's members that count. A member that stands twice is refused.
#[derive(Deserialize)]
pub(super) struct Header<'h> {
    #[serde(borrow)]
    pub(super) alg: Cow<'h, str>,
    #[serde(borrow, default)]
    pub(super) typ: Option<Cow<'h, str>>,
    #[serde(borrow, default)]
    pub(super) kid: Option<Cow<'h, str>>,
    /// Extensions that must be understood (RFC 7515 §4.1.11); none is.
    #[serde(default)]
    pub(super) crit: Option<serde::de::IgnoredAny>,
}
