//! The rules of the protocol, each of which can be broken alone, and the bounds within which a case is searched.

/// What control, publisher and sidecar do. `Rules::kept()` is the protocol; a mutant breaks one of its rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// A fact that was being read when its subject was struck is not used.
    pub(crate) guard: bool,
    /// A record counts only if it is as new as the last change of its subject that was heard of.
    pub(crate) judge: bool,
    /// What is of another epoch counts for nothing, on either side.
    pub(crate) epoch: bool,
    /// A watermark counts only from the very server that its `asked_at` was read from.
    pub(crate) run: bool,
    /// What the stream in Redis lacks is a gap, and nothing after a gap is applied.
    pub(crate) gap_in_redis: bool,
    /// An answer that cannot hold all changes leads to a snapshot.
    pub(crate) gap_in_answer: bool,
    /// The log is applied up to the watermark before the watermark renews the lease.
    pub(crate) whole_watermark: bool,
    /// Redis prolongs a lease no longer than control presumes that there is one.
    pub(crate) capped: bool,
    /// Every fact that was used raises what older records are judged by.
    pub(crate) floor: bool,
    pub(crate) lease: Lease,
    pub(crate) age: Age,
    /// `asked_at` is read before the newest place of the log.
    pub(crate) asked_first: bool,
    /// The next poll says what was applied, not what was heard.
    pub(crate) applied_then_told: bool,
    /// The lease is renewed by what was applied, not by what was heard.
    pub(crate) applied_then_renewed: bool,
    pub(crate) presume: Presume,
    pub(crate) receipt: Receipt,
    /// Who may have a lease is read from the store, not from the memory of a node.
    pub(crate) durable: bool,
    /// The wait is counted from after the commit.
    pub(crate) counted_after_commit: bool,
    /// An answer's newest place is read from the store, not remembered.
    pub(crate) newest_is_read: bool,
    /// A record's `as_of` is read before its facts.
    pub(crate) as_of_first: bool,
    pub(crate) write_back: WriteBack,
    /// Who leaves takes back its own presumption only, not that of the process that came after it.
    pub(crate) leaves_as_itself: bool,
    /// The wait is as long as the longest lease that was given out, not as the setting is now.
    pub(crate) longest_lease: bool,
    /// A presumption lapses when a node has seen it lapse on its own clock, not by the store's time of day.
    pub(crate) seen_to_lapse: bool,
    /// For the length of a lease after a store was put back, every receipt waits its whole time.
    pub(crate) wait_when_put_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lease {
    None,
    FromSending,
    FromReceiving,
}

/// How old a watermark is taken to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// As new as the question that found it.
    Ignored,
    /// By Redis's clock: TIME - `asked_at` is taken from the lease.
    ByRedis,
    /// By the sidecar's own clock: as old as its own last question whose TIME was before `asked_at`.
    ByOwnClock,
}

/// When it is written down that a sidecar may have a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presume {
    BeforeNewest,
    AfterNewest,
    AfterAnswer,
}

/// When a revocation answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    AtOnce,
    Acknowledged,
    AcknowledgedOrLeaseOver,
    /// As before; and over is also the lease that the sidecar's own last poll gave it.
    AcknowledgedOrKnownLeaseOver,
}

/// Whether a sidecar puts what it has read into Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteBack {
    Never,
    Blind,
    WhenNewer,
}

impl Rules {
    /// The protocol.
    pub(crate) const fn kept() -> Self {
        Self {
            guard: true,
            judge: true,
            epoch: true,
            run: true,
            gap_in_redis: true,
            gap_in_answer: true,
            whole_watermark: true,
            capped: true,
            floor: true,
            lease: Lease::FromSending,
            age: Age::ByOwnClock,
            asked_first: true,
            applied_then_told: true,
            applied_then_renewed: true,
            presume: Presume::BeforeNewest,
            receipt: Receipt::AcknowledgedOrLeaseOver,
            durable: true,
            counted_after_commit: true,
            newest_is_read: true,
            as_of_first: true,
            write_back: WriteBack::Never,
            leaves_as_itself: true,
            longest_lease: true,
            seen_to_lapse: true,
            wait_when_put_back: true,
        }
    }
}

/// How far a case goes. Time is not bounded: only how much changes and how much goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) sidecars: usize,
    pub(crate) grants: usize,
    /// Revocations and authorizations in all.
    pub(crate) changes: u8,
    /// Faults in all, of these kinds. Delay, loss and reordering of messages are no faults: they are always there.
    pub(crate) faults: u8,
    pub(crate) kinds: &'static [Fault],
    /// Whether there is a Redis.
    pub(crate) redis: bool,
    /// So many changes fit into one answer.
    pub(crate) span: u8,
    /// Time passes only when nothing else can be done: no message is lost, and none is late.
    pub(crate) prompt: bool,
    /// Steps of one party that nobody else can tell apart are one step.
    pub(crate) coarse: bool,
    /// What goes to Redis or comes from it arrives at once.
    pub(crate) near_redis: bool,
    /// It begins with every sidecar having its lease and every grant; else with sidecars that have just started.
    pub(crate) warm: bool,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Redis loses everything and goes on as the same process.
    Flush,
    /// Redis evicts a record, or the stream.
    Evict,
    /// Another server takes over, with an older copy and a clock of its own.
    Failover,
    /// Someone writes old signed values back into Redis, or takes an entry out of the stream.
    Attack,
    /// Redis's host stands still, or its clock is put back, by a tick.
    RedisClock,
    /// The control node restarts: its memory is gone.
    ControlRestart,
    /// The sidecar restarts; its word that it leaves is on the way.
    SidecarRestart,
    /// The store is put back to an older copy, under a new epoch.
    PutBack,
    /// The store's time of day jumps forward.
    StoreClock,
    /// The control node restarts with a shorter lease in its settings.
    ShorterLease,
}

/// A lease, in ticks.
pub(crate) const LEASE: u8 = 2;
/// A lease as a control node with the shorter setting gives it.
pub(crate) const SHORT_LEASE: u8 = 1;
/// A presumption is written for so long …
pub(crate) const PRESUMED: u8 = 3 * LEASE;
/// … and written anew when less than this remains; hence Redis may prolong a lease up to so long after a poll.
pub(crate) const PRESUMED_AT_LEAST: u8 = 2 * LEASE;
/// Ages are counted up to here.
pub(crate) const OLD: u8 = PRESUMED_AT_LEAST + 1;
/// Places in the log.
pub(crate) const PLACES: usize = 4;
