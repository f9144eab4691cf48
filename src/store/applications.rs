//! Registered applications and their secrets.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::grants::Actor;
use crate::model::application::Application;
use crate::model::id::{AccountId, ApplicationId, Seq};

/// A client secret, as kept: only its hash. Secrets are 256 random bits, so one SHA-256 is enough.
#[derive(Clone)]
pub struct Secret {
    /// Its own id, to tell two secrets of one application apart.
    pub id: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
}

/// The applications.
#[async_trait]
pub trait Applications {
    /// Registers an application with its secrets (none for a public one). `Exists` when the id is taken, or the
    /// name is for this publisher.
    async fn register(
        &self,
        application: &Application,
        secrets: &[Secret],
        by: &Actor,
    ) -> Result<(), StoreError>;
    /// Replaces what can be changed (all but id, publisher and time of registration), writes the change log.
    async fn change_application(
        &self,
        application: &Application,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// The same, if the application still is what was read `before`; otherwise a `Conflict`.
    async fn replace_application(
        &self,
        before: &Application,
        after: &Application,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Seq, StoreError>;
    /// The application with this `client_id`.
    async fn application(&self, id: &ApplicationId) -> Result<Option<Application>, StoreError>;
    /// Its live secrets.
    async fn secrets(&self, id: &ApplicationId) -> Result<Vec<Secret>, StoreError>;
    /// Adds a secret; at most two live ones: `Conflict` for a third.
    async fn add_secret(&self, id: &ApplicationId, secret: &Secret, by: &Actor) -> Result<(), StoreError>;
    /// Deletes a secret.
    async fn delete_secret(
        &self,
        id: &ApplicationId,
        secret: &str,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// What this account published.
    async fn published_by(&self, account: &AccountId) -> Result<Vec<Application>, StoreError>;
    /// Every official application.
    async fn official_applications(&self) -> Result<Vec<Application>, StoreError>;
}
