//! One state of everything: the store, control, Redis, the sidecars, and what is under way between them.
//!
//! Times are ages and remainders, never dates, so that time itself is not bounded. A grant's revision is odd when it
//! is active and even when it is revoked.

use super::rules::{Bounds, LEASE, Lease, OLD, PLACES, PRESUMED, Receipt, Rules, SHORT_LEASE};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) control: Control,
    pub(crate) redis: Redis,
    pub(crate) sidecars: [Sidecar; 2],
    pub(crate) changes_left: u8,
    pub(crate) faults_left: u8,
    /// Set by a step that cannot be shown by the state after it.
    pub(crate) went_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Store {
    pub(crate) epoch: u8,
    pub(crate) newest: u8,
    /// Which grant each change was of.
    pub(crate) log: [u8; PLACES],
    /// How long ago it was committed.
    pub(crate) age: [u8; PLACES],
}

/// The revocation under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Call {
    #[default]
    None,
    /// Committed; who may have a lease has not been read yet.
    Committed,
    Waiting,
    /// The node that answered it is gone; the administrator asks again.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Control {
    pub(crate) call: Call,
    pub(crate) grant: u8,
    pub(crate) seq: u8,
    /// How long ago the wait began.
    pub(crate) waited: u8,
    pub(crate) waits_for: [bool; 2],
    /// One of them may have a lease of the longer kind.
    pub(crate) waits_long: bool,
    /// How far each sidecar has said that it is.
    pub(crate) acked: [u8; 2],
    /// Whether this node has heard of it.
    pub(crate) known: [bool; 2],
    /// What its own polls have given it, as this node knows.
    pub(crate) given: [u8; 2],
    /// In the store: how much longer it is presumed to have a lease.
    pub(crate) presumed: [u8; 2],
    /// In the store: the presumption is of the process that runs now.
    pub(crate) presumed_now: [bool; 2],
    /// In the store: it may have a lease of the longer kind.
    pub(crate) long: [bool; 2],
    pub(crate) short: bool,
    /// For so long nobody can say who has a lease: the store was put back.
    pub(crate) put_back: u8,
    /// The revision that each grant's last receipt was for.
    pub(crate) receipt: [u8; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Watermark {
    pub(crate) present: bool,
    pub(crate) seq: u8,
    pub(crate) epoch: u8,
    pub(crate) run: u8,
    pub(crate) age: u8,
    /// How far behind the clock was that `asked_at` was read from.
    pub(crate) behind: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Record {
    /// 0: there is none.
    pub(crate) revision: u8,
    pub(crate) as_of: u8,
    pub(crate) epoch: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Redis {
    pub(crate) run: u8,
    /// How far its clock is behind.
    pub(crate) behind: u8,
    pub(crate) watermark: Watermark,
    /// A bit for each place that the stream holds.
    pub(crate) stream: u8,
    pub(crate) stream_epoch: u8,
    pub(crate) records: [Record; 2],
    /// What the publisher has asked and not yet written.
    pub(crate) publishing: Watermark,
}

/// A question to control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Stage {
    #[default]
    None,
    Arrived,
    /// One of the two was done: the presumption written, or the newest place read.
    Half,
    /// The answer is on its way.
    Answered,
    /// The answer to a question for a snapshot is on its way.
    Snapshot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Poll {
    pub(crate) stage: Stage,
    pub(crate) age: u8,
    pub(crate) from: u8,
    pub(crate) newest: u8,
    pub(crate) epoch: u8,
    pub(crate) short: bool,
}

/// A question to Redis whose answer is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Look {
    pub(crate) asked: bool,
    pub(crate) age: u8,
    pub(crate) behind: u8,
    pub(crate) run: u8,
    pub(crate) watermark: Watermark,
    pub(crate) stream: u8,
    pub(crate) stream_epoch: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Fill {
    /// 0: none; 1: read; 2: judged.
    pub(crate) stage: u8,
    pub(crate) grant: u8,
    pub(crate) record: Record,
    /// Its subject was struck since it began.
    pub(crate) struck: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Sidecar {
    /// It has its snapshot of what changed when.
    pub(crate) synced: bool,
    pub(crate) epoch: u8,
    pub(crate) applied: u8,
    /// Only in mutants: heard, told or renewed by, and not yet applied.
    pub(crate) heard: u8,
    pub(crate) changed_at: [u8; 2],
    pub(crate) lease: u8,
    pub(crate) short: bool,
    /// How long ago the last answered poll was sent.
    pub(crate) polled: u8,
    /// Its last question to Redis of which it keeps the time: how long ago, and how far behind TIME was.
    pub(crate) looked: u8,
    pub(crate) looked_behind: u8,
    pub(crate) looked_run: u8,
    pub(crate) cache: [u8; 2],
    /// The highest revision of each grant that it has used.
    pub(crate) seen: [u8; 2],
    pub(crate) fill: Fill,
    pub(crate) poll: Poll,
    pub(crate) look: Look,
    /// The word that the process before this one has left is on its way.
    pub(crate) leaving: bool,
}

impl World {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        let mut world = Self { changes_left: bounds.changes, faults_left: bounds.faults, ..Self::default() };
        world.store.age = [OLD; PLACES];
        for sidecar in &mut world.sidecars {
            *sidecar = Sidecar::new();
        }
        if bounds.warm {
            for s in 0..bounds.sidecars {
                let sidecar = &mut world.sidecars[s];
                (sidecar.synced, sidecar.lease, sidecar.polled) = (true, LEASE, 0);
                (sidecar.cache, sidecar.seen) = ([1; 2], [1; 2]);
                (world.control.presumed[s], world.control.presumed_now[s]) = (PRESUMED, true);
                world.control.long[s] = true;
            }
        }
        world
    }

    /// What is wrong with this state, of the properties whose names begin so.
    pub(crate) fn breaks(&self, property: &str, rules: &Rules) -> Option<&'static str> {
        let wrong = [self.allows_after_the_receipt(rules), self.waits_too_long(rules), self.goes_back()];
        wrong.into_iter().flatten().find(|wrong| wrong.starts_with(property))
    }

    fn allows_after_the_receipt(&self, rules: &Rules) -> Option<&'static str> {
        let allows = |sidecar: &Sidecar, grant: usize| {
            let (receipt, revision) = (self.control.receipt[grant], sidecar.cache[grant]);
            let older = revision < receipt || sidecar.epoch < self.store.epoch;
            receipt > 0 && revision % 2 == 1 && older && sidecar.holds(rules)
        };
        let any = self.sidecars.iter().any(|sidecar| (0..2).any(|grant| allows(sidecar, grant)));
        any.then_some("R1: allowed after the receipt")
    }

    fn waits_too_long(&self, rules: &Rules) -> Option<&'static str> {
        let long = self.control.call == Call::Waiting && self.control.waited > LEASE;
        (long && !self.receipt_is_due(rules)).then_some("R2: no receipt though a lease and a tick are over")
    }

    fn goes_back(&self) -> Option<&'static str> {
        self.went_back.then_some("R4: an older revision used after a newer one")
    }

    /// Whether the revocation that waits may answer.
    pub(crate) fn receipt_is_due(&self, rules: &Rules) -> bool {
        let control = &self.control;
        let over = control.waited >= self.patience(rules);
        if rules.wait_when_put_back && control.put_back > 0 && !over {
            return false;
        }
        (0..2).filter(|s| control.waits_for[*s]).all(|s| {
            let acked = control.acked[s] >= control.seq;
            match rules.receipt {
                Receipt::AtOnce => true,
                Receipt::Acknowledged => acked,
                Receipt::AcknowledgedOrLeaseOver => acked || over,
                Receipt::AcknowledgedOrKnownLeaseOver => acked || over || control.given[s] == 0,
            }
        })
    }

    fn patience(&self, rules: &Rules) -> u8 {
        let control = &self.control;
        let long = rules.longest_lease && (control.waits_long || control.put_back > 0);
        if long || !control.short { LEASE } else { SHORT_LEASE }
    }
}

