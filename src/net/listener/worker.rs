//! Worker threads: one current-thread runtime each, with a listener of its own on the shared port.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot};

use super::accept::Door;
use super::{Abandoned, Entrance, ListenError, ListenerSettings, Tally};
use crate::net::body::{Answer, Inbound};
use crate::net::watch::{Exchange, Order, Watch};

/// The thread that a request is served on; what is made from it stays on that thread.
#[derive(Clone, Debug)]
pub struct Worker {
    pub(in crate::net) watch: Rc<Watch>,
    number: usize,
}

impl Worker {
    /// Which worker this is, counted from zero.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }
}

/// The running workers of a listener.
#[derive(Debug)]
pub struct Workers {
    address: SocketAddr,
    tally: Tally,
    orders: Vec<mpsc::Sender<Command>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

enum Command {
    /// End what was cut; answer how many streams that were.
    Sever(Box<dyn FnOnce(usize) + Send>),
    /// Accept no more, finish, and answer when everything has ended.
    Drain(oneshot::Sender<()>),
    /// End everything.
    Abort,
}

/// What a worker thread is started with.
struct Start<F> {
    socket: TcpSocket,
    settings: Arc<ListenerSettings>,
    tally: Tally,
    factory: Arc<F>,
    orders: mpsc::Receiver<Command>,
    ready: oneshot::Sender<Result<(), ListenError>>,
    number: usize,
}

/// A sidecar's sockets, bound and not served yet: the address can be told before what is served is made.
#[derive(Debug)]
pub struct BoundWorkers {
    sockets: Vec<TcpSocket>,
    address: SocketAddr,
    settings: ListenerSettings,
}

impl BoundWorkers {
    /// Binds one socket a worker, all on the same port; connections are refused until they are served.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub fn new(settings: ListenerSettings) -> Result<Self, ListenError> {
        let mut address = settings.address;
        if address.port() != 0 {
            // Sockets that share a port are meant for one process: a second one is to be told, not to share.
            drop(bind(address, false).map_err(|source| ListenError::Bind { address, source })?);
        }
        let mut sockets = Vec::new();
        for _ in 0..settings.workers.max(1) {
            let socket = bind(address, true).map_err(|source| ListenError::Bind { address, source })?;
            address = socket.local_addr().map_err(|source| ListenError::Bind { address, source })?;
            sockets.push(socket);
        }
        Ok(Self { sockets, address, settings })
    }

    /// The address that will be listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the workers. `factory` runs once on each thread and returns the function that serves its
    /// requests; neither that function nor its futures need be `Send`.
    ///
    /// # Errors
    /// [`ListenError`]; then nothing is left running.
    pub async fn start<F, S, R, E>(self, factory: F) -> Result<Workers, ListenError>
    where
        F: Fn(&Worker) -> Result<S, E> + Send + Sync + 'static,
        S: Fn(Request<Inbound>, Exchange) -> R + 'static,
        R: Future<Output = Result<Response<Answer>, Abandoned>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { sockets, address, settings } = self;
        let (settings, factory, tally) = (Arc::new(settings), Arc::new(factory), Tally::default());
        let mut waiting = Vec::new();
        let mut workers =
            Workers { address, tally: tally.clone(), orders: Vec::new(), threads: Mutex::default() };
        for (number, socket) in sockets.into_iter().enumerate() {
            let (order, orders) = mpsc::channel(ORDERS);
            let (ready, started) = oneshot::channel();
            let (settings, factory) = (Arc::clone(&settings), Arc::clone(&factory));
            let start = Start { socket, settings, tally: tally.clone(), factory, orders, ready, number };
            let thread = std::thread::Builder::new().name(format!("sidecar-{number}"));
            let thread = thread.spawn(move || start.run()).map_err(ListenError::Thread)?;
            workers.threads.lock().push(thread);
            workers.orders.push(order);
            waiting.push(started);
        }
        workers.address = address;
        for started in waiting {
            // A thread that is gone without a word has panicked.
            started.await.unwrap_or_else(|_| Err(ListenError::Thread(io::ErrorKind::Other.into())))?;
        }
        Ok(workers)
    }
}

impl Workers {
    /// Binds and starts.
    ///
    /// # Errors
    /// [`ListenError`]; then nothing is left running.
    pub async fn start<F, S, R, E>(settings: ListenerSettings, factory: F) -> Result<Self, ListenError>
    where
        F: Fn(&Worker) -> Result<S, E> + Send + Sync + 'static,
        S: Fn(Request<Inbound>, Exchange) -> R + 'static,
        R: Future<Output = Result<Response<Answer>, Abandoned>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        BoundWorkers::new(settings)?.start(factory).await
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

    /// Ends every stream whose [`Cut`](crate::net::watch::Cut) has fired, and returns how many there were.
    /// When it returns, no byte flows on any of them.
    pub async fn sever(&self) -> usize {
        let mut waiting = Vec::with_capacity(self.orders.len());
        for orders in &self.orders {
            let (answer, answered) = oneshot::channel();
            // Whoever asked may have stopped waiting.
            let answer = Box::new(move |cut| answer.send(cut).unwrap_or_default());
            if orders.send(Command::Sever(answer)).await.is_ok() {
                waiting.push(answered);
            }
        }
        let mut cut = 0;
        for answered in waiting {
            cut += answered.await.unwrap_or(0);
        }
        cut
    }

