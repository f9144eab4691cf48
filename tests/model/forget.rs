//! States that differ only in what nobody will ever ask are one state.

use super::rules::{Age, Bounds, Fault, LEASE, OLD, PRESUMED_AT_LEAST, Receipt, Rules};
use super::world::{Call, Look, Poll, Sidecar, Stage, Watermark, World};

impl World {
    pub(super) fn forget_what_nobody_asks(&mut self, rules: &Rules, bounds: &Bounds) {
        let wrong = |kind: Fault| bounds.kinds.contains(&kind);
        // Only who brings old values back asks how old they are.
        if !(self.faults_left > 0 && (wrong(Fault::Attack) || wrong(Fault::Failover))) {
            self.store.age = [OLD; 4];
        }
        let control = &mut self.control;
        if rules.receipt != Receipt::AcknowledgedOrKnownLeaseOver {
            control.given = [0; 2];
        }
        if rules.durable {
            control.known = [false; 2];
        }
        if !wrong(Fault::SidecarRestart) {
            control.presumed_now = [false; 2];
        }
        if !wrong(Fault::ShorterLease) {
            control.long = [true; 2];
        }
        let oldest = if wrong(Fault::RedisClock) || wrong(Fault::Failover) { OLD } else { LEASE };
        // Who will never call again does not ask who has a lease, nor who has heard.
        let again = wrong(Fault::ControlRestart) || wrong(Fault::PutBack) || wrong(Fault::ShorterLease);
        let again = self.changes_left > 0 || (self.faults_left > 0 && again);
        if !again && matches!(control.call, Call::None | Call::Waiting) {
            (control.presumed, control.presumed_now, control.long) = ([0; 2], [false; 2], [true; 2]);
            if control.call == Call::None {
                (control.acked, control.known, control.given) = ([0; 2], [false; 2], [0; 2]);
            }
        }
        for watermark in [&mut self.redis.watermark, &mut self.redis.publishing] {
            forget_in(watermark, oldest);
        }
        for s in 0..2 {
            self.sidecars[s].forget(rules, bounds, oldest);
        }
        if bounds.sidecars == 2 && self.sidecars[1].order() < self.sidecars[0].order() {
            self.sidecars.swap(0, 1);
            let control = &mut self.control;
            control.waits_for.swap(0, 1);
            control.acked.swap(0, 1);
            control.known.swap(0, 1);
            control.given.swap(0, 1);
            control.presumed.swap(0, 1);
            control.presumed_now.swap(0, 1);
            control.long.swap(0, 1);
        }
    }
}

impl Sidecar {
    fn forget(&mut self, rules: &Rules, bounds: &Bounds, oldest: u8) {
        self.polled = if bounds.redis && rules.capped { self.polled.min(PRESUMED_AT_LEAST) } else { OLD };
        if !bounds.redis || rules.age != Age::ByOwnClock || self.looked >= LEASE {
            (self.looked, self.looked_behind, self.looked_run) = (OLD, 0, 0);
        }
        if self.poll.stage == Stage::None {
            self.poll = Poll::default();
        }
        let redis = bounds.redis && rules.capped;
        self.poll.age = self.poll.age.min(if redis { PRESUMED_AT_LEAST } else { LEASE });
        // A question has a deadline.
        if bounds.coarse && self.poll.age >= LEASE {
            self.poll = Poll::default();
        }
        if rules.newest_is_read {
            self.poll.from = 0;
        }
        if !self.look.asked {
            self.look = Look::default();
        }
        self.look.age = self.look.age.min(LEASE);
        forget_in(&mut self.look.watermark, oldest);
    }

    fn order(&self) -> (u8, [u8; 2], u8, u8, u8, u8, bool, u8) {
        let fill = self.fill.stage * 16 + self.fill.grant * 8 + self.fill.record.as_of;
        (
            self.applied,
            self.cache,
            self.lease,
            fill,
            self.poll.age,
            self.poll.newest,
            self.synced,
            self.looked,
        )
    }
}

fn forget_in(watermark: &mut Watermark, oldest: u8) {
    watermark.age = watermark.age.min(oldest);
    if !watermark.present {
        *watermark = Watermark::default();
    }
}
