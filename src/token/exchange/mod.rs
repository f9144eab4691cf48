//! Exchanged credentials: an access key id, its secret and a security token, for clients that sign their requests.
//!
//! Comes in: the claims of an access token that has been checked, and the issuer's key for exchanges. Goes out: a
//! credential that is kept nowhere. The security token says who and with what, as an access token does; the secret is
//! made from the access key id with a secret of the key that signed the token. Sidecars learn that secret of each live
//! key, so that any of them can verify a signature; with the key they lose it. Neither half works alone: the token is no
//! bearer token (its `typ` and its key are others), and the secret is of no use without the token.

mod mint;
mod secrets;
mod verify;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::random::Secret;
pub use mint::NewCredential;
pub use secrets::{KeySecret, KeySecrets};
pub use verify::{AccessKey, verify_security_token};

/// The longest life of an exchanged credential, in seconds.
pub const LONGEST: u32 = 900;

/// An exchanged credential.
#[derive(Clone)]
pub struct Exchanged {
    /// Names the key: `STS.` and random letters and digits.
    pub access_key_id: String,
    /// Signs requests.
    pub access_key_secret: Secret,
    /// Goes with each request.
    pub security_token: Secret,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
}

/// The same between a control plane and its sidecars.
#[derive(Clone, Serialize, Deserialize)]
pub struct Wire {
    /// Names the key.
    pub access_key_id: String,
    /// Signs requests.
    pub access_key_secret: String,
    /// Goes with each request.
    pub security_token: String,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
}

impl From<&Exchanged> for Wire {
    fn from(exchanged: &Exchanged) -> Self {
        Self {
            access_key_id: exchanged.access_key_id.clone(),
            access_key_secret: exchanged.access_key_secret.expose().to_owned(),
            security_token: exchanged.security_token.expose().to_owned(),
            expires_at: exchanged.expires_at,
        }
    }
}

impl From<Wire> for Exchanged {
    fn from(wire: Wire) -> Self {
        Self {
            access_key_id: wire.access_key_id,
            access_key_secret: Secret::new(wire.access_key_secret),
            security_token: Secret::new(wire.security_token),
            expires_at: wire.expires_at,
        }
    }
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanged")
            .field("access_key_id", &self.access_key_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// How access key ids begin.
const PREFIX: &str = "STS.";

#[cfg(test)]
mod tests;
