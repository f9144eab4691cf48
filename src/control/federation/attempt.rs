//! An attempt to log in at a provider, from the moment somebody is sent there until they come back.
//!
//! It is kept by the hash of its `state`, sealed, bound to a cookie of the browser that began it, for ten minutes, and
//! taken once: who comes back twice, late, or with another browser finds nothing.

use serde::{Deserialize, Serialize};

use super::super::browser::session::later;
use super::super::{Control, Problem};
use crate::store::PendingConsent;
use crate::token::random::{NoRandomness, Secret, sha256};

/// An attempt.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    /// The provider's name here.
    pub(super) provider: String,
    /// What its ID token must repeat.
    pub(super) nonce: String,
    /// What the code is redeemed with (RFC 7636).
    pub(super) verifier: String,
    /// Where to go on, a path of ours.
    pub(super) onward: String,
    /// When it began, in seconds since 1970.
    pub(super) began_at: i64,
    /// Whether they must prove who they are anew.
    pub(super) fresh: bool,
    /// How long ago they may have done it, in seconds.
    pub(super) max_age: Option<i64>,
}

impl Attempt {
    /// A new one.
    pub(super) fn new(
        provider: &str,
        onward: String,
        fresh: bool,
        max_age: Option<i64>,
        now: i64,
    ) -> Result<Self, NoRandomness> {
        let random = || Secret::random().map(|secret| secret.expose().to_owned());
        Ok(Self {
            provider: provider.to_owned(),
            nonce: random()?,
            verifier: random()?,
            onward,
            began_at: now,
            fresh,
            max_age,
        })
    }

    /// Keeps it for the browser with this cookie; gives the `state` under which it is found again.
    pub(super) async fn keep(&self, control: &Control, cookie: &Secret) -> Result<Secret, Problem> {
        let internal = |why: &dyn std::fmt::Display| Problem::internal("a log-in at a provider", why);
        let state = Secret::random().map_err(|why| internal(&why))?;
        let plain = Secret::new(serde_json::to_string(self).map_err(|why| internal(&why))?);
        let sealed = control.sealer.seal(SEALED_FOR, plain.expose().as_bytes());
        let kept = PendingConsent {
            hash: state.hash(),
            session: bound_to(cookie),
            request: encode(&sealed.map_err(|why| internal(&why))?),
            expires_at: later(control.clock().now(), LIFE),
        };
        control.store().keep_pending(&kept).await?;
        Ok(state)
    }

    /// Takes it, once, if this browser began it.
    pub(super) async fn take(
        control: &Control,
        state: &str,
        cookie: &Secret,
    ) -> Result<Option<Self>, Problem> {
        let (hash, now) = (sha256(state.as_bytes()), control.clock().now());
        let Some(kept) = control.store().take_pending(&hash, &bound_to(cookie), now).await? else {
            return Ok(None);
        };
        let opened = decode(&kept.request).and_then(|sealed| control.sealer.open(SEALED_FOR, &sealed).ok());
        // What cannot be opened is a consent page's, or sealed under another key: not this.
        Ok(opened.and_then(|plain| serde_json::from_slice(&plain).ok()))
    }
}

/// Not the cookie's own hash: nobody's session can be taken for it, nor a consent page's transaction for an attempt.
fn bound_to(cookie: &Secret) -> [u8; 32] {
    sha256(Secret::new(format!("{SEALED_FOR} {}", cookie.expose())).expose().as_bytes())
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}

const SEALED_FOR: &str = "a log-in at a provider";
/// In seconds.
const LIFE: i64 = 600;
