//! The protocol as it is: nothing is wrong with it.

use super::mutants::{ONE, WITH_REDIS};
use super::rules::{Bounds, Fault, Rules};
use super::search::search;

/// Searches the protocol, and answers how many states there are.
fn holds(bounds: &Bounds) -> usize {
    let rules = Rules::kept();
    let found = search(&rules, bounds, |world| world.violation(&rules), 60_000_000);
    if let Some(found) = found.violation {
        panic!("{} after {} steps: {:?}", found.property, found.steps.len(), found.steps);
    }
    println!("{} states, nothing wrong", found.states);
    found.states
}

#[test]
fn t1() { holds(&Bounds { sidecars: 2, grants: 1, ..ONE }); }
#[test]
fn t2() { holds(&Bounds { sidecars: 2, grants: 2, ..ONE }); }
#[test]
fn t3() { holds(&Bounds { faults: 1, kinds: EVERY, ..WITH_REDIS }); }
#[test]
fn t4() { holds(&Bounds { faults: 2, kinds: CONTROLS, changes: 2, ..ONE }); }
#[test]
fn t5() { holds(&Bounds { changes: 2, ..WITH_REDIS }); }

const EVERY: &[Fault] = &[Fault::Flush, Fault::Evict, Fault::Failover, Fault::Attack, Fault::RedisClock, Fault::ControlRestart, Fault::SidecarRestart, Fault::PutBack, Fault::StoreClock, Fault::ShorterLease];
const CONTROLS: &[Fault] = &[Fault::ControlRestart, Fault::SidecarRestart, Fault::PutBack, Fault::StoreClock, Fault::ShorterLease];
