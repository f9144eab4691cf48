//! Stores that cannot be written or reached.

use super::play::{Asked, Play};
use super::stage::Cast;
use crate::support::fault::Mode;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_refuses_deletions_and_their_time_comes_when_there_is_room() {
    let mut play = Play::begin("store full (SQLite)", Cast::SMALL).await;
    while play.round().await {
        play.stage.controls[0].limit_files(Some(0));
        let first = play.delete().await;
        let refused = |asked: &Asked| matches!(asked, Asked::Refused(503 | 507));
        assert!(first.iter().all(refused), "nothing is promised that cannot be kept: {first:?}");
        play.stage.controls[0].limit_files(None);
        play.insist().await;
        play.judge(&[0, 1, 2]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_only_reads_refuses_deletions() {
    let mut play = Play::begin("store read-only (PostgreSQL)", Cast::TWO).await;
    while play.round().await {
        let store = play.stage.store.as_ref().unwrap();
        store.tell("ALTER SYSTEM SET default_transaction_read_only = on");
        store.tell("SELECT pg_reload_conf()");
        store.until_up("SHOW default_transaction_read_only", "on").await;
        let first = play.delete().await;
        let refused = |asked: &Asked| matches!(asked, Asked::Refused(503 | 507));
        assert!(first.iter().all(refused), "nothing is promised that cannot be kept: {first:?}");
        let store = play.stage.store.as_ref().unwrap();
        store.tell("ALTER SYSTEM RESET default_transaction_read_only");
        store.tell("SELECT pg_reload_conf()");
        play.insist().await;
        play.judge(&[0, 1, 2]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_stands_still_acknowledges_nothing_and_sidecars_stop_with_their_lease() {
    let mut play = Play::begin("store stopped (PostgreSQL)", Cast::TWO).await;
    while play.round().await {
        play.stage.store.as_ref().unwrap().freeze();
        let first = play.delete().await;
        assert!(first.iter().all(|asked| *asked != Asked::Done), "{first:?}");
        play.refuse_everything(&[0, 1, 2]).await;
        play.stage.store.as_ref().unwrap().thaw();
        play.insist().await;
        play.judge(&[0, 1, 2]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn control_planes_that_cannot_reach_the_store_acknowledge_nothing() {
    let mut play = Play::begin("controls cut off from the store", Cast::TWO).await;
    while play.round().await {
        play.stage.to_store.iter().for_each(|network| network.set(Mode::Blackhole));
        let first = play.delete().await;
        assert!(first.iter().all(|asked| *asked != Asked::Done), "{first:?}");
        play.refuse_everything(&[0, 1, 2]).await;
        play.stage.heal();
        play.insist().await;
        play.judge(&[0, 1, 2]).await;
    }
}
