//! What people prove themselves by besides a password: passkeys, codes of an authenticator, recovery codes.
//!
//! Comes in: public keys, sealed secrets and hashes, never a secret itself. Goes out: the same, and whether a step or
//! a recovery code was taken just now, which only one of any number of concurrent attempts hears. Each change of what
//! somebody has is one transaction with its audit row.

#[cfg(test)]
pub(in crate::store) mod contract;
mod grounds;
mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{By, StoreError};
use crate::model::account::PrincipalKey;
pub use grounds::{Entry, Grounds, Within};
pub(in crate::store) use grounds::{end_unproven_of_administrators, stand};

/// A passkey, as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPasskey {
    /// The credential's id.
    pub credential: Vec<u8>,
    /// Whose it is.
    pub principal: PrincipalKey,
    /// What its owner calls it.
    pub name: String,
    /// Its public key and counter, as JSON.
    pub public: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// When somebody last logged in with it.
    pub used_at: Option<Timestamp>,
}

/// A secret shared with an authenticator (RFC 6238), as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTotp {
    /// The secret, sealed for its owner.
    pub sealed: Vec<u8>,
    /// The newest step whose code was taken.
    pub step: i64,
}

/// What somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SecondFactors {
    /// Whether codes are asked for.
    pub totp: bool,
    /// How many passkeys there are.
    pub passkeys: u32,
    /// How many recovery codes are left.
    pub recovery_codes: u32,
}

/// The second factors.
#[async_trait]
pub trait Factors {
    /// What somebody has.
    async fn second_factors(&self, key: &PrincipalKey) -> Result<SecondFactors, StoreError>;
    /// Somebody's passkeys, the oldest first.
    async fn passkeys(&self, key: &PrincipalKey) -> Result<Vec<KeptPasskey>, StoreError>;
    /// The passkey with this credential id.
    async fn passkey(&self, credential: &[u8]) -> Result<Option<KeptPasskey>, StoreError>;
    /// Adds a passkey, in the session of its owner with this hash: `Exists` when its id is anybody's, `Conflict` when the
    /// owner has too many, or the session has ended.
    async fn add_passkey(
        &self,
        passkey: &KeptPasskey,
        session: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Notes that a passkey was used, if it is there and still says `before`. Answers whether.
    async fn used_passkey(
        &self,
        credential: &[u8],
        before: &str,
        after: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Removes a passkey of somebody.
    async fn remove_passkey(
        &self,
        key: &PrincipalKey,
        credential: &[u8],
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// The authenticator's secret, if there is one.
    async fn totp(&self, key: &PrincipalKey) -> Result<Option<KeptTotp>, StoreError>;
    /// Begins to ask for codes: `Exists` when that is so already, `Conflict` when what it is done `within` does not stand
    /// any more. `recovery` are hashes.
    async fn add_totp(
        &self,
        key: &PrincipalKey,
        totp: &KeptTotp,
        recovery: &[[u8; 32]],
        within: Within<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Counts a code that is about to be looked at. Answers whether it is: after so many wrong ones in a row none is, until
    /// a recovery code is taken, or the password or the factors are set anew.
    async fn try_code(&self, key: &PrincipalKey, now: Timestamp) -> Result<bool, StoreError>;
    /// Takes a step's code, once: nothing of it or of an earlier step is taken again. Answers whether. Codes that were
    /// wrong before it are forgotten.
    async fn take_step(&self, key: &PrincipalKey, step: i64) -> Result<bool, StoreError>;
    /// Asks for codes no more, and forgets the recovery codes.
    async fn remove_totp(&self, key: &PrincipalKey, by: By<'_>, now: Timestamp) -> Result<(), StoreError>;
    /// Takes a recovery code, once. Answers whether.
    async fn take_recovery_code(
        &self,
        key: &PrincipalKey,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Replaces one's own recovery codes, in the session with this hash: `Missing` for who is not asked for codes,
    /// `Conflict` when the session has ended.
    async fn replace_recovery_codes(
        &self,
        key: &PrincipalKey,
        hashes: &[[u8; 32]],
        session: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Takes all of it away from somebody who lost it, and ends their sessions.
    async fn reset_factors(&self, key: &PrincipalKey, by: By<'_>, now: Timestamp) -> Result<(), StoreError>;
}
