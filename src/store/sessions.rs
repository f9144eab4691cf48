//! Browser sessions, and consents that are waiting for a person to decide.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::model::account::{Principal, PrincipalKey};

/// A person logged in at a browser. The cookie is 256 random bits; only its hash is kept.
#[derive(Debug, Clone)]
pub struct BrowserSession {
    /// SHA-256 of the cookie.
    pub hash: [u8; 32],
    /// Who.
    pub principal: PrincipalKey,
    /// When they logged in.
    pub authenticated_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// A consent page that was shown and not answered yet. Good for one answer, in the session that it was shown in.
#[derive(Debug, Clone)]
pub struct PendingConsent {
    /// SHA-256 of the transaction's id, which stands in the form.
    pub hash: [u8; 32],
    /// SHA-256 of the session cookie that it was shown to.
    pub session: [u8; 32],
    /// The whole checked authorization request with what was shown, as JSON of the control plane's own.
    pub request: String,
    /// When it ends: ten minutes after it was shown.
    pub expires_at: Timestamp,
}

/// The sessions.
#[async_trait]
pub trait Sessions {
    /// Keeps a session.
    async fn open_session(&self, session: &BrowserSession) -> Result<(), StoreError>;
    /// The live session of an enabled principal.
    async fn session(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<(BrowserSession, Principal)>, StoreError>;
    /// Ends a session.
    async fn close_session(&self, hash: &[u8; 32]) -> Result<(), StoreError>;
    /// Keeps a pending consent.
    async fn keep_pending(&self, pending: &PendingConsent) -> Result<(), StoreError>;
    /// Takes it, once: only one of any number of concurrent calls gets it. Nothing when it is unknown, too old,
    /// or was shown to another session; in the last case it stays.
    async fn take_pending(
        &self,
        hash: &[u8; 32],
        session: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<PendingConsent>, StoreError>;
}
