//! Whatever fails, nothing is forwarded that should not be, the answer says what failed, and a record is left.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tokio::net::TcpListener;

use super::world::{SILENCE, World, eventually, upstream};
use crate::model::change::Subject;
use crate::model::decision::Outcome;
use crate::model::grant::GrantState;
use crate::model::id::Revision;
use crate::token::keys::{Purpose, Signer, generate};

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn what_is_granted_is_forwarded_with_an_identity_and_without_the_token() {
    let (address, seen) = upstream(FINE).await;
    let world = World::before(address).await;
    let answer = world.call().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let head = seen.lock().pop().unwrap();
    assert!(head.starts_with("GET /oss/reports/a.csv HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer ") && head.contains("x-consentry-decision: "), "{head}");
    let record = world.last_record().await;
    assert_eq!((record.outcome, record.grant_revision), (Outcome::Forwarded, Some(3)));
}

#[tokio::test]
async fn without_keys_a_lease_or_an_answering_origin_nothing_is_forwarded() {
    let (address, seen) = upstream(FINE).await;
    let world = World::unready(address).await;
    world.call().await.refused(503, "authorization_unavailable");

    // Keys alone are not enough: the lease has not begun.
    (world.running.refresh_keys())().await.unwrap();
    world.call().await.refused(503, "authorization_unavailable");

    // Nor is a lease, when the grant cannot be read.
    world.facts.silent.store(true, Ordering::SeqCst);
    world.renew();
    world.call().await.refused(503, "authorization_unavailable");
    assert!(seen.lock().is_empty());

    world.facts.silent.store(false, Ordering::SeqCst);
    assert_eq!(world.call().await.status, 200);
}

#[tokio::test]
async fn what_a_withdrawn_key_has_signed_ends_and_what_rests_on_it_too() {
    let (address, seen) = upstream(FINE).await;
    let world = World::before(address).await;
    assert_eq!(world.call().await.status, 200);
    // A new key beside the old one ends nothing.
    let since = world.running.slots().now();
    (world.running.refresh_keys())().await.unwrap();
    assert_eq!(world.running.slots().now(), since);
    assert_eq!(world.call().await.status, 200);

    let other = Signer::from_pkcs8(Purpose::AccessToken, &generate(Purpose::AccessToken).unwrap()).unwrap();
    *world.facts.jwks.lock() = format!("{{\"keys\":[{}]}}", other.public().to_json());
    (world.running.refresh_keys())().await.unwrap();
    assert!(world.running.slots().now() > since, "standings, and streams with them, are not ended");
    world.call().await.refused(401, "invalid_token");
    assert_eq!(seen.lock().len(), 2);
}

#[tokio::test]
async fn a_lease_that_has_run_out_ends_what_was_known() {
    let (address, seen) = upstream(FINE).await;
    let world = World::before(address).await;
    assert_eq!(world.call().await.status, 200);
    world.running.lease().give_up();
    world.call().await.refused(503, "authorization_unavailable");
    assert_eq!(seen.lock().len(), 1);
    world.renew();
    assert_eq!(world.call().await.status, 200);
}

#[tokio::test]
async fn each_change_of_the_facts_counts_from_the_moment_it_is_heard_of() {
    let (address, _) = upstream(FINE).await;
    let world = World::before(address).await;
    let facts = &world.facts;
    let good = (facts.installed.lock().clone(), facts.member.lock().clone());
    let strike = || {
        let key = good.0.grant.key.clone();
        world.running.slots().strike(&Subject::Grant(key.clone()));
        world.running.slots().strike(&Subject::Member(key, good.1.principal.key.clone()));
    };
    let now = Timestamp::UNIX_EPOCH;
    type Change =
        (fn(&mut crate::model::grant::Installed, &mut crate::model::member::Member), u16, &'static str);
    let changes: [Change; 8] = [
        (|i, _| i.grant.state = GrantState::Revoked, 403, "not_installed"),
        (|i, _| i.grant.state = GrantState::Suspended, 403, "access_denied"),
        (|i, _| i.application.enabled = false, 403, "access_denied"),
        (|i, _| i.grant.since = Revision(4), 401, "invalid_token"),
        (|i, _| i.grant.scopes = "openid".parse().unwrap(), 403, "insufficient_scope"),
        (|_, m| m.principal.enabled = false, 401, "invalid_token"),
        (|_, m| m.ended = vec!["family-1".parse().unwrap()], 401, "invalid_token"),
        (|i, m| (i.application.official, m.assigned) = (true, false), 403, "not_assigned"),
    ];
    for (change, status, code) in changes {
        let (mut installed, mut member) = good.clone();
        change(&mut installed, &mut member);
        (*facts.installed.lock(), *facts.member.lock()) = (installed, member);
        strike();
        world.call().await.refused(status, code);

        (*facts.installed.lock(), *facts.member.lock()) = good.clone();
        strike();
        assert_eq!(world.call().await.status, 200, "after {code}");
    }
    // A grant's own end needs no word from anybody.
    facts.installed.lock().grant.expires_at = Some(now);
    strike();
    world.call().await.refused(403, "not_installed");
}

#[tokio::test]
async fn a_call_that_cannot_be_recorded_is_not_forwarded() {
    let (address, seen) = upstream(FINE).await;
    let world = World::before(address).await;
    world.shelf.broken.store(true, Ordering::SeqCst);
    // The first failure is only found out by trying.
    world.call().await;
    let failing = || (!world.running.status().records_healthy()).then_some(());
    eventually("the failure is noticed", failing).await;
    let forwarded = seen.lock().len();
    world.call().await.refused(503, "audit_unavailable");
    assert_eq!(seen.lock().len(), forwarded);

    world.shelf.broken.store(false, Ordering::SeqCst);
    eventually("records are kept again", || world.running.status().records_healthy().then_some(())).await;
    assert_eq!(world.call().await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_breaks_off_or_stays_silent_is_told_apart() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let (broken, _) = upstream(b"nonsense").await;
    let (silent, _) = upstream(SILENCE).await;
    for (address, status, code) in [
        (gone, 502, "upstream_unreachable"),
        (broken, 502, "upstream_broken"),
        (silent, 504, "upstream_timeout"),
    ] {
        let world = World::before(address).await;
        world.call().await.refused(status, code);
        let record = world.last_record().await;
        assert_eq!((record.outcome, &*record.code), (Outcome::Failed, code));
    }
}
