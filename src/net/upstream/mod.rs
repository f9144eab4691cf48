//! Forwarding a request to an upstream: each worker thread has its own connections.
//!
//! In: a cleaned request with its identity headers. Out: the upstream's response, cleaned and streaming, or a
//! [`ForwardError`] that says whose fault it is. A request is sent at most twice, and twice only when the
//! first connection was an old one and nothing can have been done; redirects are never followed. Upstreams
//! come from the configuration, never from a request.

mod connect;
mod pool;
mod tunnel;

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;

use super::body::{Answer, Broken, Inbound, Progress, Status};
use super::headers::{clean_response, put};
use super::listener::Worker;
use super::watch::{Cut, Exchange, Patience, Slot, Verdict};
pub use connect::DialError;
pub(in crate::net) use connect::is_local;
pub(super) use pool::Lease;
use pool::{Pool, Sender};

/// Which HTTP an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: by prior knowledge in the clear, by negotiation under TLS.
    Http2,
    /// Whichever the TLS handshake settles on.
    Negotiated,
}

/// One upstream, as configured.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Host name or address; resolved at each connect.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS, and what it trusts ([`super::tls::client_config`]).
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Which HTTP it speaks.
    pub protocol: Protocol,
    /// Send the caller's `Host` instead of the upstream's.
    pub keep_host: bool,
    /// Whether a host *name* may resolve to a loopback, link-local or metadata address.
    pub allow_local: bool,
    /// For name resolution, connect and TLS together.
    pub connect_timeout: Duration,
    /// From the last byte of the request to the head of the response.
    pub head_timeout: Duration,
    /// How long a body may be silent, in either direction.
    pub body_idle: Duration,
    /// How long an upgraded connection may be silent.
    pub tunnel_idle: Duration,
    /// How many idle connections a worker keeps.
    pub idle_connections: usize,
    /// How long it keeps them.
    pub idle_timeout: Duration,
    /// A connection that was idle for this long may be about to be closed by the upstream: a request that may
    /// be repeated is kept until its response begins. Below it, nothing is copied.
    pub race: Duration,
}

impl UpstreamSettings {
    /// The defaults for an HTTP/1.1 upstream in the clear.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
            protocol: Protocol::Http1,
            keep_host: false,
            allow_local: false,
            connect_timeout: Duration::from_secs(1),
            head_timeout: Duration::from_secs(30),
            body_idle: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(300),
            idle_connections: 128,
            idle_timeout: Duration::from_secs(50),
            race: Duration::from_millis(500),
        }
    }

    /// Host and port, as `Host` names them: without the scheme's own port.
    fn authority(&self) -> String {
        let host = match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            Ok(IpAddr::V4(_)) | Err(_) => self.host.clone(),
        };
        let usual = if self.tls.is_some() { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

/// Why a request was not answered by the upstream.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No connection could be opened. Nothing was sent: 502.
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(DialError),
    /// The connection was not opened in time. Nothing was sent: 504.
    #[error("the upstream did not accept a connection in time")]
    ConnectTimeout,
    /// The response did not begin in time: 504.
    #[error("the upstream did not begin its response in time")]
    HeadTimeout,
    /// The connection ended, or what came is not a response: 502.
    #[error("the upstream sent no proper response: {0}")]
    BrokenHead(String),
    /// The caller's body broke; see there.
    #[error("{0}")]
    Request(Broken),
    /// The call was cut before the response began.
    #[error("the call was cut")]
    Cut,
}

/// One upstream, as one worker thread reaches it.
#[derive(Clone, Debug)]
pub struct Upstream {
    pool: Rc<Pool>,
    host: HeaderValue,
    authority: http::uri::Authority,
    ticks: Ticks,
}

#[derive(Clone, Copy, Debug)]
struct Ticks {
    head: u32,
    body: u32,
    tunnel: u32,
}

/// A request on its way.
type Boxed = Box<Request<Inbound>>;

/// What is needed of the call while the response is awaited.
struct Waiting<'a> {
    exchange: &'a Exchange,
    cut: Option<&'a Cut>,
    progress: Option<Rc<Progress>>,
    /// The caller's side of an upgrade.
    caller: Option<OnUpgrade>,
}

enum Outcome {
    /// The response, and the slot that waited for it.
    Head(Response<Incoming>, Slot),
    Failed(hyper::Error, Option<Boxed>),
    Late,
    Cut,
}

