//! A connection on which a test writes any bytes it likes: for requests that no client would send, and for
//! looking at an exchange as it goes.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use super::eventually::in_time;

pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// One answer as it came.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Raw {
    /// Connects to the server of `base`, such as `http://127.0.0.1:8080`.
    pub(crate) async fn connect(base: &str) -> Self {
        let url = Url::parse(base).unwrap();
        let address = &url[url::Position::BeforeHost..url::Position::AfterPort];
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// Writes; an error is left to the reading, since a server may refuse before it has read all.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads on until what has been read contains `mark`, and takes out everything up to and with it.
    pub(crate) async fn read_to(&mut self, mark: &str) -> String {
        in_time(&format!("reading to {mark:?}"), async {
            loop {
                let found = self.read.windows(mark.len()).position(|part| part == mark.as_bytes());
                if let Some(at) = found {
                    let taken = self.read.drain(..at + mark.len()).collect();
                    return String::from_utf8(taken).unwrap();
                }
                assert!(self.more().await, "the connection ended before {mark:?}: {}", self.so_far());
            }
        })
        .await
    }

    /// Reads one answer: the head, and the body when its length is given.
    pub(crate) async fn answer(&mut self) -> RawAnswer {
        let head = self.read_to("\r\n\r\n").await;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, length)| length.trim().parse().unwrap());
        in_time("reading a body", async { while self.read.len() < length && self.more().await {} }).await;
        let body = self.read.drain(..length.min(self.read.len())).collect();
        RawAnswer { status: status.unwrap(), head, body: String::from_utf8(body).unwrap() }
    }

    /// Reads one answer to HEAD: whatever length it gives, no body follows.
    pub(crate) async fn answer_to_head(&mut self) -> RawAnswer {
        let head = self.read_to("\r\n\r\n").await;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        RawAnswer { status: status.unwrap(), head, body: String::new() }
    }

    /// Reads one answer; none when the other side closes without one.
    pub(crate) async fn answer_or_end(&mut self) -> Option<RawAnswer> {
        in_time("an answer, or the end", async { while self.read.is_empty() && self.more().await {} }).await;
        if self.read.is_empty() { None } else { Some(self.answer().await) }
    }

    /// Takes exactly `count` bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        in_time("reading bytes", async {
            while self.read.len() < count {
                assert!(self.more().await, "the connection ended too early: {}", self.so_far());
            }
        })
        .await;
        self.read.drain(..count).collect()
    }

    /// Waits for the other side to close; gives what it still sent.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        in_time("the other side closes the connection", async { while self.more().await {} }).await;
        std::mem::take(&mut self.read)
    }

    /// Reads what is there into the buffer; false at the end, and on a reset.
    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(count) if count > 0)
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }
}
