//! A listener on the current runtime, for services that may run on any thread.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::{BREATHE, CONNECTION_WINDOW, HEADER_LIST, ListenError, ListenerSettings, PING, PONG};
use super::{STREAM_WINDOW, STREAMS, Tally};
use crate::net::stream::Stream;
use crate::net::tls::PeerCertificate;
use crate::net::watch::Peer;

/// A running listener. Dropping it stops it at once.
#[derive(Debug)]
pub struct Shared {
    address: SocketAddr,
    tally: Tally,
    drain: mpsc::Sender<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

/// A listener that is bound and does not serve yet: its address can be told before what it serves is made.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    settings: ListenerSettings,
}

impl Bound {
    /// Binds the address; connections wait until [`Bound::serve`].
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub async fn new(settings: ListenerSettings) -> Result<Self, ListenError> {
        let address = settings.address;
        let bound = |source| ListenError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bound)?;
        let address = listener.local_addr().map_err(bound)?;
        Ok(Self { listener, address, settings })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `service` until drained. Each request carries its [`Peer`] as an extension, and the [`PeerCertificate`]
    /// where one was asked for.
    pub fn serve<S, B>(self, service: S) -> Shared
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let Self { listener, address, settings } = self;
        let tally = Tally::default();
        let (drain, drained) = mpsc::channel(1);
        let task = tokio::spawn(accept(listener, settings, tally.clone(), service, drained));
        Shared { address, tally, drain, task }
    }
}

impl Shared {
    /// Binds the address and serves `service`.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub async fn start<S, B>(settings: ListenerSettings, service: S) -> Result<Self, ListenError>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        Ok(Bound::new(settings).await?.serve(service))
    }

    /// The address that is listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts of connections.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Accepts no more, lets what is under way finish, and ends the rest after `limit`. Returns whether
    /// everything had finished.
    pub async fn drain(self, limit: Duration) -> bool {
        let ended = async {
            let (answer, answered) = oneshot::channel();
            self.drain.send(answer).await.is_ok() && answered.await.is_ok()
        };
        tokio::time::timeout(limit, ended).await.unwrap_or(false)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<S, B>(
    listener: TcpListener,
    settings: ListenerSettings,
    tally: Tally,
    service: S,
    mut drained: mpsc::Receiver<oneshot::Sender<()>>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    // The connections end with this set when the listener is dropped.
    let mut connections = tokio::task::JoinSet::new();
    let answer = loop {
        tokio::select! {
            biased;
            answer = drained.recv() => break answer,
            accepted = listener.accept() => match accepted {
                Ok((tcp, address)) => {
                    let Some(admitted) = tally.admit(settings.connections) else { continue };
                    let (settings, service) = (settings.clone(), service.clone());
                    let watcher = graceful.watcher();
                    connections.spawn(async move {
                        serve(tcp, address, settings, service, watcher).await;
                        drop(admitted);
                    });
                }
                Err(_) => tokio::time::sleep(BREATHE).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    };
    drop(listener);
    graceful.shutdown().await;
    if let Some(answer) = answer {
        let _ = answer.send(());
    }
}

async fn serve<S, B>(
    tcp: TcpStream,
    address: SocketAddr,
    settings: ListenerSettings,
    service: S,
    watcher: Watcher,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let Ok(local) = tcp.local_addr() else { return };
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let peer = Peer { address, local, secure: settings.tls.is_some() };
    let mut certificate = None;
    let stream = match &settings.tls {
        None => Stream::Plain(tcp),
        Some(tls) => {
            let accepting = tls.acceptor().accept(tcp);
            let Ok(Ok(tls)) = tokio::time::timeout(settings.head_timeout, accepting).await else { return };
            certificate = PeerCertificate::of(&tls);
            Stream::Accepted(Box::new(tls))
        }
    };
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let service = service_fn(move |mut request: Request<Incoming>| {
        begins.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer);
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(PeerCertificate::clone(certificate));
        }
        service.call(request)
    });
    let builder = builder(settings.head_timeout);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = pin!(watcher.watch(connection.into_owned()));
    // The first bytes say which HTTP is spoken, and for those the library would wait for ever.
    let first = tokio::time::timeout(settings.head_timeout, connection.as_mut()).await;
    if first.is_err() && begun.load(Ordering::Relaxed) {
        // What goes wrong with a connection concerns only its peer, who notices.
        let _ = connection.await;
    }
}

fn builder(head_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}
