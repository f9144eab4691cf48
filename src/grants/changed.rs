//! When each subject last changed, by its place in the change log: what a record from the shared tier is judged by.
//!
//! A record says as of which place it was read. It counts only when nothing that it rests on has changed since, so
//! that an old record, put back by whomever, is as good as none. Subjects share slots; that costs a read too many,
//! never a wrong answer, and no stream: what is open is judged by the other slots ([`super::slots`]).

use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;

use super::follow::news::{Place, Snapshot};
use crate::model::change::{Epoch, Subject};
use crate::model::id::Seq;

/// The places of the newest changes.
#[derive(Debug)]
pub struct ChangedAt {
    epoch: ArcSwapOption<Epoch>,
    slots: Box<[AtomicU64]>,
}

impl Default for ChangedAt {
    /// Believes nothing, until it has been told when what changed.
    fn default() -> Self {
        Self { epoch: ArcSwapOption::empty(), slots: (0..SLOTS).map(|_| AtomicU64::new(NEVER_YET)).collect() }
    }
}

impl ChangedAt {
    /// An empty log's: nothing has ever changed.
    #[must_use]
    pub fn beginning(epoch: Epoch) -> Self {
        let place = Place { epoch, applied: Seq::default() };
        let this = Self::default();
        this.replace(&Snapshot { place, slots: Vec::new() });
        this
    }

    /// Takes a snapshot's word for everything. The slot clock is to be struck for everything afterwards: who judged
    /// while this was going on may have judged by the old places.
    pub fn replace(&self, snapshot: &Snapshot) {
        self.epoch.store(None);
        for slot in &self.slots {
            slot.store(0, Ordering::SeqCst);
        }
        for (slot, seq) in &snapshot.slots {
            if let Some(at) = usize::try_from(*slot).ok().and_then(|slot| self.slots.get(slot)) {
                at.store(seq.0, Ordering::SeqCst);
            }
        }
        self.epoch.store(Some(snapshot.place.epoch.clone().into()));
    }

    /// A subject has changed. The slot clock is to be struck for it afterwards.
    pub fn raise(&self, subject: &Subject, seq: Seq) {
        if let Some(at) = self.slots.get(slot(subject)) {
            at.fetch_max(seq.0, Ordering::SeqCst);
        }
    }

    /// Whether a fact that rests on `subjects`, and was read when the log had come to `as_of` in `epoch`, may be
    /// believed.
    #[must_use]
    pub fn believes(&self, subjects: &[Subject], epoch: &Epoch, as_of: Seq) -> bool {
        let same = |known: &Option<std::sync::Arc<Epoch>>| known.as_deref() == Some(epoch);
        same(&self.epoch.load_full())
            && subjects.iter().all(|subject| {
                // A slot that is not there counts as changed for ever: closed, though it cannot happen.
                let at = self.slots.get(slot(subject)).map_or(NEVER_YET, |at| at.load(Ordering::SeqCst));
                at <= as_of.0
            })
    }

    /// All of it, as of `place`, to be told to another.
    #[must_use]
    pub fn snapshot(&self, place: Place) -> Snapshot {
        let changed = |(slot, at): (usize, &AtomicU64)| match at.load(Ordering::SeqCst) {
            0 => None,
            seq => u32::try_from(slot).ok().map(|slot| (slot, Seq(seq))),
        };
        Snapshot { place, slots: self.slots.iter().enumerate().filter_map(changed).collect() }
    }
}

/// The same on every machine: both ends of the internal API count by it.
fn slot(subject: &Subject) -> usize {
    let hash = digest::digest(&digest::SHA256, subject.to_string().as_bytes());
    match hash.as_ref() {
        [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => SLOTS,
    }
}

const SLOTS: usize = 1 << 16;
/// Later than any place.
const NEVER_YET: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch() -> Epoch {
        Epoch("one".to_owned())
    }

    fn application(name: &str) -> Subject {
        Subject::Application(name.parse().unwrap())
    }

    #[test]
    fn a_record_is_believed_when_nothing_it_rests_on_has_changed_since_it_was_read() {
        let changed = ChangedAt::beginning(epoch());
        changed.raise(&application("a"), Seq(7));
        changed.raise(&Subject::Keys, Seq(9));
        assert!(changed.believes(&[application("a"), application("b")], &epoch(), Seq(7)));
    }

    #[test]
    fn a_record_is_not_believed_when_it_is_older_than_a_change_or_of_another_life_of_the_store() {
        let changed = ChangedAt::beginning(epoch());
        changed.raise(&application("a"), Seq(7));
        assert!(!changed.believes(&[application("b"), application("a")], &epoch(), Seq(6)));
        assert!(!changed.believes(&[application("b")], &Epoch("two".to_owned()), Seq(9)));
    }

    #[test]
    fn nothing_is_believed_before_it_is_known_what_has_changed() {
        assert!(!ChangedAt::default().believes(&[], &epoch(), Seq(u64::MAX - 1)));
    }

    #[test]
    fn what_is_told_to_another_makes_it_judge_alike() {
        let changed = ChangedAt::beginning(epoch());
        changed.raise(&application("a"), Seq(7));
        let told = ChangedAt::default();
        told.replace(&changed.snapshot(Place { epoch: epoch(), applied: Seq(8) }));
        for (as_of, believed) in [(Seq(6), false), (Seq(7), true)] {
            assert_eq!(told.believes(&[application("a")], &epoch(), as_of), believed);
        }
        assert!(told.believes(&[application("z")], &epoch(), Seq(1)));
    }
}
