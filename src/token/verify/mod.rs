//! Tokens checked: signature first, then every claim. Used by sidecars for each token that they have not seen
//! yet, and by control for its own.
//!
//! Comes in: the issuer's key set, a token from outside, and what it must be for. Goes out: the [`Caller`] that it
//! proves, or why it proves nothing, in words that never repeat the token. Which key, and so which algorithm and
//! `typ`, is fixed by the key set: the header only names the key (RFC 8725 §3.1). Whether the grant still stands
//! is not asked here.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_lc_rs::signature::ParsedPublicKey;
use serde::{Deserialize, Serialize};

use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::caller::Caller;
use crate::model::id::Revision;
use crate::token::jwk::{PublicJwk, Wire};
use crate::token::jws;
use crate::token::keys::Purpose;

/// Public keys by name, parsed once. A snapshot: swap the whole when the issuer's keys change.
#[derive(Default)]
pub struct KeySet {
    keys: HashMap<Box<str>, VerifyingKey>,
}

struct VerifyingKey {
    purpose: Purpose,
    key: ParsedPublicKey,
}

/// The text is not a key set (RFC 7517 §5). Keep the last good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a JSON Web Key Set: it must be an object with an array `keys`")]
pub struct NotAKeySet;

/// Why a token proves nothing. A variant exists where a caller reacts differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// Its time is over: the application should refresh it.
    #[error("the token has expired; get a new one with the refresh token")]
    Expired,
    /// It names a key that is not in the set. The set may be old: fetch it again, not too often, and try once
    /// more. Otherwise the same as invalid.
    #[error("the token is signed with a key that this issuer does not publish")]
    UnknownKey,
    /// It is no valid token here, and will not become one.
    #[error("the token is not valid here: {0}")]
    Invalid(&'static str),
}

impl KeySet {
    /// The given keys.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k PublicJwk>) -> Self {
        let keys = keys.into_iter().filter_map(|jwk| {
            let key = VerifyingKey { purpose: jwk.purpose(), key: jwk.verifier().ok()? };
            Some((Box::from(jwk.kid()), key))
        });
        Self { keys: keys.collect() }
    }

    /// Reads a key set as `/v1/keys` gives it. Keys that are not for us (unknown type, purpose or algorithm, a
    /// name that is not the thumbprint) are left out: what they sign is refused.
    pub fn parse(jwks: &str) -> Result<Self, NotAKeySet> {
        #[derive(Deserialize)]
        struct Wires {
            keys: Vec<serde_json::Value>,
        }
        let read: Wires = serde_json::from_str(jwks).map_err(|_| NotAKeySet)?;
        let keys: Vec<PublicJwk> = read
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Wire>(key).ok())
            .filter_map(|wire| PublicJwk::from_wire(&wire).ok())
            .collect();
        Ok(Self::new(&keys))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none: then nothing can be verified.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether both hold the same keys. A key's name is its thumbprint.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.len() == other.len() && self.keys.keys().all(|kid| other.keys.contains_key(kid))
    }

    /// Whether a key that access tokens were good by in `earlier` is here no more: withdrawn, or past its time. Which of
    /// the two is not known here, since a key set says no times; all of that key's tokens have expired in the second case.
    #[must_use]
    pub fn lacks_token_key_of(&self, earlier: &Self) -> bool {
        let signs_tokens =
            |key: &VerifyingKey| matches!(key.purpose, Purpose::AccessToken | Purpose::Exchange);
        earlier.keys.iter().any(|(kid, key)| signs_tokens(key) && !self.keys.contains_key(kid))
    }

    /// Whether it holds the key `kid`.
    #[must_use]
    pub fn contains(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }
}

