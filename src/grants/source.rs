//! The control plane's end of following: answers sidecars with what is new in the store's change log, and knows who
//! has to have heard of a change before it counts as made everywhere.
//!
//! Nothing is told here that is not committed. A sidecar is presumed to hold a lease before it is given one, in the
//! store as well when it stands apart, so that neither another control node nor this one after a crash forgets it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;

use super::acknowledge::{Acknowledgements, Confirmation, CutBefore, Receipt};
use super::changed::ChangedAt;
use super::follow::news::{ChangeLog, FollowError, News, Place, Report, Snapshot};
use super::follow::{BEATS_A_LEASE, PRESUMED_LEASES};
use crate::model::change::Epoch;
use crate::model::id::{Seq, SidecarId};
use crate::model::time::{Clock, boot_milliseconds, milliseconds};
use crate::store::{Acknowledged, Presumed, Shared, SidecarStatus, StoreError};

/// Answers sidecars.
pub struct Source {
    store: Shared,
    epoch: Epoch,
    acknowledgements: Acknowledgements,
    lease: Duration,
    clock: Clock,
    apart: bool,
    presumed: Mutex<HashMap<SidecarId, u64>>,
    seen: Mutex<HashMap<SidecarId, Seen>>,
    heard: Mutex<HashMap<SidecarId, Heard>>,
    changed: tokio::sync::Mutex<(Seq, Arc<ChangedAt>)>,
}

/// How this node has seen a process of a sidecar in the store.
struct Seen {
    /// As it stood there.
    last: Presumed,
    /// Since when it has stood there so, in [`boot_milliseconds`].
    since: u64,
}

/// What a sidecar has last said here.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its words.
    pub report: Report,
    /// When, in [`boot_milliseconds`].
    pub at: u64,
}

impl Source {
    /// Answers from `store`, and lets sidecars count on each answer for `lease`. When they stand `apart`, in
    /// processes of their own, they outlive this one, and what they are presumed to hold is kept in the store.
    ///
    /// # Errors
    /// The store's own.
    pub async fn new(
        store: Shared,
        lease: Duration,
        clock: Clock,
        apart: bool,
    ) -> Result<Arc<Self>, StoreError> {
        let epoch = store.epoch().await?;
        let changed = (Seq::default(), Arc::new(ChangedAt::beginning(epoch.clone())));
        Ok(Arc::new(Self {
            store,
            epoch,
            acknowledgements: Acknowledgements::default(),
            lease,
            clock,
            apart,
            presumed: Mutex::default(),
            seen: Mutex::default(),
            heard: Mutex::default(),
            changed: tokio::sync::Mutex::new(changed),
        }))
    }

