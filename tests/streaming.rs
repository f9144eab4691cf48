//! Bodies, streams and upgrades pass as they come, in both directions, in both versions of HTTP.

use http_body_util::BodyExt as _;

use crate::support::eventually::in_time;
use crate::support::raw::Raw;
use crate::support::{Call, Tokens, World};

#[tokio::test]
async fn events_arrive_one_by_one() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let mut stream = world.call("GET", "/oss-watch/reports").bearer(&tokens.access).open().await;
    assert_eq!(stream.status(), 200);
    assert!(stream.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    assert!(!stream.headers()["x-consentry-decision"].is_empty());
    let mut events = String::new();
    while events.matches("data:").count() < 3 {
        let frame = in_time("the next event", stream.body_mut().frame()).await.unwrap().unwrap();
        events.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
    }
}

#[tokio::test]
async fn a_stream_without_a_credential_does_not_open() {
    let world = World::start().await;
    world.call("GET", "/oss-watch/reports").send().await.expect(401);
    let tokens = world.install("desk-cli", "admin@acme", &[]).await;
    let refused = world.call("GET", "/oss-watch/reports").bearer(&tokens.access).send().await;
    refused.expect_problem(403, "insufficient_scope");
}

#[tokio::test]
async fn a_websocket_opens_on_its_route_and_on_no_other() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let mut socket = upgrade(&world, "/oss-socket/reports", &tokens).await;
    let head = socket.read_to("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // The answer to the example key of RFC 6455 §1.3.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    let first = socket.take(2).await;
    assert_eq!(first[0] & 0x80, 0x80, "a frame of the upstream: {first:?}");

    let (before, _) = world.seen().await;
    let mut ordinary = upgrade(&world, "/oss/reports/q1.csv", &tokens).await;
    let answer = ordinary.answer().await;
    assert_eq!(answer.status, 400, "{}", answer.head);
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
}

#[tokio::test]
async fn a_websocket_is_closed_when_the_application_is_deleted() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let mut socket = upgrade(&world, "/oss-socket/reports", &tokens).await;
    assert!(socket.read_to("\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    let receipt = world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!(receipt["streams_closed"], 1, "{receipt}");
    let rest = socket.closed().await;
    // A close frame with 1008, policy violation (RFC 6455 §7.4.1), is the last that comes.
    let [high, low] = 1008_u16.to_be_bytes();
    let close = |part: &[u8]| part[0] == 0x88 && part[2..] == [high, low];
    assert!(rest.windows(4).any(close), "{rest:?}");
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions_unchanged() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let body: String = (0..400_000).map(|number| format!("{number:07};")).collect();
    let answer = upload(&world, &tokens).body(body.clone()).send().await.expect(200);
    assert_eq!(answer["body"].as_str().unwrap().len(), body.len());
    assert_eq!(answer["body"], body.as_str());
    let answer = upload(&world, &tokens).body(body.clone()).send_h2().await.expect(200);
    assert_eq!(answer["body"], body.as_str());
}

#[tokio::test]
async fn a_chunked_body_with_trailers_passes_and_the_connection_is_used_again() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let mut raw = Raw::connect(&world.sidecar).await;
    let head = head(&world, &tokens, "Transfer-Encoding: chunked\r\nTrailer: x-sum, authorization\r\n");
    raw.write(&head).await;
    raw.write("4\r\nabcd\r\n3;ext=1\r\nefg\r\n0\r\nx-sum: 7\r\nauthorization: evil\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 200, "{} {}", answer.head, answer.body);
    assert!(answer.body.contains("abcdefg") && !answer.body.contains("evil"), "{}", answer.body);
    raw.write(&head).await;
    raw.write("0\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 200);
}

#[tokio::test]
async fn a_body_is_asked_for_only_when_the_call_is_allowed() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let expect = "Content-Length: 4\r\nExpect: 100-continue\r\n";
    let mut raw = Raw::connect(&world.sidecar).await;
    raw.write(head(&world, &tokens, expect)).await;
    assert!(raw.read_to("\r\n\r\n").await.starts_with("HTTP/1.1 100"));
    raw.write("abcd").await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(answer.body.contains("abcd"), "{}", answer.body);

    let mut raw = Raw::connect(&world.sidecar).await;
    let stranger = Tokens { access: "nonsense".to_owned(), ..tokens };
    raw.write(head(&world, &stranger, expect)).await;
    assert_eq!(raw.answer().await.status, 401, "at once, with no 100 before it");
}

#[tokio::test]
async fn http_2_is_decided_like_http_1() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let call = |path: &str| world.call("GET", path);
    let answer = call("/oss/reports/q1.csv").bearer(&tokens.access).send_h2().await;
    assert_eq!(answer.expect(200)["identity"]["type"], "user");
    call("/oss/reports/q1.csv").send_h2().await.expect(401);
    call("/nowhere").bearer(&tokens.access).send_h2().await.expect(404);
    let write = world.call("PUT", "/oss/reports/q1.csv").bearer(&tokens.access).body("x").send_h2().await;
    write.expect_problem(403, "insufficient_scope");
    call("/oss/reports/%2e%2e").bearer(&tokens.access).header("host", "other").send_h2().await.expect(400);
}

fn upload(world: &World, tokens: &Tokens) -> Call {
    let call = world.rpc("ecs", "StartInstance").bearer(&tokens.access);
    call.header("content-type", "application/octet-stream")
}

/// The head of an upload, with these headers to describe its body.
fn head(world: &World, tokens: &Tokens, body: &str) -> String {
    let (host, token) = (world.sidecar.trim_start_matches("http://"), &tokens.access);
    format!(
        "POST /ecs/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nx-acs-action: StartInstance\r\n\
         Content-Type: application/octet-stream\r\n{body}\r\n"
    )
}

async fn upgrade(world: &World, path: &str, tokens: &Tokens) -> Raw {
    let (host, token) = (world.sidecar.trim_start_matches("http://"), &tokens.access);
    let mut raw = Raw::connect(&world.sidecar).await;
    raw.write(format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ))
    .await;
    raw
}
