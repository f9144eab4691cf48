//! One rule broken: the search finds what it was for.

use super::rules::{Age, Bounds, Fault, Lease, Presume, Receipt, Rules, WriteBack};
use super::search::search;

/// One sidecar, one grant, one revocation, no Redis.
pub(crate) const ONE: Bounds = Bounds {
    sidecars: 1,
    grants: 1,
    changes: 1,
    faults: 0,
    kinds: &[],
    redis: false,
    span: 4,
    prompt: false,
    coarse: true,
    near_redis: true,
    warm: false,
};
/// The same with Redis.
pub(crate) const WITH_REDIS: Bounds = Bounds { redis: true, ..ONE };
/// The same, begun with a lease and the grant.
const WARM: Bounds = Bounds { warm: true, ..WITH_REDIS };
const KEPT: Rules = Rules::kept();

/// Asserts that with these `rules`, one of which is broken, `property` does not hold; says the shortest way to it.
fn killed(property: &str, rules: Rules, bounds: Bounds) {
    let found = search(&rules, &bounds, |world| world.breaks(property, &rules), 20_000_000);
    let Some(violation) = found.violation else {
        panic!("{} states, and the broken rule is not missed", found.states);
    };
    let (property, steps) = (violation.property, violation.steps);
    println!("{property}: {} steps, {} states: {steps:?}", steps.len(), found.states);
}

const fn faults(kinds: &'static [Fault], bounds: Bounds) -> Bounds {
    Bounds { faults: 1, kinds, ..bounds }
}

// The rows of the table of broken variants.

#[test]
fn it_breaks_without_the_guard_when_the_call_answers_at_once() {
    killed("R1", Rules { guard: false, receipt: Receipt::AtOnce, ..KEPT }, ONE);
}

#[test]
fn it_breaks_when_the_call_answers_at_once() {
    killed("R1", Rules { receipt: Receipt::AtOnce, ..KEPT }, ONE);
}

#[test]
fn it_breaks_without_the_guard_when_the_call_waits_for_acknowledgements() {
    let bounds = Bounds { coarse: false, ..ONE };
    killed("R1", Rules { guard: false, receipt: Receipt::Acknowledged, ..KEPT }, bounds);
}

#[test]
fn it_never_answers_when_only_acknowledgements_count() {
    killed("R2", Rules { receipt: Receipt::Acknowledged, ..KEPT }, ONE);
}

#[test]
fn it_breaks_without_a_lease() {
    killed("R1", Rules { lease: Lease::None, ..KEPT }, ONE);
}

#[test]
fn it_breaks_without_the_guard_though_there_are_leases() {
    killed("R1", Rules { guard: false, ..KEPT }, Bounds { coarse: false, ..ONE });
}

#[test]
fn it_breaks_when_a_lease_is_counted_from_the_answer() {
    killed("R1", Rules { lease: Lease::FromReceiving, ..KEPT }, ONE);
}

#[test]
fn it_breaks_when_a_lease_is_counted_from_the_answer_of_redis() {
    let rules = Rules { lease: Lease::FromReceiving, age: Age::ByRedis, ..KEPT };
    killed("R1", rules, Bounds { near_redis: false, ..WARM });
}

#[test]
fn it_breaks_when_a_gap_in_the_answers_is_passed_over() {
    killed("R1", Rules { gap_in_answer: false, ..KEPT }, Bounds { span: 0, ..ONE });
}

#[test]
fn it_breaks_when_what_the_stream_lacks_is_believed_not_to_have_happened() {
    killed("R1", Rules { gap_in_redis: false, ..KEPT }, faults(&[Fault::Evict], WARM));
}

#[test]
fn it_breaks_when_a_sidecar_writes_what_it_has_read_into_redis() {
    killed("R1", Rules { write_back: WriteBack::Blind, ..KEPT }, WARM);
}

#[test]
fn it_breaks_when_a_sidecar_writes_what_is_newer_into_redis_and_tombstones_are_evicted() {
    killed("R1", Rules { write_back: WriteBack::WhenNewer, ..KEPT }, faults(&[Fault::Evict], WARM));
}

#[test]
fn it_breaks_when_records_are_believed_after_a_failover_that_lost_a_tombstone() {
    killed("R1", Rules { judge: false, ..KEPT }, faults(&[Fault::Failover], WARM));
}

#[test]
fn it_breaks_when_records_are_believed_that_someone_put_back() {
    killed("R1", Rules { judge: false, ..KEPT }, faults(&[Fault::Attack], WITH_REDIS));
}

// Rules of this design.

