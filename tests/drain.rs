//! SIGTERM ends the work in order: what is under way is finished, nothing new is begun.

use rustix::process::Signal;

use crate::support::raw::Raw;
use crate::support::{World, eventually};

#[tokio::test]
async fn what_is_under_way_is_finished_and_nothing_new_begun() {
    let mut world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let host = world.sidecar.trim_start_matches("http://").to_owned();
    let mut upload = Raw::connect(&world.sidecar).await;
    upload
        .write(format!(
            "POST /ecs/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nx-acs-action: StartInstance\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n",
            tokens.access
        ))
        .await;
    assert!(upload.read_to("\r\n\r\n").await.starts_with("HTTP/1.1 100"));
    upload.write("half").await;

    world.signal(Signal::TERM);
    eventually("the sidecar takes no new connection", || async {
        tokio::net::TcpStream::connect(&host).await.is_err().then_some(())
    })
    .await;
    upload.write("rest").await;
    let answer = upload.answer().await;
    assert_eq!(answer.status, 200, "{} {}", answer.head, answer.body);
    assert!(answer.body.contains("halfrest"), "{}", answer.body);
    let status = world.ended().await;
    assert!(status.success(), "{status}: {}", world.narration());
}

#[tokio::test]
async fn with_nothing_under_way_it_ends_at_once_and_well() {
    let mut world = World::start().await;
    let status = world.terminate().await;
    assert!(status.success(), "{status}: {}", world.narration());
    assert!(!world.narration().contains("panicked"), "{}", world.narration());
}
