//! A fill, a strike and a hit at the same time: what was read before a change is not used after it.
//!
//! The store is a number; a sidecar that has struck for a change acknowledges it. Whoever begins after the
//! acknowledgement may use only what the change left.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::model::change::Subject;
use crate::slots::{SUBJECTS, Seal, SlotClock};
use crate::sync::Mutex;

/// A cache of one fact in front of a store of one fact.
#[derive(Default)]
struct Sidecar {
    clock: SlotClock,
    fact: AtomicU64,
    cached: Mutex<Option<(u64, Seal)>>,
    acknowledged: AtomicU64,
}

impl Sidecar {
    /// As `Near` does: the clock first, then the read, then into the cache.
    fn fill(&self) {
        let since = self.clock.now();
        let fact = self.fact.load(Ordering::SeqCst);
        *self.cached.lock() = Some((fact, self.clock.seal(&FACT, since)));
    }

    fn fill_and_seal_with_the_time_after_the_read(&self) {
        let fact = self.fact.load(Ordering::SeqCst);
        let since = self.clock.now();
        *self.cached.lock() = Some((fact, self.clock.seal(&FACT, since)));
    }

    /// As the follower does: the change can be read, then it is struck, then it is acknowledged.
    fn change(&self, strike: impl Fn(&SlotClock)) {
        self.fact.store(1, Ordering::SeqCst);
        strike(&self.clock);
        self.acknowledged.store(1, Ordering::SeqCst);
    }

    /// A hit after the acknowledgement is of the new fact.
    fn hit(&self, still: impl Fn(&SlotClock, &Seal) -> bool) {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let cached = *self.cached.lock();
        if let Some((fact, _)) = cached.filter(|(_, seal)| still(&self.clock, seal)) {
            assert!(fact >= acknowledged, "an old fact was used after the acknowledgement");
        }
    }
}

fn all_orders(
    fill: impl Fn(&Sidecar) + Copy + Send + Sync + 'static,
    strike: impl Fn(&SlotClock) + Copy + Send + Sync + 'static,
    still: impl Fn(&SlotClock, &Seal) -> bool + Copy + Send + Sync + 'static,
) {
    loom::model(move || {
        let sidecar = Arc::new(Sidecar::default());
        let filling = thread::spawn({
            let sidecar = Arc::clone(&sidecar);
            move || fill(&sidecar)
        });
        let changing = thread::spawn({
            let sidecar = Arc::clone(&sidecar);
            move || sidecar.change(strike)
        });
        sidecar.hit(still);
        filling.join().unwrap();
        changing.join().unwrap();
        sidecar.hit(still);
    });
}

#[test]
fn what_was_read_before_a_strike_is_not_used_after_its_acknowledgement() {
    all_orders(Sidecar::fill, |clock| clock.strike(&STRUCK), SlotClock::unchanged);
}

#[test]
fn what_was_read_before_everything_was_struck_is_not_used_after_the_acknowledgement() {
    all_orders(Sidecar::fill, SlotClock::strike_all, SlotClock::unchanged);
}

#[test]
fn two_strikes_at_a_time_both_count() {
    loom::model(|| {
        let clock = Arc::new(SlotClock::default());
        let seal = clock.seal(&FACT, clock.now());
        let other = thread::spawn({
            let clock = Arc::clone(&clock);
            move || clock.strike(&STRUCK)
        });
        clock.strike(&STRUCK);
        other.join().unwrap();
        assert!(!clock.unchanged(&seal));
        assert!(clock.unchanged(&clock.seal(&FACT, clock.now())));
    });
}

#[test]
#[should_panic(expected = "an old fact was used")]
fn without_a_seal_it_would_be() {
    all_orders(Sidecar::fill, |clock| clock.strike(&STRUCK), |_, _| true);
}

#[test]
#[should_panic(expected = "an old fact was used")]
fn sealed_with_the_time_after_the_read_it_would_be() {
    let fill = Sidecar::fill_and_seal_with_the_time_after_the_read;
    all_orders(fill, |clock| clock.strike(&STRUCK), SlotClock::unchanged);
}

#[test]
#[should_panic(expected = "an old fact was used")]
fn struck_elsewhere_it_would_be() {
    all_orders(Sidecar::fill, |clock| clock.strike(&OTHER), SlotClock::unchanged);
}

const STRUCK: Subject = Subject(0);
const OTHER: Subject = Subject(1);
const FACT: [Subject; SUBJECTS] = [STRUCK; SUBJECTS];
