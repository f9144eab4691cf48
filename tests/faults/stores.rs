//! Stores that cannot be written or reached.

use super::play::{Asked, Play};
use super::stage::Cast;

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
