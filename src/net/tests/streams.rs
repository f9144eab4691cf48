//! Bodies that stream, stall and are cut.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::world::{Client, Proxy, Seen, Tuning, upstream};
use crate::net::listener::{ListenerSettings, Shared};
use crate::net::upstream::Protocol;

/// An upstream that streams an event and then waits for the connection to end.
async fn streaming() -> (std::net::SocketAddr, Arc<Seen>) {
    upstream(|mut client, seen| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent\n\r\n").await;
        client.rest().await;
        seen.requests.fetch_add(1, Ordering::SeqCst);
    })
    .await
}

async fn open_stream(proxy: &Proxy) -> Client {
    let mut client = proxy.connect().await;
    client.send("GET /watch HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("event\n").await;
    client
}

#[tokio::test]
async fn a_cut_ends_open_streams_without_a_clean_end_and_counts_them() {
    let (address, _) = streaming().await;
    let proxy = Proxy::to(address).await;
    let mut clients = [open_stream(&proxy).await, open_stream(&proxy).await];
    assert_eq!(proxy.workers.sever().await, 0, "nothing has fired");
    assert_eq!(proxy.cut().await, 2);
    for client in &mut clients {
        assert!(!client.rest().await.contains("0\r\n\r\n"));
    }
    assert_eq!(proxy.cut().await, 0, "they are gone");
}

#[tokio::test]
async fn a_cut_of_many_streams_is_over_when_it_is_acknowledged() {
    const STREAMS: usize = 400;
    let (address, _) = streaming().await;
    let proxy = Proxy::to(address).await;
    let mut clients = Vec::new();
    for _ in 0..STREAMS {
        clients.push(open_stream(&proxy).await);
    }
    assert_eq!(proxy.cut().await, STREAMS);
    assert_eq!(proxy.workers.tally().open(), 0);
}

#[tokio::test]
async fn a_caller_who_cannot_await_severs_too() {
    let (address, _) = streaming().await;
    let proxy = Proxy::to(address).await;
    let mut client = open_stream(&proxy).await;
    proxy.fired.store(true, Ordering::SeqCst);
    assert_eq!(proxy.workers.sever_within(Duration::from_secs(5)), Some(1));
    client.rest().await;
}

#[tokio::test]
async fn a_cut_is_noticed_without_being_told() {
    let (address, _) = streaming().await;
    let proxy = Proxy::to(address).await;
    let mut client = open_stream(&proxy).await;
    proxy.fired.store(true, Ordering::SeqCst);
    assert!(!client.rest().await.contains("0\r\n\r\n"));
}

#[tokio::test]
async fn a_cut_reaches_a_call_that_waits_for_its_head_and_one_whose_upload_runs() {
    let (address, seen) = upstream(|mut client, seen| async move {
        client.head().await;
        seen.requests.fetch_add(1, Ordering::SeqCst);
        assert!(!client.rest().await.contains("0\r\n\r\n"));
        seen.requests.fetch_add(10, Ordering::SeqCst);
    })
    .await;
    let proxy = Proxy::to(address).await;
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    ];
    let mut clients = Vec::new();
    for request in requests {
        let mut client = proxy.connect().await;
        client.send(request).await;
        clients.push(client);
    }
    seen.reach(2).await;
    assert_eq!(proxy.cut().await, 2);
    for client in &mut clients {
        assert_eq!(client.rest().await, "");
    }
    seen.reach(22).await;
}

#[tokio::test]
async fn a_cut_reaches_a_caller_who_does_not_read() {
    let (address, seen) = upstream(|mut client, seen| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000000\r\n").await;
        // Until nothing more fits between the two, for long enough to believe it.
        let mut stuck = 0;
        while stuck < 5_000 {
            match client.tcp.try_write(&[b'x'; 0x1_0000]) {
                Ok(_) => stuck = 0,
                Err(_) => stuck += 1,
            }
            tokio::task::yield_now().await;
        }
        seen.requests.fetch_add(1, Ordering::SeqCst);
        client.rest().await;
    })
    .await;
    let proxy = Proxy::to(address).await;
    let mut client = proxy.connect().await;
    client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    seen.reach(1).await;
    assert_eq!(proxy.cut().await, 1);
    assert_eq!(proxy.workers.tally().open(), 0, "the connection is closed when the cut is acknowledged");
    client.rest().await;
}

#[tokio::test]
async fn a_cut_resets_an_http2_stream_and_leaves_the_connection() {
    let (address, _) = streaming().await;
    let proxy = Proxy::to(address).await;
    let tcp = TcpStream::connect(proxy.workers.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    drop(tokio::spawn(connection));
    let request = || Request::get("http://a.test/x").body(Empty::<Bytes>::new()).unwrap();
    let mut body = sender.send_request(request()).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(proxy.cut().await, 1);
    assert!(body.frame().await.unwrap().is_err(), "reset, not ended");
    assert!(!sender.is_closed());
    proxy.fired.store(false, Ordering::SeqCst);
    assert!(sender.send_request(request()).await.is_ok());
}

#[tokio::test]
async fn a_cut_ends_a_grpc_stream_by_status_16() {
    let proxy = Proxy::with(endless("application/grpc").await).await;
    let tcp = TcpStream::connect(proxy.workers.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    drop(tokio::spawn(connection));
    let request = || Request::post("http://a.test/watch").body(Empty::<Bytes>::new()).unwrap();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut body = sender.send_request(request()).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        streams.push(body);
    }
    assert_eq!(proxy.cut().await, streams.len());
    for body in &mut streams {
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "16");
        assert!(trailers["grpc-message"].to_str().unwrap().contains("authorize again"));
        assert!(body.frame().await.is_none());
    }
    proxy.fired.store(false, Ordering::SeqCst);
    assert!(sender.send_request(request()).await.is_ok(), "the connection goes on");
}

