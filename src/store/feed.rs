//! The change log: what sidecars must forget, in order.

use async_trait::async_trait;
use tokio::sync::watch;

use super::StoreError;
pub use crate::model::change::{Change, Epoch, Subject};
use crate::model::id::Seq;

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
