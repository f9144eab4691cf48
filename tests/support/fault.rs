//! A network between one client and one server that does what the test wishes: passes, refuses, hangs, loses what is
//! sent, delays, cuts. Its own address stays the same while the server behind it may change.
//!
//! As on a real network nothing is ever delivered with a gap: a connection that has lost bytes never passes again.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of connections and of what is sent on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything passes.
    Pass,
    /// Open connections are reset, new ones as well.
    Refuse,
    /// Connections are taken and nothing moves; what waits is delivered when the mode changes.
    Hang,
    /// Everything that comes is thrown away, and nobody is told.
    Blackhole,
    /// Everything passes, each piece so much later.
    Delay(Duration),
}

/// The network of one pair.
pub(crate) struct Proxy {
    address: SocketAddr,
    wish: watch::Sender<Wish>,
    taking: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Wish {
    to: String,
    mode: Mode,
    /// How often everything was cut: a connection of an earlier count is to end.
    cuts: u64,
}

impl Proxy {
    /// Listens on a free port and leads to `to`, such as `127.0.0.1:6379`; it may be told later.
    pub(crate) async fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wish = watch::Sender::new(Wish { to: to.to_owned(), mode: Mode::Pass, cuts: 0 });
        let taking = tokio::spawn(take(listener, wish.subscribe()));
        Self { address, wish, taking }
    }

    /// Where the client finds the server.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The same as an `http` address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.wish.send_modify(|wish| wish.mode = mode);
    }

    /// Resets every open connection, once.
    pub(crate) fn cut(&self) {
        self.wish.send_modify(|wish| wish.cuts += 1);
    }

    /// New connections lead to another server; open ones are reset.
    pub(crate) fn lead_to(&self, to: &str) {
        self.wish.send_modify(|wish| {
            to.clone_into(&mut wish.to);
            wish.cuts += 1;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.taking.abort();
        self.cut();
    }
}

async fn take(listener: TcpListener, wish: watch::Receiver<Wish>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, wish.clone()));
    }
}

/// A connection's life. It ends by a reset of both sides unless both have ended it in order.
async fn connect(mut client: TcpStream, mut wish: watch::Receiver<Wish>) {
    let born = wish.borrow_and_update().cuts;
    let over = tokio::select! {
        over = reach(&mut client, wish.clone()) => over,
        () = ended(&mut wish, born) => Err(()),
    };
    if over.is_err() {
        let _ = client.set_zero_linger();
    }
}

/// Returns when a connection of this age has to end at once.
async fn ended(wish: &mut watch::Receiver<Wish>, born: u64) {
    let ends = |wish: &Wish| wish.cuts != born || wish.mode == Mode::Refuse;
    // Without its proxy a connection ends too.
    let _ = wish.wait_for(ends).await;
}

async fn reach(client: &mut TcpStream, mut wish: watch::Receiver<Wish>) -> Result<(), ()> {
    let passes = |wish: &Wish| !matches!(wish.mode, Mode::Hang | Mode::Blackhole);
    if wish.borrow().mode == Mode::Blackhole {
        return swallow(client, &mut wish).await;
    }
    let to = wish.wait_for(passes).await.map_err(drop)?.to.clone();
    let mut server = TcpStream::connect(to).await.map_err(drop)?;
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let there = carry(from_client, to_server, wish.clone());
    let back = carry(from_server, to_client, wish);
    let over = tokio::try_join!(there, back);
    if over.is_err() {
        let _ = server.set_zero_linger();
    }
    over.map(drop)
}

/// Takes a connection that leads nowhere, until there would be a way: then it has lost too much.
async fn swallow(client: &mut TcpStream, wish: &mut watch::Receiver<Wish>) -> Result<(), ()> {
    let mut lost = [0; 4096];
    loop {
        tokio::select! {
            _ = wish.wait_for(|wish| wish.mode != Mode::Blackhole) => return Err(()),
            read = client.read(&mut lost) => if !matches!(read, Ok(count) if count > 0) { return Err(()) },
        }
    }
}

/// Carries one direction to its end.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut wish: watch::Receiver<Wish>,
) -> Result<(), ()> {
    let mut piece = vec![0; 64 * 1024];
    let mut lost = false;
    loop {
        let moves = |wish: &Wish| wish.mode != Mode::Hang && !(lost && wish.mode != Mode::Blackhole);
        if lost && wish.borrow().mode != Mode::Blackhole {
            return Err(());
        }
        wish.wait_for(moves).await.map_err(drop)?;
        let read = tokio::select! {
            read = from.read(&mut piece) => read.map_err(drop)?,
            changed = wish.changed() => { changed.map_err(drop)?; continue }
        };
        // What was read while the wish changed has not passed yet.
        let mode = wish.wait_for(|wish| wish.mode != Mode::Hang).await.map_err(drop)?.mode;
        match mode {
            Mode::Blackhole if read > 0 => lost = true,
            // Nobody learns of an end either.
            Mode::Blackhole => {
                let _ = wish.wait_for(|wish| wish.mode != Mode::Blackhole).await;
                return Err(());
            }
            Mode::Delay(late) => {
                tokio::time::sleep(late).await;
                deliver(&mut to, piece.get(..read).unwrap_or_default()).await?;
            }
            Mode::Pass | Mode::Refuse | Mode::Hang => {
                deliver(&mut to, piece.get(..read).unwrap_or_default()).await?;
            }
        }
        if read == 0 && !lost {
            return Ok(());
        }
    }
}

/// Writes a piece, or the end.
async fn deliver(to: &mut WriteHalf<'_>, piece: &[u8]) -> Result<(), ()> {
    let done = if piece.is_empty() { to.shutdown().await } else { to.write_all(piece).await };
    done.map_err(drop)
}

/// What lets a process see another time of day.
pub(crate) fn faketime() -> String {
    let places = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found =
        places.map(|place| place.path().join("faketime/libfaketimeMT.so.1")).find(|file| file.exists());
    found
        .unwrap_or_else(|| panic!("libfaketime is not installed: tests/run installs it"))
        .display()
        .to_string()
}
