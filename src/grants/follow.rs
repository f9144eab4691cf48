//! Follows the store's change log in the same process: strikes the slot clock, renews the lease, has streams cut,
//! and only then acknowledges.
//!
//! A heartbeat asks the store itself, so that a store that hangs or cannot answer ends the lease, and so that a
//! change which another process committed is seen too.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::acknowledge::Acknowledgements;
use super::lease::Lease;
use super::origin::OriginError;
use super::slots::SlotClock;
use crate::model::change::{Change, Subject};
use crate::model::id::{Seq, SidecarId};
use crate::model::time::boot_milliseconds;
use crate::store::Shared;

/// What a follower does with what it hears.
pub struct Follower {
    /// For which sidecar.
    pub sidecar: SidecarId,
    /// The store.
    pub store: Shared,
    /// Struck for every change.
    pub slots: Arc<SlotClock>,
    /// Renewed by every answer.
    pub lease: Arc<Lease>,
    /// Told once a change is applied.
    pub acknowledgements: Arc<Acknowledgements>,
    /// Reads the issuer's keys anew; a change of them counts as applied only when this has succeeded.
    pub refresh_keys: RefreshKeys,
    /// Cuts every open stream whose standing no longer holds, and answers how many were cut in all so far.
    pub cut: CutStreams,
}

/// See [`Follower::cut`].
pub type CutStreams = Arc<dyn Fn() -> Answering<u64> + Send + Sync>;
/// See [`Follower::refresh_keys`].
pub type RefreshKeys = Arc<dyn Fn() -> Answering<Result<(), OriginError>> + Send + Sync>;
/// What such a function answers, later.
pub type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Follower {
    /// Follows until `stop`. The sidecar has its lease once `ready` is true.
    pub async fn run(self, ready: watch::Sender<bool>, stop: CancellationToken) {
        let mut woken = self.store.woken();
        let mut applied = None;
        let beat = self.lease.length() / BEATS_A_LEASE;
        loop {
            woken.mark_unchanged();
            // No longer than the lease: when it ends unrenewed, what rests on it ends then and not later.
            match tokio::time::timeout(self.lease.patience(), self.catch_up(&mut applied)).await {
                Ok(Ok(())) => {
                    ready.send_if_modified(|ready| !std::mem::replace(ready, true));
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the change log cannot be read; the lease is not renewed")
                }
                Err(_) => tracing::warn!("the change log does not answer; the lease is not renewed"),
            }
            if !self.lease.holds() {
                (self.cut)().await;
                ready.send_if_modified(|ready| std::mem::replace(ready, false));
            }
            tokio::select! {
                () = stop.cancelled() => break,
                _ = woken.changed() => {}
                () = tokio::time::sleep(beat.max(Duration::from_millis(1))) => {}
            }
        }
        self.acknowledgements.leave(&self.sidecar);
    }

    /// Applies all that is new. The first time there is nothing cached, so the log's end is where to start.
    async fn catch_up(&self, applied: &mut Option<Seq>) -> Result<(), OriginError> {
        let sent = boot_milliseconds();
        let newest = self.store.newest().await?;
        match *applied {
            Some(at) if newest > at => self.apply_after(at, newest).await?,
            Some(at) if newest < at => self.forget_everything().await?,
            Some(_) => {}
            None => self.forget_everything().await?,
        }
        *applied = Some(newest);
        let streams_cut = (self.cut)().await;
        // First told, then used: nobody who waits for this sidecar may believe its lease over while it runs.
        let until = self.lease.would_end(sent).max(self.lease.ends());
        self.acknowledgements.confirm(&self.sidecar, newest, streams_cut, until);
        self.lease.renew(sent);
        Ok(())
    }

    async fn apply_after(&self, at: Seq, newest: Seq) -> Result<(), OriginError> {
        let changes = self.store.changes_after(at, MOST_CHANGES).await?;
        let next = Seq(at.0.saturating_add(1));
        let reaches = changes.last().is_some_and(|change| change.seq >= newest);
        let whole = reaches && changes.first().is_some_and(|change| change.seq == next);
        if !whole {
            // A gap, or too many to go through: distrust all.
            return self.forget_everything().await;
        }
        for Change { subject, .. } in &changes {
            self.slots.strike(subject);
        }
        if changes.iter().any(|change| change.subject == Subject::Keys) {
            (self.refresh_keys)().await?;
        }
        Ok(())
    }

    async fn forget_everything(&self) -> Result<(), OriginError> {
        self.slots.strike_all();
        (self.refresh_keys)().await
    }
}

const BEATS_A_LEASE: u32 = 5;
const MOST_CHANGES: u32 = 1000;
