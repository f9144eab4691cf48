//! A member: what one principal is to one installed application, as far as a decision needs to know.

use serde::{Deserialize, Serialize};

use super::account::Principal;
use super::id::FamilyId;
use super::scope::ScopeSet;

/// A principal beside a grant. It is loaded whole or not at all: a missing group edge would silently pass a
/// `forbid` that names the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The identity, its groups included.
    pub principal: Principal,
    /// Whether it may use the application: the mode is `all`, it is the root identity, or it was assigned
    /// itself or through a group.
    pub assigned: bool,
    /// What it agreed to in person, for an official application. Nothing until it did.
    pub consented: Option<ScopeSet>,
    /// Token families of this grant and principal that were ended before their time, as long as an access
    /// token of theirs could still be alive.
    pub ended: Vec<FamilyId>,
}
