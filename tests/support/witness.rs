//! An upstream inside the test's process that is a witness: it tells of each request when it arrived, and stamps what
//! it sends on streams with when it was sent, by the same clock that the test's own observers use.
//!
//! It believes every request: whether what arrives may arrive is what the test asks.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{FromRequestParts as _, Request, State, WebSocketUpgrade};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::Frame;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The upstream. It runs on a thread of its own, so that a busy test does not slow its clock.
pub(crate) struct Witness {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    _stop: oneshot::Sender<()>,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Path and query, as it came.
    pub(crate) target: String,
    pub(crate) at: Instant,
}

struct Seen {
    zero: Instant,
    arrivals: Mutex<Vec<Arrival>>,
}

impl Witness {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen { zero: Instant::now(), arrivals: Mutex::default() });
        let (stop, stopped) = oneshot::channel();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = axum::serve(listener, router).into_future() => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, seen, _stop: stop }
    }

    /// What has arrived in this bucket so far.
    pub(crate) fn arrivals(&self, bucket: &str) -> Vec<Arrival> {
        let in_bucket =
            |arrival: &&Arrival| arrival.target.split(['/', '?']).nth(2).is_some_and(|found| found == bucket);
        self.seen.arrivals.lock().iter().filter(in_bucket).cloned().collect()
    }

    /// What has arrived in this bucket is not needed any more.
    pub(crate) fn forget(&self, bucket: &str) {
        let gone = format!("/{bucket}");
        self.seen.arrivals.lock().retain(|arrival| !arrival.target.contains(&gone));
    }

    /// The moments at which pieces of a stream were sent, from the stamps in what was read of it.
    pub(crate) fn stamps(&self, read: &[u8]) -> Vec<Instant> {
        let text = String::from_utf8_lossy(read);
        let stamps = text.split(STAMP).skip(1).filter_map(|rest| rest.split(';').next()?.parse().ok());
        stamps.map(|micros| self.seen.zero + Duration::from_micros(micros)).collect()
    }
}

impl Seen {
    fn stamp(&self) -> String {
        format!("{STAMP}{};", self.zero.elapsed().as_micros())
    }
}

async fn answer(State(seen): State<Arc<Seen>>, request: Request) -> Response {
    let at = Instant::now();
    let target = request.uri().path_and_query().map(|target| target.as_str().to_owned()).unwrap_or_default();
    seen.arrivals.lock().push(Arrival { target: target.clone(), at });
    if target.starts_with("/oss-watch/") {
        let body = Body::new(Events { beat: tokio::time::interval(BEAT), seen });
        return ([("content-type", "text/event-stream")], body).into_response();
    }
    let (mut head, _) = request.into_parts();
    if target.starts_with("/oss-socket/") {
        let socket = WebSocketUpgrade::from_request_parts(&mut head, &()).await;
        return match socket {
            Ok(socket) => socket.on_upgrade(|socket| talk(socket, seen)),
            Err(refused) => refused.into_response(),
        };
    }
    "seen\n".into_response()
}

/// Server-sent events without end.
struct Events {
    beat: tokio::time::Interval,
    seen: Arc<Seen>,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.beat.poll_tick(context).map(|_| {
            let event = format!("data: {}\n\n", self.seen.stamp());
            Some(Ok(Frame::data(Bytes::from(event))))
        })
    }
}

async fn talk(mut socket: WebSocket, seen: Arc<Seen>) {
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            _ = beat.tick() => {
                if socket.send(Message::text(seen.stamp())).await.is_err() { return }
            }
            received = socket.recv() => if !matches!(received, Some(Ok(_))) { return },
        }
    }
}

const BEAT: Duration = Duration::from_millis(20);
const STAMP: &str = "t=";
