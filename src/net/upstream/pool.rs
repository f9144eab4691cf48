//! The connections of one worker to one upstream.
//!
//! HTTP/1: idle connections, the last used first, so that the others grow old and are closed. HTTP/2: one
//! connection for all. Each connection is a task of its own on the worker's thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::connect::{DialError, dial};
use super::{ForwardError, Protocol, UpstreamSettings};
use crate::net::body::Inbound;
use crate::net::listener::OnThisThread;
use crate::net::stream::Stream;
use crate::net::watch::Watch;

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) settings: UpstreamSettings,
    watch: Rc<Watch>,
    idle: RefCell<VecDeque<Idle>>,
    shared: RefCell<Option<http2::SendRequest<Inbound>>>,
    /// Only one HTTP/2 connection is opened at a time.
    opening: tokio::sync::Semaphore,
    /// What the last handshake settled on.
    speaks_http2: Cell<bool>,
    idle_ticks: u32,
    rest_ticks: u32,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Inbound>,
    since: u32,
}

/// One connection, for one request.
#[derive(Debug)]
pub(in crate::net) struct Lease {
    home: Rc<Pool>,
    sender: Sender,
    /// For how many ticks it had been idle; none for a new one.
    rested: Option<u32>,
}

#[derive(Debug)]
pub(super) enum Sender {
    Http1(http1::SendRequest<Inbound>),
    Http2(http2::SendRequest<Inbound>),
}

impl Pool {
    pub(super) fn new(settings: UpstreamSettings, watch: &Rc<Watch>) -> Rc<Self> {
        Rc::new(Self {
            speaks_http2: Cell::new(settings.protocol == Protocol::Http2),
            idle_ticks: watch.ticks(settings.idle_timeout),
            rest_ticks: watch.ticks(settings.race),
            settings,
            watch: Rc::clone(watch),
            idle: RefCell::default(),
            shared: RefCell::default(),
            opening: tokio::sync::Semaphore::new(1),
        })
    }

    /// An open connection, unless a fresh one is wanted.
    pub(super) fn take(self: &Rc<Self>, fresh: bool) -> Option<Lease> {
        if fresh {
            None
        } else if self.speaks_http2.get() {
            self.take_shared()
        } else {
            self.take_idle()
        }
    }

    /// A new connection (or, for HTTP/2, the one that someone else has just opened).
    pub(super) async fn open(self: &Rc<Self>, fresh: bool) -> Result<Lease, ForwardError> {
        let turn = if self.speaks_http2.get() { self.opening.acquire().await.ok() } else { None };
        if turn.is_some()
            && !fresh
            && let Some(lease) = self.take_shared()
        {
            return Ok(lease);
        }
        let stream = dial(&self.settings).await.map_err(failed)?;
        let known = self.settings.protocol == Protocol::Http2;
        self.speaks_http2.set(known || stream.agreed_on_http2());
        let sender = if self.speaks_http2.get() {
            Sender::Http2(self.open_shared(stream).await?)
        } else {
            Sender::Http1(open(stream).await?)
        };
        Ok(self.leased(sender, None))
    }

    fn leased(self: &Rc<Self>, sender: Sender, rested: Option<u32>) -> Lease {
        Lease { home: Rc::clone(self), sender, rested }
    }

    fn take_idle(self: &Rc<Self>) -> Option<Lease> {
        let mut idle = self.idle.borrow_mut();
        let now = self.watch.now();
        while let Some(Idle { sender, since }) = idle.pop_back() {
            let rested = now.wrapping_sub(since);
            if rested > self.idle_ticks {
                // The others have been idle for longer.
                idle.clear();
                return None;
            }
            if !sender.is_closed() {
                drop(idle);
                return Some(self.leased(Sender::Http1(sender), Some(rested)));
            }
        }
        None
    }

    fn put_idle(&self, sender: http1::SendRequest<Inbound>) {
        let mut idle = self.idle.borrow_mut();
        let now = self.watch.now();
        let full = idle.len() >= self.settings.idle_connections;
        let old = idle.front().is_some_and(|idle| now.wrapping_sub(idle.since) > self.idle_ticks);
        if full || old {
            idle.pop_front();
        }
        if self.settings.idle_connections > 0 {
            idle.push_back(Idle { sender, since: now });
        }
    }

    fn take_shared(self: &Rc<Self>) -> Option<Lease> {
        let sender = self.shared.borrow().as_ref().filter(|sender| !sender.is_closed()).cloned();
        sender.map(|sender| self.leased(Sender::Http2(sender), Some(self.rest_ticks)))
    }

    async fn open_shared(&self, stream: Stream) -> Result<http2::SendRequest<Inbound>, ForwardError> {
        let mut builder = http2::Builder::new(OnThisThread);
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_header_list_size(64 * 1024)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10));
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(handshake)?;
        // It ends by itself; whoever waits on it has been told.
        drop(tokio::task::spawn_local(connection));
        *self.shared.borrow_mut() = Some(sender.clone());
        Ok(sender)
    }
}

impl Lease {
    pub(super) fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Whether it carried a request before.
    pub(super) fn is_reused(&self) -> bool {
        self.rested.is_some()
    }

    /// Whether it was idle for so long that the upstream may be closing it at this moment.
    pub(super) fn is_rested(&self) -> bool {
        self.rested.is_some_and(|rested| rested >= self.home.rest_ticks)
    }

    /// The response has ended: the connection is idle again, as soon as it says so itself.
    pub(in crate::net) fn give_back(self) {
        let Self { home, sender: Sender::Http1(mut sender), .. } = self else { return };
        if sender.is_ready() {
            home.put_idle(sender);
        } else if !sender.is_closed() {
            // The request's body is still being sent, or the connection's task has yet to run.
            let wait = home.settings.body_idle;
            drop(tokio::task::spawn_local(async move {
                if let Ok(Ok(())) = tokio::time::timeout(wait, sender.ready()).await {
                    home.put_idle(sender);
                }
            }));
        }
    }
}

async fn open(stream: Stream) -> Result<http1::SendRequest<Inbound>, ForwardError> {
    let mut builder = http1::Builder::new();
    builder.max_header_size(64 * 1024);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(handshake)?;
    // It ends by itself; whoever waits on it has been told.
    drop(tokio::task::spawn_local(connection.with_upgrades()));
    Ok(sender)
}

fn failed(error: DialError) -> ForwardError {
    match error {
        DialError::Late => ForwardError::ConnectTimeout,
        error @ (DialError::BadHost
        | DialError::Unresolved(_)
        | DialError::Forbidden
        | DialError::Refused(_)
        | DialError::Handshake(_)) => ForwardError::Unreachable(error),
    }
}

fn handshake(error: hyper::Error) -> ForwardError {
    ForwardError::Unreachable(DialError::Handshake(error))
}
