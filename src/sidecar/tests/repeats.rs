//! A request that its caller sends again is known, and decided anew each time; what differs from it is read anew.

use std::collections::BTreeMap;

use super::world::{World, eventually, upstream};
use crate::model::change::Subject;
use crate::model::decision::Decision;
use crate::model::grant::GrantState;

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Enough of the same for it to be kept and known.
const OFTEN: usize = 5;

async fn often(world: &World) -> Vec<Decision> {
    for _ in 0..OFTEN {
        let answer = world.call().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    records(world, OFTEN).await
}

async fn records(world: &World, so_many: usize) -> Vec<Decision> {
    eventually("the records are kept", || (world.shelf.kept.lock().len() >= so_many).then_some(())).await;
    std::mem::take(&mut *world.shelf.kept.lock())
}

#[tokio::test]
async fn a_request_that_comes_again_is_forwarded_and_recorded_as_the_first_one_was() {
    let (address, seen) = upstream(FINE).await;
    let world = World::before(address).await;
    let said = |record: &Decision| {
        let mut said: BTreeMap<String, serde_json::Value> =
            serde_json::from_value(serde_json::to_value(record).unwrap()).unwrap();
        // What is every call's own, and where its standing was found.
        for own in ["id", "at", "trace", "took", "cache"] {
            assert!(said.remove(own).is_some(), "{own} is missing");
        }
        said
    };
    let records = often(&world).await;
    let first = said(&records[0]);
    assert!(first.contains_key("action") && first.contains_key("resource") && first.contains_key("account"));
    for record in &records {
        assert_eq!(said(record), first);
    }
    let heads = seen.lock();
    let lines: Vec<_> = heads.iter().map(|head| head.lines().next().unwrap()).collect();
    assert_eq!(lines, ["GET /oss/reports/a.csv HTTP/1.1"; OFTEN]);
}

#[tokio::test]
async fn a_request_that_comes_again_is_refused_once_what_it_rests_on_has_ended() {
    let (address, seen) = upstream(FINE).await;
    let world = World::before(address).await;
    often(&world).await;
    let key = world.facts.installed.lock().grant.key.clone();
    world.facts.installed.lock().grant.state = GrantState::Revoked;
    world.running.slots().strike(&Subject::Grant(key));
    world.call().await.refused(403, "not_installed");
    assert_eq!(seen.lock().len(), OFTEN);
}

#[tokio::test]
async fn what_differs_from_a_request_that_came_before_is_read_anew() {
    let (address, seen) = upstream(FINE).await;
    let world = World::before(address).await;
    let first = often(&world).await.remove(0);

    // Another resource, and another one with an end that is the same.
    for target in ["/oss/reports/b.csv", "/oss/salaries/a.csv", "/oss/reports/a.csv?versionId=1"] {
        assert_eq!(world.ask("GET", target, "").await.status, 200, "{target}");
        let record = records(&world, 1).await.remove(0);
        assert_eq!(target.split('?').next(), Some(&*record.path));
        assert_eq!(record.resource == first.resource, target.contains('?'), "{target}");
    }
    // Another method is another action.
    world.ask("DELETE", "/oss/reports/a.csv", "").await.refused(403, "insufficient_scope");
    assert_ne!(records(&world, 1).await.remove(0).action, first.action);
    // Another token is another caller's, or nobody's.
    world.ask_as("another", "GET", "/oss/reports/a.csv", "").await.refused(401, "invalid_token");
    assert_eq!(seen.lock().len(), OFTEN + 3);
}

#[tokio::test]
async fn what_is_wrong_beside_a_request_that_came_before_is_refused() {
    let (address, seen) = upstream(FINE).await;
    let world = World::before(address).await;
    often(&world).await;
    for (wrong, code) in [
        ("connection: authorization\r\n", "connection_option"),
        ("upgrade: websocket\r\nconnection: upgrade\r\n", "upgrade_not_supported"),
        ("host: other\r\n", "host_ambiguous"),
        ("content-length: 1\r\n", "body_not_supported"),
    ] {
        world.ask("GET", "/oss/reports/a.csv", wrong).await.refused(400, code);
    }
    let twice = "authorization: Bearer another\r\n";
    world.ask("GET", "/oss/reports/a.csv", twice).await.refused(401, "invalid_token");
    assert_eq!(seen.lock().len(), OFTEN);
}
