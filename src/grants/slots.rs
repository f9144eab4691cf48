//! The slot clock: what tells a cached fact that it is too old.
//!
//! Every change strikes the slot of its subject with the next number of one counter; a fact that was read is sealed
//! with the counter's number from *before* the read. The fact may be used as long as no slot that it rests on shows
//! a later number than its seal. A cache alone cannot promise that: a read under way when the change comes would be
//! put into it afterwards. Two subjects may share a slot; that costs a read too many, never a wrong answer. A stream that
//! rests on one of them costs it more: once in some 16,000 changes of others it is cut, and has to be opened anew.

use std::hash::BuildHasher;

use super::sync::{self, AtomicU64, Hashing, Ordering, SLOTS};
use crate::model::change::Subject;

/// The clock. One for a sidecar.
#[derive(Debug)]
pub struct SlotClock {
    counter: AtomicU64,
    flushed: AtomicU64,
    slots: Box<[AtomicU64]>,
    hasher: Hashing,
}

/// What a fact rests on, and when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    slots: [usize; SUBJECTS],
    since: u64,
}

impl Default for SlotClock {
    fn default() -> Self {
        Self {
            counter: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            slots: sync::slots(),
            hasher: Hashing::default(),
        }
    }
}

impl SlotClock {
    /// The number to seal with. Take it before the read begins.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.counter.load(Ordering::SeqCst)
    }

    /// Seals a fact that rests on `subjects` and whose read began at `since`.
    #[must_use]
    pub fn seal(&self, subjects: &[Subject; SUBJECTS], since: u64) -> Seal {
        Seal { slots: subjects.each_ref().map(|subject| self.slot(subject)), since }
    }

    /// Whether nothing that the fact rests on has changed since it was read.
    #[must_use]
    pub fn unchanged(&self, seal: &Seal) -> bool {
        self.struck(&seal.slots) <= seal.since
    }

    /// A subject has changed. Call it once the change can be read.
    pub fn strike(&self, subject: &Subject) {
        let number = self.counter.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(slot) = self.slots.get(self.slot(subject)) {
            slot.fetch_max(number, Ordering::SeqCst);
        }
    }

    /// Anything may have changed: nothing read before now may be used.
    pub fn strike_all(&self) {
        let number = self.counter.fetch_add(1, Ordering::SeqCst) + 1;
        self.flushed.fetch_max(number, Ordering::SeqCst);
    }

    /// The newest strike that concerns these subjects. Two loads of the same facts are the same load only if this
    /// number is.
    #[must_use]
    pub fn generation(&self, subjects: &[Subject; SUBJECTS]) -> u64 {
        self.struck(&subjects.each_ref().map(|subject| self.slot(subject)))
    }

    fn struck(&self, slots: &[usize; SUBJECTS]) -> u64 {
        let flushed = self.flushed.load(Ordering::SeqCst);
        // A slot that is not there counts as struck for ever: closed, though it cannot happen.
        let strike = |slot: &usize| self.slots.get(*slot).map_or(u64::MAX, |at| at.load(Ordering::SeqCst));
        slots.iter().map(strike).fold(flushed, u64::max)
    }

    fn slot(&self, subject: &Subject) -> usize {
        usize::try_from(self.hasher.hash_one(subject)).unwrap_or(0) % SLOTS
    }
}

/// How many subjects a fact rests on: grant, application, principal, and the two together.
pub const SUBJECTS: usize = 4;
