//! What can happen next: every step of every party, and every fault that the bounds allow.

use super::rules::{Bounds, Lease, Presume, Rules, WriteBack};
use super::world::{Call, Stage, World};

/// One thing that happens. `s` is a sidecar, `g` a grant, `k` a place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Tick,
    Revoke(u8),
    Authorize(u8),
    ReadWhoHasALease,
    Receipt,
    RevokeAgain,
    Poll(u8),
    Presume(u8),
    ReadNewest(u8),
    RememberNewest(u8),
    Hear(u8),
    LosePoll(u8),
    AskSnapshot(u8),
    HearSnapshot(u8),
    Strike(u8),
    PublisherAsks,
    PublisherWrites,
    WriteRecord(u8),
    WriteRecordOfFactsBefore(u8),
    Look(u8),
    HearLook(u8),
    HearLookAndKeepItsTime(u8),
    LoseLook(u8),
    FillFromOrigin(u8, u8),
    FillFromRedis(u8, u8),
    Judge(u8),
    Insert(u8),
    WriteBack(u8),
    LeaveArrives(u8),
    Flush,
    EvictRecord(u8),
    EvictStream,
    /// To a copy as of `k`, with a clock that is so far behind.
    Failover(u8, u8),
    OldRecord(u8, u8),
    OldWatermark(u8),
    TakeOutOfStream(u8),
    RedisClock,
    ControlRestarts,
    SidecarRestarts(u8),
    PutBack(u8),
    StoreClock,
    ShorterLease,
}

/// Every state that can come after `world`.
pub(crate) fn successors(world: &World, rules: &Rules, bounds: &Bounds, into: &mut Vec<(Step, World)>) {
    into.clear();
    let mut next = Next { world, rules, bounds, into };
    next.control();
    for s in 0..bounds.sidecars {
        next.questions(s);
        next.looks(s);
        next.fills(s);
    }
    if bounds.redis {
        next.publisher();
    }
    next.faults();
    if !bounds.prompt || next.into.is_empty() {
        next.add(Step::Tick, World::tick);
    }
    next.changes();
}

/// The states after one, as they are found.
pub(super) struct Next<'a> {
    pub(super) world: &'a World,
    pub(super) rules: &'a Rules,
    pub(super) bounds: &'a Bounds,
    pub(super) into: &'a mut Vec<(Step, World)>,
}

