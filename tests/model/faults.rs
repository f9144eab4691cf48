//! What goes wrong, as steps.

use super::parties::mask;
use super::rules::{Fault, LEASE};
use super::steps::{Next, Step};
use super::world::{Call, Record, Sidecar, Watermark, World};

impl Next<'_> {
    pub(super) fn faults(&mut self) {
        if self.world.faults_left == 0 {
            return;
        }
        for kind in self.bounds.kinds {
            self.fault(*kind);
        }
    }

    fn fault(&mut self, kind: Fault) {
        let newest = self.world.store.newest;
        match kind {
            Fault::Flush => self.wrong(Step::Flush, |world| {
                world.redis.records = Default::default();
                (world.redis.stream, world.redis.watermark) = (0, Watermark::default());
            }),
            Fault::Evict => {
                self.wrong(Step::EvictStream, |world| world.redis.stream = 0);
                for grant in 0..self.bounds.grants {
                    let step = Step::EvictRecord(u8::try_from(grant).unwrap());
                    self.wrong(step, |world| world.redis.records[grant] = Record::default());
                }
            }
            Fault::Failover => {
                for k in 0..=newest {
                    for behind in 0..=LEASE {
                        self.wrong(Step::Failover(k, behind), |world| world.failover(k, behind));
                    }
                }
            }
            Fault::Attack => self.attacks(),
            Fault::RedisClock => self.wrong(Step::RedisClock, |world| world.redis.behind += 1),
            Fault::ControlRestart => self.wrong(Step::ControlRestarts, World::restart_control),
            Fault::SidecarRestart => {
                for s in 0..self.bounds.sidecars {
                    self.wrong(Step::SidecarRestarts(u8::try_from(s).unwrap()), |world| {
                        world.sidecars[s] = Sidecar { leaving: true, ..Sidecar::new() };
                        world.control.presumed_now[s] = false;
                    });
                }
            }
            Fault::PutBack => {
                for k in 0..newest {
                    self.wrong(Step::PutBack(k), |world| world.put_back(k));
                }
            }
            Fault::StoreClock => {
                if !self.rules.seen_to_lapse {
                    self.wrong(Step::StoreClock, |world| world.control.presumed = [0; 2]);
                }
            }
            Fault::ShorterLease => self.wrong(Step::ShorterLease, |world| {
                world.restart_control();
                world.control.short = true;
            }),
        }
    }

    /// Someone who can write Redis, but not sign, puts old values back or takes new ones away.
    fn attacks(&mut self) {
        let world = self.world;
        for k in 0..world.store.newest {
            for grant in 0..self.bounds.grants {
                let old = world.store.record(grant, k);
                self.wrong(Step::OldRecord(u8::try_from(grant).unwrap(), k), |world| {
                    world.redis.records[grant] = old;
                });
            }
            self.wrong(Step::OldWatermark(k), |world| world.redis.watermark = world.watermark_of(k));
            self.wrong(Step::TakeOutOfStream(k + 1), |world| {
                world.redis.stream &= !mask(k + 1) | mask(k);
            });
        }
    }

    fn wrong(&mut self, step: Step, change: impl FnOnce(&mut World)) {
        let mut after = *self.world;
        change(&mut after);
        if after != *self.world {
            after.faults_left -= 1;
            self.push(step, after);
        }
    }
}

impl World {
    /// The newest watermark that can have been signed while `k` was the newest place.
    fn watermark_of(&self, k: u8) -> Watermark {
        let age = if k == self.store.newest { 0 } else { self.store.age[usize::from(k)] };
        let redis = &self.redis;
        Watermark {
            present: true,
            seq: k,
            epoch: self.store.epoch,
            run: redis.run,
            age,
            behind: redis.behind,
        }
    }

    fn failover(&mut self, k: u8, behind: u8) {
        let watermark = self.watermark_of(k);
        let records = [self.store.record(0, k), self.store.record(1, k)];
        let redis = &mut self.redis;
        (redis.watermark, redis.stream, redis.stream_epoch) = (watermark, mask(k), self.store.epoch);
        redis.records = records;
        redis.run += 1;
        redis.behind = behind;
    }

    fn put_back(&mut self, k: u8) {
        self.restart_control();
        self.store.newest = k;
        self.store.epoch += 1;
        for place in usize::from(k)..self.store.log.len() {
            self.store.log[place] = 0;
        }
        self.control.presumed = [0; 2];
        self.control.receipt = [0; 2];
        self.control.put_back = LEASE;
        if self.control.seq > k {
            self.end_call(Call::None);
        }
    }
}