#[test]
fn it_breaks_when_the_age_of_a_watermark_is_ignored() {
    killed("R1", Rules { age: Age::Ignored, ..KEPT }, WARM);
}

#[test]
fn it_breaks_when_asked_at_is_read_after_the_newest_place() {
    killed("R1", Rules { asked_first: false, age: Age::ByRedis, ..KEPT }, WARM);
}

#[test]
fn it_breaks_when_a_watermark_counts_before_the_log_is_applied_up_to_it() {
    killed("R1", Rules { whole_watermark: false, ..KEPT }, faults(&[Fault::Evict], WARM));
}

#[test]
fn it_breaks_when_the_watermark_of_another_server_counts() {
    let rules = Rules { run: false, age: Age::ByRedis, ..KEPT };
    killed("R1", rules, faults(&[Fault::Failover], WARM));
}

#[test]
fn it_breaks_when_a_sidecar_acknowledges_what_it_has_not_applied() {
    killed("R1", Rules { applied_then_told: false, ..KEPT }, ONE);
}

#[test]
fn it_breaks_when_a_lease_is_renewed_before_the_answer_is_applied() {
    killed("R1", Rules { applied_then_renewed: false, ..KEPT }, ONE);
}

#[test]
fn it_breaks_when_the_presumption_is_written_after_the_answer() {
    killed("R1", Rules { presume: Presume::AfterAnswer, ..KEPT }, ONE);
}

#[test]
fn it_breaks_when_the_presumption_is_written_after_the_newest_place_was_read() {
    killed("R1", Rules { presume: Presume::AfterNewest, ..KEPT }, WITH_REDIS);
}

#[test]
fn it_breaks_when_only_the_memory_of_a_restarted_node_says_who_has_a_lease() {
    killed("R1", Rules { durable: false, ..KEPT }, faults(&[Fault::ControlRestart], ONE));
}

#[test]
fn it_breaks_when_an_answer_is_made_from_a_remembered_newest_place() {
    killed("R1", Rules { newest_is_read: false, ..KEPT }, ONE);
}

#[test]
fn it_breaks_when_the_wait_is_counted_from_before_the_commit() {
    killed("R1", Rules { counted_after_commit: false, ..KEPT }, ONE);
}

#[test]
fn it_breaks_when_a_record_says_a_later_place_than_its_facts_are_of() {
    killed("R1", Rules { as_of_first: false, ..KEPT }, WITH_REDIS);
}

#[test]
fn it_breaks_without_epochs_when_a_store_is_put_back() {
    let bounds = Bounds { changes: 2, ..faults(&[Fault::PutBack], ONE) };
    killed("R1", Rules { epoch: false, ..KEPT }, bounds);
}

// What the first draft of the design said, or left open.

#[test]
fn it_breaks_when_redis_prolongs_a_lease_longer_than_control_presumes_it() {
    killed("R1", Rules { capped: false, ..KEPT }, WARM);
}

#[test]
fn it_breaks_when_control_takes_a_lease_that_redis_prolongs_to_be_over_with_its_own_answers() {
    let rules = Rules { receipt: Receipt::AcknowledgedOrKnownLeaseOver, ..KEPT };
    killed("R1", rules, WITH_REDIS);
}

#[test]
fn it_breaks_when_the_clock_of_redis_stands_still_and_is_trusted() {
    let rules = Rules { age: Age::ByRedis, ..KEPT };
    killed("R1", rules, faults(&[Fault::RedisClock], WARM));
}

#[test]
fn it_breaks_when_the_word_of_a_process_that_left_takes_back_the_lease_of_the_next() {
    killed("R1", Rules { leaves_as_itself: false, ..KEPT }, faults(&[Fault::SidecarRestart], ONE));
}

#[test]
fn it_breaks_when_a_shorter_lease_counts_for_leases_given_before() {
    killed("R1", Rules { longest_lease: false, ..KEPT }, faults(&[Fault::ShorterLease], ONE));
}

#[test]
fn it_breaks_when_presumptions_lapse_by_the_time_of_day() {
    killed("R1", Rules { seen_to_lapse: false, ..KEPT }, faults(&[Fault::StoreClock], ONE));
}

#[test]
fn it_breaks_when_a_store_that_was_put_back_does_not_know_who_has_a_lease() {
    let bounds = Bounds { changes: 2, ..faults(&[Fault::PutBack], ONE) };
    killed("R1", Rules { wait_when_put_back: false, ..KEPT }, bounds);
}

#[test]
fn a_sidecar_goes_back_when_older_records_count_after_newer_facts_were_used() {
    let bounds = Bounds { changes: 2, ..WITH_REDIS };
    killed("R4", Rules { floor: false, ..KEPT }, bounds);
}
