//! An account's own rules about applications: what becomes of those that nobody has decided about, which are blocked,
//! and which are approved beforehand.
//!
//! A pre-approval is a decision that an administrator has made before the first access. It installs no more than
//! every scope that was named in it, only while who made it may still authorize, and never what was deleted after it.

pub(super) mod installing;
mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

pub(super) use self::sql::{is_blocked, lift_pre_approval, terms};
use super::StoreError;
use super::grants::{Actor, InstallRefused};
use crate::model::account::PrincipalKey;
use crate::model::application::Application;
use crate::model::grant::{Grant, NotAWordOf};
use crate::model::id::{AccountId, ApplicationId, GrantKey, Revision, Seq};
use crate::model::scope::ScopeSet;

/// What becomes of an application that nobody has decided about, when somebody who may not authorize it opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They can ask an administrator.
    Ask,
    /// They are told the account's own message, and cannot ask.
    Refuse,
}

impl Unknown {
    /// The word used in the store and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Refuse => "refuse",
        }
    }
}

impl std::str::FromStr for Unknown {
    type Err = NotAWordOf;
    fn from_str(text: &str) -> Result<Self, NotAWordOf> {
        [Self::Ask, Self::Refuse]
            .into_iter()
            .find(|word| word.as_str() == text)
            .ok_or_else(|| NotAWordOf::new(text, "ask, refuse"))
    }
}

/// What an account has said for all applications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manner {
    /// About those that nobody has decided about.
    pub unknown: Unknown,
    /// After how many days a request for approval expires, 1 to 90.
    pub request_days: u32,
    /// What those read who are refused; may be empty.
    pub message: String,
}

impl Default for Manner {
    fn default() -> Self {
        Self { unknown: Unknown::Ask, request_days: 7, message: String::new() }
    }
}

/// What an account has said about one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody can authorize or use it.
    Blocked {
        /// Why; may be empty.
        word: String,
    },
    /// The first access installs it.
    PreApproved {
        /// With these scopes and no other. They hold what the application required at the time.
        scopes: ScopeSet,
    },
}

/// A rule about one application, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it says.
    pub standing: Standing,
    /// Who made it.
    pub by: PrincipalKey,
    /// That principal's login at the time.
    pub by_login: String,
    /// When.
    pub at: Timestamp,
}

/// All that an account has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPolicy {
    /// Rises with each change; 0 while nothing was ever said.
    pub revision: u64,
    /// For all applications.
    pub manner: Manner,
    /// About single ones, by name.
    pub rules: Vec<(Application, Rule)>,
}

/// What counts for one application in an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// For all applications.
    pub manner: Manner,
    /// About this one.
    pub rule: Option<Rule>,
}

impl Terms {
    /// Whether the application is blocked.
    #[must_use]
    pub fn blocked(&self) -> bool {
        self.rule.as_ref().is_some_and(|rule| match rule.standing {
            Standing::Blocked { .. } => true,
            Standing::PreApproved { .. } => false,
        })
    }
}

/// Other scopes for a live grant. Unlike an installation it adds nothing by itself: what the application has come to
/// require meanwhile goes on waiting unless it is named.
#[derive(Debug, Clone)]
pub struct Rescope {
    /// Which grant.
    pub key: GrantKey,
    /// All that is to be granted from now on. What of the required scopes is granted now must be among it.
    pub scopes: ScopeSet,
    /// What was offered and is not wanted.
    pub declined: ScopeSet,
    /// Who decides. Must be an enabled administrator of the account when the transaction commits.
    pub by: Actor,
    /// The revision that was seen when deciding; another one now is a `Conflict`.
    pub seen: Revision,
}

/// The rules.
#[async_trait]
pub trait TenantRules {
    /// All that the account has said.
    async fn tenant_policy(&self, account: &AccountId) -> Result<TenantPolicy, StoreError>;
    /// What counts for one application.
    async fn terms(&self, key: &GrantKey) -> Result<Terms, StoreError>;
    /// Replaces all of it. `seen` is the revision that was read; another one now is a `Conflict`. Rules that say what
    /// they said before stay whose they were. Refused whole when one of the new ones is ([`TenantRules::set_rule`]).
    async fn set_tenant_policy(
        &self,
        account: &AccountId,
        manner: &Manner,
        rules: &[(ApplicationId, Standing)],
        seen: u64,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Seq, InstallRefused>;
    /// Says something about one application, or takes it back; answers the grant that was suspended by it, if one
    /// was. Blocking suspends a live grant and settles an open request. Who pre-approves must be an enabled
    /// administrator at commit, the scopes must be offered, and the required ones among them. Taking back what was
    /// not said is `Missing`.
    async fn set_rule(
        &self,
        key: &GrantKey,
        standing: Option<&Standing>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Option<Grant>, Seq), InstallRefused>;
    /// Installs what was approved beforehand, in the name of who approved it, because `visitor` came to use it.
    /// Nothing happens when the pre-approval does not hold (any more), or there is a live grant.
    async fn install_pre_approved(
        &self,
        key: &GrantKey,
        visitor: &Actor,
        now: Timestamp,
    ) -> Result<Option<(Grant, Seq)>, StoreError>;
    /// Replaces the scopes of a live grant; the revision rises by one, and what was issued goes on with what of it is
    /// still granted. The same scopes again change nothing.
    async fn rescope(&self, wish: &Rescope, now: Timestamp) -> Result<(Grant, Seq), InstallRefused>;
}

/// How many rules about single applications an account can have.
pub const MOST_RULES: usize = 500;
