//! A proxy that forwards whatever is well-formed, an upstream that does what the path says, and raw clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode, Uri};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::net::body::{Answer, Broken, Inbound};
use crate::net::canonical::{self, Rules};
use crate::net::headers;
use crate::net::listener::{Abandoned, ListenerSettings, Worker, Workers};
use crate::net::upstream::{ForwardError, Upstream, UpstreamSettings};
use crate::net::watch::{Cut, Exchange};

pub(super) struct Proxy {
    pub(super) workers: Workers,
    pub(super) fired: Arc<AtomicBool>,
}

pub(super) struct Tuning {
    pub(super) upstream: UpstreamSettings,
    pub(super) listener: ListenerSettings,
}

impl Tuning {
    pub(super) fn to(upstream: SocketAddr) -> Self {
        let upstream = UpstreamSettings::new(upstream.ip().to_string(), upstream.port());
        let mut listener = ListenerSettings::new(([127, 0, 0, 1], 0).into());
        listener.tick = Duration::from_millis(5);
        Self { upstream, listener }
    }
}

impl Proxy {
    pub(super) async fn to(upstream: SocketAddr) -> Self {
        Self::with(Tuning::to(upstream)).await
    }

    pub(super) async fn with(tuning: Tuning) -> Self {
        let fired = Arc::new(AtomicBool::new(false));
        let firing = Arc::clone(&fired);
        let settings = tuning.upstream;
        let factory = move |worker: &Worker| {
            let upstream = Upstream::new(settings.clone(), worker)?;
            let fired = Arc::clone(&firing);
            Ok::<_, crate::net::upstream::DialError>(move |request, exchange| {
                forward(upstream.clone(), Arc::clone(&fired), request, exchange)
            })
        };
        Self { workers: Workers::start(tuning.listener, factory).await.unwrap(), fired }
    }

    pub(super) async fn connect(&self) -> Client {
        Client::over(TcpStream::connect(self.workers.address()).await.unwrap())
    }

    /// Fires the cut and waits until it has worked; returns how many streams it ended.
    pub(super) async fn cut(&self) -> usize {
        self.fired.store(true, Ordering::SeqCst);
        self.workers.sever().await
    }
}

async fn forward(
    upstream: Upstream,
    fired: Arc<AtomicBool>,
    request: Request<Inbound>,
    exchange: Exchange,
) -> Result<Response<Answer>, Abandoned> {
    let mut request = request;
    let rules = Rules { websocket: true, ..Rules::default() };
    let read = canonical::read(&request).and_then(|candidate| candidate.admit(rules));
    let version = request.version();
    let cleaned = read.and_then(|canonical| {
        headers::clean_request(request.headers_mut(), &canonical, version)?;
        Ok(canonical)
    });
    let canonical = match cleaned {
        Ok(canonical) => canonical,
        Err(malformed) => return Ok(refusal(malformed.status(), malformed.code())),
    };
    headers::replace_credentials(request.headers_mut(), &canonical, None);
    *request.uri_mut() = Uri::from(canonical.target().clone());
    let cut = Cut::when(move || fired.load(Ordering::SeqCst));
    match upstream.send(&mut Some(Box::new(request)), &exchange, Some(&cut)).await {
        Ok(response) => Ok(response),
        Err(ForwardError::Request(Broken::Framing(_))) => Ok(refusal(StatusCode::BAD_REQUEST, "body")),
        Err(ForwardError::Request(_) | ForwardError::Cut) => Err(Abandoned),
        Err(ForwardError::HeadTimeout | ForwardError::ConnectTimeout) => {
            Ok(refusal(StatusCode::GATEWAY_TIMEOUT, "timeout"))
        }
        Err(error @ (ForwardError::Unreachable(_) | ForwardError::BrokenHead(_))) => {
            Ok(refusal(StatusCode::BAD_GATEWAY, &error.to_string()))
        }
    }
}

fn refusal(status: StatusCode, text: &str) -> Response<Answer> {
    Response::builder().status(status).body(Answer::from(text.to_owned())).unwrap()
}

/// A connection whose bytes are ours to choose.
pub(super) struct Client {
    pub(super) tcp: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(super) fn over(tcp: TcpStream) -> Self {
        Self { tcp, read: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.tcp.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until `end` has been read, and returns what came until then.
    pub(super) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = memchr::memmem::find(&self.read, end.as_bytes()) {
                let rest = self.read.split_off(at + end.len());
                let read = std::mem::replace(&mut self.read, rest);
                return String::from_utf8_lossy(&read).into_owned();
            }
            let mut more = [0; 4096];
            let read = self.tcp.read(&mut more).await.unwrap_or(0);
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(read > 0, "the connection ended before {end:?}: {so_far:?}");
            self.read.extend_from_slice(&more[..read]);
        }
    }

    /// Everything until the connection ends, however it ends.
    pub(super) async fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.rest_bytes().await).into_owned()
    }

    pub(super) async fn rest_bytes(&mut self) -> Vec<u8> {
        let mut more = [0; 4096];
        while let Ok(read @ 1..) = self.tcp.read(&mut more).await {
            self.read.extend_from_slice(&more[..read]);
        }
        std::mem::take(&mut self.read)
    }

    /// One request with an empty body, and its response's status and body.
    pub(super) async fn get(&mut self, path: &str) -> (u16, String) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        self.response().await
    }

    /// A response with a Content-Length.
    pub(super) async fn response(&mut self) -> (u16, String) {
        let head = self.until("\r\n\r\n").await.to_ascii_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap();
        let length = head.split("content-length: ").nth(1).unwrap_or("0\r").split('\r').next().unwrap();
        let length: usize = length.parse().unwrap();
        while self.read.len() < length {
            let mut more = [0; 4096];
            let read = self.tcp.read(&mut more).await.unwrap();
            assert!(read > 0, "the connection ended in a body");
            self.read.extend_from_slice(&more[..read]);
        }
        let rest = self.read.split_off(length);
        (status, String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap())
    }
}

/// What happened at the upstream.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) connections: AtomicUsize,
    pub(super) requests: AtomicUsize,
}

impl Seen {
    /// Waits until so many requests have been seen.
    pub(super) async fn reach(&self, requests: usize) {
        while self.requests.load(Ordering::SeqCst) < requests {
            tokio::task::yield_now().await;
        }
    }
}

/// An upstream that is a script over a raw connection.
pub(super) async fn upstream<F, R>(script: F) -> (SocketAddr, Arc<Seen>)
where
    F: Fn(Client, Arc<Seen>) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let counting = Arc::clone(&seen);
    drop(tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            counting.connections.fetch_add(1, Ordering::SeqCst);
            drop(tokio::spawn(script(Client { tcp, read: Vec::new() }, Arc::clone(&counting))));
        }
    }));
    (address, seen)
}

/// An upstream that answers every request with its own head.
pub(super) async fn echo() -> (SocketAddr, Arc<Seen>) {
    upstream(|mut client, seen| async move {
        while let Some(head) = client.head().await {
            seen.requests.fetch_add(1, Ordering::SeqCst);
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())).await;
        }
    })
    .await
}

impl Client {
    /// A head, or nothing when the connection ends.
    pub(super) async fn head(&mut self) -> Option<String> {
        while memchr::memmem::find(&self.read, b"\r\n\r\n").is_none() {
            let mut more = [0; 4096];
            let read = self.tcp.read(&mut more).await.ok().filter(|read| *read > 0)?;
            self.read.extend_from_slice(&more[..read]);
        }
        Some(self.until("\r\n\r\n").await)
    }
}
