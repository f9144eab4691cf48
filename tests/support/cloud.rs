//! The upstream of a test that runs the roles apart: shows what it receives, and holds streams open.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::Interval;

/// An upstream on a free port, for as long as the test runs.
pub(crate) struct Cloud {
    pub(crate) url: String,
    seen: Arc<AtomicU64>,
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let counted = Arc::clone(&counted);
                let service = service_fn(move |request| {
                    counted.fetch_add(1, Ordering::SeqCst);
                    async move { Ok::<_, Infallible>(answer(request)) }
                });
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.serve_connection(TokioIo::new(tcp), service).with_upgrades());
            }
        });
        Self { url, seen }
    }

    /// How many requests have arrived.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

fn answer(request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
    let response = Response::builder();
    if request.uri().path().starts_with("/oss-watch/") {
        let events = Events { beat: tokio::time::interval(BEAT), count: 0 };
        return response.header("content-type", "text/event-stream").body(events.boxed()).unwrap();
    }
    if request.uri().path().starts_with("/oss-socket/") {
        tokio::spawn(async move {
            let mut stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            // A text frame (RFC 6455 §5.2), and then silence until the other side has enough.
            let _ = stream.write_all(b"\x81\x02hi").await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        });
        let response = response.status(101).header("connection", "upgrade").header("upgrade", "websocket");
        // The answer to the example key of RFC 6455 §1.3.
        let response = response.header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        return response.body(Empty::new().boxed()).unwrap();
    }
    let credential = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let shown = json!({ "target": request.uri().to_string(), "authorization": credential });
    response.body(Full::new(shown.to_string().into()).boxed()).unwrap()
}

/// A numbered event each [`BEAT`], for ever: the one of a number is never sent earlier, and may be sent later.
struct Events {
    beat: Interval,
    count: u64,
}

/// How long after one event of a stream comes the next.
pub(crate) const BEAT: Duration = Duration::from_millis(20);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.beat.poll_tick(cx));
        self.count += 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(format!("id: {}\ndata: x\n\n", self.count))))))
    }
}