    /// [`Workers::sever`] for a caller that cannot await. `None` when a worker did not answer within `limit`:
    /// then some stream may still be open. Not to be called on a worker's own thread.
    #[must_use]
    pub fn sever_within(&self, limit: Duration) -> Option<usize> {
        let (answer, answered) = std::sync::mpsc::channel();
        let mut waiting = 0;
        for orders in &self.orders {
            let answer = answer.clone();
            let order = Command::Sever(Box::new(move |cut| answer.send(cut).unwrap_or_default()));
            match orders.try_send(order) {
                Ok(()) => waiting += 1,
                // The worker has ended, and its streams with it.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
                Err(mpsc::error::TrySendError::Full(_)) => return None,
            }
        }
        let mut cut = 0;
        for _ in 0..waiting {
            cut += answered.recv_timeout(limit).ok()?;
        }
        Some(cut)
    }

    /// Accepts no more, lets what is under way finish (HTTP/1 `Connection: close`, HTTP/2 GOAWAY, WebSocket
    /// close 1001), and ends what has not finished after `limit`. Returns whether everything had.
    pub async fn drain(&self, limit: Duration) -> bool {
        let ended = tokio::time::timeout(limit, self.drained()).await.is_ok();
        for orders in &self.orders {
            let _ = orders.send(Command::Abort).await;
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
        joined.await.unwrap_or(false) && ended
    }

    async fn drained(&self) {
        let mut waiting = Vec::with_capacity(self.orders.len());
        for orders in &self.orders {
            let (answer, answered) = oneshot::channel();
            if orders.send(Command::Drain(answer)).await.is_ok() {
                waiting.push(answered);
            }
        }
        for answered in waiting {
            let _ = answered.await;
        }
    }
}

impl<F> Start<F> {
    fn run<S, R, E>(self)
    where
        F: Fn(&Worker) -> Result<S, E>,
        S: Fn(Request<Inbound>, Exchange) -> R + 'static,
        R: Future<Output = Result<Response<Answer>, Abandoned>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(self.work()),
            Err(error) => drop(self.ready.send(Err(ListenError::Thread(error)))),
        }
    }

    async fn work<S, R, E>(self)
    where
        F: Fn(&Worker) -> Result<S, E>,
        S: Fn(Request<Inbound>, Exchange) -> R + 'static,
        R: Future<Output = Result<Response<Answer>, Abandoned>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { socket, settings, tally, factory, orders, ready, number } = self;
        let watch = Watch::new(settings.tick, settings.head_timeout, settings.idle_timeout);
        let address = settings.address;
        let prepared = socket
            .listen(BACKLOG)
            .map_err(|source| ListenError::Bind { address, source })
            .and_then(|listener| {
                let worker = Worker { watch: Rc::clone(&watch), number };
                let serve = factory(&worker).map_err(|error| ListenError::Prepare(error.into()))?;
                Ok((listener, Rc::new(serve)))
            });
        drop(factory);
        let (listener, serve) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let door = Rc::new(Door { settings, tally, watch: Rc::clone(&watch), serve });
        let entrance: Rc<dyn Entrance> = Rc::clone(&door) as _;
        watch.enter_by(&entrance);
        if ready.send(Ok(())).is_err() {
            return;
        }
        let sweeping = Rc::clone(&watch);
        let sweep = tokio::task::spawn_local(async move { sweeping.sweep().await });
        obey(listener, &door, orders).await;
        sweep.abort();
    }
}

/// Accepts and obeys, until told to end.
async fn obey<S, R>(listener: TcpListener, door: &Door<S>, mut orders: mpsc::Receiver<Command>)
where
    S: Fn(Request<Inbound>, Exchange) -> R + 'static,
    R: Future<Output = Result<Response<Answer>, Abandoned>> + 'static,
{
    let drained = loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Command::Sever(answer)) => answer(door.watch.sever().await),
                Some(Command::Drain(answer)) => break answer,
                Some(Command::Abort) | None => return,
            },
            accepted = listener.accept() => door.admit(accepted).await,
        }
    };
    drop(listener);
    door.watch.begin_drain();
    let mut drained = Some(drained);
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Command::Sever(answer)) => answer(door.watch.sever().await),
                Some(Command::Drain(answer)) => drained = Some(answer),
                Some(Command::Abort) | None => break,
            },
            () = door.watch.quiet(), if drained.is_some() => {
                if let Some(answer) = drained.take() {
                    let _ = answer.send(());
                }
            }
        }
    }
    door.watch.order_all(Order::Close);
    // The connections' tasks see the order when they run next; what is left ends with the runtime.
    tokio::task::yield_now().await;
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(shared)?;
    socket.bind(address)?;
    Ok(socket)
}

const BACKLOG: u32 = 1024;
const ORDERS: usize = 16;
