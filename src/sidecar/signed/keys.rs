//! Access keys: the caller whom an exchanged credential names, and what it signs with.
//!
//! Comes in: a security token and the access key id beside it. Goes out: a [`Known`] caller with the key's secret, which
//! is made from the id with the secret of the issuer's key. That the request was signed with it is not known by this.
//! What is remembered here is apart from bearer tokens, so that a security token is never taken for one.

use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use moka::sync::Cache;

use super::{Named, NotProven, Signing};
use crate::sidecar::identify::{BySignature, Known, Tokens};
use crate::sidecar::refuse::Refusal;
use crate::sidecar::seat::{Recent, Seat};
use crate::token::exchange::{KeySecrets, verify_security_token};
use crate::token::random::equal;
use crate::token::signature::acs3;
use crate::token::verify::TokenRefused;

/// The security tokens that were verified, and what access keys' secrets are made with.
pub(in crate::sidecar) struct AccessKeys {
    known: Cache<Arc<str>, Arc<Known>, BySignature>,
    secrets: ArcSwap<KeySecrets>,
}

impl AccessKeys {
    /// Without any secret: every access key is refused until [`AccessKeys::take_secrets`].
    pub(in crate::sidecar) fn new(capacity: u64) -> Self {
        let known = Cache::builder().max_capacity(capacity).build_with_hasher(BySignature::default());
        Self { known, secrets: ArcSwap::default() }
    }

    /// The secrets of the issuer's keys, all of them. Those that are not among them are lost.
    pub(in crate::sidecar) fn take_secrets(&self, secrets: KeySecrets) {
        self.secrets.store(Arc::new(secrets));
    }
}

impl Tokens {
    /// The caller of an exchanged credential. `now` in seconds since 1970. Also answers whether the caller was at hand.
    pub(in crate::sidecar) fn named(
        &self,
        recent: &Recent,
        named: &Named,
        now: i64,
    ) -> Result<(Rc<Seat>, bool), Refusal> {
        let token = named.security_token.expose();
        let (seat, at_hand) = match recent.get(token.as_bytes(), self.generation()) {
            Some(seat) => (seat, true),
            None => (recent.put(self.exchanged(token, now)?), false),
        };
        let signing = seat.known.signing.as_ref().ok_or(Refusal::Internal)?;
        if !equal(signing.access_key_id.as_bytes(), named.access_key_id.as_bytes()) {
            return Err(NotProven::OtherKey.into());
        }
        if now < seat.known.caller.expires_at { Ok((seat, at_hand)) } else { Err(NotProven::Expired.into()) }
    }

    /// The same caller, known from before or verified now.
    pub(in crate::sidecar) fn exchanged(&self, token: &str, now: i64) -> Result<Arc<Known>, Refusal> {
        let generation = self.generation();
        let AccessKeys { known, secrets } = self.access_keys();
        if let Some(known) = known.get(token).filter(|known| known.is(token.as_bytes(), generation)) {
            return Ok(known);
        }
        if !self.has_keys() {
            return Err(Refusal::Unavailable(
                "this sidecar has no keys yet to verify tokens with".to_owned(),
            ));
        }
        let meant = |audience: &str| self.meant(audience);
        let verified =
            verify_security_token(&self.keys(), token, self.issuer(), meant, now, Self::SKEW_SECONDS);
        let (caller, key, meant) = verified.map_err(|refused| match refused {
            TokenRefused::Expired => NotProven::Expired,
            TokenRefused::UnknownKey | TokenRefused::Invalid(_) => NotProven::Token(refused.to_string()),
        })?;
        if now >= caller.expires_at {
            return Err(NotProven::Expired.into());
        }
        let secrets = secrets.load();
        let secret = secrets.get(&key.kid).ok_or_else(|| {
            Refusal::Unavailable(
                "this sidecar has not learnt yet what access keys are verified with".to_owned(),
            )
        })?;
        let secret = secret.access_key_secret(&key.id);
        let signing = Signing { acs3: acs3::key(secret.expose()), secret, access_key_id: key.id };
        let new = Arc::new(Known::new(caller, meant, Arc::from(token), generation, Some(signing)));
        known.insert(Arc::from(token), Arc::clone(&new));
        Ok(new)
    }
}
