//! What each party does when a step is taken: control, the publisher and the sidecar.

use super::rules::{Age, Bounds, LEASE, Lease, OLD, PRESUMED, PRESUMED_AT_LEAST, Rules, WriteBack};
use super::world::{Call, Fill, Look, Poll, Record, Sidecar, Stage, Watermark, World};

impl World {
    pub(super) fn tick(&mut self) {
        let older = |age: &mut u8| *age = (*age + 1).min(OLD);
        let less = |left: &mut u8| *left = left.saturating_sub(1);
        self.store.age.iter_mut().for_each(older);
        let control = &mut self.control;
        if matches!(control.call, Call::Committed | Call::Waiting) {
            control.waited = (control.waited + 1).min(LEASE + 1);
        }
        control.given.iter_mut().chain(&mut control.presumed).for_each(less);
        less(&mut control.put_back);
        let redis = &mut self.redis;
        older(&mut redis.watermark.age);
        older(&mut redis.publishing.age);
        for sidecar in &mut self.sidecars {
            less(&mut sidecar.lease);
            older(&mut sidecar.polled);
            older(&mut sidecar.looked);
            older(&mut sidecar.poll.age);
            older(&mut sidecar.look.age);
        }
    }

    pub(super) fn end_call(&mut self, call: Call) {
        let control = &mut self.control;
        (control.call, control.waited) = (call, 0);
        (control.waits_for, control.waits_long) = ([false; 2], false);
        if call == Call::None {
            (control.grant, control.seq) = (0, 0);
        }
    }

    // Control.

    pub(super) fn poll(&mut self, s: usize, rules: &Rules) {
        let sidecar = &mut self.sidecars[s];
        let told = if rules.applied_then_told { sidecar.applied } else { sidecar.applied.max(sidecar.heard) };
        let epoch = sidecar.epoch;
        sidecar.poll = Poll { stage: Stage::Arrived, from: told, epoch, ..Poll::default() };
        let ours = !rules.epoch || epoch == self.store.epoch;
        self.control.acked[s] = if ours { told } else { 0 };
        self.control.known[s] = true;
        self.control.given[s] = LEASE;
    }

    pub(super) fn poll_is_useful(&self, s: usize) -> bool {
        let sidecar = &self.sidecars[s];
        sidecar.lease < LEASE
            || sidecar.applied < self.store.newest
            || self.control.acked[s] < sidecar.applied
    }

    pub(super) fn look_is_useful(&self, s: usize) -> bool {
        let (sidecar, watermark) = (&self.sidecars[s], &self.redis.watermark);
        watermark.present && watermark.seq > sidecar.applied
    }

    pub(super) fn presume(&mut self, s: usize, rules: &Rules, then: Stage) {
        let control = &mut self.control;
        let another = rules.leaves_as_itself && !control.presumed_now[s];
        control.long[s] = (control.presumed[s] > 0 && control.long[s]) || !control.short;
        if control.presumed[s] < PRESUMED_AT_LEAST || another {
            control.presumed[s] = PRESUMED;
        }
        control.presumed_now[s] = true;
        self.sidecars[s].poll.stage = then;
    }

    pub(super) fn read_newest(&mut self, s: usize, newest: u8, then: Stage) {
        let poll = &mut self.sidecars[s].poll;
        (poll.newest, poll.epoch, poll.short) = (newest, self.store.epoch, self.control.short);
        poll.stage = then;
    }

    pub(super) fn ask_snapshot(&mut self, s: usize) {
        let (newest, epoch) = (self.store.newest, self.store.epoch);
        self.sidecars[s].poll = Poll { stage: Stage::Snapshot, newest, epoch, ..Poll::default() };
    }

    pub(super) fn leave(&mut self, s: usize, rules: &Rules) {
        self.sidecars[s].leaving = false;
        if !(rules.leaves_as_itself && self.control.presumed_now[s]) {
            self.control.presumed[s] = 0;
        }
    }

    // The publisher.

    pub(super) fn publisher_asks(&mut self) {
        let redis = &mut self.redis;
        let (seq, epoch) = (self.store.newest, self.store.epoch);
        redis.publishing =
            Watermark { present: true, seq, epoch, run: redis.run, age: 0, behind: redis.behind };
    }

