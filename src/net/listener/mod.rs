//! Accepting connections: the sidecar's workers, and a simpler listener for everything else.
//!
//! In: an address, limits, and a function from request to response. Out: requests, until the drain. The
//! sidecar's [`Workers`] are threads with a runtime each, so that what a request needs is on its own thread;
//! [`Shared`] serves any `Send` service on the runtime it is started in. Both speak HTTP/1.1 and HTTP/2, in
//! the clear or under TLS, and refuse at once what is over the limit of connections.

mod accept;
mod inside;
mod shared;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(in crate::net) use inside::Entrance;
pub use inside::{NotOpened, NotServed, Room, Tunnel};
pub use shared::{Bound, Shared};
pub use worker::{BoundWorkers, Worker, Workers};

use super::shares::Shares;
use super::tls::ServerTls;
use super::watch::Admitted;

/// Where and within which limits to listen.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The address; port 0 picks one.
    pub address: SocketAddr,
    /// Worker threads ([`Workers`] only).
    pub workers: usize,
    /// TLS, if the listener is to speak it.
    pub tls: Option<Arc<ServerTls>>,
    /// Connections that may be open at once; more are closed as soon as they are accepted.
    pub connections: usize,
    /// Tunnels that may be open at once ([`Workers`] only, and only where they are opened); an eighth of them for one peer.
    pub tunnels: usize,
    /// For a TLS handshake, and for the head of a request.
    pub head_timeout: Duration,
    /// How long a connection may be open without a request.
    pub idle_timeout: Duration,
    /// How exactly time limits are kept ([`Workers`] only).
    pub tick: Duration,
}

impl ListenerSettings {
    /// The defaults for an address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            workers: 1,
            tls: None,
            connections: 10_000,
            tunnels: 2_000,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            tick: Duration::from_millis(250),
        }
    }
}

/// Why a listener could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose a free port, or an address of this machine")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A thread or its runtime could not be started.
    #[error("cannot start a worker thread: {0}")]
    Thread(std::io::Error),
    /// What a worker needs could not be made.
    #[error("cannot prepare a worker: {0}")]
    Prepare(Box<dyn std::error::Error + Send + Sync>),
}

/// The response to a request was abandoned: the connection is closed (HTTP/2: the stream is reset) without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response was abandoned")]
pub struct Abandoned;

/// Counts of a listener's connections, for the metrics.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    open: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    tunnels: Arc<AtomicUsize>,
    shares: Arc<Shares>,
}

impl Tally {
    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections that were ever accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that were refused because too many were open.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn admit(&self, limit: usize) -> Option<Admitted> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= limit {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Admitted::new(&self.open))
    }

    /// Tunnels that are open now.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// A place for a tunnel inside a connection, which keeps its own for as long. One peer has an eighth of them at most.
    fn admit_tunnel(&self, limit: usize, peer: IpAddr, outer: &Arc<Admitted>) -> Option<Admitted> {
        let share = self.shares.take(peer, limit)?;
        self.tunnels.fetch_add(1, Ordering::Relaxed);
        Some(Admitted::inside(&self.tunnels, outer, share))
    }
}

/// Runs the library's HTTP/2 tasks on the thread they were started on.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnThisThread;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(future));
    }
}

/// Streams of one HTTP/2 connection, and its windows: Envoy's advice for an edge.
const STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const HEADER_LIST: u32 = 16 * 1024;
/// Between two HTTP/2 pings, and until one must be answered.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// After the system refused to give out a connection (too many open files, for one).
const BREATHE: Duration = Duration::from_millis(50);
