//! The upstream over real sockets, with an issuer that publishes keys.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use super::*;
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::caller::Caller;
use crate::model::id::Revision;
use crate::token::assertion::{AssertionSigner, Assumed, Binding};
use crate::token::keyring::Keyring;
use crate::token::keys::{Purpose, Signer, generate};

struct World {
    address: std::net::SocketAddr,
    issuer: String,
    own: AssertionSigner,
    fetches: Arc<AtomicUsize>,
}

impl World {
    async fn start() -> Self {
        let pkcs8 = generate(Purpose::Assertion).unwrap();
        let signer = Signer::from_pkcs8(Purpose::Assertion, &pkcs8).unwrap();
        let jwks = Keyring::default().jwks(&[signer.public().clone()], jiff::Timestamp::UNIX_EPOCH);
        let fetches = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fetches);
        let keys = Router::new().fallback(move || {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(jwks.clone())
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, keys).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Settings {
            issuer: issuer.clone(),
            audience: "oss".to_owned(),
            clock: Clock::set(1000),
            walkthrough: None,
        };
        tokio::spawn(serve(listener, settings, std::future::pending()));
        let own = AssertionSigner::new(signer, issuer.as_str()).unwrap();
        Self { address, issuer, own, fetches }
    }

    fn bearer(&self, own: &AssertionSigner, binding: Option<Binding<'_>>) -> String {
        let caller = Caller {
            application: "4001".parse().unwrap(),
            principal: PrincipalKey {
                account: "1001".parse().unwrap(),
                kind: PrincipalKind::User,
                id: "2001".parse().unwrap(),
            },
            subject: "opaque".to_owned(),
            scopes: "openid".parse().unwrap(),
            revision: Revision(1),
            family: "f".parse().unwrap(),
            expires_at: 9999,
        };
        let assumed = Assumed {
            caller: &caller,
            scopes: &caller.scopes,
            revision: Revision(1),
            ends_at: None,
            audience: "oss",
        };
        format!("Bearer {}", own.sign(assumed, binding, 1000).unwrap().token.expose())
    }

    fn identified(&self, method: &str, target: &str) -> http::request::Builder {
        let bearer = self.bearer(&self.own, None);
        Request::builder().method(method).uri(target).header("host", "oss").header("authorization", bearer)
    }

    async fn send<B>(&self, request: Request<B>) -> http::Response<hyper::body::Incoming>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.unwrap()
    }

    async fn json<B>(&self, request: Request<B>) -> (StatusCode, Value)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = self.send(request).await;
        let status = answer.status();
        (status, serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap())
    }

    async fn seen(&self) -> Value {
        self.json(Request::get("/_seen").header("host", "oss").body(empty()).unwrap()).await.1
    }
}

fn empty() -> Empty<Bytes> {
    Empty::new()
}

#[tokio::test]
async fn it_shows_the_request_to_the_byte_and_who_calls() {
    let world = World::start().await;
    let target = "/oss/b/a%2Fb%20c?x=%41&y=&";
    let request = world.identified("PUT", target).header("x-a", "1").header("x-a", "2");
    let (status, told) = world.json(request.body(Full::from("hello")).unwrap()).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(
        (&told["method"], &told["target"], &told["body"]),
        (&"PUT".into(), &target.into(), &"hello".into())
    );
    assert_eq!(told["headers"]["x-a"], "1, 2");
    assert_eq!(told["identity"]["act"]["sub"], "4001");
    assert_eq!(told["identity"]["uid"], "2001");
    let seen = world.seen().await;
    assert_eq!((&seen["count"], &seen["last"][0]), (&1.into(), &told));
}

#[tokio::test]
async fn it_refuses_who_brings_no_assertion_or_another_ones_and_tells_of_it() {
    let world = World::start().await;
    let stranger = Signer::from_pkcs8(Purpose::Assertion, &generate(Purpose::Assertion).unwrap()).unwrap();
    let stranger = AssertionSigner::new(stranger, world.issuer.as_str()).unwrap();
    let forged = world.bearer(&stranger, None);
    for value in ["", "Bearer", "Bearer x.y.z", "Basic YTpi", &forged] {
        let request = Request::get("/oss/b/o").header("host", "oss").header("authorization", value);
        let (status, problem) = world.json(request.body(empty()).unwrap()).await;
        assert_eq!((status, &problem["status"]), (StatusCode::UNAUTHORIZED, &401.into()), "{value}");
    }
    let seen = world.seen().await;
    assert_eq!(seen["count"], 5);
    assert_eq!(seen["last"][4]["identity"], Value::Null);
}

