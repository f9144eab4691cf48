//! What bounds a grant further once it stands: an end, and fewer scopes.
//!
//! Each is a change like any other of a grant: a transaction of its row, an audit row and a change-log row, made only
//! for who is an administrator of the account when it commits. Nothing here can add a scope.

mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Actor, InstallRefused};
use crate::model::grant::Grant;
use crate::model::id::{GrantKey, Revision, Seq};
use crate::model::scope::ScopeSet;
pub(super) use sql::end_of;

/// How long what is authorized is to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// As the grant that is replaced; one that comes to be lasts until it is deleted. One that has come to its end is a
    /// `Conflict`: whoever begins it anew says for how long.
    AsItWas,
    /// Until then, in whole seconds; nothing: until it is deleted.
    Until(Option<Timestamp>),
}

/// Ends and fewer scopes.
#[async_trait]
pub trait Bounds {
    /// Sets when a grant ends by itself, or that it does not. The revision rises by one. One that has come to its end
    /// begins anew by this: what was issued before stays dead. `seen` is the revision that the person saw; another
    /// one now is a `Conflict`, as is an end that lies in the past.
    async fn set_end(
        &self,
        key: &GrantKey,
        end: Option<Timestamp>,
        seen: Option<Revision>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), InstallRefused>;
    /// Takes scopes from a live grant, which are declined from then on. `Conflict` for one that the grant does not hold
    /// or that its application requires, and when `seen` is not the revision any more.
    async fn narrow(
        &self,
        key: &GrantKey,
        without: &ScopeSet,
        seen: Revision,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), InstallRefused>;
}
