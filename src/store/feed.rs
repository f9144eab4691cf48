//! The change log: what sidecars must forget, in order.

use async_trait::async_trait;
use jiff::Timestamp;
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
    /// Which life of the store its change log tells of: made with the store, kept, and made anew by a copy.
    async fn epoch(&self) -> Result<Epoch, StoreError>;
    /// Remembers the version of the policy authors' files. When it is another one than before, writes the change log
    /// ([`Subject::Policies`]) and answers the place.
    async fn note_policies(&self, version: &str, now: Timestamp) -> Result<Option<Seq>, StoreError>;
    /// Wakes when this process has committed a change. Others' changes are only seen by asking [`Feed::newest`].
    fn woken(&self) -> watch::Receiver<Seq>;
}
