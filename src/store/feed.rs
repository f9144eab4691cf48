//! The change log: what sidecars must forget, in order.

use async_trait::async_trait;
use tokio::sync::watch;

use super::StoreError;
use crate::model::account::PrincipalKey;
use crate::model::id::{ApplicationId, GrantKey, Seq};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place.
    pub seq: Seq,
    /// What changed. The new facts are read from the store, never from the log.
    pub subject: Subject,
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A grant, its assignment included.
    Grant(GrantKey),
    /// A principal: disabled, enabled, rights or groups changed.
    Principal(PrincipalKey),
    /// A principal beside one grant: personal consent, an ended token family.
    Member(GrantKey, PrincipalKey),
    /// An application, changed or disabled by its publisher.
    Application(ApplicationId),
    /// The signing keys.
    Keys,
}

/// The change log.
#[async_trait]
pub trait Feed {
    /// The newest place. Asks the store itself, so that changes by other processes count.
    async fn newest(&self) -> Result<Seq, StoreError>;
    /// The entries after `seq`, in order, at most `limit`.
    async fn changes_after(&self, seq: Seq, limit: u32) -> Result<Vec<Change>, StoreError>;
    /// Wakes when this process has committed a change. Others' changes are only seen by asking [`Feed::newest`].
    fn woken(&self) -> watch::Receiver<Seq>;
}
