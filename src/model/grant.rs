//! A grant: one account's authorization of one application, from which every permission follows.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::PrincipalKey;
use super::application::Application;
use super::id::{GrantKey, Revision};
use super::scope::{Scope, ScopeSet};

/// What stands in the store about one authorization. Authorizing is installing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Which account authorized which application.
    pub key: GrantKey,
    /// Rises with every change of this grant, across revocation and re-authorization.
    pub revision: Revision,
    /// The revision with which the present installation began: what was issued before it stays dead.
    pub since: Revision,
    /// Whether it may be used.
    pub state: GrantState,
    /// What was granted.
    pub scopes: ScopeSet,
    /// Optional scopes that were offered and not chosen.
    pub declined: ScopeSet,
    /// When the present scopes were authorized.
    pub authorized_at: Timestamp,
    /// Who authorized them.
    pub authorized_by: PrincipalKey,
    /// That principal's login at the time.
    pub authorized_by_login: String,
    /// Who may use the application.
    pub assignment: AssignmentMode,
    /// From then on it grants nothing, if set.
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// Whether anything issued at `issued` may still be used: the grant is active, not expired, and the issue
    /// belongs to the present installation.
    #[must_use]
    pub fn honours(&self, issued: Revision, now: Timestamp) -> bool {
        let live = match self.state {
            GrantState::Active => true,
            GrantState::Suspended | GrantState::Revoked => false,
        };
        live && issued >= self.since && issued <= self.revision && !self.has_ended(now)
    }

    /// Whether it has come to its own end.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }

    /// Whether granting `scope` would give back what an administrator has declined or taken away: that scope, a part of
    /// it, or the product that it is a part of.
    #[must_use]
    pub fn has_lost(&self, scope: &Scope) -> bool {
        let open = self.declined.iter().filter(|declined| !self.scopes.covers(declined));
        open.into_iter()
            .any(|declined| scope.covers(declined) || (declined.covers(scope) && !self.scopes.covers(scope)))
    }

    /// The same of an application of the account's own, which is authorized by whoever uses it: only what an
    /// administrator has taken away waits for one, where the application requires it by now.
    #[must_use]
    pub fn waiting_of_own(&self, application: &Application) -> Waiting {
        let required = application.required.beyond(&self.scopes);
        let lost = required.iter().filter(|scope| self.has_lost(scope)).cloned().collect();
        Waiting { required: lost, ..Waiting::default() }
    }

    /// What of `application`'s scopes an administrator has not decided about.
    #[must_use]
    pub fn waiting(&self, application: &Application) -> Waiting {
        Waiting {
            required: application.required.beyond(&self.scopes),
            optional: application
                .optional
                .beyond(&self.scopes.union(&application.required))
                .without(&self.declined),
            withdrawn: self.scopes.without(&application.offered()),
        }
    }
}

/// How an application's scopes, as its publisher has them now, differ from what a grant says. None of it counts until
/// an administrator has decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Required by now, and not granted: no code is given until somebody has accepted it.
    pub required: ScopeSet,
    /// Offered by now, and neither granted nor declined.
    pub optional: ScopeSet,
    /// Granted, and not offered any more.
    pub withdrawn: ScopeSet,
}

impl Waiting {
    /// Whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.required.is_empty() && self.optional.is_empty() && self.withdrawn.is_empty()
    }
}

/// Whether a grant may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    /// In use.
    Active,
    /// Stopped by an administrator, and can be resumed as it was.
    Suspended,
    /// Deleted. The row stays as a tombstone, so that the revision goes on rising.
    Revoked,
}

impl GrantState {
    /// The word used in the store and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }
}

/// Who of the account may use an installed application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssignmentMode {
    /// Every principal of the account.
    All,
    /// The root identity, and whom an administrator has assigned.
    Assigned,
}

impl AssignmentMode {
    /// The word used in the store and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Assigned => "assigned",
        }
    }
}

/// A text that is not one of an enumeration's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not one of {words}")]
pub struct NotAWordOf {
    text: String,
    words: &'static str,
}

impl NotAWordOf {
    /// `text` is none of `words`.
    #[must_use]
    pub fn new(text: &str, words: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), words }
    }
}

impl FromStr for GrantState {
    type Err = NotAWordOf;
    fn from_str(text: &str) -> Result<Self, NotAWordOf> {
        [Self::Active, Self::Suspended, Self::Revoked]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| NotAWordOf::new(text, "active, suspended, revoked"))
    }
}

impl FromStr for AssignmentMode {
    type Err = NotAWordOf;
    fn from_str(text: &str) -> Result<Self, NotAWordOf> {
        [Self::All, Self::Assigned]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| NotAWordOf::new(text, "all, assigned"))
    }
}

/// A grant with the application that it is about: what a sidecar needs to decide, and all that travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The grant.
    pub grant: Grant,
    /// Its application, as its publisher describes it now.
    pub application: Application,
}
