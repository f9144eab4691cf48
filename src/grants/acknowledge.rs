//! Who has heard of a change: the receipt that a revocation answers with.
//!
//! Comes in: until when each sidecar may count on what it knows, said before it does; and each sidecar's word that it
//! has applied the change log up to a place, and how many streams it has cut. Goes out: a [`Receipt`] once every
//! sidecar that held a lease has confirmed, or its lease has run out, so that what a receipt says is true everywhere.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::model::id::{Seq, SidecarId};
use crate::model::time::{boot_milliseconds, milliseconds};

/// What became of a change: true everywhere once this is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// How long it took from the commit, in milliseconds.
    pub elapsed_ms: u64,
    /// Every sidecar that had a lease when the change was made.
    pub sidecars: Vec<Confirmation>,
    /// Open streams that were cut for it.
    pub streams_closed: u64,
    /// Until when credentials of a cloud work at the cloud that were given for the grant before, if there are any. Nobody
    /// can end those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles_until: Option<Timestamp>,
}

/// One sidecar's part of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confirmation {
    /// Which sidecar.
    pub id: SidecarId,
    /// It confirmed after so many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed_ms: Option<u64>,
    /// It did not answer; its lease ended so many milliseconds after the commit, and with it every grant it held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<u64>,
}

/// The sidecars that hold a lease, and how far each has followed the change log.
#[derive(Debug)]
pub struct Acknowledgements {
    followers: Mutex<HashMap<SidecarId, Follower>>,
    moved: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Follower {
    reached: Option<Seq>,
    lease_ends: u64,
    streams_cut: Option<u64>,
}

/// How many streams each sidecar had cut when this was taken.
#[derive(Debug, Clone, Default)]
pub struct CutBefore(HashMap<SidecarId, u64>);

impl Default for Acknowledgements {
    fn default() -> Self {
        Self { followers: Mutex::default(), moved: watch::channel(0).0 }
    }
}

impl Acknowledgements {
    /// From now on a sidecar may count on its facts until `lease_ends` (in [`boot_milliseconds`]). Say it before the
    /// sidecar does.
    pub fn expect(&self, sidecar: &SidecarId, lease_ends: u64) {
        let now = boot_milliseconds();
        let mut followers = self.followers.lock();
        followers.retain(|_, follower| follower.lease_ends.saturating_add(REMEMBERED_MS) > now);
        let follower = followers.entry(sidecar.clone()).or_default();
        follower.lease_ends = follower.lease_ends.max(lease_ends);
    }

