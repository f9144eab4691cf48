//! Networks that fail between a sidecar and its control plane.

use super::play::Play;
use super::stage::Cast;
use crate::support::fault::Mode;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_nothing_broken_a_deletion_is_final_when_it_is_acknowledged() {
    let mut play = Play::begin("none", Cast::SMALL).await;
    while play.round().await {
        play.delete_all().await;
        play.judge(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_nothing_broken_two_control_planes_acknowledge_what_each_others_sidecars_heard() {
    let mut play = Play::begin("none, two controls", Cast::TWO).await;
    while play.round().await {
        play.delete_all().await;
        play.judge(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_that_loses_one_control_plane_follows_the_other() {
    let mut play = Play::begin("sidecar cut off from the control it followed", Cast::TWO).await;
    while play.round().await {
        play.stage.sidecars[0].to_control[0].set(Mode::Blackhole);
        play.delete_all().await;
        play.are_refused_at(&[0, 1, 2]).await;
        play.stage.heal();
        // Until it has noticed, and where it must look anew, it may say that it does not know.
        play.judge(&[0]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_that_is_cut_off_stops_before_a_deletion_is_acknowledged() {
    let mut play = Play::begin("sidecar cut off from all", Cast::SMALL).await;
    while play.round().await {
        play.stage.sidecars[0].to_control.iter().for_each(|network| network.set(Mode::Blackhole));
        play.delete_all().await;
        play.are_refused_at(&[0, 1, 2]).await;
        play.refuse_everything(&[0]).await;
        play.serve_others(&[1, 2]).await;
        play.stage.heal();
        play.judge(&[0]).await;
    }
}
