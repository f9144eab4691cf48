//! Use: what was used, when last and how much, counted as decision records come and kept when these are forgotten.
//!
//! Comes in: batches of records, through [`super::Records::keep_decisions`]. Goes out: last uses and figures of an
//! account. Nothing here decides anything: it is what sidecars have told, and a sidecar could lie; so no use is ever
//! dated later than it was told, and nothing is kept of accounts, applications, people and reasons that there are not.

mod sql;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::model::decision::Decision;
use crate::model::grant::Installed;
use crate::model::id::{AccountId, ApplicationId, GrantKey};
use crate::model::scope::{Scope, ScopeSet};
pub(super) use sql::count;

/// Says which scopes gave the action of a forwarded call, each in its narrowest spelling.
pub type ScopesOf<'a> = &'a (dyn Fn(&Decision) -> ScopeSet + Send + Sync);

/// An installed application with its last use.
#[derive(Debug, Clone)]
pub struct InUse {
    /// The grant with its application.
    pub installed: Installed,
    /// When it last was allowed a call.
    pub last_used: Option<Timestamp>,
    /// When each scope last allowed one, in its narrowest spelling.
    pub scopes: BTreeMap<Scope, Timestamp>,
}

impl InUse {
    /// When a granted scope was last used: itself, or a part of it.
    #[must_use]
    pub fn scope_used(&self, granted: &Scope) -> Option<Timestamp> {
        self.scopes.iter().filter(|(scope, _)| granted.covers(scope)).map(|(_, at)| *at).max()
    }
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    /// Calls by how they ended.
    Outcome,
    /// What was not forwarded, by its code.
    Code,
    /// Forwarded calls by what the sidecar itself took: a bound of [`BOUNDS`] in microseconds, or `more`.
    Own,
    /// The same by how long they took until the upstream's head.
    Total,
    /// Forwarded calls by the scopes that gave the action.
    Scope,
    /// Calls by application; of the whole account only.
    Application,
}

impl Counted {
    /// The word in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Code => "code",
            Self::Own => "own",
            Self::Total => "total",
            Self::Scope => "scope",
            Self::Application => "application",
        }
    }
}

/// So many calls on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Days since 1970, UTC.
    pub day: i64,
    /// Of what.
    pub name: String,
    /// How many.
    pub calls: u64,
}

/// Use of an account's applications.
#[async_trait]
pub trait Usage {
    /// The account's live grants with their last use, by client ID, at most `limit` after `after`.
    async fn in_use(
        &self,
        account: &AccountId,
        after: Option<&ApplicationId>,
        limit: u32,
    ) -> Result<Vec<InUse>, StoreError>;
    /// When each scope of a grant last allowed a call, in its narrowest spelling.
    async fn scope_uses(&self, key: &GrantKey) -> Result<BTreeMap<Scope, Timestamp>, StoreError>;
    /// Calls from `first` to `last`, days since 1970, of an application or of the whole account, in order of day and
    /// name.
    async fn figures(
        &self,
        account: &AccountId,
        application: Option<&ApplicationId>,
        counted: Counted,
        days: (i64, i64),
    ) -> Result<Vec<Figure>, StoreError>;
    /// The names with the most calls in those days, the most first, at most `limit`; each dated with the last day.
    async fn most(
        &self,
        account: &AccountId,
        application: Option<&ApplicationId>,
        counted: Counted,
        days: (i64, i64),
        limit: u32,
    ) -> Result<Vec<Figure>, StoreError>;
    /// Forgets figures of days that are older than [`DAYS_KEPT`]. Last uses stay.
    async fn forget_old_figures(&self, now: Timestamp) -> Result<u64, StoreError>;
}

/// The day of a moment: days since 1970, UTC.
#[must_use]
pub fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

/// Upper bounds of the classes of times, in microseconds.
pub const BOUNDS: [u32; 15] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    10_000_000,
];

/// For so many days figures are kept.
pub const DAYS_KEPT: i64 = 400;
