//! A person's own side: which applications act as them, and ending that.

mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Actor, StoreError};
use crate::model::account::PrincipalKey;
use crate::model::grant::Installed;
use crate::model::id::{ApplicationId, GrantKey, Seq};
use crate::model::scope::ScopeSet;

/// An application that acts, or has acted, as a person.
#[derive(Debug, Clone)]
pub struct Acting {
    /// The account's grant with its application.
    pub installed: Installed,
    /// What the person has agreed to in person, and when.
    pub consented: Option<(ScopeSet, Timestamp)>,
    /// When it last was allowed a call as this person.
    pub last_used: Option<Timestamp>,
    /// Whether something that it was given for this person may still be alive.
    pub signed_in: bool,
}

/// A person's applications.
#[async_trait]
pub trait Personal {
    /// The applications that hold something of the person's, have their consent or have acted as them, under a live
    /// grant, by client ID, at most `limit` after `after`.
    async fn acting_as(
        &self,
        whom: &PrincipalKey,
        after: Option<&ApplicationId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Acting>, StoreError>;
    /// Ends every code and token that an application was given for this person; sidecars are told. `Missing` when there
    /// was none.
    async fn sign_out_of(
        &self,
        key: &GrantKey,
        whom: &PrincipalKey,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Seq, StoreError>;
}