    pub(super) fn publisher_writes(&mut self, rules: &Rules) {
        let redis = &mut self.redis;
        let mut watermark = std::mem::take(&mut redis.publishing);
        if !rules.asked_first {
            (watermark.age, watermark.run, watermark.behind) = (0, redis.run, redis.behind);
        }
        if redis.stream_epoch != watermark.epoch {
            (redis.stream, redis.stream_epoch) = (0, watermark.epoch);
        }
        // Redis refuses an entry that is not after the last.
        let last = u8::try_from(u8::BITS - redis.stream.leading_zeros()).unwrap();
        redis.stream |= mask(watermark.seq) & !mask(last);
        redis.watermark = watermark;
    }

    // The sidecar's log.

    /// Applies the log up to `until`: strikes what was changed.
    pub(super) fn apply(&mut self, s: usize, until: u8) {
        while self.sidecars[s].applied < until {
            let place = self.sidecars[s].applied + 1;
            self.apply_one(s, place);
        }
    }

    fn apply_one(&mut self, s: usize, place: u8) {
        let grant = usize::from(self.store.log[usize::from(place) - 1]);
        let sidecar = &mut self.sidecars[s];
        sidecar.applied = sidecar.applied.max(place);
        sidecar.changed_at[grant] = sidecar.changed_at[grant].max(place);
        sidecar.strike(grant);
    }

    pub(super) fn hear(&mut self, s: usize, rules: &Rules, bounds: &Bounds) {
        let poll = std::mem::take(&mut self.sidecars[s].poll);
        let sidecar = &mut self.sidecars[s];
        if rules.epoch && poll.epoch != sidecar.epoch {
            let was = std::mem::replace(sidecar, Sidecar::new());
            (sidecar.epoch, sidecar.seen, sidecar.leaving) = (was.epoch, was.seen, was.leaving);
            return;
        }
        if poll.newest.saturating_sub(sidecar.applied) > bounds.span {
            if rules.gap_in_answer {
                sidecar.synced = false;
                return;
            }
            sidecar.applied = poll.newest;
        }
        if !rules.applied_then_told && poll.newest > sidecar.applied {
            sidecar.heard = poll.newest;
            return;
        }
        if rules.applied_then_renewed {
            self.apply(s, poll.newest);
        } else if poll.newest > sidecar.applied {
            sidecar.heard = poll.newest;
        }
        let sidecar = &mut self.sidecars[s];
        (sidecar.short, sidecar.polled) = (poll.short, poll.age);
        let since = if rules.lease == Lease::FromReceiving { 0 } else { poll.age };
        sidecar.lease = sidecar.lease.max(sidecar.length().saturating_sub(since));
    }

    pub(super) fn hear_snapshot(&mut self, s: usize) {
        let poll = std::mem::take(&mut self.sidecars[s].poll);
        if poll.epoch != self.store.epoch {
            return;
        }
        let sidecar = &mut self.sidecars[s];
        if sidecar.epoch != poll.epoch {
            (sidecar.applied, sidecar.changed_at, sidecar.seen) = (0, [0; 2], [0; 2]);
            sidecar.epoch = poll.epoch;
        }
        for grant in 0..2 {
            let changed_at = self.store.changed_at(grant, poll.newest);
            sidecar.changed_at[grant] = sidecar.changed_at[grant].max(changed_at);
        }
        sidecar.applied = sidecar.applied.max(poll.newest);
        sidecar.synced = true;
        sidecar.strike_all();
    }

    pub(super) fn look(&mut self, s: usize) {
        let redis = &self.redis;
        self.sidecars[s].look = Look {
            asked: true,
            age: 0,
            behind: redis.behind,
            run: redis.run,
            watermark: redis.watermark,
            stream: redis.stream,
            stream_epoch: redis.stream_epoch,
        };
    }