/// The key set that [`KeySet::parse`] reads.
pub(in crate::token) fn key_set_json<'k>(keys: impl IntoIterator<Item = &'k PublicJwk>) -> String {
    #[derive(Serialize)]
    struct Wires {
        keys: Vec<Wire>,
    }
    let keys = keys.into_iter().map(PublicJwk::to_wire).collect();
    serde_json::to_string(&Wires { keys }).unwrap_or_else(|_| r#"{"keys":[]}"#.to_owned())
}

/// Checks an access token (RFC 9068 §4) and says whom it speaks for, and for which of the asker's own places. `meant`
/// says what an audience is to the asker; nothing, if it is another's. Of several audiences the first that is the asker's
/// counts. `now` and `skew` are in seconds: `skew` is by how much this machine's clock and the issuer's may differ.
pub fn verify_access_token<P>(
    keys: &KeySet,
    token: &str,
    issuer: &str,
    meant: impl Fn(&str) -> Option<P>,
    now: i64,
    skew: i64,
) -> Result<(Caller, P), TokenRefused> {
    let claims = signed_claims(keys, token, Purpose::AccessToken)?;
    let lasting: Lasting<'_> = read(&claims)?;
    let place = lasting.check(issuer, meant, now, skew)?;
    Ok((read::<AccessClaims<'_>>(&claims)?.caller(lasting.exp)?, place))
}

/// The claims of what control leaves in Redis for sidecars, as JSON: anybody may have written it. What they mean, and
/// whether they still hold, is not asked here. The caller bounds its length.
pub fn verify_record(keys: &KeySet, record: &str) -> Result<Vec<u8>, TokenRefused> {
    signed_claims_of_any_length(keys, record, Purpose::Record)
}

/// The claims of what vouches for the audit, as JSON. The caller bounds its length.
///
/// # Errors
/// [`TokenRefused`]: another key, another type, or a wrong signature.
pub fn verify_audit(keys: &KeySet, mark: &str) -> Result<Vec<u8>, TokenRefused> {
    signed_claims_of_any_length(keys, mark, Purpose::Audit)
}

#[derive(Deserialize)]
pub(in crate::token) struct AccessClaims<'c> {
    #[serde(borrow)]
    sub: Cow<'c, str>,
    #[serde(borrow)]
    client_id: Cow<'c, str>,
    #[serde(borrow)]
    jti: Cow<'c, str>,
    #[serde(borrow)]
    scope: Cow<'c, str>,
    #[serde(borrow)]
    aid: Cow<'c, str>,
    #[serde(borrow)]
    uid: Cow<'c, str>,
    #[serde(rename = "type")]
    kind: PrincipalKind,
    rev: u64,
    #[serde(borrow)]
    fam: Cow<'c, str>,
}

impl AccessClaims<'_> {
    pub(in crate::token) fn caller(&self, expires_at: i64) -> Result<Caller, TokenRefused> {
        let printable =
            |text: &str| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !printable(&self.sub) || !printable(&self.jti) {
            return Err(BAD_CLAIMS);
        }
        Ok(Caller {
            application: self.client_id.parse().map_err(|_| BAD_CLAIMS)?,
            principal: PrincipalKey {
                account: self.aid.parse().map_err(|_| BAD_CLAIMS)?,
                kind: self.kind,
                id: self.uid.parse().map_err(|_| BAD_CLAIMS)?,
            },
            subject: self.sub.as_ref().to_owned(),
            scopes: self.scope.parse().map_err(|_| BAD_CLAIMS)?,
            revision: Revision(self.rev),
            family: self.fam.parse().map_err(|_| BAD_CLAIMS)?,
            expires_at,
        })
    }
}

/// The claims that every token of ours has, and that every check begins with.
#[derive(Deserialize)]
pub(in crate::token) struct Lasting<'c> {
    #[serde(borrow)]
    iss: Cow<'c, str>,
    #[serde(borrow)]
    aud: Audience<'c>,
    iat: i64,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience<'c> {
    #[serde(borrow)]
    One(Cow<'c, str>),
    #[serde(borrow)]
    Any(Vec<Cow<'c, str>>),
}

impl Lasting<'_> {
    pub(in crate::token) fn expires_at(&self) -> i64 {
        self.exp
    }

    /// Whether it counts now; and for which of the asker's places.
    pub(in crate::token) fn check<P>(
        &self,
        issuer: &str,
        meant: impl Fn(&str) -> Option<P>,
        now: i64,
        skew: i64,
    ) -> Result<P, TokenRefused> {
        let place = match &self.aud {
            Audience::One(one) => meant(one),
            Audience::Any(any) => any.iter().find_map(|one| meant(one)),
        };
        if self.iss != issuer {
            return Err(TokenRefused::Invalid("it comes from another issuer"));
        }
        let place = place.ok_or(TokenRefused::Invalid("it is meant for another audience"))?;
        if self.exp <= self.iat {
            return Err(BAD_CLAIMS);
        }
        if self.iat.max(self.nbf.unwrap_or(self.iat)) > now.saturating_add(skew) {
            return Err(TokenRefused::Invalid(
                "it is not valid yet; compare the clocks of issuer and sidecar",
            ));
        }
        if self.exp <= now.saturating_sub(skew) {
            return Err(TokenRefused::Expired);
        }
        Ok(place)
    }
}

/// The claims of a token that a key of this purpose has signed, as JSON.
pub(in crate::token) fn signed_claims(
    keys: &KeySet,
    token: &str,
    purpose: Purpose,
) -> Result<Vec<u8>, TokenRefused> {
    if token.len() > jws::LONGEST {
        return Err(TokenRefused::Invalid("it is too long"));
    }
    signed_claims_of_any_length(keys, token, purpose)
}

/// The same for what may be longer than a token; whoever reads it in bounds its length.
fn signed_claims_of_any_length(
    keys: &KeySet,
    token: &str,
    purpose: Purpose,
) -> Result<Vec<u8>, TokenRefused> {
    let parts = jws::split(token).ok_or(TokenRefused::Invalid("it is not a signed JSON Web Token"))?;
    let header: jws::Header<'_> = serde_json::from_slice(&parts.header)
        .map_err(|_| TokenRefused::Invalid("its header cannot be read"))?;
    if header.crit.is_some() {
        return Err(TokenRefused::Invalid("it needs an extension that is not known here"));
    }
    if header.alg != purpose.algorithm().as_str() {
        return Err(TokenRefused::Invalid("it is not signed with the algorithm in use here"));
    }
    if !header.typ.as_deref().is_some_and(|typ| is_type(typ, purpose.token_type())) {
        return Err(TokenRefused::Invalid("it is another type of token"));
    }
    let kid = header.kid.as_deref().ok_or(TokenRefused::Invalid("it names no key"))?;
    let key = keys.keys.get(kid).ok_or(TokenRefused::UnknownKey)?;
    if key.purpose != purpose {
        return Err(TokenRefused::Invalid("its key signs something else"));
    }
    key.key
        .verify_sig(parts.signed, &parts.signature)
        .map_err(|_| TokenRefused::Invalid("its signature is wrong"))?;
    Ok(parts.claims)
}

/// Reads claims; every shape that is not expected refuses.
pub(in crate::token) fn read<'c, T: Deserialize<'c>>(claims: &'c [u8]) -> Result<T, TokenRefused> {
    serde_json::from_slice(claims).map_err(|_| BAD_CLAIMS)
}

/// Media types are compared without case, with or without `application/` (RFC 7515 §4.1.9).
fn is_type(found: &str, wanted: &str) -> bool {
    let found = match found.split_once('/') {
        Some((tree, rest)) if tree.eq_ignore_ascii_case("application") => rest,
        Some(_) | None => found,
    };
    found.eq_ignore_ascii_case(wanted)
}

pub(in crate::token) const BAD_CLAIMS: TokenRefused = TokenRefused::Invalid("its claims cannot be read");

#[cfg(test)]
mod tests;