    /// A sidecar has applied the log up to `reached`, and has cut `streams_cut` streams in all its life.
    pub fn confirm(&self, sidecar: &SidecarId, reached: Seq, streams_cut: u64) {
        let mut followers = self.followers.lock();
        let follower = followers.entry(sidecar.clone()).or_default();
        // As it says, also when that is less than before: a log that was put back is followed from its own end.
        follower.reached = Some(reached);
        follower.streams_cut = Some(streams_cut);
        drop(followers);
        self.moved.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A sidecar has ended and serves nothing any more.
    pub fn leave(&self, sidecar: &SidecarId) {
        self.followers.lock().remove(sidecar);
        self.moved.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// How many streams each sidecar has cut so far; take it before a change to count what the change cut.
    #[must_use]
    pub fn cut_so_far(&self) -> CutBefore {
        let followers = self.followers.lock();
        CutBefore(followers.iter().filter_map(|(id, one)| Some((id.clone(), one.streams_cut?))).collect())
    }

    /// Waits until every sidecar that has a lease now has applied the log up to `seq`, or its lease has run out,
    /// which it does at the latest after `longest`. Tells each part of the receipt as it comes.
    pub async fn everywhere(
        &self,
        seq: Seq,
        before: &CutBefore,
        longest: Duration,
        mut told: impl FnMut(&Confirmation) + Send,
    ) -> Receipt {
        let start = boot_milliseconds();
        let last = start.saturating_add(milliseconds(longest));
        let mut moved = self.moved.subscribe();
        let mut waiting = self.with_a_lease(start);
        let mut sidecars = BTreeMap::new();
        while !waiting.is_empty() {
            moved.mark_unchanged();
            let now = boot_milliseconds();
            waiting.retain(|id, lease_ends| {
                let end = (*lease_ends).min(last);
                let Some(confirmation) = self.settle(id, seq, (start, now, end)) else { return true };
                told(&confirmation);
                sidecars.insert(id.clone(), confirmation);
                false
            });
            let Some(end) = waiting.values().min() else { break };
            let pause = Duration::from_millis((*end).min(last).saturating_sub(now).max(1));
            // A closed channel cannot happen while `self` is borrowed; either way the loop looks again.
            let _ = tokio::time::timeout(pause, moved.changed()).await;
        }
        Receipt {
            elapsed_ms: boot_milliseconds().saturating_sub(start),
            sidecars: sidecars.into_values().collect(),
            streams_closed: self.cut_since(before),
            roles_until: None,
        }
    }

    /// The sidecars whose lease runs now, and its end.
    fn with_a_lease(&self, now: u64) -> BTreeMap<SidecarId, u64> {
        let followers = self.followers.lock();
        let live = followers.iter().filter(|(_, follower)| follower.lease_ends > now);
        live.map(|(id, follower)| (id.clone(), follower.lease_ends)).collect()
    }

    fn settle(&self, id: &SidecarId, seq: Seq, (start, now, end): (u64, u64, u64)) -> Option<Confirmation> {
        // One that has left has drained what it had.
        let reached = self.followers.lock().get(id).map(|follower| follower.reached);
        let confirmed = reached.is_none_or(|reached| reached.is_some_and(|reached| reached >= seq));
        let after = |at: u64| Some(at.saturating_sub(start));
        let id = id.clone();
        if confirmed {
            Some(Confirmation { id, confirmed_ms: after(now), stopped_by: None })
        } else if end <= now {
            Some(Confirmation { id, confirmed_ms: None, stopped_by: after(end) })
        } else {
            None
        }
    }

    fn cut_since(&self, before: &CutBefore) -> u64 {
        let followers = self.followers.lock();
        let cut = |(id, was): (&SidecarId, &u64)| {
            followers.get(id).and_then(|one| one.streams_cut).unwrap_or(*was).saturating_sub(*was)
        };
        before.0.iter().map(cut).sum()
    }
}

/// So long after its lease a sidecar is still known, in milliseconds.
const REMEMBERED_MS: u64 = 600_000;

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn id(text: &str) -> SidecarId {
        text.parse().unwrap()
    }

    /// Two sidecars with a lease, at 7 and at `second`.
    fn two(second: u64) -> Acknowledgements {
        let all = Acknowledgements::default();
        for (name, reached) in [("a", 7), ("b", second)] {
            all.expect(&id(name), boot_milliseconds() + 60_000);
            all.confirm(&id(name), Seq(reached), 2);
        }
        all
    }

    #[tokio::test]
    async fn a_receipt_waits_for_every_sidecar_with_a_lease() {
        let all = two(6);
        let before = all.cut_so_far();
        let told = Mutex::new(Vec::new());
        let receipt = all.everywhere(Seq(7), &before, LONG, |one| told.lock().push(one.id.to_string()));
        tokio::pin!(receipt);
        assert!(now(&mut receipt).await.is_none(), "it did not wait for b");
        assert_eq!(*told.lock(), ["a"]);
        all.confirm(&id("b"), Seq(7), 5);
        let receipt = receipt.await;
        assert_eq!(receipt.sidecars.len(), 2);
        assert!(receipt.sidecars.iter().all(|sidecar| sidecar.confirmed_ms.is_some()));
        assert_eq!(receipt.streams_closed, 3);
    }

    #[tokio::test]
    async fn a_receipt_waits_for_nobody_longer_than_a_lease_lasts_though_it_is_renewed_all_the_time() {
        let all = two(6);
        let receipt = all.everywhere(Seq(7), &CutBefore::default(), Duration::from_millis(1), |_| ()).await;
        let stopped: Vec<_> = receipt.sidecars.iter().map(|sidecar| sidecar.stopped_by).collect();
        assert_eq!(stopped, [None, Some(1)]);
    }

    #[tokio::test]
    async fn a_receipt_does_not_name_a_sidecar_whose_lease_was_over_before() {
        let all = Acknowledgements::default();
        all.expect(&id("silent"), boot_milliseconds());
        let receipt = all.everywhere(Seq(2), &CutBefore::default(), LONG, |_| ()).await;
        assert_eq!(receipt.sidecars, []);
    }

    #[tokio::test]
    async fn a_sidecar_that_follows_a_log_that_was_put_back_has_not_heard_of_what_comes_next() {
        let all = two(7);
        all.confirm(&id("b"), Seq(3), 2);
        let before = all.cut_so_far();
        let receipt = all.everywhere(Seq(4), &before, LONG, |_| ());
        tokio::pin!(receipt);
        assert!(now(&mut receipt).await.is_none());
        all.confirm(&id("b"), Seq(4), 2);
        assert!(receipt.await.sidecars.iter().all(|sidecar| sidecar.confirmed_ms.is_some()));
    }

    async fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
                std::task::Poll::Ready(done) => Some(done),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