impl Upstream {
    /// An upstream for the calls of this worker.
    ///
    /// # Errors
    /// [`DialError::BadHost`] when the host cannot stand in a URL.
    pub fn new(settings: UpstreamSettings, worker: &Worker) -> Result<Self, DialError> {
        let authority = settings.authority();
        let host = HeaderValue::from_str(&authority).map_err(|_| DialError::BadHost)?;
        let authority = authority.parse().map_err(|_| DialError::BadHost)?;
        let ticks = Ticks {
            head: worker.watch.ticks(settings.head_timeout),
            body: worker.watch.ticks(settings.body_idle),
            tunnel: worker.watch.ticks(settings.tunnel_idle),
        };
        Ok(Self { pool: Pool::new(settings, &worker.watch), host, authority, ticks })
    }

    /// What `Host` it will name.
    #[must_use]
    pub fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Forwards a request and leaves none. Its URI must be the canonical target, its headers cleaned. (It is boxed, so
    /// that it is not copied on the way.)
    ///
    /// Without a protocol upgrade the response streams through [`Answer`]; with one (101) both connections
    /// are joined by a task of their own, which obeys the cut and the drain.
    ///
    /// # Errors
    /// [`ForwardError`].
    pub async fn send(
        &self,
        request: &mut Option<Boxed>,
        exchange: &Exchange,
        cut: Option<&Cut>,
    ) -> Result<Response<Answer>, ForwardError> {
        let waiting = self.prepare(request, exchange, cut);
        if waiting.progress.is_some() {
            // Boxed, like everything that is not on the way of a call without a body over an open connection:
            // the size of this future is copied with each call.
            Box::pin(prime(request)).await?;
        }
        let mut spare: Option<Boxed> = None;
        let mut fresh = false;
        loop {
            let mut lease = match self.pool.take(fresh) {
                Some(lease) => lease,
                None => Box::pin(self.pool.open(fresh)).await?,
            };
            let ready = self.shape(request.take(), &lease, &waiting)?;
            if lease.is_rested() && spare.is_none() {
                spare = duplicate(&ready);
            }
            let outcome = match lease.sender() {
                Sender::Http1(sender) => self.head(pin!(sender.try_send_request(*ready)), &waiting).await,
                Sender::Http2(sender) => {
                    self.head(Box::pin(sender.try_send_request(*ready)).as_mut(), &waiting).await
                }
            };
            let (error, unsent) = match outcome {
                Outcome::Head(response, slot) => return self.answer(response, slot, lease, waiting),
                Outcome::Late => return Err(ForwardError::HeadTimeout),
                Outcome::Cut => return Err(ForwardError::Cut),
                Outcome::Failed(error, unsent) => (error, unsent),
            };
            (*request, fresh) = Self::again(&lease, &error, unsent, spare.take(), &waiting)?;
        }
    }

    fn prepare<'a>(
        &self,
        request: &mut Option<Boxed>,
        exchange: &'a Exchange,
        cut: Option<&'a Cut>,
    ) -> Waiting<'a> {
        let mut waiting = Waiting { exchange, cut, progress: None, caller: None };
        if let Some(request) = request {
            request.body_mut().wait_for(self.ticks.body, cut);
            waiting.caller = request.extensions_mut().remove::<OnUpgrade>();
            waiting.progress = request.body().progress();
        }
        waiting
    }

    /// What is to be sent once more, after a connection has failed, and whether on a new one.
    #[cold]
    fn again(
        lease: &Lease,
        error: &hyper::Error,
        unsent: Option<Boxed>,
        spare: Option<Boxed>,
        waiting: &Waiting<'_>,
    ) -> Result<(Option<Boxed>, bool), ForwardError> {
        match (unsent, spare) {
            // Not a byte of it was written: the connection had been closed before.
            (Some(unsent), _) if lease.is_reused() => Ok((Some(unsent), false)),
            (None, Some(spare)) if lease.is_reused() && ended_early(error) => Ok((Some(spare), true)),
            (Some(_) | None, _) => Err(match waiting.broken() {
                Some(broken) => broken.into(),
                None => ForwardError::BrokenHead(reason(error)),
            }),
        }
    }

    /// Gives the request the form that the upstream's protocol wants, and asks for the last time.
    fn shape(
        &self,
        request: Option<Boxed>,
        lease: &Lease,
        waiting: &Waiting<'_>,
    ) -> Result<Boxed, ForwardError> {
        // From here to the first byte nothing is awaited.
        let mut request =
            request.filter(|_| !waiting.cut.is_some_and(Cut::is_fired)).ok_or(ForwardError::Cut)?;
        if let Some(length) = request.body().whole_length() {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if lease.is_http2() {
            self.shape_http2(&mut request)?;
            return Ok(request);
        }
        if !self.pool.settings.keep_host || !request.headers().contains_key(HOST) {
            put(request.headers_mut(), HOST, self.host.clone());
        }
        if request.uri().authority().is_some() {
            let target = request.uri().path_and_query().cloned();
            *request.uri_mut() = target.map(Uri::from).unwrap_or_default();
        }
        *request.version_mut() = Version::HTTP_11;
        Ok(request)
    }

    fn shape_http2(&self, request: &mut Request<Inbound>) -> Result<(), ForwardError> {
        let keep_host = self.pool.settings.keep_host;
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        let named = request.headers_mut().remove(HOST).filter(|_| keep_host);
        let named = named.and_then(|host| host.to_str().ok().and_then(|host| host.parse().ok()));
        parts.authority = Some(named.unwrap_or_else(|| self.authority.clone()));
        parts.scheme = Some(if self.pool.settings.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        let uri = Uri::from_parts(parts);
        *request.uri_mut() = uri.map_err(|error| ForwardError::BrokenHead(error.to_string()))?;
        *request.version_mut() = Version::HTTP_2;
        Ok(())
    }

    async fn head<F>(&self, mut sent: Pin<&mut F>, waiting: &Waiting<'_>) -> Outcome
    where
        F: Future<Output = Result<Response<Incoming>, hyper::client::conn::TrySendError<Request<Inbound>>>>,
    {
        let mut slot = Slot::new(&waiting.exchange.watch);
        let outcome = std::future::poll_fn(|cx| {
            if let Poll::Ready(answered) = sent.as_mut().poll(cx) {
                return Poll::Ready(answered.map_err(Some));
            }
            match slot.verdict() {
                Verdict::Cut => return Poll::Ready(Err(None)),
                Verdict::Late if !waiting.moved_since(self.ticks.head) => return Poll::Ready(Err(None)),
                Verdict::Late | Verdict::Wait => {}
            }
            if !slot.is_armed() || slot.verdict() == Verdict::Late {
                let link = None;
                slot.arm(cx, Patience { ticks: self.ticks.head, cut: waiting.cut, link, counted: true });
            }
            Poll::Pending
        })
        .await;
        match outcome {
            Ok(response) => Outcome::Head(response, slot),
            Err(Some(mut failed)) => {
                let unsent = failed.take_message().map(Box::new);
                Outcome::Failed(failed.into_error(), unsent)
            }
            Err(None) if slot.verdict() == Verdict::Cut => Outcome::Cut,
            Err(None) => Outcome::Late,
        }
    }

    fn answer(
        &self,
        mut response: Response<Incoming>,
        slot: Slot,
        lease: Lease,
        waiting: Waiting<'_>,
    ) -> Result<Response<Answer>, ForwardError> {
        *response.version_mut() = Version::HTTP_11;
        let status = response.status();
        clean_response(response.headers_mut(), status);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(caller) = waiting.caller else {
                return Err(ForwardError::BrokenHead("it switched protocols unasked".to_owned()));
            };
            let upstream = hyper::upgrade::on(&mut response);
            tunnel::open(caller, upstream, waiting.exchange, self.ticks.tunnel, waiting.cut.cloned());
            return Ok(response.map(|_| Answer::empty()));
        }
        let (exchange, cut) = (waiting.exchange, waiting.cut);
        // Only HTTP/2 can end a stream by a status after its last byte.
        let by = exchange.link.http2.then(|| Status::of(response.headers())).flatten();
        Ok(response.map(|incoming| Answer::stream(incoming, lease, exchange, slot, self.ticks.body, cut, by)))
    }
}

impl Waiting<'_> {
    fn broken(&self) -> Option<Broken> {
        self.progress.as_ref().and_then(|progress| progress.broken.get())
    }

    /// Whether the upload has moved in the last so many ticks: the response is not due before its end.
    fn moved_since(&self, ticks: u32) -> bool {
        let now = self.exchange.watch.now();
        self.progress.as_ref().is_some_and(|progress| now.wrapping_sub(progress.tick.get()) < ticks)
    }
}

async fn prime(request: &mut Option<Boxed>) -> Result<(), ForwardError> {
    match request {
        Some(request) => Ok(request.body_mut().prime().await?),
        None => Ok(()),
    }
}

impl From<Broken> for ForwardError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Cut => Self::Cut,
            broken @ (Broken::Framing(_) | Broken::Gone | Broken::Idle | Broken::TooLong | Broken::Other) => {
                Self::Request(broken)
            }
        }
    }
}

/// A copy of a request that may be sent twice: idempotent and without a body (RFC 9110 section 9.2.2).
fn duplicate(request: &Request<Inbound>) -> Option<Boxed> {
    let idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    );
    if !idempotent || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Inbound::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(Box::new(copy))
}

/// Whether the connection ended instead of carrying a response.
fn ended_early(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_timeout() && !error.is_user()
}

fn reason(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
