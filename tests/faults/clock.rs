//! Clocks that jump: what a lease counts by is not the time of day.

use super::play::Play;
use super::stage::Cast;
use crate::support::fault::Mode;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_whose_clock_jumps_back_goes_on_no_longer() {
    sidecar_jumps("clock of a cut off sidecar back by an hour", "-3600").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sidecar_whose_clock_jumps_ahead_allows_no_more() {
    sidecar_jumps("clock of a cut off sidecar ahead by half an hour", "+1800").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_control_plane_whose_clock_jumps_acknowledges_nothing_too_early() {
    for (name, offset) in [("clock of the control back by an hour", "-3600"), ("ahead by an hour", "+3600")] {
        let mut play = Play::begin(name, Cast { clocks: true, ..Cast::SMALL }).await;
        while play.round().await {
            play.stage.controls[0].set_clock(offset);
            play.delete_all().await;
            play.stage.controls[0].set_clock("+0");
            play.judge(&[0, 1, 2]).await;
        }
    }
}

/// Cut off, it can only count for itself how long it may go on.
async fn sidecar_jumps(name: &'static str, offset: &str) {
    let mut play = Play::begin(name, Cast { clocks: true, ..Cast::SMALL }).await;
    while play.round().await {
        play.stage.sidecars[0].to_control.iter().for_each(|network| network.set(Mode::Blackhole));
        play.stage.sidecars[0].role.set_clock(offset);
        play.delete_all().await;
        play.refuse_everything(&[0]).await;
        play.stage.sidecars[0].role.set_clock("+0");
        play.stage.heal();
        play.judge(&[0]).await;
    }
}
