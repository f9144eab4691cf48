//! Who has heard of a change: the receipt that a revocation answers with.
//!
//! Comes in: each sidecar's word that it has applied the change log up to a place, and how many streams it cut for
//! it. Goes out: a [`Receipt`] once every sidecar with a live lease has confirmed, or its lease has run out, so that
//! what a receipt says is true everywhere.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::model::id::{Seq, SidecarId};
use crate::model::time::boot_milliseconds;

/// What became of a change: true everywhere once this is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// How long it took from the commit, in milliseconds.
    pub elapsed_ms: u64,
    /// Every sidecar that had a lease when the change was made.
    pub sidecars: Vec<Confirmation>,
    /// Open streams that were cut for it.
    pub streams_closed: u64,
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
    reached: Seq,
    lease_ends: u64,
    streams_cut: u64,
}

impl Default for Acknowledgements {
    fn default() -> Self {
        Self { followers: Mutex::default(), moved: watch::channel(0).0 }
    }
}

impl Acknowledgements {
    /// A sidecar has applied the log up to `reached`, has cut `streams_cut` streams in all its life, and counts on
    /// its facts until `lease_ends` (in [`boot_milliseconds`]) unless it is told again.
    pub fn confirm(&self, sidecar: &SidecarId, reached: Seq, streams_cut: u64, lease_ends: u64) {
        let mut followers = self.followers.lock();
        let follower = followers.entry(sidecar.clone()).or_default();
        // As it says, also when that is less than before: a log that was put back is followed from its own end.
        follower.reached = reached;
        follower.lease_ends = follower.lease_ends.max(lease_ends);
        follower.streams_cut = follower.streams_cut.max(streams_cut);
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
    pub fn streams_cut(&self) -> u64 {
        self.followers.lock().values().map(|follower| follower.streams_cut).sum()
    }

    /// Waits until every sidecar with a lease has applied the log up to `seq`, or its lease has run out.
    ///
    /// `streams_before` is [`Acknowledgements::streams_cut`] from before the change.
    pub async fn everywhere(&self, seq: Seq, streams_before: u64) -> Receipt {
        let start = boot_milliseconds();
        let mut moved = self.moved.subscribe();
        let mut confirmations: HashMap<SidecarId, Confirmation> = HashMap::new();
        loop {
            moved.mark_unchanged();
            let now = boot_milliseconds();
            let waiting_until = self.settle(seq, start, now, &mut confirmations);
            let Some(until) = waiting_until else { break };
            let pause = Duration::from_millis(until.saturating_sub(now).max(1));
            // A closed channel cannot happen while `self` is borrowed; either way the loop looks again.
            let _ = tokio::time::timeout(pause, moved.changed()).await;
        }
        let mut sidecars: Vec<_> = confirmations.into_values().collect();
        sidecars.sort_by(|a, b| a.id.cmp(&b.id));
        Receipt {
            elapsed_ms: boot_milliseconds().saturating_sub(start),
            sidecars,
            streams_closed: self.streams_cut().saturating_sub(streams_before),
        }
    }

    /// Notes who has confirmed or stopped, and answers when to look again at the latest; none when all is done.
    fn settle(
        &self,
        seq: Seq,
        start: u64,
        now: u64,
        confirmations: &mut HashMap<SidecarId, Confirmation>,
    ) -> Option<u64> {
        let followers = self.followers.lock();
        let mut waiting_until = None;
        for (id, follower) in followers.iter() {
            let confirmed = (follower.reached >= seq).then(|| now.saturating_sub(start));
            let stopped = (follower.lease_ends <= now).then(|| follower.lease_ends.saturating_sub(start));
            if confirmations.contains_key(id) {
                continue;
            }
            if confirmed.is_some() || stopped.is_some() {
                let stopped_by = if confirmed.is_some() { None } else { stopped };
                confirmations
                    .insert(id.clone(), Confirmation { id: id.clone(), confirmed_ms: confirmed, stopped_by });
            } else {
                waiting_until =
                    Some(waiting_until.map_or(follower.lease_ends, |u: u64| u.min(follower.lease_ends)));
            }
        }
        waiting_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SidecarId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_receipt_waits_for_every_sidecar_with_a_lease() {
        let all = Acknowledgements::default();
        let far = boot_milliseconds() + 60_000;
        all.confirm(&id("a"), Seq(7), 0, far);
        all.confirm(&id("b"), Seq(6), 2, far);
        let before = all.streams_cut();
        let receipt = all.everywhere(Seq(7), before);
        tokio::pin!(receipt);
        assert!(futures_now(&mut receipt).await.is_none(), "it did not wait for b");
        all.confirm(&id("b"), Seq(7), 5, far);
        let receipt = receipt.await;
        assert_eq!(receipt.sidecars.len(), 2);
        assert!(receipt.sidecars.iter().all(|sidecar| sidecar.confirmed_ms.is_some()));
        assert_eq!(receipt.streams_closed, 3);
    }

    #[tokio::test]
    async fn a_receipt_does_not_wait_for_a_sidecar_whose_lease_has_run_out() {
        let all = Acknowledgements::default();
        all.confirm(&id("silent"), Seq(1), 0, boot_milliseconds());
        let receipt = all.everywhere(Seq(2), 0).await;
        assert!(receipt.sidecars.iter().all(|s| s.stopped_by.is_some() && s.confirmed_ms.is_none()));
    }

    #[tokio::test]
    async fn a_sidecar_that_follows_a_log_that_was_put_back_has_not_heard_of_what_comes_next() {
        let all = Acknowledgements::default();
        let far = boot_milliseconds() + 60_000;
        all.confirm(&id("a"), Seq(7), 0, far);
        all.confirm(&id("a"), Seq(3), 0, far);
        let receipt = all.everywhere(Seq(4), 0);
        tokio::pin!(receipt);
        assert!(futures_now(&mut receipt).await.is_none());
        all.confirm(&id("a"), Seq(4), 0, far);
        assert!(receipt.await.sidecars.iter().all(|sidecar| sidecar.confirmed_ms.is_some()));
    }

    async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
                std::task::Poll::Ready(done) => Some(done),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
