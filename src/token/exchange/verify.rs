//! Checking a security token: who its credential speaks for, and which key its secret is made with.

use std::borrow::Cow;

use serde::Deserialize;

use super::PREFIX;
use crate::model::caller::Caller;
use crate::token::jws;
use crate::token::keys::Purpose;
use crate::token::verify::{AccessClaims, BAD_CLAIMS, KeySet, Lasting, TokenRefused, read, signed_claims};

/// The access key that a security token is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub id: Box<str>,
    /// The issuer's key that signed the token, whose secret makes this one's.
    pub kid: Box<str>,
}

/// The caller whom a security token names, its access key, and for which place it is. Arguments as for
/// [`verify_access_token`](crate::token::verify::verify_access_token).
///
/// That the request was signed with the access key's secret is not known by this: the token alone proves nothing.
///
/// # Errors
/// [`TokenRefused`], for an access token too.
pub fn verify_security_token<P>(
    keys: &KeySet,
    token: &str,
    issuer: &str,
    meant: impl Fn(&str) -> Option<P>,
    now: i64,
    skew: i64,
) -> Result<(Caller, AccessKey, P), TokenRefused> {
    let claims = signed_claims(keys, token, Purpose::Exchange)?;
    let lasting: Lasting<'_> = read(&claims)?;
    let place = lasting.check(issuer, meant, now, skew)?;
    let caller = read::<AccessClaims<'_>>(&claims)?.caller(lasting.expires_at())?;
    let key: KeyClaim<'_> = read(&claims)?;
    if !key.akid.starts_with(PREFIX) || !key.akid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        return Err(BAD_CLAIMS);
    }
    let kid = jws::kid(token).ok_or(BAD_CLAIMS)?;
    Ok((caller, AccessKey { id: key.akid.into(), kid }, place))
}

#[derive(Deserialize)]
struct KeyClaim<'c> {
    #[serde(borrow)]
    akid: Cow<'c, str>,
}