#[tokio::test]
async fn it_fetches_the_keys_once_for_any_number_of_calls() {
    let world = World::start().await;
    let calls = (0..8).map(|_| world.json(world.identified("GET", "/oss/b/o").body(empty()).unwrap()));
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.0, 200);
    }
    assert_eq!(world.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_the_issuers_keys_it_lets_nobody_in() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Nothing listens at port 1.
    let settings = Settings {
        issuer: "http://127.0.0.1:1".to_owned(),
        audience: "oss".to_owned(),
        clock: Clock::set(1000),
        walkthrough: None,
    };
    tokio::spawn(serve(listener, settings, std::future::pending()));
    let away = World { address, ..world };
    let (status, problem) = away.json(away.identified("GET", "/oss/b/o").body(empty()).unwrap()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &"keys_unavailable".into()));
}

#[tokio::test]
async fn a_bound_assertion_is_good_for_its_request_alone() {
    let world = World::start().await;
    let body = sha256(b"hello");
    let binding = Binding { method: "PUT", path: "/oss/b/o", body: Some(&body) };
    let bearer = world.bearer(&world.own, Some(binding));
    for (method, target, text, expected) in [
        ("PUT", "/oss/b/o?x=1", "hello", 200),
        ("PUT", "/oss/b/o", "hullo", 401),
        ("PUT", "/oss/b/p", "hello", 401),
        ("POST", "/oss/b/o", "hello", 401),
    ] {
        let request = Request::builder().method(method).uri(target).header("host", "oss");
        let request = request.header("authorization", &bearer).body(Full::from(text)).unwrap();
        assert_eq!(world.json(request).await.0, expected, "{method} {target} {text}");
    }
}

#[tokio::test]
async fn a_large_upload_is_counted_and_not_kept() {
    let world = World::start().await;
    let request = world.identified("PUT", "/oss/b/large").body(Download::new(6_553_600)).unwrap();
    let (status, told) = world.json(request).await;
    assert_eq!((status, &told["body"]), (StatusCode::OK, &"6553600 bytes".into()));
}

#[tokio::test]
async fn a_download_has_the_length_that_was_asked_for() {
    let world = World::start().await;
    let request = world.identified("GET", "/oss/b/big?bytes=100001").body(empty()).unwrap();
    let answer = world.send(request).await;
    assert_eq!(answer.headers()["content-length"], "100001");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), 100_001);
}

#[tokio::test]
async fn trailers_are_told_over_http_2() {
    let world = World::start().await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    let body = Full::<Bytes>::from("hello").with_trailers(std::future::ready(Some(Ok(trailers))));
    let target = "http://oss/oss/b/o?x=1";
    let bearer = world.bearer(&world.own, None);
    let request = Request::post(target).header("authorization", bearer).body(body).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let told: Value =
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(
        (&told["target"], &told["trailers"]["x-sum"]),
        (&"/oss/b/o?x=1".into(), &"7".into()),
        "{told}"
    );
}

#[tokio::test]
async fn events_go_on_and_on() {
    let world = World::start().await;
    let answer = world.send(world.identified("GET", "/oss-watch/b").body(empty()).unwrap()).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    for count in 1..=3 {
        let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(event, format!("id: {count}\nevent: changed\ndata: {{\"count\":{count}}}\n\n"));
    }
}

#[tokio::test]
async fn a_socket_is_opened_for_who_is_identified_and_for_nobody_else() {
    let world = World::start().await;
    let upgrade = |request: http::request::Builder| {
        let request = request.header("connection", "upgrade").header("upgrade", "websocket");
        let request = request.header("sec-websocket-version", "13");
        request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").body(empty()).unwrap()
    };
    let answer = world.send(upgrade(world.identified("GET", "/oss-socket/b"))).await;
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upgraded = hyper::upgrade::on(answer).await.unwrap();
    let mut first = [0_u8; 13];
    tokio::io::AsyncReadExt::read_exact(&mut TokioIo::new(upgraded), &mut first).await.unwrap();
    assert_eq!(&first, b"\x81\x0b{\"count\":1}");
    let nobody = Request::get("/oss-socket/b").header("host", "oss");
    assert_eq!(world.send(upgrade(nobody)).await.status(), StatusCode::UNAUTHORIZED);
}
