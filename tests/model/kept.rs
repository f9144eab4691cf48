//! The protocol as it is: nothing is wrong with it. What runs each time goes past a million states; the ignored
//! cases go through all that there are, which takes minutes (`cargo test --release --test model -- --ignored`).

use std::cell::Cell;

use super::mutants::{ONE, WITH_REDIS};
use super::rules::{Bounds, Fault, Rules};
use super::search::{Found, search};
use super::world::{Call, World};

const TWO_AND_TWO: Bounds = Bounds { sidecars: 2, grants: 2, ..ONE };
const TWO_FAULTS: Bounds = Bounds { faults: 2, kinds: AROUND_CONTROL, changes: 2, ..ONE };
const EVERY_FAULT: Bounds = Bounds { faults: 1, kinds: EVERY, ..WITH_REDIS };

/// Searches the protocol for anything wrong.
fn holds(bounds: &Bounds, most: usize) -> Found {
    let rules = Rules::kept();
    let found = search(&rules, bounds, |world| world.breaks("R", &rules), most);
    if let Some(found) = found.violation {
        panic!("{} after {} steps: {:?}", found.property, found.steps.len(), found.steps);
    }
    let whole = if found.whole { ", which are all" } else { "" };
    println!("{} states, every way of {} steps{whole}: nothing wrong", found.states, found.depth);
    found
}

#[test]
fn nothing_is_wrong_with_two_sidecars_and_two_grants() {
    assert!(holds(&TWO_AND_TWO, 1_500_000).states > 1_000_000);
}

#[test]
fn nothing_is_wrong_with_redis_and_any_one_fault() {
    assert!(holds(&Bounds { warm: true, ..EVERY_FAULT }, 300_000).states > 300_000);
}

#[test]
fn nothing_is_wrong_with_any_two_faults_of_control_and_sidecar_and_two_changes() {
    assert!(holds(&TWO_FAULTS, 300_000).states > 300_000);
}

#[test]
fn nothing_is_wrong_when_every_step_is_taken_apart() {
    assert!(holds(&Bounds { faults: 1, kinds: AROUND_CONTROL, coarse: false, ..ONE }, ALL).whole);
}

#[test]
fn nothing_is_wrong_with_redis_on_any_way() {
    assert!(holds(&WITH_REDIS, ALL).whole);
}

#[test]
#[ignore = "takes minutes"]
fn nothing_is_wrong_with_any_two_faults_of_control_and_sidecar_and_two_changes_on_any_way() {
    assert!(holds(&TWO_FAULTS, ALL).whole);
}

#[test]
#[ignore = "takes minutes"]
fn nothing_is_wrong_with_two_sidecars_and_two_grants_on_any_way() {
    assert!(holds(&TWO_AND_TWO, ALL).whole);
}

#[test]
#[ignore = "takes minutes"]
fn nothing_is_wrong_with_redis_and_any_one_fault_on_any_way() {
    assert!(holds(&EVERY_FAULT, ALL).whole);
}

#[test]
#[ignore = "takes minutes"]
fn nothing_is_wrong_with_redis_and_three_changes_on_any_way() {
    assert!(holds(&Bounds { changes: 3, ..WITH_REDIS }, ALL).whole);
}

#[test]
#[ignore = "takes minutes"]
fn nothing_is_wrong_when_what_goes_to_redis_is_late() {
    assert!(holds(&Bounds { near_redis: false, ..WITH_REDIS }, ALL).whole);
}

#[test]
fn when_nothing_is_late_or_lost_a_receipt_waits_for_acknowledgements_only() {
    for bounds in [TWO_AND_TWO, Bounds { redis: true, sidecars: 2, ..ONE }] {
        let bounds = Bounds { prompt: true, changes: 2, ..bounds };
        let waits = Cell::new(0);
        let late = |world: &World| {
            let waiting = world.control.call == Call::Waiting && world.control.waits_for != [false; 2];
            waits.set(waits.get() + usize::from(waiting));
            (world.control.waited > 0).then_some("a receipt that waits for time to pass")
        };
        let found = search(&Rules::kept(), &bounds, late, 200_000);
        assert!(found.violation.is_none(), "{:?}", found.violation.map(|found| found.steps));
        assert!(waits.get() > 0, "no call waits for anyone");
        println!("{} states, {} of them wait", found.states, waits.get());
    }
}

const EVERY: &[Fault] = &[
    Fault::Flush,
    Fault::Evict,
    Fault::Failover,
    Fault::Attack,
    Fault::RedisClock,
    Fault::ControlRestart,
    Fault::SidecarRestart,
    Fault::PutBack,
    Fault::StoreClock,
    Fault::ShorterLease,
];
const AROUND_CONTROL: &[Fault] =
    &[Fault::ControlRestart, Fault::SidecarRestart, Fault::PutBack, Fault::StoreClock, Fault::ShorterLease];
const ALL: usize = 200_000_000;
