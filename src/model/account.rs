//! The tenant and the three kinds of principal in it, and who counts as an administrator.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::{AccountId, GroupName, PrincipalId};

/// A tenant: the owner of resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// The short name that its users' logins end in (`alice@acme`).
    pub alias: String,
}

/// The kinds of identity that an application can act for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// The account's root identity.
    Account,
    /// A user of the account.
    User,
    /// A session of one of the account's roles.
    Role,
}

impl PrincipalKind {
    /// The word used in tokens, records and the directory.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::User => "user",
            Self::Role => "role",
        }
    }
}

impl fmt::Display for PrincipalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is none of `account`, `user`, `role`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a principal's kind is account, user or role, not {0:?}")]
pub struct NotAKind(String);

impl FromStr for PrincipalKind {
    type Err = NotAKind;
    fn from_str(text: &str) -> Result<Self, NotAKind> {
        [Self::Account, Self::User, Self::Role]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| NotAKind(text.to_owned()))
    }
}

/// Which principal: unique in the whole installation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PrincipalKey {
    /// The account it belongs to.
    pub account: AccountId,
    /// What it is.
    pub kind: PrincipalKind,
    /// Its id inside the account.
    pub id: PrincipalId,
}

/// An identity of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Which one.
    pub key: PrincipalKey,
    /// What it logs in with (`alice@acme`).
    pub login: String,
    /// The name that people see.
    pub display_name: String,
    /// False once an administrator has disabled it: nothing works for it any more.
    pub enabled: bool,
    /// Whether it holds `AliyunRAMFullAccess`. Ask [`Principal::is_administrator`] instead of this.
    pub full_access: bool,
    /// The groups it is in.
    pub groups: Vec<GroupName>,
}

impl Principal {
    /// The root identity, or a user with full access. A role never is one: nobody can hold it to account.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        match self.key.kind {
            PrincipalKind::Account => self.enabled,
            PrincipalKind::User => self.enabled && self.full_access,
            PrincipalKind::Role => false,
        }
    }
}
