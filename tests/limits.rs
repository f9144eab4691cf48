//! Requests that no honest client sends: refused as what they are, never passed on, never half-done.

use crate::support::raw::Raw;
use crate::support::{Person, World};

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let (before, _) = world.seen().await;
    let host = world.sidecar.trim_start_matches("http://").to_owned();
    let token = &tokens.access;
    for (what, lines, body) in FRAMING.iter().chain(HEADS) {
        let lines = lines.replace("HOST", &host);
        let mut raw = Raw::connect(&world.sidecar).await;
        raw.write(format!("{lines}Authorization: Bearer {token}\r\n\r\n{body}")).await;
        if let Some(answer) = raw.answer_or_end().await {
            assert!([400, 405, 501, 505].contains(&answer.status), "{what}: {}", answer.head);
        }
        if !HEADS.iter().any(|(head, ..)| head == what) {
            let rest = raw.closed().await;
            assert!(rest.is_empty(), "{what}: a second answer: {}", String::from_utf8_lossy(&rest));
        }
    }
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
    world.read_object(token).await.expect(200);
}

#[tokio::test]
async fn a_target_with_more_than_one_spelling_is_refused() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let (before, _) = world.seen().await;
    let host = world.sidecar.trim_start_matches("http://").to_owned();
    for target in TARGETS {
        let mut raw = Raw::connect(&world.sidecar).await;
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer ");
        raw.write([head.as_bytes(), tokens.access.as_bytes(), b"\r\n\r\n"].concat()).await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.head);
    }
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
    // One spelling, and the upstream gets these very bytes.
    let path = "/oss/reports/a%20b/%C3%BC~.txt?x=%2F&y=a+b";
    world.call("GET", path).bearer(&tokens.access).send().await.expect(200);
    assert_eq!(world.last_seen().await["target"], path);
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_name() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let (before, _) = world.seen().await;
    let call = |path: &str| world.call("GET", path).bearer(&tokens.access);
    call(&format!("/oss/reports/{}", "a".repeat(9000))).send().await.expect(414);
    let large = call("/oss/reports/q1.csv").header("x-large", "a".repeat(20_000));
    large.send().await.expect(431);
    let mut many = call("/oss/reports/q1.csv");
    for number in 0..120 {
        many = many.header(&format!("x-many-{number}"), "a");
    }
    many.send().await.expect(431);
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
    call(&format!("/oss/reports/{}", "a".repeat(900))).send().await.expect(200);
}

#[tokio::test]
async fn hop_by_hop_headers_stay_on_their_hop_and_cannot_name_ours() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let call = || world.call("GET", "/oss/reports/q1.csv").bearer(&tokens.access);
    call().header("connection", "x-hop").header("x-hop", "1").header("x-end", "2").send().await.expect(200);
    let seen = world.last_seen().await;
    assert!(seen["headers"].get("x-hop").is_none() && seen["headers"]["x-end"] == "2", "{seen}");
    let (before, _) = world.seen().await;
    for name in ["authorization", "host", "content-length", "x-consentry-decision"] {
        call().header("connection", format!("close, {name}")).send().await.expect(400);
    }
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
}

