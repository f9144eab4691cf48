//! Applications that registered themselves, which nobody vouches for.
//!
//! There is room for so many of each kind that nobody has authorized; those are forgotten in time. One that an account
//! has authorized or ruled about stays like any other, one that the operator has disabled stays disabled, and one that was
//! asked for stays until the last such request has been over for 90 days; none of them takes up room.

#[cfg(test)]
pub(super) mod contract;
mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::model::application::Application;
use crate::model::id::ApplicationId;

/// How an application is registered that registers itself.
#[derive(Debug, Clone, Copy)]
pub struct OwnRegistration<'a> {
    /// What it says of itself. Its publisher is nobody.
    pub application: &'a Application,
    /// Where its description stands, if that is how it is known.
    pub document: Option<&'a str>,
    /// So many of its kind, by a document or by a request, may be there that nobody has authorized.
    pub most: u64,
}

/// How an application is known that is known by its description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDocument {
    /// Where it stands.
    pub address: String,
    /// When it was read last.
    pub read_at: Timestamp,
    /// Whether some account has authorized the application, now or before.
    pub authorized: bool,
}

/// Those applications.
#[async_trait]
pub trait Registrations {
    /// Registers one. False when there are too many that nobody has authorized. `Exists` when it is there already.
    async fn register_itself(
        &self,
        registration: OwnRegistration<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// The application's description, if it is known by one.
    async fn document_of(&self, id: &ApplicationId) -> Result<Option<OwnDocument>, StoreError>;
    /// Takes in what a description says by now: the name that is shown, the contact and the redirect URIs, and nothing
    /// else of the application. Sidecars are told if that is something else.
    async fn reread(&self, application: &Application, now: Timestamp) -> Result<(), StoreError>;
    /// Forgets some of those that were registered before `limit` and never authorized, with requests for them that have
    /// long been over; says how many.
    async fn forget_unauthorized(&self, limit: Timestamp, now: Timestamp) -> Result<u64, StoreError>;
}
