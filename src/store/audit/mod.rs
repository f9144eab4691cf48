//! The audit at rest: for each node a chain of records, what was signed about it, and its retention.
//!
//! Comes in: what happened, and marks that the control plane has signed. Goes out: records as they were chained, each in
//! the transaction of the change that it tells of. A record takes its place and the hash before it inside the one
//! transaction that writes, so that a chain survives the end of its process at any moment and two processes of one name
//! still make one chain. Nothing is verified here: who verifies must not believe the store.

mod calls;
mod chain;
mod cut;
mod filter;
mod sql;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{AuditEvent, StoreError};
use crate::model::audit::{AuditRecord, Hash};
use crate::model::id::{AccountId, ApplicationId};
pub(in crate::store) use calls::vouch;
pub(in crate::store) use chain::Tip;

/// Something to be recorded. What it is (an event, a refusal) follows from its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// When.
    pub at: Timestamp,
    /// Whose it is, if it is an account's.
    pub account: Option<AccountId>,
    /// Who: a login, an application, an address.
    pub actor: String,
    /// What.
    pub event: String,
    /// What it was about.
    pub subject: String,
    /// More, as JSON.
    pub detail: String,
}

impl NewRecord {
    /// What concerns the whole installation, done by its operator or by itself.
    #[must_use]
    pub fn of_nobody(event: &str, subject: &str, detail: &serde_json::Value, at: Timestamp) -> Self {
        Self {
            at,
            account: None,
            actor: "consentry".to_owned(),
            event: event.to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_string(),
        }
    }
}

impl From<&AuditEvent> for NewRecord {
    fn from(event: &AuditEvent) -> Self {
        Self {
            at: event.at,
            account: Some(event.account.clone()),
            actor: event.actor.clone(),
            event: event.event.clone(),
            subject: event.subject.clone(),
            detail: event.detail.clone(),
        }
    }
}

/// A record with its place in the store, which is how pages are counted.
#[derive(Debug, Clone)]
pub struct Audited {
    /// Its place among all records, of all nodes.
    pub place: u64,
    /// What was recorded.
    pub record: AuditRecord,
}

/// Which records are wanted. What is not said does not restrict.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this account. Nothing is for the operator alone: of every account, and of none.
    pub account: Option<AccountId>,
    /// Only about this application.
    pub application: Option<ApplicationId>,
    /// Only by or about this principal.
    pub principal: Option<Whom>,
    /// Only of this name; of every name that begins with it when it ends in a dot.
    pub event: Option<String>,
    /// Only from then on.
    pub since: Option<Timestamp>,
    /// Only before then.
    pub until: Option<Timestamp>,
    /// Only about this revision of a grant.
    pub revision: Option<u64>,
    /// Whether what vouches for decision records is wanted as well.
    pub calls: bool,
    /// From where, and in which direction.
    pub page: Span,
    /// At most so many, up to 1000.
    pub limit: u32,
}

/// A principal as records may name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom {
    /// The login.
    pub login: String,
    /// `kind/id`, when the login is one of the account's.
    pub key: Option<String>,
}

/// Which part of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The newest first, older than this place.
    Before(u64),
    /// The oldest first, newer than this place.
    After(u64),
}

impl Default for Span {
    fn default() -> Self {
        Self::Before(u64::MAX)
    }
}

/// How far a chain has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whose chain.
    pub node: String,
    /// Its newest record's number.
    pub number: u64,
    /// That record's hash.
    pub hash: Hash,
}

/// That a chain had come so far; `token` is what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose chain.
    pub node: String,
    /// Which record.
    pub number: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// The signed statement.
    pub token: String,
}

/// Records of one chain that follow each other and go for their age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Whose chain.
    pub node: String,
    /// The first one's number.
    pub first: u64,
    /// The last one's number.
    pub last: u64,
    /// The hash that the first one names as the one before it.
    pub before: Hash,
    /// The hash of the last one.
    pub after: Hash,
}

/// That a run was removed; `token` is what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// What is gone.
    pub run: Run,
    /// The signed statement.
    pub token: String,
}