    pub(super) fn hear_look(&mut self, s: usize, rules: &Rules, keep: bool) {
        let look = std::mem::take(&mut self.sidecars[s].look);
        let ours = |epoch: u8, sidecar: &Sidecar| !rules.epoch || epoch == sidecar.epoch;
        if !self.sidecars[s].synced {
            return;
        }
        if ours(look.stream_epoch, &self.sidecars[s]) {
            for place in 1..=self.store.newest {
                let next = place == self.sidecars[s].applied + 1;
                let held = look.stream & mask(place) & !mask(place - 1) != 0;
                if held && (next || (!rules.gap_in_redis && place > self.sidecars[s].applied)) {
                    self.apply_one(s, place);
                }
            }
        }
        let watermark = look.watermark;
        let sidecar = &mut self.sidecars[s];
        let counts = watermark.present
            && ours(watermark.epoch, sidecar)
            && (!rules.run || watermark.run == look.run)
            && watermark.age + watermark.behind >= look.behind;
        if counts && !rules.gap_in_redis {
            sidecar.applied = sidecar.applied.max(watermark.seq);
        }
        if counts && (sidecar.applied >= watermark.seq || !rules.whole_watermark) {
            sidecar.renew_by_redis(&look, rules);
        }
        if keep {
            (sidecar.looked, sidecar.looked_behind, sidecar.looked_run) = (look.age, look.behind, look.run);
        }
    }

    // The sidecar's facts.

    pub(super) fn fill(&mut self, s: usize, grant: u8, record: Record) {
        self.sidecars[s].fill = Fill { stage: 1, grant, record, struck: false };
    }

    pub(super) fn judge(&mut self, s: usize, rules: &Rules) {
        let sidecar = &mut self.sidecars[s];
        let record = sidecar.fill.record;
        let ours = !rules.epoch || record.epoch == sidecar.epoch;
        let new_enough = !rules.judge || record.as_of >= sidecar.changed_at[usize::from(sidecar.fill.grant)];
        if ours && new_enough {
            sidecar.fill.stage = 2;
        } else {
            sidecar.fill = Fill::default();
        }
    }

    pub(super) fn insert(&mut self, s: usize, rules: &Rules) {
        let sidecar = &mut self.sidecars[s];
        let Fill { stage, grant, record, struck } = std::mem::take(&mut sidecar.fill);
        let grant = usize::from(grant);
        if stage < 2 || (struck && rules.guard) || !sidecar.synced {
            return;
        }
        self.went_back |= record.revision < sidecar.seen[grant];
        sidecar.seen[grant] = sidecar.seen[grant].max(record.revision);
        if rules.floor {
            sidecar.changed_at[grant] = sidecar.changed_at[grant].max(record.as_of);
        }
        sidecar.cache[grant] = if record.revision % 2 == 1 { record.revision } else { 0 };
    }

    pub(super) fn write_back(&mut self, s: usize, rules: &Rules) {
        let sidecar = &self.sidecars[s];
        let Fill { grant, record, .. } = sidecar.fill;
        let there = &mut self.redis.records[usize::from(grant)];
        if rules.write_back == WriteBack::Blind || record.revision > there.revision {
            *there = Record { as_of: sidecar.applied, ..record };
        }
    }

    pub(super) fn restart_control(&mut self) {
        let control = &mut self.control;
        (control.acked, control.known, control.given) = ([0; 2], [false; 2], [0; 2]);
        self.redis.publishing = Watermark::default();
        for sidecar in &mut self.sidecars {
            if matches!(sidecar.poll.stage, Stage::Arrived | Stage::Half) {
                sidecar.poll = Poll::default();
            }
        }
        if self.control.call != Call::None {
            let (grant, seq) = (self.control.grant, self.control.seq);
            self.end_call(Call::Lost);
            (self.control.grant, self.control.seq) = (grant, seq);
        }
    }
}

impl Sidecar {
    fn renew_by_redis(&mut self, look: &Look, rules: &Rules) {
        let watermark = &look.watermark;
        let asked_at = watermark.age + watermark.behind;
        let sent = if rules.lease == Lease::FromReceiving { 0 } else { look.age };
        let gone = match rules.age {
            Age::Ignored => sent,
            Age::ByRedis => sent + asked_at - look.behind,
            Age::ByOwnClock => {
                let before = self.looked < OLD
                    && self.looked_run == watermark.run
                    && asked_at + look.age < self.looked + self.looked_behind;
                if before { self.looked } else { OLD }
            }
        };
        let mut left = self.length().saturating_sub(gone);
        if rules.capped {
            left = left.min(PRESUMED_AT_LEAST.saturating_sub(self.polled));
        }
        self.lease = self.lease.max(left);
    }
}

/// A bit for each place up to `seq`.
pub(super) fn mask(seq: u8) -> u8 {
    u8::try_from((1_u16 << seq) - 1).unwrap()
}
