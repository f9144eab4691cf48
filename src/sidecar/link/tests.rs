//! The way to the control plane when nodes hang, refuse, or are gone.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::config::sidecar::ControlPlane;
use crate::model::change::Epoch;
use crate::model::id::Seq;

/// A node that answers everything with this, and how often it was asked.
async fn node(status: u16, body: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            let service = service_fn(move |_: Request<Incoming>| {
                counted.fetch_add(1, Ordering::SeqCst);
                let answer =
                    Response::builder().status(status).body(Full::new(Bytes::from_static(body.as_bytes())));
                async move { Ok::<_, Infallible>(answer.unwrap()) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(tcp), service));
        }
    });
    (url, asked)
}

/// A node that takes connections and never says a word.
async fn hanging() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (format!("http://{}", listener.local_addr().unwrap()), listener)
}

fn link(urls: &[&str], folder: &tempfile::TempDir) -> Arc<Link> {
    let settings = ControlPlane {
        allow_clear: false,
        urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
        name: "web-1".parse().unwrap(),
        state: folder.path().join("state"),
        token_file: Some(folder.path().join("token")),
        ca: None,
        certificate: None,
        key: None,
    };
    let lease = Duration::from_secs(2);
    let link = Link::new(&settings, "http://issuer", None, lease, Clock::set(1_800_000_000)).unwrap();
    // Which node is first is left to chance otherwise.
    link.nodes.begin_with(0);
    link
}

fn key() -> GrantKey {
    GrantKey { account: "1".parse().unwrap(), application: "2".parse().unwrap() }
}

fn report() -> Report {
    Report {
        sidecar: "x".parse().unwrap(),
        place: None,
        streams_cut: 0,
        version: String::new(),
        policies: String::new(),
        paths: Vec::new(),
        wait_ms: 0,
    }
}

const NOBODY: &str = "http://127.0.0.1:1";
const NONE: &str = r#"{"as_of":1,"epoch":"e","installed":null}"#;
const NEWS: &str = r#"{"epoch":"e","newest":7,"changes":[],"lease_ms":2000}"#;
const UNKNOWN_HERE: &str =
    r#"{"code":"enrolment_unknown","detail":"No sidecar is enrolled.","next":"Invite it."}"#;

#[tokio::test]
async fn the_next_node_is_asked_when_one_is_gone_hangs_or_cannot_and_stays_the_one() {
    let folder = tempfile::tempdir().unwrap();
    let (hanging, _listener) = hanging().await;
    let (broken, _) = node(503, r#"{"code":"store_unavailable","detail":"Not now."}"#).await;
    let (stranger, _) = node(200, "<html>").await;
    for bad in [NOBODY, &hanging, &broken] {
        let (good, asked) = node(200, NONE).await;
        let link = link(&[bad, &good], &folder);
        assert_eq!(link.installed(&key()).await.unwrap(), None, "{bad}");
        assert_eq!(link.installed(&key()).await.unwrap(), None, "{bad}");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
    for bad in [NOBODY, &hanging, &broken, &stranger] {
        let link = link(&[bad], &folder);
        assert!(link.installed(&key()).await.is_err(), "{bad}");
        assert!(link.keys().await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_question_that_is_given_up_leads_to_the_next_node() {
    let folder = tempfile::tempdir().unwrap();
    let (hanging, _listener) = hanging().await;
    let (good, _) = node(200, NEWS).await;
    let link = link(&[&hanging, &good], &folder);
    assert!(tokio::time::timeout(Duration::from_millis(20), link.follow(&report())).await.is_err());
    let news = link.follow(&report()).await.unwrap();
    assert_eq!((news.epoch, news.newest), (Epoch("e".to_owned()), Seq(7)));
}

#[tokio::test]
async fn who_is_not_enrolled_and_has_nothing_to_enrol_with_is_refused_and_does_not_ask_on_and_on() {
    let folder = tempfile::tempdir().unwrap();
    let (control, asked) = node(401, UNKNOWN_HERE).await;
    let link = link(&[&control], &folder);
    for _ in 0..3 {
        let refused = link.follow(&report()).await.unwrap_err();
        assert_eq!(refused, FollowError::Refused("No sidecar is enrolled. Invite it.".to_owned()));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // With something new to try it asks at once.
    std::fs::write(folder.path().join("token"), "fresh\n").unwrap();
    assert!(link.follow(&report()).await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 3, "the question, and the enrolment");
}

/// Keeps nothing.
struct Nowhere;

impl crate::observe::records::Keep for Nowhere {
    fn keep(&mut self, _: crate::observe::line::Lines<'_>) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test]
async fn records_that_wait_are_copied_in_one_request_and_the_last_ones_too() {
    use crate::observe::line::Lines;
    use crate::observe::records::Keep;

    let folder = tempfile::tempdir().unwrap();
    let (control, asked) = node(200, "").await;
    let (mut copied, copies) = records::copied(Box::new(Nowhere));
    for _ in 0..50 {
        copied.keep(Lines::new(b"{}\n")).unwrap();
    }
    drop(copied);
    copies.send(link(&[&control], &folder)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
