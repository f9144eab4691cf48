//! Provisioning: who may use an installed application, changed one by one.
//!
//! Comes in: what is wanted. Goes out: the grant as it stands then. Each is one change like those of [`super::Grants`],
//! with the same checks at its commit; what changes nothing leaves no trace.

pub(super) mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Actor, StoreError};
use crate::model::grant::{AssignmentMode, Grant};
use crate::model::id::{GrantKey, GroupName, PrincipalId, Seq};

/// Users, groups and roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignees {
    /// Users, by id.
    pub users: Vec<PrincipalId>,
    /// Groups.
    pub groups: Vec<GroupName>,
    /// Roles, by id.
    pub roles: Vec<PrincipalId>,
}

/// What is to change about who may use an application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssignmentChange {
    /// Everybody, or those assigned; as it is when not given.
    pub mode: Option<AssignmentMode>,
    /// To be assigned.
    pub add: Assignees,
    /// To be assigned no more. Wins over `add`.
    pub remove: Assignees,
}

/// Changes of an administrator's own hand.
#[async_trait]
pub trait Provisioning {
    /// Changes who is assigned. The grant's revision rises when the mode, a group or many at once are changed. Where it is a
    /// few users and roles, it stays, and the log tells of each of them: nobody else's calls rest on that. What changes
    /// nothing answers the present grant with the newest `Seq`. `Missing` when there is no grant, it is revoked, or a user or role to be
    /// added is not one of the account's.
    async fn change_assignment(
        &self,
        key: &GrantKey,
        change: &AssignmentChange,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), StoreError>;
}
