//! Processes that stand still or end: sidecars and control planes.

use rustix::process::Signal;

use super::play::{Asked, Play};
use super::stage::Cast;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_that_stood_still_refuses_when_it_goes_on() {
    let mut play = Play::begin("sidecar stopped, goes on after its lease", Cast::SMALL).await;
    while play.round().await {
        play.stage.sidecars[0].role.signal(Signal::STOP);
        play.delete_all().await;
        play.are_refused_at(&[1, 2]).await;
        play.serve_others(&[1, 2]).await;
        play.stage.sidecars[0].role.signal(Signal::CONT);
        play.judge(&[0]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_that_was_killed_delays_a_deletion_by_its_lease_and_comes_back_empty() {
    let mut play = Play::begin("sidecar killed", Cast::SMALL).await;
    while play.round().await {
        play.stage.sidecars[0].role.kill();
        play.delete_all().await;
        play.are_refused_at(&[1, 2]).await;
        play.serve_others(&[1, 2]).await;
        play.stage.start_sidecar(0).await;
        play.move_to_new_doors();
        play.judge(&[0]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_control_plane_that_is_killed_while_it_deletes_has_deleted_or_not_and_nothing_between() {
    let mut play = Play::begin("control killed while it deletes", Cast::SMALL).await;
    while play.round().await {
        let first = play.delete_while(|stage| stage.controls[0].kill()).await;
        assert!(first.iter().all(|asked| matches!(asked, Asked::Done | Asked::Unanswered)), "{first:?}");
        play.stage.start_control(0).await;
        play.insist().await;
        play.judge(&[0, 1, 2]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_control_plane_that_stands_still_acknowledges_nothing_and_sidecars_stop_with_their_lease() {
    let mut play = Play::begin("the only control stopped", Cast::SMALL).await;
    while play.round().await {
        play.stage.controls[0].signal(Signal::STOP);
        let first = play.delete().await;
        assert!(first.iter().all(|asked| *asked == Asked::Unanswered), "{first:?}");
        play.refuse_everything(&[0, 1, 2]).await;
        play.stage.controls[0].signal(Signal::CONT);
        play.insist().await;
        play.judge(&[0, 1, 2]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_one_control_plane_stopped_the_other_deletes() {
    let mut play = Play::begin("one of two controls stopped", Cast::TWO).await;
    while play.round().await {
        play.stage.controls[0].signal(Signal::STOP);
        play.stage.lead_to_control(1);
        play.delete_all().await;
        play.are_refused_at(&[0, 1, 2]).await;
        play.stage.controls[0].signal(Signal::CONT);
        play.stage.lead_to_control(0);
        play.judge(&[0, 1, 2]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_one_control_plane_killed_while_it_deletes_the_other_knows_what_it_had_committed() {
    let mut play = Play::begin("one of two controls killed while it deletes", Cast::TWO).await;
    while play.round().await {
        let first = play.delete_while(|stage| stage.controls[0].kill()).await;
        assert!(first.iter().all(|asked| matches!(asked, Asked::Done | Asked::Unanswered)), "{first:?}");
        play.stage.lead_to_control(1);
        play.insist().await;
        play.are_refused_at(&[0, 1, 2]).await;
        play.stage.start_control(0).await;
        play.judge(&[0, 1, 2]).await;
    }
}
