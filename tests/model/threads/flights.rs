//! Callers that join reads, a strike between them, and one that gives up.
//!
//! The waiting itself is tokio's; what is gone through are the map of flights, who joins which, and who removes it.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::flight::Flights;
use crate::model::change::Subject;
use crate::slots::{SUBJECTS, SlotClock};

#[derive(Default)]
struct World {
    clock: SlotClock,
    fact: AtomicU64,
    flights: Flights<u8, u64>,
    acknowledged: AtomicU64,
}

impl World {
    /// A caller that missed; answers what it got and what had been acknowledged when it came.
    fn call(&self, generation: impl Fn(&SlotClock) -> u64) {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let read = || async {
            thread::yield_now();
            Ok::<_, ()>(self.fact.load(Ordering::SeqCst))
        };
        let got = wait(self.flights.join(&0, generation(&self.clock), read)).unwrap();
        assert!(got >= acknowledged, "a caller after the acknowledgement joined a read from before it");
    }

    fn change(&self) {
        self.fact.store(1, Ordering::SeqCst);
        self.clock.strike(&FACT[0]);
        self.acknowledged.store(1, Ordering::SeqCst);
    }
}

/// Polls until it is ready; others go on in between.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::yield_now(),
        }
    }
}

fn all_orders(generation: impl Fn(&SlotClock) -> u64 + Copy + Send + Sync + 'static) {
    loom::model(move || {
        let world = Arc::new(World::default());
        let before = thread::spawn({
            let world = Arc::clone(&world);
            move || world.call(generation)
        });
        world.change();
        world.call(generation);
        before.join().unwrap();
        assert_eq!(world.flights.len(), 0, "a read that is over is still under way");
    });
}

#[test]
fn who_calls_after_an_acknowledgement_never_joins_a_read_from_before_it() {
    all_orders(|clock| clock.generation(&FACT));
}

#[test]
#[should_panic(expected = "joined a read from before it")]
fn without_generations_it_would() {
    all_orders(|_| 0);
}

#[test]
fn who_gives_up_leaves_nothing_behind_and_holds_nobody_up() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let giving_up = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                let mut read = Box::pin(world.flights.join(&0, 0, || async {
                    std::future::pending::<()>().await;
                    Ok::<_, ()>(7)
                }));
                let polled = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(0))));
            }
        });
        world.call(|_| 0);
        giving_up.join().unwrap();
        assert_eq!(world.flights.len(), 0, "a read that was given up is still under way");
    });
}

#[test]
fn who_fails_fails_alone() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let failing = thread::spawn({
            let world = Arc::clone(&world);
            move || wait(world.flights.join(&0, 0, || async { Err(()) }))
        });
        world.call(|_| 0);
        let failed = failing.join().unwrap();
        assert!(failed.is_err() || failed == Ok(0));
        assert_eq!(world.flights.len(), 0);
    });
}

const FACT: [Subject; SUBJECTS] = [Subject(0); SUBJECTS];
