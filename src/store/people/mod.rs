//! The embedded directory as it is managed: people, groups, one-time links to set a password, tokens, rules.
//!
//! Comes in: one change, and who makes it. Goes out: the place in the change log that sidecars have to have heard of
//! before the change is true everywhere. Each change is one transaction of its rows, its audit row and, where it
//! concerns calls, its change-log row. What would leave an account without an administrator, or let somebody rise
//! above themselves, is refused inside it.

mod rules;
mod sql;
mod tokens;
mod write;

pub(in crate::store) use rules::allow_credentials;
pub(in crate::store) use sql::change;
pub(in crate::store) use write::{audit, end_sessions, live, rules};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Actor, ApiToken, NewPrincipal, StoreError};
use crate::model::account::{Account, Principal, PrincipalKey, PrincipalKind};
use crate::model::id::{AccountId, GroupName, Seq};

/// Who changes the directory.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// An operator at the store itself: bound to no account.
    Operator,
    /// Somebody whom policy lets do it, or who does it to themselves.
    Person(&'a Actor),
}

impl By<'_> {
    /// As the audit names them.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Operator => "operator",
            Self::Person(actor) => &actor.login,
        }
    }
}

/// Which people are wanted, in order of their logins.
#[derive(Debug, Clone)]
pub struct PeopleFilter {
    /// Roles, or users with the root identity among them.
    pub roles: bool,
    /// Only those whose login or name has this in it.
    pub search: Option<String>,
    /// Only those in this group.
    pub group: Option<GroupName>,
    /// Only those after this login.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

impl PeopleFilter {
    /// The first `limit` users.
    #[must_use]
    pub fn users(limit: u32) -> Self {
        Self { roles: false, search: None, group: None, after: None, limit }
    }
}

/// Somebody of the directory, as those see them who manage it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub principal: Principal,
    /// Whether a password is set.
    pub has_password: bool,
    /// Until when a one-time link sets a password, if there is one; it may be over.
    pub link_until: Option<Timestamp>,
    /// How many passkeys there are.
    pub passkeys: u32,
    /// Whether codes of an authenticator are asked for.
    pub totp: bool,
}

/// What is to become of somebody. What is not said stays.
#[derive(Debug, Clone, Default)]
pub struct PersonChange {
    /// Another name.
    pub display_name: Option<String>,
    /// Disabled, or enabled again.
    pub enabled: Option<bool>,
    /// An administrator, or none any more.
    pub full_access: Option<bool>,
    /// Exactly these groups.
    pub groups: Option<Vec<GroupName>>,
    /// Into this one as well.
    pub join: Option<GroupName>,
    /// Out of this one.
    pub leave: Option<GroupName>,
}

/// A link that sets a password once; only its hash is kept.
#[derive(Debug, Clone)]
pub struct PasswordLink {
    /// SHA-256 of what stands in the link.
    pub hash: [u8; 32],
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A group of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// What it is for.
    pub description: String,
    /// How many are in it.
    pub members: u64,
}

/// A token for the admin API, as those see it who manage it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// The first bytes of its hash, which tell it from others.
    pub id: String,
    /// For whom it speaks.
    pub login: String,
    /// What it is for.
    pub label: String,
    /// When it ends, if ever.
    pub expires_at: Option<Timestamp>,
}

/// What an account demands of its people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Administrators log in with a passkey, or with a code beside the password.
    pub administrators_need_second_factor: bool,
}

/// The directory as it is managed. `Conflict` is a whole sentence that says what stands against a change.
#[async_trait]
pub trait People {
    /// People of an account, in order of their logins.
    async fn people(&self, account: &AccountId, filter: &PeopleFilter) -> Result<Vec<Person>, StoreError>;
    /// Somebody.
    async fn person(&self, key: &PrincipalKey) -> Result<Option<Person>, StoreError>;
    /// Adds an account with its root identity.
    async fn found_account(
        &self,
        account: &Account,
        root: &NewPrincipal,
        link: Option<&PasswordLink>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Adds a user or a role, with a link to set a password if there is to be one.
    async fn add_person(
        &self,
        new: &NewPrincipal,
        link: Option<&PasswordLink>,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Changes somebody. Answers the place in the log that sidecars must have heard of.
    async fn change_person(
        &self,
        key: &PrincipalKey,
        change: &PersonChange,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<Seq, StoreError>;
    /// Sets a password, ends all sessions but `keep`, and any link. `expected` is the hash that must stand there, if
    /// it matters.
    async fn set_password(
        &self,
        key: &PrincipalKey,
        hash: &str,
        expected: Option<&str>,
        keep: Option<&[u8; 32]>,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Makes a link that sets a password; one that was made before ends.
    async fn offer_password(
        &self,
        key: &PrincipalKey,
        link: &PasswordLink,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Whose a live link is, if they are enabled, and who made it still may.
    async fn password_link(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<Principal>, StoreError>;
    /// Uses a link, once: sets the password and ends all sessions. Nothing when who made it may not any more.
    async fn use_password_link(
        &self,
        hash: &[u8; 32],
        password_hash: &str,
        now: Timestamp,
    ) -> Result<Option<Principal>, StoreError>;
    /// Groups in order of their names.
    async fn groups(
        &self,
        account: &AccountId,
        after: Option<&GroupName>,
        limit: u32,
    ) -> Result<Vec<Group>, StoreError>;
    /// One group.
    async fn group(&self, account: &AccountId, name: &GroupName) -> Result<Option<Group>, StoreError>;
    /// Adds a group (`fresh`; `Exists` when it is there), or changes what it is for.
    async fn put_group(
        &self,
        account: &AccountId,
        name: &GroupName,
        description: &str,
        fresh: bool,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Deletes a group: nobody is in it any more, and what was assigned to it is not.
    async fn delete_group(
        &self,
        account: &AccountId,
        name: &GroupName,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<Seq, StoreError>;
    /// What an account demands.
    async fn rules(&self, account: &AccountId) -> Result<Rules, StoreError>;
    /// Changes it. Sessions of administrators that do not meet it end, that of who changes it too.
    async fn set_rules(
        &self,
        account: &AccountId,
        rules: Rules,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Keeps a token of an enabled principal.
    async fn give_token(&self, token: &ApiToken, by: By<'_>, now: Timestamp) -> Result<(), StoreError>;
    /// The tokens of an account.
    async fn tokens(&self, account: &AccountId, now: Timestamp) -> Result<Vec<KeptToken>, StoreError>;
    /// Ends a token.
    async fn revoke_token(
        &self,
        account: &AccountId,
        id: &str,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}

/// Whether somebody of this kind has a password at all.
#[must_use]
pub(in crate::store) fn logs_in(kind: PrincipalKind) -> bool {
    match kind {
        PrincipalKind::Account | PrincipalKind::User => true,
        PrincipalKind::Role => false,
    }
}
