//! Requests and answers through the proxy: reuse, retries, HTTP/2, upgrades, the drain.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::world::{Proxy, Tuning, echo, upstream};
use crate::net::listener::{ListenerSettings, Shared};
use crate::net::tls::{ServerTls, client_config};
use crate::net::upstream::{Protocol, UpstreamSettings};
use crate::net::watch::Peer;

#[tokio::test]
async fn requests_of_one_connection_share_one_upstream_connection() {
    let (address, seen) = echo().await;
    let proxy = Proxy::to(address).await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        let (status, body) = client.get("/a?b=c").await;
        assert_eq!(status, 200);
        assert!(body.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{body}");
        assert!(body.contains(&format!("host: {address}\r\n")), "{body}");
    }
    let (_, body) = proxy.connect().await.get("http://a.test/x").await;
    assert!(body.starts_with("GET /x HTTP/1.1\r\n"), "an absolute target becomes a path: {body}");
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_head_response_keeps_its_length_and_the_connection() {
    let (address, seen) = upstream(|mut client, _| async move {
        while client.head().await.is_some() {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        }
    })
    .await;
    let proxy = Proxy::to(address).await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.until("\r\n\r\n").await.to_ascii_lowercase().contains("content-length: 5\r\n"));
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_the_upstream_has_closed_is_not_used_again() {
    let (address, seen) = upstream(|mut client, _| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let proxy = Proxy::to(address).await;
    let mut client = proxy.connect().await;
    for _ in 0..5 {
        assert_eq!(client.get("/").await, (200, "ok".to_owned()));
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (address, _) = echo().await;
    let proxy = Proxy::to(address).await;
    let mut client = proxy.connect().await;
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /#3 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.response().await.1.starts_with("GET /1 "));
    assert!(client.response().await.1.starts_with("GET /2 "));
    assert_eq!(client.response().await, (400, "target_fragment".to_owned()));
    assert_eq!(client.rest().await, "", "the connection is closed after a fault");
}

#[tokio::test]
async fn bodies_and_listed_trailers_pass_both_ways_over_http2() {
    let echoing = service_fn(|request: Request<Incoming>| async move {
        assert_eq!(request.version(), Version::HTTP_2);
        let body = request.into_body().collect().await.unwrap();
        let mut trailers = body.trailers().cloned().unwrap_or_default();
        trailers.insert("x-consentry-user", HeaderValue::from_static("root"));
        let frames = [Frame::data(body.to_bytes()), Frame::trailers(trailers)];
        Ok::<_, hyper::Error>(Response::new(Script(frames.into())))
    });
    let backend = Shared::start(ListenerSettings::new(([127, 0, 0, 1], 0).into()), echoing).await.unwrap();
    let mut tuning = Tuning::to(backend.address());
    tuning.upstream.protocol = Protocol::Http2;
    let proxy = Proxy::with(tuning).await;

    let tcp = TcpStream::connect(proxy.workers.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    drop(tokio::spawn(connection));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-other", HeaderValue::from_static("1"));
    let frames = [Frame::data(Bytes::from_static(b"hello")), Frame::trailers(trailers)];
    let request = Request::post("http://a.test/x").body(Script(frames.into())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    let names: Vec<_> = body.trailers().unwrap().keys().map(|name| name.as_str().to_owned()).collect();
    assert_eq!(names, ["grpc-status"]);
    assert_eq!(body.to_bytes(), "hello");
}

#[tokio::test]
async fn tls_is_spoken_on_both_sides_and_a_certificate_is_exchanged_while_serving() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let issue = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(path("tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    };
    issue();
    let tls = ServerTls::load(&path("tls.crt"), &path("tls.key")).unwrap();
    let hello = service_fn(|request: Request<Incoming>| async move {
        let answer =
            format!("{:?} {}", request.version(), request.extensions().get::<Peer>().unwrap().secure);
        Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(answer))))
    });
    let mut listener = ListenerSettings::new(([127, 0, 0, 1], 0).into());
    listener.tls = Some(Arc::clone(&tls));
    let backend = Shared::start(listener, hello).await.unwrap();
    for (protocol, version) in [(Protocol::Http1, "HTTP/1.1"), (Protocol::Negotiated, "HTTP/2.0")] {
        let mut tuning = Tuning::to(backend.address());
        let trusted = client_config(Some(&path("tls.crt")), protocol != Protocol::Http1).unwrap();
        tuning.upstream = UpstreamSettings::new("localhost", backend.address().port());
        tuning.upstream.tls = Some(trusted);
        tuning.upstream.protocol = protocol;
        let proxy = Proxy::with(tuning).await;
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await, (200, format!("{version} true")));
        assert_eq!(client.get("/").await, (200, format!("{version} true")));
    }
    let renewed = issue();
    std::fs::write(path("broken.key"), "no key").unwrap();
    assert!(ServerTls::load(&path("tls.crt"), &path("broken.key")).is_err());
    tls.reload().unwrap();
    std::fs::write(path("tls.key"), "no key").unwrap();
    assert!(tls.reload().is_err(), "the old certificate stays");
    let shown = async || {
        let config = client_config(Some(&path("tls.crt")), false).unwrap();
        let tcp = TcpStream::connect(backend.address()).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.ok()?;
        Some(tls.get_ref().1.peer_certificates().unwrap()[0].to_vec())
    };
    assert_eq!(shown().await, Some(renewed));

    // By itself, whatever it finds first.
    let following = tokio::spawn(ServerTls::follow(Arc::downgrade(&tls), Duration::from_millis(10)));
    for _ in 0..2 {
        let renewed = issue();
        let mut found = None;
        for _ in 0..1000 {
            found = shown().await;
            if found.as_ref() == Some(&renewed) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(found, Some(renewed));
    }
    drop((backend, tls));
    tokio::time::timeout(Duration::from_secs(30), following).await.expect("nobody uses it").unwrap();
}

/// A body of these frames.
struct Script(VecDeque<Frame<Bytes>>);

impl Body for Script {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}