impl Store {
    /// A grant's revision after the change at `seq`.
    pub(crate) fn revision(&self, grant: usize, seq: u8) -> u8 {
        let changes = self.log.iter().take(usize::from(seq)).filter(|of| usize::from(**of) == grant).count();
        1 + u8::try_from(changes).unwrap()
    }

    /// When a grant was last changed, up to `seq`.
    pub(crate) fn changed_at(&self, grant: usize, seq: u8) -> u8 {
        (1..=seq).rev().find(|place| usize::from(self.log[usize::from(*place) - 1]) == grant).unwrap_or(0)
    }

    pub(crate) fn record(&self, grant: usize, seq: u8) -> Record {
        Record { revision: self.revision(grant, seq), as_of: seq, epoch: self.epoch }
    }

    pub(crate) fn commit(&mut self, grant: usize) {
        let place = usize::from(self.newest);
        self.log[place] = u8::try_from(grant).unwrap();
        self.age[place] = 0;
        self.newest += 1;
    }
}

impl Sidecar {
    pub(crate) fn new() -> Self {
        Self { polled: OLD, looked: OLD, ..Self::default() }
    }

    pub(crate) fn holds(&self, rules: &Rules) -> bool {
        self.lease > 0 || (rules.lease == Lease::None && self.synced)
    }

    pub(crate) fn length(&self) -> u8 {
        if self.short { SHORT_LEASE } else { LEASE }
    }

    pub(crate) fn strike(&mut self, grant: usize) {
        self.cache[grant] = 0;
        if self.fill.stage > 0 && usize::from(self.fill.grant) == grant {
            self.fill.struck = true;
        }
    }

    pub(crate) fn strike_all(&mut self) {
        for grant in 0..2 {
            self.strike(grant);
        }
    }
}
