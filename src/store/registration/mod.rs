//! Applications that registered themselves, which nobody vouches for.
//!
//! There is room for so many that nobody has authorized; those are forgotten in time. One that an account has
//! authorized, ruled about or been asked for stays like any other.

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
    /// So many that nobody has authorized may be there.
    pub most: u64,
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
    /// Where the application's description stands, and when it was read last.
    async fn document_of(&self, id: &ApplicationId) -> Result<Option<(String, Timestamp)>, StoreError>;
    /// Takes in what a description says by now. Sidecars are told if that is something else.
    async fn reread(&self, application: &Application, now: Timestamp) -> Result<(), StoreError>;
    /// Forgets some of those that were registered before `limit` and never authorized; says how many.
    async fn forget_unauthorized(&self, limit: Timestamp, now: Timestamp) -> Result<u64, StoreError>;
}
