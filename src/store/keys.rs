//! Signing keys at rest. The private half is sealed (`token::seal`) before it comes here.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::model::id::SidecarId;

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Access tokens (RFC 9068), Ed25519.
    AccessToken,
    /// ID tokens, RSA (RS256).
    IdToken,
    /// ID tokens of clients that ask for ES256.
    IdTokenEc,
    /// Grants' records in Redis, Ed25519.
    Record,
    /// The audit's checkpoints, Ed25519.
    Audit,
    /// Security tokens of exchanged credentials, ES256.
    Exchange,
}

impl KeyPurpose {
    /// Every purpose.
    pub const ALL: [Self; 6] =
        [Self::AccessToken, Self::IdToken, Self::IdTokenEc, Self::Record, Self::Audit, Self::Exchange];

    /// The word used in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access-token",
            Self::IdToken => "id-token",
            Self::IdTokenEc => "id-token-ec",
            Self::Record => "record",
            Self::Audit => "audit",
            Self::Exchange => "exchange",
        }
    }
}

/// The issuer's key, sealed.
#[derive(Clone)]
pub struct SealedKey {
    /// Its `kid` (RFC 7517 §4.5).
    pub kid: String,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// The public half, a JWK as JSON.
    pub public_jwk: String,
    /// The private half, PKCS#8, sealed.
    pub sealed: Vec<u8>,
    /// From when on it signs. Published before that, so that verifiers know it in time.
    pub active_from: Timestamp,
    /// From when on it signs nothing more.
    pub retired_at: Option<Timestamp>,
    /// Until when it is published, so that what it signed stays verifiable.
    pub published_until: Option<Timestamp>,
}

/// A sidecar's key for assumed identities. Only the public half leaves the sidecar.
#[derive(Clone)]
pub struct SidecarKey {
    /// Its `kid`.
    pub kid: String,
    /// Whose it is.
    pub sidecar: SidecarId,
    /// The public half, a JWK as JSON.
    pub public_jwk: String,
    /// Until when it is published.
    pub published_until: Timestamp,
}

/// The keys.
#[async_trait]
pub trait Keys {
    /// Every key that is still published or about to be.
    async fn signing_keys(&self, now: Timestamp) -> Result<Vec<SealedKey>, StoreError>;
    /// Every key that the audit was ever signed with, the oldest first, whether it is published or not: what it signed
    /// is to be verified for ever. With each: since when it is withdrawn.
    async fn audit_keys(&self) -> Result<Vec<(SealedKey, Option<Timestamp>)>, StoreError>;
    /// Adds a key and, in the same transaction, retires the one of the same purpose that signs now: it signs
    /// until the new one's `active_from`, and stays published until `published_until`. Writes the change log.
    async fn add_signing_key(
        &self,
        key: &SealedKey,
        predecessor_published_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Withdraws a key at once: it is published no more, and what it signed is refused. Writes the change log.
    async fn withdraw_key(&self, kid: &str, now: Timestamp) -> Result<(), StoreError>;
    /// Publishes a sidecar's key; the same `kid` again prolongs it. `Conflict` when the key is another's or was
    /// withdrawn, or the sidecar's enrolment was revoked.
    async fn publish_sidecar_key(&self, key: &SidecarKey, now: Timestamp) -> Result<(), StoreError>;
    /// The sidecars' keys that are still published.
    async fn sidecar_keys(&self, now: Timestamp) -> Result<Vec<SidecarKey>, StoreError>;
}
