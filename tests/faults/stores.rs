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
async fn a_database_without_room_refuses_deletions() {
    let mut play = Play::begin("store full (PostgreSQL)", Cast::TWO).await;
    play.stage.store.as_ref().unwrap().tell_in("consentry", NO_ROOM);
    while play.round().await {
        play.stage
            .store
            .as_ref()
            .unwrap()
            .tell_in("consentry", "ALTER TABLE change_log ENABLE TRIGGER no_room");
        let first = play.delete().await;
        let refused = |asked: &Asked| matches!(asked, Asked::Refused(503 | 507));
        assert!(first.iter().all(refused), "nothing is promised that cannot be kept: {first:?}");
        play.stage
            .store
            .as_ref()
            .unwrap()
            .tell_in("consentry", "ALTER TABLE change_log DISABLE TRIGGER no_room");
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

/// What PostgreSQL says when its disk is full, once the trigger is enabled.
const NO_ROOM: &str = "
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER no_room BEFORE INSERT ON change_log FOR EACH ROW EXECUTE FUNCTION full_disk();
    ALTER TABLE change_log DISABLE TRIGGER no_room;";
