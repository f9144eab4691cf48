//! One connection to a sidecar as an application keeps it: calls one after another, or a stream whose every byte is
//! counted the moment it can be read. Errors are answers here, since a test may have made them.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection.
pub(crate) struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Deletion,
    Events,
    Socket,
}

/// An open stream: what of it has come.
#[derive(Clone)]
pub(crate) struct Flow(Arc<Mutex<Flowing>>);

struct Flowing {
    stream: Option<Arc<TcpStream>>,
    came: Vec<u8>,
    last: Option<Instant>,
}

impl Line {
    /// Connects to `address`, such as `127.0.0.1:8080`.
    pub(crate) async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends a request and reads the head of its answer; gives the status, and the body's length when it is told.
    pub(crate) async fn ask(
        &mut self,
        kind: Kind,
        target: &str,
        token: &str,
    ) -> io::Result<(u16, Option<usize>)> {
        let more = match kind {
            Kind::Call | Kind::Deletion => "",
            Kind::Events => "Accept: text/event-stream\r\n",
            Kind::Socket => {
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            }
        };
        let method = if kind == Kind::Deletion { "DELETE" } else { "GET" };
        let host = self.stream.peer_addr()?;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        );
        self.stream.write_all(head.as_bytes()).await?;
        let end = loop {
            let found = self.read.windows(4).position(|part| part == b"\r\n\r\n");
            if let Some(at) = found {
                break at + 4;
            }
            self.more().await?;
        };
        let head: Vec<_> = self.read.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, length))
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn whole(
        &mut self,
        kind: Kind,
        target: &str,
        token: &str,
    ) -> io::Result<(u16, Vec<u8>)> {
        let (status, length) = self.ask(kind, target, token).await?;
        let length = length.ok_or(io::ErrorKind::InvalidData)?;
        while self.read.len() < length {
            self.more().await?;
        }
        Ok((status, self.read.drain(..length).collect()))
    }

    /// From now on this is a stream.
    pub(crate) fn flow(self) -> Flow {
        let last = (!self.read.is_empty()).then(Instant::now);
        Flow(Arc::new(Mutex::new(Flowing { stream: Some(Arc::new(self.stream)), came: self.read, last })))
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Flow {
    /// Reads whatever comes as soon as it comes, until the end.
    pub(crate) async fn run(&self) {
        while let Some(stream) = self.stream() {
            if stream.readable().await.is_err() {
                return;
            }
            let mut piece = [0; 16 * 1024];
            self.take(|| stream.try_read(&mut piece).map(|count| piece[..count].to_vec()));
        }
    }

    /// How much the other side has delivered up to this very moment, read or still to be read.
    pub(crate) fn delivered(&self) -> usize {
        if let Some(stream) = self.stream() {
            let mut piece = [0; 16 * 1024];
            // Of the socket itself: the runtime may not have noticed yet that there is something.
            self.take(|| {
                let count = rustix::io::read(&*stream, &mut piece)?;
                Ok(piece[..count].to_vec())
            });
        }
        self.0.lock().came.len()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().stream.is_some()
    }

    /// All that has come, and when the last of it was read.
    pub(crate) fn came(&self) -> (Vec<u8>, Option<Instant>) {
        let flow = self.0.lock();
        (flow.came.clone(), flow.last)
    }

    fn stream(&self) -> Option<Arc<TcpStream>> {
        self.0.lock().stream.clone()
    }

    /// Takes all that can be read now.
    fn take(&self, mut read: impl FnMut() -> io::Result<Vec<u8>>) {
        let mut flow = self.0.lock();
        loop {
            match read() {
                Ok(piece) if !piece.is_empty() => {
                    flow.came.extend(piece);
                    flow.last = Some(Instant::now());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {
                    flow.stream = None;
                    return;
                }
            }
        }
    }
}
