//! Redis makes grants quicker to find and changes quicker to hear of; it is not needed, and not believed.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::redis::RealRedis;
use crate::support::{Answer, Call, World, eventually, get};

#[tokio::test]
async fn what_one_sidecar_has_asked_for_the_next_finds_in_redis_until_it_is_revoked_for_both() {
    let redis = RealRedis::start();
    let world = World::start_with(&["--redis", &redis.url, "--sidecars", "2"]).await;
    let [first, second] = world.sidecars.as_slice() else { panic!("{:?}", world.sidecars) };
    assert_eq!(*first, world.sidecar);
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    read(first, &tokens.access).await.expect(200);
    let record =
        format!("consentry:g:{{{}/{}}}", world.account("acme").id, world.seed("report-hub").client_id);
    let left = eventually("control leaves what was asked for in Redis", async || {
        let members: Vec<String> = redis.ask(&["KEYS", "consentry:m:*"]);
        let left: Vec<u8> = redis.ask::<Option<Vec<u8>>>(&["GET", &record])?;
        (!members.is_empty()).then_some(left)
    })
    .await;
    let answer = read(second, &tokens.access).await;
    answer.expect(200);
    assert_eq!(cache(&world, &answer).await, "shared");
    assert_ne!(cache(&world, &read(second, &tokens.access).await).await, "shared", "it is near by now");

    let receipt = world.delete_application("acme", "report-hub").await.expect(200);
    let mut named: Vec<_> =
        receipt["sidecars"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, ["dev", "dev-2"], "{receipt}");
    for attack in [None, Some(&left)] {
        if let Some(left) = attack {
            eventually("the tombstone is there", || {
                std::future::ready((redis.get(&record) != *left).then_some(()))
            })
            .await;
            redis.put(&record, left);
        }
        for sidecar in [first, second] {
            let refused = read(sidecar, &tokens.access).await;
            assert!([401, 403].contains(&refused.status), "{}", refused.status);
        }
    }
}

#[tokio::test]
async fn without_redis_everything_works_and_operators_are_told() {
    let world = World::start_with(&["--redis", "redis+unix:///nowhere/at/all.sock"]).await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    world.read_object(&tokens.access).await.expect(200);
    assert!(notes(&world).await.contains("redis: "));
    world.delete_application("acme", "report-hub").await.expect(200);
    assert!([401, 403].contains(&world.read_object(&tokens.access).await.status));
}

#[tokio::test]
async fn a_redis_that_dies_hangs_or_is_emptied_in_between_loses_nobody_a_call_or_a_revocation() {
    let mut redis = RealRedis::start();
    let world = World::start_with(&["--redis", &redis.url]).await;
    let in_step = async |world: &World| {
        eventually("the sidecar hears by Redis", async || {
            (!notes(world).await.contains("redis: ")).then_some(())
        })
        .await;
    };
    for fault in ["emptied", "hangs", "dies"] {
        in_step(&world).await;
        let tokens = world.install("report-hub", "admin@acme", &[]).await;
        world.read_object(&tokens.access).await.expect(200);
        match fault {
            "emptied" => redis.ask(&["FLUSHALL"]),
            "hangs" => redis.freeze(),
            _ => redis.kill9(),
        }
        // Another one's tokens, whose grant has to be looked for.
        let alice = world.sign_in("report-hub", "alice@acme").await;
        let asked = Instant::now();
        world.read_object(&alice.access).await.expect(200);
        assert!(asked.elapsed() < Duration::from_secs(2), "{fault}: {:?}", asked.elapsed());
        let receipt = world.delete_application("acme", "report-hub").await.expect(200);
        assert!(receipt["elapsed_ms"].as_u64() < Some(2000), "{fault}: {receipt}");
        for tokens in [&tokens, &alice] {
            assert!([401, 403].contains(&world.read_object(&tokens.access).await.status), "{fault}");
        }
        match fault {
            "emptied" => {}
            "hangs" => redis.thaw(),
            _ => redis.start_again(),
        }
    }
    in_step(&world).await;
    let metrics = get(format!("{}/metrics", world.admin)).send().await.text();
    assert!(metrics.contains("consentry_shared_synced 1"), "{metrics}");
}

async fn read(sidecar: &str, token: &str) -> Answer {
    Call::new("GET", format!("{sidecar}/oss/reports/q1.csv")).bearer(token).send().await
}

async fn notes(world: &World) -> String {
    get(format!("{}/readyz", world.admin)).send().await.expect(200)["notes"].to_string()
}

/// Where the grant of a call was found, as its record tells.
async fn cache(world: &World, answer: &Answer) -> Value {
    let id = answer.header("x-consentry-decision");
    eventually("the call's record is kept", async || {
        let records = world.api("acme", "GET", "/decisions").send().await.expect(200);
        let records = records.as_array().or(records["decisions"].as_array()).unwrap().clone();
        records.into_iter().find(|record| record["id"] == id).map(|record| record["cache"].clone())
    })
    .await
}
