//! One accepted connection: TLS, which HTTP it speaks, and serving it to its end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::{Abandoned, BREATHE, CONNECTION_WINDOW, HEADER_LIST, ListenerSettings, OnThisThread, PING, PONG};
use super::{STREAM_WINDOW, STREAMS, Tally};
use crate::net::body::{Answer, Inbound};
use crate::net::stream::{Sniffed, Stream, Vetted};
use crate::net::watch::{Admitted, Drive, Exchange, Graceful, Link, Peer, Watch};
use crate::net::wire::{Findings, Follower};

/// Where connections come in.
pub(super) struct Door<S> {
    pub(super) settings: Arc<ListenerSettings>,
    pub(super) tally: Tally,
    pub(super) watch: Rc<Watch>,
    pub(super) serve: Rc<S>,
}

// Not derived: the function that serves need not be `Clone`.
impl<S> Clone for Door<S> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            tally: self.tally.clone(),
            watch: Rc::clone(&self.watch),
            serve: Rc::clone(&self.serve),
        }
    }
}

impl<S, R> Door<S>
where
    S: Fn(Request<Inbound>, Exchange) -> R + 'static,
    R: Future<Output = Result<Response<Answer>, Abandoned>> + 'static,
{
    /// Lets a connection in, or closes it at once when there are too many.
    pub(super) async fn admit(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let Ok((tcp, address)) = accepted else {
            return tokio::time::sleep(BREATHE).await;
        };
        if let Some(admitted) = self.tally.admit(self.settings.connections) {
            let door = self.clone();
            drop(tokio::task::spawn_local(async move {
                // What goes wrong with a connection concerns only its peer, who notices.
                let _ = door.serve_connection(tcp, address, admitted).await;
            }));
        }
    }

    async fn serve_connection(
        self,
        tcp: TcpStream,
        address: SocketAddr,
        admitted: Admitted,
    ) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let peer = Peer { address, local: tcp.local_addr()?, secure: self.settings.tls.is_some() };
        let limit = self.settings.head_timeout;
        let (stream, sniffed, http2) = tokio::time::timeout(limit, self.greet(tcp)).await??;
        if self.watch.is_draining() {
            return Ok(());
        }
        self.carry(stream, sniffed, |findings| Link::new(peer, findings, http2, admitted)).await;
        Ok(())
    }

    /// Serves a connection whose protocol is known, to its end.
    pub(super) async fn carry(
        self,
        stream: Stream,
        sniffed: Sniffed,
        link: impl FnOnce(Arc<Findings>) -> Rc<Link>,
    ) {
        let findings = Findings::new();
        let link = link(Arc::clone(&findings));
        let http2 = link.http2;
        if http2 {
            findings.switch_off();
        }
        let io = TokioIo::new(Vetted::new(stream, Follower::new(findings), sniffed));
        let joined = Joined::new(&self.watch, &link);
        let served = Rc::clone(&link);
        let service = service_fn(move |request| self.answer(&served, request));
        if http2 {
            let connection = Box::pin(http2_builder().serve_connection(io, service));
            Drive { connection, link }.await;
        } else {
            let connection = Box::pin(http1_builder().serve_connection(io, service).with_upgrades());
            Drive { connection, link }.await;
        }
        drop(joined);
    }

    fn answer(&self, link: &Rc<Link>, request: Request<Incoming>) -> R {
        let exchange = Exchange::begin(link, &self.watch);
        let request = request.map(|body| Inbound::arriving(body, &exchange));
        (self.serve)(request, exchange)
    }

    /// TLS, and which HTTP it is to be.
    async fn greet(&self, tcp: TcpStream) -> io::Result<(Stream, Sniffed, bool)> {
        if let Some(tls) = &self.settings.tls {
            let stream = Stream::Accepted(Box::new(tls.acceptor().accept(tcp).await?));
            let http2 = stream.agreed_on_http2();
            return Ok((stream, Sniffed::default(), http2));
        }
        let mut stream = Stream::Plain(tcp);
        let (sniffed, http2) = Sniffed::read(&mut stream).await?;
        Ok((stream, sniffed, http2))
    }
}

/// A connection among those of its worker.
pub(super) struct Joined {
    key: usize,
    watch: Rc<Watch>,
}

impl Joined {
    pub(super) fn new(watch: &Rc<Watch>, link: &Rc<Link>) -> Self {
        Self { key: watch.join(Rc::clone(link)), watch: Rc::clone(watch) }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.watch.leave(self.key);
    }
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The head's own limits are kept by the follower, the time limit by the watch: one timer per worker
    // instead of one per request.
    builder.header_read_timeout(None).max_header_size(HEADER_BUFFER).max_buf_size(BUFFER);
    builder
}

fn http2_builder() -> http2::Builder<OnThisThread> {
    let mut builder = http2::Builder::new(OnThisThread);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

impl<I, S> Graceful for http1::UpgradeableConnection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = Answer, Error = Abandoned>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Graceful for http2::Connection<I, S, OnThisThread>
where
    S: hyper::service::HttpService<Incoming, ResBody = Answer, Error = Abandoned>,
    S::Future: 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Target and header list together.
const HEADER_BUFFER: usize = 24 * 1024 + 64;
const BUFFER: usize = 64 * 1024;