/// A decision record as it is kept: its text, and the columns that it is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDecision {
    /// Its place.
    pub place: u64,
    /// The column `id`.
    pub id: String,
    /// The column `account`.
    pub account: Option<String>,
    /// The column `application`.
    pub application: Option<String>,
    /// The column `outcome`.
    pub outcome: String,
    /// The record itself, as JSON.
    pub text: String,
}

/// What stood in the audit before there were chains.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unchained {
    /// How many records.
    pub records: u64,
    /// Over all that they say, in order.
    pub digest: Hash,
    /// The newest decision record's place by then: those up to it are in no chain.
    pub decisions_to: u64,
}

/// The audit.
#[async_trait]
pub trait Audit {
    /// Under which name this process writes from now on; the machine's until it is said.
    fn name_node(&self, name: &str);
    /// That name.
    fn node(&self) -> Arc<str>;
    /// The newest number of this process's chain, as far as this process wrote it: whoever waits is woken.
    fn chained(&self) -> watch::Receiver<u64>;
    /// Records what changed nothing else, all of it or nothing.
    async fn note(&self, records: &[NewRecord]) -> Result<(), StoreError>;
    /// The records that fit.
    async fn audit_records(&self, filter: &AuditFilter) -> Result<Vec<Audited>, StoreError>;
    /// One record, of the account if one is given.
    async fn audit_record(
        &self,
        account: Option<&AccountId>,
        place: u64,
    ) -> Result<Option<Audited>, StoreError>;
    /// How far each chain has come, by the names of the nodes.
    async fn chains(&self) -> Result<Vec<Head>, StoreError>;
    /// Every node that a record or the list of nodes names: for verifying, since it reads all.
    async fn audit_nodes(&self) -> Result<Vec<String>, StoreError>;
    /// The records of a chain after a number, in order, at most `limit`.
    async fn chain(&self, node: &str, after: u64, limit: u32) -> Result<Vec<Audited>, StoreError>;
    /// Keeps a checkpoint. Of those of one hour the newest two stay: what is signed last names every chain that the
    /// ones before it name.
    async fn keep_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StoreError>;
    /// Every checkpoint, by node and number.
    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError>;
    /// The newest checkpoints of a node, the newest first, at most `limit`.
    async fn last_checkpoints(&self, node: &str, limit: u32) -> Result<Vec<Checkpoint>, StoreError>;
    /// Every cut, by node and number.
    async fn cuts(&self) -> Result<Vec<Cut>, StoreError>;
    /// The cuts that end right before a run, or begin right after it: as they stand there, not as they were signed.
    async fn cuts_beside(&self, run: &Run) -> Result<Vec<Cut>, StoreError>;
    /// Which runs of records are to go for their age, as the columns have it, in order. A chain's newest record is never
    /// among them. Told again until they are cut. Nothing of it is to be signed before [`Audit::may_go`] has said so.
    async fn surplus(&self) -> Result<Vec<Run>, StoreError>;
    /// Whether a run is what it is said to be, and may go: each number of it is a record that hashes to what it says,
    /// names the one before it, is no event, and is found by what it says; or it lies in a cut. So do the ones on
    /// either side. `Conflict` names what is not so.
    async fn may_go(&self, run: &Run) -> Result<(), StoreError>;
    /// Removes runs with the decision records that they vouch for, and keeps the cuts in their place. Whether they may
    /// go is looked at again in the same transaction; `Conflict` when one may not, and none is removed.
    async fn cut(&self, cuts: &[Cut]) -> Result<(), StoreError>;
    /// The decision records from one place to another, both included, in order, at most `limit`.
    async fn decisions_between(
        &self,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<KeptDecision>, StoreError>;
    /// How many decision records there are after a place.
    async fn count_decisions(&self, after: u64) -> Result<u64, StoreError>;
    /// The first decision record after a place that no record vouches for.
    async fn stray_decision(&self, after: u64) -> Result<Option<KeptDecision>, StoreError>;
    /// What stands in the audit without a chain.
    async fn unchained(&self) -> Result<Unchained, StoreError>;
    /// Says in the chain what stands outside of it, once.
    async fn adopt(&self, now: Timestamp) -> Result<(), StoreError>;
}