#[tokio::test]
async fn a_request_that_never_ends_is_given_up() {
    let world = World::start().await;
    let mut raw = Raw::connect(&world.sidecar).await;
    raw.write("GET /oss/reports/q1.csv HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    let answer = String::from_utf8(raw.closed().await).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down_for_that_login_and_not_for_others() {
    let world = World::start().await;
    let attempt = world.application("report-hub").ask();
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let mut guesser = Person::new(&world, "alice@acme");
        guesser.password = "a guess".to_owned();
        statuses.push(guesser.visit(&attempt.url).await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let alice = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    assert_eq!(alice.status, 429, "the right password has to wait as well: {}", alice.text());
    assert!(alice.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_malformed_request_to_the_issuer_is_refused_and_leaves_nothing_half_done() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let path = format!("/applications/{}/assignments", application.client_id);
    for body in ["", "{", "[]", "{\"mode\":1}", "{\"mode\":\"all\",\"mode\":\"assigned\"}"] {
        let call = world.api("acme", "PUT", &path).header("content-type", "application/json");
        let refused = call.body(body).send().await;
        assert!([400, 404, 415, 422].contains(&refused.status), "{body}: {}", refused.status);
    }
    let twice = "grant_type=refresh_token&grant_type=authorization_code&refresh_token=x";
    let call = application.post("/v1/token", &[]).body(twice);
    call.send().await.expect_oauth_error(400, "invalid_request");
    for (what, body) in [("no grant type", ""), ("unknown grant type", "grant_type=password")] {
        let refused = application.post("/v1/token", &[]).body(body).send().await;
        assert_eq!(refused.status, 400, "{what}: {}", refused.text());
    }
    let large = application.post("/v1/token", &[]).body("a".repeat(200_000)).send().await;
    assert_eq!(large.status, 413, "{}", large.text());
}

/// Framing that two parsers could read differently: what it is, the head, the body.
const FRAMING: &[(&str, &str, &str)] = &[
    (
        "length and chunked",
        "PUT /ecs/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\nGET /oss/reports HTTP/1.1\r\nHost: HOST\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST /ecs/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    ),
    (
        "another coding",
        "POST /ecs/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked\r\n",
        "0\r\n\r\n",
    ),
    (
        "chunked last but one",
        "POST /ecs/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked, identity\r\n",
        "0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST /ecs/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nContent-Length: 5\r\n",
        "abcd",
    ),
    ("a length with a sign", "POST /ecs/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: +4\r\n", "abcd"),
    ("a body where none belongs", "GET /oss/reports HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\n", "abcd"),
    (
        "chunked in HTTP/1.0",
        "POST /ecs/ HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    ),
    (
        "bad chunks",
        "POST /ecs/ HTTP/1.1\r\nHost: HOST\r\nx-acs-action: StartInstance\r\nTransfer-Encoding: chunked\r\n",
        "zz\r\nabcd\r\n0\r\n\r\n",
    ),
];

/// Heads that two parsers could read differently, with no body to lose one's place in.
const HEADS: &[(&str, &str, &str)] = &[
    ("no host", "GET /oss/reports HTTP/1.1\r\n", ""),
    ("two hosts", "GET /oss/reports HTTP/1.1\r\nHost: HOST\r\nHost: other\r\n", ""),
    ("a host with a path", "GET /oss/reports HTTP/1.1\r\nHost: a/b\r\n", ""),
    ("another authority", "GET http://other/oss/reports HTTP/1.1\r\nHost: HOST\r\n", ""),
    ("bare line feeds", "GET /oss/reports HTTP/1.1\nHost: HOST\n", ""),
    ("a folded header", "GET /oss/reports HTTP/1.1\r\nHost: HOST\r\nX-A: b\r\n c\r\n", ""),
    ("a space before the colon", "GET /oss/reports HTTP/1.1\r\nHost: HOST\r\nX-A : b\r\n", ""),
    ("a tunnel", "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n", ""),
    ("a method in lower case", "get /oss/reports HTTP/1.1\r\nHost: HOST\r\n", ""),
    ("an unknown method", "BREW /oss/reports HTTP/1.1\r\nHost: HOST\r\n", ""),
    (
        "an upgrade to HTTP/2",
        "GET /oss/reports HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "",
    ),
];

/// Targets that name something else once somebody else has cleaned them up.
const TARGETS: &[&str] = &[
    "/oss/reports/../secrets/q1.csv",
    "/oss/reports/./q1.csv",
    "/oss//reports/q1.csv",
    "/oss/reports/%2e%2e/secrets/q1.csv",
    "/oss/reports/%252e%252e/q1.csv",
    "/oss/reports%2fq1.csv",
    "/oss/reports%5cq1.csv",
    "/oss/reports\\q1.csv",
    "/oss/reports/q1.csv%00",
    "/oss/reports/..;/q1.csv",
    "/oss/reports/%zz",
    "/oss/reports/%4",
    "/oss/reports/q1.csv#part",
    "/oss/reports/\u{fc}.csv",
    "*",
    "oss/reports",
];

#[tokio::test]
async fn the_body_of_a_caller_who_is_not_known_is_not_waited_for() {
    let world = World::start().await;
    let mut raw = Raw::connect(&world.sidecar).await;
    raw.write(
        "POST /ecs/ HTTP/1.1\r\nhost: cloud.test\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: 1000000\r\n\r\nAction=",
    )
    .await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 401, "{}", answer.body);
}
