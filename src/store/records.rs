//! Decision records and the audit of administrative events.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::usage::ScopesOf;
use crate::model::caller::Caller;
use crate::model::decision::{Decision, Outcome};
use crate::model::id::{AccountId, ApplicationId, DecisionId, GrantKey};

/// Which decision records are wanted, newest first.
#[derive(Debug, Clone, Default)]
pub struct DecisionFilter {
    /// Only of this application.
    pub application: Option<ApplicationId>,
    /// Only with this outcome.
    pub outcome: Option<Outcome>,
    /// Only older than this record.
    pub before: Option<DecisionId>,
    /// At most so many, up to 1000.
    pub limit: u32,
}

/// One administrative event. Changes of grants write theirs themselves, inside their transaction.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Whose account.
    pub account: AccountId,
    /// Who: a login, or an address for events without one.
    pub actor: String,
    /// What: `grant.install`, `login.failed`, `consent.rejected`, …
    pub event: String,
    /// What it was about.
    pub subject: String,
    /// More, as JSON.
    pub detail: String,
}

impl AuditEvent {
    /// What an application has done for somebody, or was refused.
    #[must_use]
    pub fn of_caller(event: &str, caller: &Caller, detail: &serde_json::Value, at: Timestamp) -> Self {
        Self {
            at,
            account: caller.principal.account.clone(),
            actor: caller.application.to_string(),
            event: event.to_owned(),
            subject: caller.grant().to_string(),
            detail: detail.to_string(),
        }
    }
}

/// The records.
#[async_trait]
pub trait Records {
    /// Keeps decision records, all or none of them, and counts them as use; one that is there already is passed over.
    /// No use is dated later than `now`.
    async fn keep_decisions(
        &self,
        decisions: &[Decision],
        scopes_of: ScopesOf<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// The account's decision records.
    async fn decisions(
        &self,
        account: &AccountId,
        filter: &DecisionFilter,
    ) -> Result<Vec<Decision>, StoreError>;
    /// One record of the account.
    async fn decision(&self, account: &AccountId, id: &DecisionId) -> Result<Option<Decision>, StoreError>;
    /// One record, whoever's. For the operator's command line only.
    async fn any_decision(&self, id: &DecisionId) -> Result<Option<Decision>, StoreError>;
    /// When the grant last allowed a call.
    async fn last_used(&self, key: &GrantKey) -> Result<Option<Timestamp>, StoreError>;
    /// Keeps an administrative event.
    async fn keep_audit(&self, event: &AuditEvent) -> Result<(), StoreError>;
    /// The account's administrative events, newest first, at most `limit`.
    async fn audit(&self, account: &AccountId, limit: u32) -> Result<Vec<AuditEvent>, StoreError>;
}
