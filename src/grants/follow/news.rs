//! What passes between a sidecar and where it hears of changes: a report one way, news the other.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::change::{Change, Epoch};
use crate::model::id::{Seq, SidecarId};

/// A place in a store's change log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// In which life of the store.
    pub epoch: Epoch,
    /// Everything up to this is applied.
    pub applied: Seq,
}

/// What a sidecar says with each question: how far it has come, which acknowledges what was answered before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who asks. Whoever answers in another process goes by the proof that came with the question instead.
    pub sidecar: SidecarId,
    /// How far it has applied the log; none before the first answer.
    pub place: Option<Place>,
    /// How many streams it has cut in all its life.
    pub streams_cut: u64,
    /// Its program's version.
    pub version: String,
    /// The policy set in force at it.
    pub policies: String,
    /// By which paths it hears at present: `control`, `redis`.
    pub paths: Vec<String>,
    /// For how long the answer may be held back at most, in milliseconds.
    pub wait_ms: u64,
}

/// What is new after the place that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Which life of the store it is from.
    pub epoch: Epoch,
    /// The newest place there was when the question was answered.
    pub newest: Seq,
    /// The entries after the reported place, in order. Fewer than reach to `newest` when there are too many, or when
    /// no place was reported: then everything is to be distrusted.
    pub changes: Vec<Change>,
    /// For how long the answer lets a sidecar count on what it knows, in milliseconds from when it asked.
    pub lease_ms: u64,
}

/// When each slot of subjects last changed, as of `place`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// As of when.
    pub place: Place,
    /// Slot and place of its newest change, for every slot that ever changed.
    pub slots: Vec<(u32, Seq)>,
}

/// Where changes are heard of: the control plane, in this process or another.
#[async_trait]
pub trait ChangeLog: Send + Sync + 'static {
    /// Answers as soon as there is something after the reported place, and at the latest after a beat.
    async fn follow(&self, report: &Report) -> Result<News, FollowError>;
    /// When each slot last changed.
    async fn snapshot(&self) -> Result<Snapshot, FollowError>;
    /// The sidecar has ended: nobody need wait for it.
    async fn leave(&self, sidecar: &SidecarId);
}

/// Nothing new could be heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// No answer, or none that can be understood. What is known may be used until the lease ends.
    #[error("{0}")]
    Unreachable(String),
    /// The sidecar is not, or no longer, enrolled: it has to stop at once. A whole sentence.
    #[error("{0}")]
    Refused(String),
}