impl Next<'_> {
    pub(super) fn add(&mut self, step: Step, change: impl FnOnce(&mut World)) {
        let mut world = *self.world;
        change(&mut world);
        self.push(step, world);
    }

    pub(super) fn push(&mut self, step: Step, mut world: World) {
        world.forget_what_nobody_asks(self.rules, self.bounds);
        // Who asks whether nothing else can be done must not be told of steps that change nothing.
        if !self.bounds.prompt || world != *self.world {
            self.into.push((step, world));
        }
    }

    fn changes(&mut self) {
        let world = self.world;
        if world.changes_left == 0 {
            return;
        }
        // Until the first change one grant is as the other.
        let grants = if world.store.newest == 0 && world.store.epoch == 0 { 1 } else { self.bounds.grants };
        for grant in 0..grants {
            let g = u8::try_from(grant).unwrap();
            if world.store.revision(grant, world.store.newest).is_multiple_of(2) {
                self.add(Step::Authorize(g), |world| {
                    world.changes_left -= 1;
                    world.store.commit(grant);
                });
            } else if world.control.call == Call::None {
                let waited = u8::from(!self.rules.counted_after_commit);
                self.add(Step::Revoke(g), |world| {
                    world.changes_left -= 1;
                    world.store.commit(grant);
                    let control = &mut world.control;
                    (control.call, control.grant, control.seq) = (Call::Committed, g, world.store.newest);
                    control.waited = waited;
                });
            }
        }
    }

    fn control(&mut self) {
        let rules = self.rules;
        match self.world.control.call {
            Call::None => {}
            Call::Committed => self.add(Step::ReadWhoHasALease, |world| {
                let control = &mut world.control;
                control.call = Call::Waiting;
                control.waits_for =
                    if rules.durable { control.presumed.map(|left| left > 0) } else { control.known };
                control.waits_long = (0..2).any(|s| control.waits_for[s] && control.long[s]);
            }),
            Call::Waiting => {
                if self.world.receipt_is_due(rules) {
                    self.add(Step::Receipt, |world| {
                        let grant = usize::from(world.control.grant);
                        world.control.receipt[grant] = world.store.revision(grant, world.control.seq);
                        world.end_call(Call::None);
                    });
                }
            }
            Call::Lost => self.add(Step::RevokeAgain, |world| {
                world.control.call = Call::Committed;
                world.control.waited = 0;
            }),
        }
    }

    /// A sidecar's questions to control, and their answers.
    fn questions(&mut self, s: usize) {
        let (rules, bounds) = (self.rules, self.bounds);
        let (sidecar, name) = (&self.world.sidecars[s], u8::try_from(s).unwrap());
        match sidecar.poll.stage {
            Stage::None if !sidecar.synced => {
                self.add(Step::AskSnapshot(name), |world| world.ask_snapshot(s))
            }
            Stage::None => {
                if !bounds.prompt || self.world.poll_is_useful(s) {
                    self.add(Step::Poll(name), |world| {
                        world.poll(s, rules);
                        if bounds.coarse && rules.presume == Presume::BeforeNewest {
                            world.presume(s, rules, Stage::Half);
                        }
                    });
                }
            }
            Stage::Arrived if rules.presume == Presume::BeforeNewest => {
                self.add(Step::Presume(name), |world| world.presume(s, rules, Stage::Half));
            }
            Stage::Half if rules.presume == Presume::AfterNewest => {
                self.add(Step::Presume(name), |world| world.presume(s, rules, Stage::Answered));
            }
            Stage::Arrived | Stage::Half => self.newest(s),
            Stage::Answered => {
                self.add(Step::Hear(name), |world| world.hear(s, rules, bounds));
                if rules.presume == Presume::AfterAnswer {
                    self.add(Step::Presume(name), |world| world.presume(s, rules, Stage::Answered));
                }
            }
            Stage::Snapshot => self.add(Step::HearSnapshot(name), |world| world.hear_snapshot(s)),
        }
        let lost = if bounds.coarse {
            sidecar.poll.stage == Stage::Answered
        } else {
            sidecar.poll.stage != Stage::None
        };
        if lost && !bounds.prompt {
            self.add(Step::LosePoll(name), |world| world.sidecars[s].poll = Default::default());
        }
        if sidecar.heard > 0 {
            self.add(Step::Strike(name), |world| {
                let heard = std::mem::take(&mut world.sidecars[s].heard);
                world.apply(s, heard);
            });
        }
        if sidecar.leaving {
            self.add(Step::LeaveArrives(name), |world| world.leave(s, rules));
        }
    }

    /// A sidecar's questions to Redis, and their answers.
    fn looks(&mut self, s: usize) {
        let (rules, bounds) = (self.rules, self.bounds);
        let (sidecar, name) = (&self.world.sidecars[s], u8::try_from(s).unwrap());
        if bounds.redis && sidecar.look.asked {
            self.add(Step::HearLook(name), |world| world.hear_look(s, rules, false));
            self.add(Step::HearLookAndKeepItsTime(name), |world| world.hear_look(s, rules, true));
            if !bounds.prompt {
                self.add(Step::LoseLook(name), |world| world.sidecars[s].look = Default::default());
            }
        } else if bounds.redis && sidecar.synced && (!bounds.prompt || self.world.look_is_useful(s)) {
            if bounds.near_redis && rules.lease == Lease::FromSending {
                for (step, keep) in
                    [(Step::HearLook(name), false), (Step::HearLookAndKeepItsTime(name), true)]
                {
                    self.add(step, |world| {
                        world.look(s);
                        world.hear_look(s, rules, keep);
                    });
                }
            } else {
                self.add(Step::Look(name), |world| world.look(s));
            }
        }
    }

    fn newest(&mut self, s: usize) {
        let name = u8::try_from(s).unwrap();
        let then = match (self.rules.presume, self.world.sidecars[s].poll.stage) {
            (Presume::AfterNewest, Stage::Arrived) => Stage::Half,
            _ => Stage::Answered,
        };
        let newest = self.world.store.newest;
        self.add(Step::ReadNewest(name), |world| world.read_newest(s, newest, then));
        if !self.rules.newest_is_read && newest > self.world.sidecars[s].poll.from {
            self.add(Step::RememberNewest(name), |world| world.read_newest(s, newest - 1, then));
        }
    }

    fn fills(&mut self, s: usize) {
        let (rules, world) = (self.rules, self.world);
        let (sidecar, name) = (&world.sidecars[s], u8::try_from(s).unwrap());
        match sidecar.fill.stage {
            0 if sidecar.synced => {
                for grant in 0..self.bounds.grants {
                    let g = u8::try_from(grant).unwrap();
                    let origin = world.store.record(grant, world.store.newest);
                    if sidecar.cache[grant] != origin.revision {
                        self.add(Step::FillFromOrigin(name, g), |world| world.fill(s, g, origin));
                    }
                    let record = world.redis.records[grant];
                    if record.revision > 0 && record != origin && sidecar.cache[grant] != record.revision {
                        self.add(Step::FillFromRedis(name, g), |world| world.fill(s, g, record));
                    }
                }
            }
            1 if self.bounds.coarse => self.add(Step::Insert(name), |world| {
                world.judge(s, rules);
                world.insert(s, rules);
            }),
            1 => self.add(Step::Judge(name), |world| world.judge(s, rules)),
            2 => self.add(Step::Insert(name), |world| world.insert(s, rules)),
            _ => {}
        }
        if rules.write_back != WriteBack::Never && sidecar.fill.stage > 0 {
            self.add(Step::WriteBack(name), |world| world.write_back(s, rules));
        }
    }

    fn publisher(&mut self) {
        let (rules, world) = (self.rules, self.world);
        if world.redis.publishing.present {
            self.add(Step::PublisherWrites, |world| world.publisher_writes(rules));
        } else if !self.bounds.prompt
            || world.redis.watermark.seq < world.store.newest
            || world.redis.watermark.age > 0
        {
            let near = self.bounds.near_redis && rules.asked_first;
            self.add(Step::PublisherAsks, |world| {
                world.publisher_asks();
                if near {
                    world.publisher_writes(rules);
                }
            });
        }
        for grant in 0..self.bounds.grants {
            let (g, newest) = (u8::try_from(grant).unwrap(), world.store.newest);
            let record = world.store.record(grant, newest);
            self.add(Step::WriteRecord(g), |world| world.redis.records[grant] = record);
            if !rules.as_of_first && newest > 0 {
                let mut record = record;
                record.revision = world.store.revision(grant, newest - 1);
                self.add(Step::WriteRecordOfFactsBefore(g), |world| world.redis.records[grant] = record);
            }
        }
    }
}
