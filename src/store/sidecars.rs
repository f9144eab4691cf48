//! The sidecars: invited, enrolled, presumed to hold a lease, and their words to every control node.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::StoreError;
use crate::model::id::{Seq, SidecarId};

/// A one-time token that somebody may enrol with.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// The only name it enrols.
    pub sidecar: SidecarId,
    /// The token's hash; the token itself is never kept.
    pub token_hash: [u8; 32],
    /// Until when.
    pub expires_at: Timestamp,
}

/// An enrolled sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Its name.
    pub sidecar: SidecarId,
    /// Its key, a JWK as JSON: it proves itself to the internal API with it and signs assumed identities.
    pub public_jwk: String,
    /// The key's `kid`.
    pub kid: String,
    /// Since when.
    pub enrolled_at: Timestamp,
    /// From then on it is refused.
    pub revoked_at: Option<Timestamp>,
    /// Until when one of its processes may count on what it knows, at the latest, by the store's clock; none once all
    /// have left.
    pub presumed_until: Option<Timestamp>,
    /// What one of them last said of itself; none before any has said anything.
    pub status: Option<SidecarStatus>,
}

/// One process of an enrolled sidecar, until it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The process.
    pub instance: SidecarId,
    /// Of which sidecar.
    pub sidecar: SidecarId,
    /// Until when it may count on what it knows, at the latest, by the store's clock.
    pub presumed_until: Timestamp,
    /// What it last said of itself when its lease was written down.
    pub status: SidecarStatus,
}

/// What a sidecar says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarStatus {
    /// Its program's version.
    pub version: String,
    /// The policy set in force at it.
    pub policies: String,
    /// By which path it hears: `control`, `redis`, or both.
    pub paths: Vec<String>,
    /// How far it has applied the change log.
    pub applied: Seq,
    /// When it said so, by the control node's clock.
    pub at: Timestamp,
}

/// A process of a sidecar that may hold a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presumed {
    /// Which process.
    pub instance: SidecarId,
    /// Rises with every time that it is presumed again.
    pub renewed: u64,
    /// The longest lease that any control node has given it, in milliseconds.
    pub lease_ms: u64,
}

/// A sidecar's word that it has applied the log, as control nodes tell each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Who.
    pub sidecar: SidecarId,
    /// How far.
    pub reached: Seq,
    /// How many streams it has cut in all its life.
    pub streams_cut: u64,
}

/// The sidecars.
#[async_trait]
pub trait Sidecars {
    /// Keeps an invitation; one for the same name takes the earlier one's place.
    async fn invite(&self, invitation: &Invitation, now: Timestamp) -> Result<(), StoreError>;
    /// Enrols `sidecar` with an invitation's token, which it uses up, or, with `None`, for who has proven its name
    /// by a certificate. False when there is no such invitation any more, it is for another name, or it has expired:
    /// then nothing has changed. A name that is enrolled already gets the new key in the old one's place; its earlier keys
    /// are published no more. A revoked name enrols again by an invitation only: a certificate outlives the
    /// revocation. Writes the change log ([`super::Subject::Keys`]).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the key is another sidecar's or was withdrawn.
    async fn enrol(
        &self,
        sidecar: &Enrolled,
        token_hash: Option<&[u8; 32]>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Ends an enrolment: its key is published no more. Writes the change log.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such sidecar that is not revoked yet.
    async fn revoke_sidecar(&self, sidecar: &SidecarId, now: Timestamp) -> Result<(), StoreError>;
    /// One enrolled sidecar, revoked or not.
    async fn enrolled(&self, sidecar: &SidecarId) -> Result<Option<Enrolled>, StoreError>;
    /// All of them, by name.
    async fn all_enrolled(&self) -> Result<Vec<Enrolled>, StoreError>;
    /// Every process of a sidecar that has not left, whether or not its lease has run out since.
    async fn instances(&self) -> Result<Vec<Instance>, StoreError>;
    /// From now on a process of a sidecar ([`SidecarId::enrolment`]) is presumed to hold leases of this length. Durable
    /// when this returns. Also keeps its status.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such sidecar that is not revoked: then it may get no lease.
    async fn presume(
        &self,
        sidecar: &SidecarId,
        lease: Duration,
        status: &SidecarStatus,
    ) -> Result<(), StoreError>;
    /// The process has ended and holds no lease.
    async fn left(&self, sidecar: &SidecarId) -> Result<(), StoreError>;
    /// Every process that was presumed to hold a lease and has not left. No clock is asked: whoever reads this counts
    /// by its own from when it first saw [`Presumed::renewed`]. Asks the store itself.
    async fn presumed(&self) -> Result<Vec<Presumed>, StoreError>;
    /// Nobody need presume a process any more that has not been presumed again since this was read.
    async fn forget_presumed(&self, presumed: &Presumed) -> Result<(), StoreError>;
    /// Tells the other control nodes on this store. Nothing is kept; with one node nothing is done.
    async fn announce(&self, word: &Acknowledged) -> Result<(), StoreError>;
    /// What other control nodes announce. Who lags behind has missed some.
    fn announcements(&self) -> broadcast::Receiver<Acknowledged>;
}
