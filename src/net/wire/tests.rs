//! The follower against hyper itself, on heads and bodies split anywhere, and against every smuggling form.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

fn found(bytes: &[u8]) -> (u32, Option<Fault>) {
    found_in_pieces(bytes, &[])
}

fn found_in_pieces(bytes: &[u8], cuts: &[usize]) -> (u32, Option<Fault>) {
    let findings = Findings::new();
    let mut follower = Follower::new(Arc::clone(&findings));
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    for pair in cuts.windows(2) {
        follower.read(&bytes[pair[0]..pair[1]]);
    }
    let fault = Fault::from_code(findings.fault.load(Ordering::Relaxed));
    (findings.heads(), fault)
}

/// What must be found, however the bytes are split: every form that the HTTP library lets through.
const SMUGGLED: &[(&str, Fault)] = &[
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        Fault::TwoFramings,
    ),
    (
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
        Fault::TwoFramings,
    ),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", Fault::TwoFramings),
    (
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        Fault::RepeatedCoding,
    ),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Fault::BadCoding),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n", Fault::BadCoding),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", Fault::BadCoding),
    ("POST / HTTP/1.1\r\nTransfer-Encoding:\x0bchunked\r\n\r\n", Fault::BadCoding),
    ("POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n", Fault::BadCoding),
    ("POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n", Fault::BadFieldLine),
    ("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", Fault::RepeatedLength),
    ("POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc", Fault::BadLength),
    ("POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc", Fault::BadLength),
    ("POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc", Fault::BadLength),
    ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", Fault::BadLength),
    ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", Fault::BadLength),
    ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", Fault::BadLength),
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", Fault::BareLineFeed),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", Fault::BareLineFeed),
    ("GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::BareLineFeed),
    ("\nGET / HTTP/1.1\r\n\r\n", Fault::BareLineFeed),
    ("GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n", Fault::FoldedLine),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Fragment),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", Fault::BareLineFeed),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n", Fault::BareLineFeed),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n", Fault::BadChunk),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", Fault::BadChunk),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", Fault::BadChunk),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", Fault::BadChunk),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n", Fault::BadChunk),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", Fault::BadChunk),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", Fault::BadChunk),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n", Fault::BareLineFeed),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX y\r\n\r\n", Fault::BadFieldLine),
];

#[test]
fn every_smuggling_form_is_found_in_one_read_and_byte_by_byte() {
    for (bytes, fault) in SMUGGLED {
        assert_eq!(found(bytes.as_bytes()).1, Some(*fault), "{bytes:?}");
        let each: Vec<usize> = (0..bytes.len()).collect();
        assert_eq!(found_in_pieces(bytes.as_bytes(), &each).1, Some(*fault), "{bytes:?} byte by byte");
    }
}

#[test]
fn oversized_sections_are_found() {
    let line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9_000));
    assert_eq!(found(line.as_bytes()).1, Some(Fault::LineTooLong));
    let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(17_000));
    assert_eq!(found(head.as_bytes()).1, Some(Fault::HeadersTooLarge));
    let chunk = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;{}\r\n", "a".repeat(200));
    assert_eq!(found(chunk.as_bytes()).1, Some(Fault::BadChunk));
}

#[test]
fn the_valid_requests_before_a_fault_are_not_blamed() {
    let findings = Findings::new();
    let mut follower = Follower::new(Arc::clone(&findings));
    follower
        .read(b"GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /#f HTTP/1.1\r\n\r\n");
    assert_eq!(
        [1, 2, 3, 4].map(|n| findings.fault(n)),
        [None, None, Some(Fault::Fragment), Some(Fault::Fragment)]
    );
}

