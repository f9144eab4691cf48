//! Grants at rest. Every change is one transaction of the grant's row, an audit row and a change-log row. The right
//! to authorize is checked again inside it; who may suspend, assign and revoke is policy's question, asked before.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::bounds::Lasting;
use crate::model::account::{Principal, PrincipalKey};
use crate::model::grant::{AssignmentMode, Grant, GrantState, Installed};
use crate::model::id::{AccountId, GrantKey, GroupName, PrincipalId, Revision, Seq};
use crate::model::member::Member;
use crate::model::scope::ScopeSet;

/// Who makes a change, for the audit.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The principal.
    pub principal: PrincipalKey,
    /// Its login.
    pub login: String,
}

impl From<&Principal> for Actor {
    fn from(principal: &Principal) -> Self {
        Self { principal: principal.key.clone(), login: principal.login.clone() }
    }
}

/// An authorization to be stored: the one way in which a grant comes to be, or gets other scopes.
pub struct Install {
    /// Which account authorizes which application.
    pub key: GrantKey,
    /// What is granted. The store adds the application's required scopes as they stand in the same transaction.
    pub scopes: ScopeSet,
    /// What was offered and not chosen. What was declined before and is not granted now stays declined, whether or not
    /// it is offered at the moment.
    pub declined: ScopeSet,
    /// `Beyond` when a scope would be granted that these do not cover, the application's required scopes as they stand
    /// in the same transaction included: nobody grants what they were not shown.
    pub at_most: Option<ScopeSet>,
    /// Who authorizes. Must be an enabled administrator of the account when the transaction commits, except
    /// for a first-party application; and even there nobody else gives back what an administrator has taken.
    pub by: Actor,
    /// The revision that the person saw when deciding; none when there was no live grant. Another one now is a
    /// `Conflict`.
    pub seen: Option<Revision>,
    /// How long it is to last.
    pub lasting: Lasting,
}

/// Why an installation was not made, beyond the store's own errors.
#[derive(Debug, thiserror::Error)]
pub enum InstallRefused {
    /// Who authorizes is not an administrator (any more).
    #[error("{0} may not authorize applications for this account; ask an administrator")]
    NotAnAdministrator(String),
    /// A scope is not one that the application offers (any more).
    #[error("the application does not offer the scope {0}; open the page again")]
    NotOffered(String),
    /// A scope that the application requires is left out.
    #[error("the application requires the scope {0}, which is not among those named")]
    Required(String),
    /// The account has blocked the application, so that not even an administrator can authorize it.
    #[error("the application {0} is blocked in this account; unblock it first")]
    Blocked(String),
    /// A scope would be granted that was not allowed beforehand.
    #[error(
        "{0} would be granted, which is not among the scopes that were allowed; look at what it requires now"
    )]
    Beyond(String),
    /// The application is disabled or not registered.
    #[error("the application {0} is not available")]
    NoApplication(String),
    /// The store's own errors.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who may use an installed application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Everybody, or those below.
    pub mode: AssignmentMode,
    /// Users, by id.
    pub users: Vec<PrincipalId>,
    /// Groups.
    pub groups: Vec<GroupName>,
    /// Roles, by id.
    pub roles: Vec<PrincipalId>,
}

/// One person's own consent to an official application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalConsent {
    /// Who.
    pub principal: Principal,
    /// To what.
    pub scopes: ScopeSet,
    /// When.
    pub at: Timestamp,
}

/// The grants.
#[async_trait]
pub trait Grants {
    /// Installs, re-authorizes after a revocation, or replaces the scopes of a live grant. The revision rises by
    /// one; `since` becomes that revision unless a live grant is replaced that has not come to its own end. Refused without a trace of it when
    /// `by` is no administrator at commit.
    async fn install(&self, install: &Install, now: Timestamp) -> Result<(Grant, Seq), InstallRefused>;
    /// Suspends, resumes or revokes. Revoking ends every code and refresh token of the grant, its assignments
    /// and its personal consents in the same transaction. Setting the state it has already changes nothing and
    /// answers the present grant with the newest `Seq`. `Missing` when there is no grant, or it is revoked.
    async fn set_state(
        &self,
        key: &GrantKey,
        state: GrantState,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), StoreError>;
    /// The grant with its application. A revoked one is answered too: it is a tombstone, not nothing.
    async fn installed(&self, key: &GrantKey) -> Result<Option<Installed>, StoreError>;
    /// The account's grants that are not revoked, newest authorization first.
    async fn installed_in(&self, account: &AccountId) -> Result<Vec<Installed>, StoreError>;
    /// What `principal` is to the grant `key`; none when there is no such principal.
    async fn member(
        &self,
        key: &GrantKey,
        principal: &PrincipalKey,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError>;
    /// Who is assigned. `Missing` when there is no grant, or it is revoked.
    async fn assignment(&self, key: &GrantKey) -> Result<Assignment, StoreError>;
    /// Replaces the assignment, as [`super::Provisioning::change_assignment`] changes it. `Missing` when there is no grant, it is revoked, or a
    /// user or role is not one of the account's.
    async fn assign(
        &self,
        key: &GrantKey,
        assignment: &Assignment,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), StoreError>;
    /// Records a person's own consent.
    async fn consent_in_person(
        &self,
        key: &GrantKey,
        principal: &PrincipalKey,
        scopes: &ScopeSet,
        now: Timestamp,
    ) -> Result<Seq, StoreError>;
    /// Withdraws it, and ends that person's codes and tokens of the grant. `Missing` when there was none.
    async fn withdraw_consent(
        &self,
        key: &GrantKey,
        principal: &PrincipalKey,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Seq, StoreError>;
    /// The personal consents of a grant.
    async fn personal_consents(&self, key: &GrantKey) -> Result<Vec<PersonalConsent>, StoreError>;
}