#[tokio::test]
async fn a_cut_breaks_off_what_is_no_grpc_stream() {
    let proxy = Proxy::with(endless("application/grpc-web+proto").await).await;
    let tcp = TcpStream::connect(proxy.workers.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    drop(tokio::spawn(connection));
    let request = Request::post("http://a.test/watch").body(Empty::<Bytes>::new()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(proxy.cut().await, 1);
    assert!(body.frame().await.unwrap().is_err());
}

/// A proxy to an HTTP/2 upstream whose answers are of this type and never end.
async fn endless(kind: &'static str) -> Tuning {
    let service = service_fn(move |_: Request<Incoming>| async move {
        let body = Endless(Some(Bytes::from_static(b"\0\0\0\0\x02hi")));
        Ok::<_, hyper::Error>(Response::builder().header("content-type", kind).body(body).unwrap())
    });
    let backend = Shared::start(ListenerSettings::new(([127, 0, 0, 1], 0).into()), service).await.unwrap();
    let mut tuning = Tuning::to(backend.address());
    tuning.upstream.protocol = Protocol::Http2;
    // It serves until the test ends.
    std::mem::forget(backend);
    tuning
}

/// A message, and then nothing any more.
struct Endless(Option<Bytes>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |message| Poll::Ready(Some(Ok(Frame::data(message)))))
    }
}

#[tokio::test]
async fn a_body_that_is_silent_for_too_long_is_broken_off() {
    let (address, _) = streaming().await;
    let mut tuning = Tuning::to(address);
    tuning.upstream.body_idle = Duration::from_millis(30);
    let proxy = Proxy::with(tuning).await;
    let mut client = open_stream(&proxy).await;
    assert!(!client.rest().await.contains("0\r\n\r\n"));
}

#[tokio::test]
async fn a_caller_who_goes_away_ends_the_upstream_request() {
    let (address, seen) = streaming().await;
    let proxy = Proxy::to(address).await;
    drop(open_stream(&proxy).await);
    seen.reach(1).await;
}

/// An upstream that takes a WebSocket handshake, sends a whole frame, and echoes what comes.
async fn socket() -> std::net::SocketAddr {
    let (address, _) = upstream(|mut client, _| async move {
        let head = client.head().await.unwrap().to_ascii_lowercase();
        assert!(
            head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"),
            "{head}"
        );
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        client.send(b"\x81\x02hi").await;
        client.until("ping").await;
        client.send(b"\x81\x04pong").await;
        // Half a frame, when asked for it.
        client.until("half").await;
        client.send(b"\x81\x04ha").await;
        client.rest().await;
    })
    .await;
    address
}

async fn open_socket(proxy: &Proxy) -> Client {
    let mut client = proxy.connect().await;
    client.send("GET /s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    client.until("\u{2}hi").await;
    client.send("ping").await;
    client.until("pong").await;
    client
}

#[tokio::test]
async fn a_websocket_passes_and_a_cut_closes_it_with_1008_between_two_frames() {
    let proxy = Proxy::to(socket().await).await;
    let mut client = open_socket(&proxy).await;
    assert_eq!(proxy.cut().await, 1);
    assert_eq!(client.rest_bytes().await, [0x88, 2, 0x03, 0xf0]);
}

#[tokio::test]
async fn a_cut_within_a_websocket_frame_just_ends_the_connection() {
    let proxy = Proxy::to(socket().await).await;
    let mut client = open_socket(&proxy).await;
    client.send("half").await;
    client.until("ha").await;
    assert_eq!(proxy.cut().await, 1);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_drain_lets_the_response_finish_and_accepts_no_more() {
    let finish = Arc::new(Notify::new());
    let finished = Arc::clone(&finish);
    let (address, _) = upstream(move |mut client, _| {
        let finish = Arc::clone(&finished);
        async move {
            client.head().await;
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent\n\r\n").await;
            finish.notified().await;
            client.send("0\r\n\r\n").await;
            client.rest().await;
        }
    })
    .await;
    let proxy = Proxy::to(address).await;
    let mut client = open_stream(&proxy).await;
    let mut idle = proxy.connect().await;
    let refused = async {
        while TcpStream::connect(proxy.workers.address()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        finish.notify_one();
    };
    let (ended, (), rest) =
        tokio::join!(proxy.workers.drain(Duration::from_secs(10)), refused, client.rest());
    assert!(ended);
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    assert_eq!(idle.rest().await, "");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_says_so_and_cuts_off() {
    let (address, _) = streaming().await;
    let proxy = Proxy::to(address).await;
    let mut stuck = open_stream(&proxy).await;
    assert!(!proxy.workers.drain(Duration::from_millis(20)).await);
    assert!(!stuck.rest().await.contains("0\r\n\r\n"));
}

#[tokio::test]
async fn a_drain_tells_a_websocket_that_we_are_going_away() {
    let proxy = Proxy::to(socket().await).await;
    let mut client = open_socket(&proxy).await;
    assert!(proxy.workers.drain(Duration::from_secs(10)).await);
    assert_eq!(client.rest_bytes().await, [0x88, 2, 0x03, 0xe9]);
}
