//! Whom an organization's own provider stands for: its subjects linked to users of the directory.
//!
//! Comes in: somebody whom a provider has vouched for, with what its claims were mapped to. Goes out: the user, made
//! or changed in the same transaction, or why there is none. A link is from (issuer, `sub`) in an account to one
//! user, never from an e-mail address or a name; a user who is there already is never taken over by somebody of the
//! same name, only linked by an administrator who says so.

#[cfg(test)]
pub(in crate::store) mod contract;
mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Actor, StoreError};
use crate::model::account::{Account, Principal};
use crate::model::id::{AccountId, GroupName, PrincipalId};

/// Somebody who has logged in at a provider, as its claims were mapped.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The provider's name here.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// Its word for the person (`sub`).
    pub subject: String,
    /// The account that they arrive in; the caller has checked that the provider may speak for it.
    pub account: AccountId,
    /// The user to be made if the subject is linked to none; nothing when users are not made by logging in.
    pub newcomer: Option<Newcomer>,
    /// The name that people see; what it was stays when the provider says none.
    pub display_name: Option<String>,
    /// All their groups; nothing when the provider has no say in it.
    pub groups: Option<Vec<GroupName>>,
    /// Whether they have full access; nothing when the provider has no say in it.
    pub full_access: Option<bool>,
    /// Whether they may come in at all.
    pub member: bool,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// The id in the account.
    pub id: PrincipalId,
    /// What they are called in the account (`alice@acme`).
    pub login: String,
    /// The link's id.
    pub identity: String,
}

/// What became of somebody who arrived.
#[derive(Debug, Clone)]
pub enum Arrived {
    /// They are this user. `changed` when what sidecars know was changed: the answer must wait until they have heard.
    In {
        /// Who they are now.
        principal: Principal,
        /// Whether the change log was written.
        changed: bool,
    },
    /// The provider says that they may not come in. A user that they were is disabled.
    NoMember {
        /// Whether the change log was written.
        changed: bool,
    },
    /// The subject is linked to no user, and none is made by logging in.
    Unknown,
    /// The subject is linked to no user, and the login is somebody else's.
    Taken {
        /// The login.
        login: String,
    },
    /// An administrator has disabled the user.
    Disabled {
        /// The login.
        login: String,
    },
}

/// A link from a provider's subject to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: String,
    /// The provider's issuer.
    pub issuer: String,
    /// The provider's word for the person.
    pub subject: String,
    /// The provider's name here when they were linked.
    pub provider: String,
    /// The user's login.
    pub login: String,
    /// When they were linked.
    pub linked_at: Timestamp,
    /// By whom: an administrator's login, or the provider for a user made at first log-in.
    pub linked_by: String,
    /// When they last came in by it.
    pub last_login_at: Option<Timestamp>,
}

/// A link to be made by an administrator.
#[derive(Debug, Clone)]
pub struct NewIdentity {
    /// Its id.
    pub id: String,
    /// The administrator's account, and so the user's.
    pub account: AccountId,
    /// The provider's issuer.
    pub issuer: String,
    /// The provider's word for the person.
    pub subject: String,
    /// The provider's name here.
    pub provider: String,
    /// The user's login.
    pub login: String,
}

/// The links.
#[async_trait]
pub trait Federation {
    /// The account with this alias, in any letter case, or this id.
    async fn account_named(&self, name: &str) -> Result<Option<Account>, StoreError>;
    /// Lets somebody in whom a provider has vouched for: makes, changes or disables the user as the claims say, in
    /// one transaction with its audit and change-log rows.
    async fn arrive(&self, arrival: &Arrival, now: Timestamp) -> Result<Arrived, StoreError>;
    /// The links of an account, in the order of their ids, after `after`, at most `limit`.
    async fn identities(
        &self,
        account: &AccountId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Identity>, StoreError>;
    /// Links a subject to a user of the account; writes the audit. `Missing` when there is no such user, `Exists`
    /// when either is linked already, `Conflict` when `by` may not touch what the user logs in with.
    async fn link_identity(
        &self,
        new: &NewIdentity,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Identity, StoreError>;
    /// Takes a link of the account away with the sessions that came in by it; writes the audit. `Missing` when there
    /// is none, `Conflict` when `by` may not touch what the user logs in with. The user stays.
    async fn unlink_identity(
        &self,
        account: &AccountId,
        id: &str,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}