    /// Which life of the store it answers from.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// What each sidecar that asks here has said last, until it leaves or has been silent for long.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().values().cloned().collect()
    }

    fn note(&self, report: &Report) {
        let at = boot_milliseconds();
        let mut heard = self.heard.lock();
        heard.retain(|_, one| at.saturating_sub(one.at) < SILENT_MS);
        heard.insert(report.sidecar.clone(), Heard { report: report.clone(), at });
    }

    /// For how long an answer lets a sidecar count on what it knows.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// How many streams each sidecar has cut so far; take it before a change to count what the change cut.
    #[must_use]
    pub fn cut_so_far(&self) -> CutBefore {
        self.acknowledgements.cut_so_far()
    }

    /// Waits until every sidecar that held a lease when this was called has applied the log up to `seq`, or its
    /// lease has run out. Call it after the change is committed. Tells each part of the receipt as it comes.
    pub async fn everywhere(
        &self,
        seq: Seq,
        before: &CutBefore,
        told: impl FnMut(&Confirmation) + Send,
    ) -> Receipt {
        let asked = boot_milliseconds();
        // After the commit: whoever is given a lease later than this is told of the change with it.
        let known = self.look_who_is_presumed().await;
        let longest = self.expect_the_presumed();
        let receipt = self.acknowledgements.everywhere(seq, before, longest, told).await;
        let Err(error) = known else { return receipt };
        tracing::warn!(%error, "the store cannot tell who holds a lease; waiting until none can");
        let waited = Duration::from_millis(boot_milliseconds().saturating_sub(asked));
        tokio::time::sleep(longest.saturating_sub(waited)).await;
        Receipt { elapsed_ms: boot_milliseconds().saturating_sub(asked), ..receipt }
    }

    /// Reads from the store who may hold a lease. Sidecars of this process alone are known without it.
    async fn look_who_is_presumed(&self) -> Result<(), StoreError> {
        if !self.apart {
            return Ok(());
        }
        let presumed = self.store.presumed().await?;
        let now = boot_milliseconds();
        let mut seen = self.seen.lock();
        let mut before = std::mem::take(&mut *seen);
        for last in presumed {
            let since = before.remove(&last.instance).filter(|one| one.last.renewed == last.renewed);
            let since = since.map_or(now, |one| one.since);
            seen.insert(last.instance.clone(), Seen { last, since });
        }
        Ok(())
    }

    /// Expects a word of everyone that the store has last said may hold a lease; answers how long the longest of these
    /// lasts.
    ///
    /// No clock but this node's own is asked: who has not been presumed again for three of its leases since this node
    /// first saw it so holds none.
    fn expect_the_presumed(&self) -> Duration {
        let now = boot_milliseconds();
        let mut longest = self.lease;
        for Seen { last, since } in self.seen.lock().values() {
            let ends = since.saturating_add(last.lease_ms.saturating_mul(WRITTEN_LEASES));
            if ends > now {
                longest = longest.max(Duration::from_millis(last.lease_ms));
                self.acknowledgements.expect(&last.instance, ends);
            }
        }
        longest
    }

    /// Looks now and then who is presumed again, and forgets whom nobody has heard of for long. Never ends: run it as
    /// a task of its own.
    pub async fn watch_presumed(&self) {
        loop {
            tokio::time::sleep(self.lease).await;
            if let Err(error) = self.forget_silent().await {
                tracing::warn!(%error, "the store does not tell who holds a lease; it is asked again");
            }
        }
    }

    async fn forget_silent(&self) -> Result<(), StoreError> {
        self.look_who_is_presumed().await?;
        let now = boot_milliseconds();
        let silent = |one: &&Seen| now.saturating_sub(one.since) > SILENT_MS;
        let silent: Vec<_> = self.seen.lock().values().filter(silent).map(|one| one.last.clone()).collect();
        for one in &silent {
            self.store.forget_presumed(one).await?;
        }
        Ok(())
    }

    /// Hears what other control nodes' sidecars have acknowledged. Never ends: run it as a task of its own.
    pub async fn hear_others(&self) {
        let mut words = self.store.announcements();
        loop {
            match words.recv().await {
                Ok(Acknowledged { sidecar, reached, streams_cut }) => {
                    self.acknowledgements.confirm(&sidecar, reached, streams_cut);
                }
                // Missed words cost time, until the leases of those who said them have run out.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// What the report acknowledges.
    async fn confirm(&self, report: &Report) {
        let Some(place) = report.place.as_ref().filter(|place| place.epoch == self.epoch) else { return };
        self.acknowledgements.confirm(&report.sidecar, place.applied, report.streams_cut);
        if self.apart {
            let word = Acknowledged {
                sidecar: report.sidecar.clone(),
                reached: place.applied,
                streams_cut: report.streams_cut,
            };
            if let Err(error) = self.store.announce(&word).await {
                tracing::warn!(%error, "other control nodes could not be told of an acknowledgement");
            }
        }
    }

    /// Returns when there is something after `applied`, and at the latest after a beat, or `longest`.
    async fn wait_for_news(&self, applied: Option<Seq>, longest: Duration) -> Result<(), StoreError> {
        let mut woken = self.store.woken();
        let over = tokio::time::sleep(longest.min(self.lease / BEATS_A_LEASE));
        tokio::pin!(over);
        loop {
            woken.mark_unchanged();
            if Some(self.store.newest().await?) != applied {
                return Ok(());
            }
            tokio::select! {
                () = &mut over => return Ok(()),
                woken = woken.changed() => if woken.is_err() { (&mut over).await; return Ok(()) },
            }
        }
    }

    /// Before a lease is given: from now on everybody has to wait for this sidecar.
    async fn presume(&self, report: &Report) -> Result<(), StoreError> {
        let (now, lease) = (boot_milliseconds(), milliseconds(self.lease));
        let presumed = self.presumed.lock().get(&report.sidecar).copied().unwrap_or(0);
        let first = report.place.is_none();
        if self.apart && (first || presumed < now.saturating_add(lease.saturating_mul(PRESUMED_LEASES))) {
            self.store.presume(&report.sidecar, self.lease, &self.status(report)).await?;
            let written = now.saturating_add(lease.saturating_mul(WRITTEN_LEASES));
            let mut presumed = self.presumed.lock();
            // Processes come and go without a word.
            presumed.retain(|_, until| *until > now);
            presumed.insert(report.sidecar.clone(), written);
        }
        let presumed = lease.saturating_mul(PRESUMED_LEASES);
        self.acknowledgements.expect(&report.sidecar, boot_milliseconds().saturating_add(presumed));
        Ok(())
    }

    fn status(&self, report: &Report) -> SidecarStatus {
        SidecarStatus {
            version: report.version.clone(),
            policies: report.policies.clone(),
            paths: report.paths.clone(),
            applied: report.place.as_ref().map(|place| place.applied).unwrap_or_default(),
            at: self.clock.now(),
        }
    }

    async fn news_after(&self, applied: Option<Seq>) -> Result<News, StoreError> {
        let newest = self.store.newest().await?;
        let changes = match applied {
            Some(applied) if applied < newest => self.store.changes_after(applied, MOST_CHANGES).await?,
            Some(_) | None => Vec::new(),
        };
        // More may have been committed between the two questions.
        let newest = changes.last().map_or(newest, |last| last.seq.max(newest));
        Ok(News { epoch: self.epoch.clone(), newest, changes, lease_ms: milliseconds(self.lease) })
    }
}

#[async_trait]
impl ChangeLog for Source {
    async fn follow(&self, report: &Report) -> Result<News, FollowError> {
        self.note(report);
        self.confirm(report).await;
        let applied =
            report.place.as_ref().filter(|place| place.epoch == self.epoch).map(|place| place.applied);
        self.wait_for_news(applied, Duration::from_millis(report.wait_ms)).await?;
        self.presume(report).await?;
        Ok(self.news_after(applied).await?)
    }

    async fn snapshot(&self) -> Result<Snapshot, FollowError> {
        let mut changed = self.changed.lock().await;
        let newest = self.store.newest().await?;
        while changed.0 < newest {
            let changes = self.store.changes_after(changed.0, MOST_CHANGES).await?;
            let Some(last) = changes.last() else { break };
            changes.iter().for_each(|change| changed.1.raise(&change.subject, change.seq));
            changed.0 = last.seq;
        }
        Ok(changed.1.snapshot(Place { epoch: self.epoch.clone(), applied: changed.0 }))
    }

    async fn leave(&self, sidecar: &SidecarId) {
        self.presumed.lock().remove(sidecar);
        self.heard.lock().remove(sidecar);
        if self.apart
            && let Err(error) = self.store.left(sidecar).await
        {
            tracing::warn!(%error, %sidecar, "it could not be noted that a sidecar has left; it is waited for");
            return;
        }
        self.acknowledgements.leave(sidecar);
    }
}

impl From<StoreError> for FollowError {
    fn from(error: StoreError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// So long a sidecar that says nothing more is still shown, in milliseconds.
const SILENT_MS: u64 = 600_000;
const MOST_CHANGES: u32 = 1000;
/// For so many leases a sidecar is presumed at once, so that this need not be written with every answer.
const WRITTEN_LEASES: u64 = 3;
