//! Upstreams and callers that break, go silent or go away.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::world::{Proxy, Tuning, echo, upstream};
use crate::net::body::Answer;
use crate::net::listener::{Abandoned, ListenError, ListenerSettings, Shared, Worker, Workers};

/// What may never reach an upstream.
const REFUSED: &[&str] = &[
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: authorization\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
];

#[tokio::test]
async fn a_malformed_request_is_a_400_and_opens_no_upstream() {
    let (address, seen) = echo().await;
    let proxy = Proxy::to(address).await;
    for request in REFUSED {
        let mut client = proxy.connect().await;
        client.send(request).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{request:?}: {head}");
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nothing_after_a_framing_fault_is_served() {
    let (address, seen) = echo().await;
    let proxy = Proxy::to(address).await;
    let mut client = proxy.connect().await;
    let smuggled =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    client.send(format!("{smuggled}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let all = client.rest().await;
    assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
    assert_eq!(seen.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn bad_framing_later_in_a_body_breaks_the_upstream_request() {
    let (address, seen) = upstream(|mut client, seen| async move {
        let head = client.head().await.unwrap();
        assert!(head.contains("transfer-encoding: chunked"));
        client.until("abc\r\n").await;
        seen.requests.fetch_add(1, Ordering::SeqCst);
        assert!(!client.rest().await.contains("0\r\n\r\n"), "a broken body must not end cleanly");
        seen.requests.fetch_add(1, Ordering::SeqCst);
    })
    .await;
    let proxy = Proxy::to(address).await;
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    seen.reach(1).await;
    client.send("3\r\nabcd\r\n").await;
    assert_eq!(client.response().await, (400, "body".to_owned()));
    seen.reach(2).await;
}

#[tokio::test]
async fn the_callers_100_continue_waits_for_the_decision() {
    let (address, _) = echo().await;
    let proxy = Proxy::to(address).await;
    let mut client = proxy.connect().await;
    let ask = |path: &str| {
        format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
    };
    client.send(ask("/a//b")).await;
    assert!(
        client.until("\r\n\r\n").await.starts_with("HTTP/1.1 400 "),
        "refused without asking for the body"
    );
    let (address, _) = upstream(|mut client, _| async move {
        let head = client.head().await.unwrap();
        assert!(!head.contains("expect"));
        client.until("x").await;
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    let proxy = Proxy::to(address).await;
    let mut client = proxy.connect().await;
    client.send(ask("/a")).await;
    client.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("x").await;
    assert_eq!(client.response().await.0, 200);
}

#[tokio::test]
async fn an_upstream_that_breaks_in_its_body_breaks_the_caller() {
    for framing in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let (address, _) = upstream(move |mut client, _| async move {
            client.head().await;
            client.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        })
        .await;
        let proxy = Proxy::to(address).await;
        let mut client = proxy.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let all = client.rest().await;
        assert!(
            all.contains("abc") && !all.contains("0\r\n\r\n"),
            "a broken body must not end cleanly: {all:?}"
        );
    }
}

#[tokio::test]
async fn an_upstream_without_a_proper_answer_is_a_bad_gateway() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::to(gone).await;
    assert_eq!(proxy.connect().await.get("/").await.0, 502);
    for nonsense in ["", "nonsense\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"]
    {
        let (address, seen) = upstream(move |mut client, _| async move {
            client.head().await;
            client.send(nonsense).await;
        })
        .await;
        let proxy = Proxy::to(address).await;
        assert_eq!(proxy.connect().await.get("/").await.0, 502, "{nonsense:?}");
        assert_eq!(seen.connections.load(Ordering::SeqCst), 1, "a new connection is not tried twice");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_a_gateway_timeout() {
    let (address, _) = upstream(|mut client, _| async move { drop(client.rest().await) }).await;
    let mut tuning = Tuning::to(address);
    tuning.upstream.head_timeout = Duration::from_millis(20);
    let proxy = Proxy::with(tuning).await;
    assert_eq!(proxy.connect().await.get("/").await, (504, "timeout".to_owned()));
}

#[tokio::test]
async fn an_old_connection_that_dies_is_replaced_once_for_a_request_that_may_be_repeated() {
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 502),
    ] {
        let (address, seen) = upstream(|mut client, seen| async move {
            let answers = if seen.connections.load(Ordering::SeqCst) == 1 { 1 } else { usize::MAX };
            for _ in 0..answers {
                if client.head().await.is_none() {
                    return;
                }
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
            client.head().await;
        })
        .await;
        let mut tuning = Tuning::to(address);
        tuning.upstream.race = Duration::ZERO;
        let proxy = Proxy::with(tuning).await;
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await.0, 200);
        client.send(request).await;
        assert_eq!(client.response().await.0, status, "{request:?}");
        let expected = if status == 200 { 2 } else { 1 };
        assert_eq!(seen.connections.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn a_caller_who_is_slow_or_silent_loses_the_connection() {
    let (address, _) = echo().await;
    for begun in ["", "G", "GET / HTTP/1.1\r\nHost: a\r\n", "PRI * HTTP/2.0\r\n\r\n"] {
        let mut tuning = Tuning::to(address);
        tuning.listener.head_timeout = Duration::from_millis(20);
        let proxy = Proxy::with(tuning).await;
        let mut client = proxy.connect().await;
        client.send(begun).await;
        assert_eq!(client.rest().await, "");
    }
    let mut tuning = Tuning::to(address);
    tuning.listener.idle_timeout = Duration::from_millis(20);
    let proxy = Proxy::with(tuning).await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.0, 200);
    assert_eq!(client.rest().await, "", "an idle connection is closed");
}

#[tokio::test]
async fn a_caller_of_a_shared_listener_who_is_silent_loses_the_connection() {
    let hello = service_fn(async |_: Request<Incoming>| {
        Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Empty::<Bytes>::new()))
    });
    let mut settings = ListenerSettings::new(([127, 0, 0, 1], 0).into());
    settings.head_timeout = Duration::from_millis(20);
    let shared = Shared::start(settings, hello).await.unwrap();
    for begun in ["", "P", "GET / HTTP/1.1\r\nHost: a\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut tcp = TcpStream::connect(shared.address()).await.unwrap();
        tcp.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_although_workers_share_theirs() {
    let (address, _) = echo().await;
    let mut tuning = Tuning::to(address);
    tuning.listener.workers = 2;
    let proxy = Proxy::with(tuning).await;
    let taken = ListenerSettings::new(proxy.workers.address());
    let factory = |_: &Worker| Ok::<_, Abandoned>(|_, _| async { Err::<Response<Answer>, _>(Abandoned) });
    let refused = Workers::start(taken, factory).await;
    assert!(matches!(refused, Err(ListenError::Bind { .. })));
    assert_eq!(proxy.connect().await.get("/").await.0, 200);
}

#[tokio::test]
async fn connections_over_the_limit_are_refused_at_once() {
    let (address, _) = echo().await;
    let mut tuning = Tuning::to(address);
    tuning.listener.connections = 1;
    let proxy = Proxy::with(tuning).await;
    let mut first = proxy.connect().await;
    assert_eq!(first.get("/").await.0, 200);
    assert_eq!(proxy.connect().await.rest().await, "");
    assert_eq!(proxy.workers.tally().refused(), 1);
    assert_eq!(first.get("/").await.0, 200);
}