#[test]
fn a_fault_in_a_body_belongs_to_the_request_of_that_body() {
    let findings = Findings::new();
    let mut follower = Follower::new(Arc::clone(&findings));
    follower.read(b"GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!([1, 2].map(|n| findings.fault(n)), [None, Some(Fault::BadChunk)]);
}

#[test]
fn a_request_that_the_follower_has_not_seen_is_out_of_step() {
    let findings = Findings::new();
    Follower::new(Arc::clone(&findings)).read(b"GET / HTTP/1.1\r\n");
    assert_eq!(findings.fault(1), Some(Fault::OutOfStep));
    findings.switch_off();
    assert_eq!(findings.fault(1), None, "another protocol is not followed");
}

#[derive(Clone, Debug)]
struct Sent {
    method: &'static str,
    path: String,
    padding: usize,
    body: Payload,
}

#[derive(Clone, Debug)]
enum Payload {
    None,
    Sized(Vec<u8>),
    Chunked(Vec<Vec<u8>>, bool),
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let Self { method, path, padding, body } = self;
        let mut out = format!("{method} /{path} HTTP/1.1\r\nHost: a\r\nContent-Type: t/t\r\n").into_bytes();
        out.extend(format!("Authorization: {}\r\ntraceparent: x\r\n", "x".repeat(*padding)).bytes());
        match body {
            Payload::None => out.extend(b"\r\n"),
            Payload::Sized(body) => {
                out.extend(format!("CONTENT-length:  {} \r\n\r\n", body.len()).bytes());
                out.extend(body);
            }
            Payload::Chunked(chunks, trailer) => {
                out.extend(b"transfer-Encoding: Chunked\r\n\r\n");
                for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                    out.extend(format!("{:X};e=\"1\"\r\n", chunk.len()).bytes());
                    out.extend(chunk);
                    out.extend(b"\r\n");
                }
                out.extend(if *trailer { &b"0\r\nx-sum: 1\r\n\r\n"[..] } else { b"0\r\n\r\n" });
            }
        }
        out
    }

    fn content(&self) -> Vec<u8> {
        match &self.body {
            Payload::None => Vec::new(),
            Payload::Sized(body) => body.clone(),
            Payload::Chunked(chunks, _) => chunks.concat(),
        }
    }
}

fn requests() -> impl Strategy<Value = Vec<Sent>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let body = prop_oneof![
        Just(Payload::None),
        bytes().prop_map(Payload::Sized),
        (prop::collection::vec(bytes(), 0..4), any::<bool>()).prop_map(|(c, t)| Payload::Chunked(c, t)),
    ];
    let one = (prop_oneof![Just("GET"), Just("POST"), Just("PUT")], "[a-z/?=]{0,20}", 0_usize..300, body)
        .prop_map(|(method, path, padding, body)| Sent { method, path, padding, body });
    prop::collection::vec(one, 1..5)
}

/// What hyper makes of the bytes when they arrive in these pieces: (target, body) of each request.
async fn hyper_sees(bytes: &[u8], cuts: &[usize]) -> Vec<(String, Vec<u8>)> {
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let keep = Arc::clone(&seen);
    let serving = hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(
        hyper_util::rt::TokioIo::new(server),
        hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let keep = Arc::clone(&keep);
            async move {
                let target = request.uri().to_string();
                let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
                keep.lock().push((target, body));
                Ok::<_, Infallible>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
            }
        }),
    );
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let sending = async move {
        for pair in cuts.windows(2) {
            client.write_all(&bytes[pair[0]..pair[1]]).await.unwrap();
            tokio::task::yield_now().await;
        }
        client.shutdown().await.unwrap();
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.unwrap();
    };
    let (_, _) = tokio::join!(serving, sending);
    seen.lock().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn valid_requests_are_followed_exactly_as_the_library_reads_them(
        sent in requests(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let bytes: Vec<u8> = sent.iter().flat_map(Sent::bytes).collect();
        prop_assert_eq!(found_in_pieces(&bytes, &cuts), (u32::try_from(sent.len()).unwrap(), None));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let seen = runtime.block_on(hyper_sees(&bytes, &cuts));
        let expected: Vec<_> = sent.iter().map(|s| (format!("/{}", s.path), s.content())).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn the_finding_does_not_depend_on_how_the_bytes_are_split(
        form in prop::sample::select(SMUGGLED),
        before in requests(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut bytes: Vec<u8> = before.iter().flat_map(Sent::bytes).collect();
        bytes.extend(form.0.bytes());
        prop_assert_eq!(found_in_pieces(&bytes, &cuts).1, Some(form.1));
    }

    #[test]
    fn any_bytes_are_followed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        found(&bytes);
    }
}
