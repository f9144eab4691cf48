//! Redis that fails in every way: it can cost time, and never a promise.

use std::time::Duration;

use super::play::Play;
use super::servers::Server;
use super::stage::Cast;
use crate::support::fault::Mode;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_redis_and_nothing_broken_a_deletion_is_final_when_it_is_acknowledged() {
    let mut play = Play::begin("none, with Redis", Cast::WHOLE).await;
    while play.round().await {
        play.delete_all().await;
        play.judge(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_refuses_costs_nobody_anything() {
    let mut play = Play::begin("Redis refuses", Cast::WHOLE).await;
    while play.round().await {
        play.stage.redis_is(Mode::Refuse);
        play.delete_all().await;
        play.stage.heal();
        play.judge(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_stands_still_costs_nobody_anything() {
    let mut play = Play::begin("Redis stopped", Cast::WHOLE).await;
    while play.round().await {
        play.stage.redis.as_ref().unwrap().freeze();
        play.delete_all().await;
        play.serve_others(&[0, 1, 2]).await;
        play.stage.redis.as_ref().unwrap().thaw();
        play.judge(&[]).await;
    }
}

/// Slower than the 50 ms that a command may take, in each direction.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_is_slow_costs_nobody_anything() {
    let mut play = Play::begin("Redis slow (100 ms each way)", Cast::WHOLE).await;
    while play.round().await {
        play.stage.redis_is(Mode::Delay(Duration::from_millis(100)));
        play.delete_all().await;
        play.serve_others(&[0, 1, 2]).await;
        play.stage.heal();
        play.judge(&[]).await;
    }
}

/// Nothing can be published: not the log, not a tombstone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_is_full_and_refuses_writes_costs_nobody_anything() {
    let mut play = Play::begin("Redis full (noeviction)", Cast::WHOLE).await;
    while play.round().await {
        let redis = play.stage.redis.as_ref().unwrap();
        redis.tell("CONFIG SET maxmemory 1");
        play.delete_all().await;
        play.serve_others(&[0, 1, 2]).await;
        play.stage.redis.as_ref().unwrap().tell("CONFIG SET maxmemory 0");
        play.judge(&[]).await;
    }
}

/// Whatever it holds goes, the newest tombstone as well, and nobody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_evicts_everything_brings_nothing_back() {
    let mut play = Play::begin("Redis full (allkeys-random)", Cast::WHOLE).await;
    play.stage.redis.as_ref().unwrap().tell("CONFIG SET maxmemory-policy allkeys-random");
    while play.round().await {
        play.stage.redis.as_ref().unwrap().tell("CONFIG SET maxmemory 1");
        play.delete_all().await;
        play.serve_others(&[0, 1, 2]).await;
        play.stage.redis.as_ref().unwrap().tell("CONFIG SET maxmemory 0");
        play.judge(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_comes_back_empty_brings_nothing_back() {
    let mut play = Play::begin("Redis restarted empty", Cast::WHOLE).await;
    while play.round().await {
        let redis = play.stage.redis.as_mut().unwrap();
        redis.kill();
        redis.start();
        play.delete_all().await;
        let redis = play.stage.redis.as_mut().unwrap();
        redis.crash("PING", "PONG").await;
        play.judge(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_forgets_everything_right_after_a_deletion_brings_nothing_back() {
    let mut play = Play::begin("Redis flushed", Cast::WHOLE).await;
    while play.round().await {
        play.stage.redis.as_ref().unwrap().tell("FLUSHALL");
        play.delete_all().await;
        play.stage.redis.as_ref().unwrap().tell("FLUSHALL");
        play.judge(&[]).await;
    }
}

/// What the replica has not heard it will never know: the tombstone is lost, and the grant is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_fails_over_to_a_replica_without_the_deletion_brings_nothing_back() {
    let mut play = Play::begin("Redis fails over, the write lost", Cast::WHOLE).await;
    while play.round().await {
        let old = play.stage.redis.take().unwrap();
        let replica = Server::redis().await;
        replica.tell(&format!("REPLICAOF {}", old.address().replace(':', " ")));
        replica.until_says("INFO replication", "master_link_status:up").await;
        // From here on it is told nothing more.
        replica.tell("REPLICAOF NO ONE");
        play.stage.redis = Some(old);
        play.delete_all().await;
        play.stage.redis = Some(replica);
        play.stage.lead_to_redis();
        play.are_refused_at(&[0, 1, 2]).await;
        play.judge(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_without_redis_hears_from_its_control_plane() {
    let mut play = Play::begin("sidecar cut off from Redis", Cast::WHOLE).await;
    while play.round().await {
        play.stage.sidecars[0].to_redis.set(Mode::Blackhole);
        play.delete_all().await;
        play.are_refused_at(&[0, 1, 2]).await;
        play.stage.heal();
        play.judge(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn control_planes_without_redis_delete_as_before() {
    let mut play = Play::begin("controls cut off from Redis", Cast::WHOLE).await;
    while play.round().await {
        play.stage.to_redis.iter().for_each(|network| network.set(Mode::Blackhole));
        play.delete_all().await;
        play.are_refused_at(&[0, 1, 2]).await;
        play.stage.heal();
        play.judge(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_without_control_plane_hears_by_redis() {
    let mut play = Play::begin("sidecar cut off from both controls, not from Redis", Cast::WHOLE).await;
    while play.round().await {
        play.stage.sidecars[0].to_control.iter().for_each(|network| network.set(Mode::Blackhole));
        play.delete_all().await;
        play.are_refused_at(&[0, 1, 2]).await;
        play.stage.heal();
        // What it does not hold it cannot ask for.
        play.judge(&[0]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_without_either_stops_with_its_lease() {
    let mut play = Play::begin("sidecar cut off from Redis and both controls", Cast::WHOLE).await;
    while play.round().await {
        let sidecar = &play.stage.sidecars[0];
        sidecar.to_control.iter().chain([&sidecar.to_redis]).for_each(|network| network.set(Mode::Blackhole));
        play.delete_all().await;
        play.refuse_everything(&[0]).await;
        play.serve_others(&[1, 2]).await;
        play.stage.heal();
        play.judge(&[0]).await;
    }
}
