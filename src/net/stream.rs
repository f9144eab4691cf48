//! The byte streams that HTTP runs on: plain or TLS, and vetted.
//!
//! In: a socket. Out: one type for all of them, so that everything above is compiled once. [`Vetted`] shows
//! each read to the [`wire`](super::wire) follower before the HTTP library gets it; it copies nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::wire::Follower;

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// TLS, we are the server.
    Accepted(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS, we are the client.
    Opened(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// TLS inside another connection, in the place of the host that its client has asked for (CONNECT).
    Inside(Box<tokio_rustls::server::TlsStream<TokioIo<Upgraded>>>),
}

impl Stream {
    /// Whether the bytes are encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Accepted(_) | Self::Opened(_) | Self::Inside(_) => true,
        }
    }

    /// Whether both sides agreed on HTTP/2 in the TLS handshake (RFC 7301).
    #[must_use]
    pub fn agreed_on_http2(&self) -> bool {
        let agreed = match self {
            Self::Plain(_) => None,
            Self::Accepted(tls) => tls.get_ref().1.alpn_protocol(),
            Self::Opened(tls) => tls.get_ref().1.alpn_protocol(),
            Self::Inside(tls) => tls.get_ref().1.alpn_protocol(),
        };
        agreed == Some(b"h2")
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Accepted(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Opened(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Inside(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Accepted(tls) => Pin::new(tls).poll_write(cx, buf),
            Self::Opened(tls) => Pin::new(tls).poll_write(cx, buf),
            Self::Inside(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Accepted(tls) => Pin::new(tls).poll_flush(cx),
            Self::Opened(tls) => Pin::new(tls).poll_flush(cx),
            Self::Inside(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Accepted(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Opened(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Inside(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Accepted(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
            Self::Opened(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
            Self::Inside(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Accepted(tls) => tls.is_write_vectored(),
            Self::Opened(tls) => tls.is_write_vectored(),
            Self::Inside(tls) => tls.is_write_vectored(),
        }
    }
}

/// A stream whose reads are followed, and which first gives back what was read to recognise the protocol.
#[derive(Debug)]
pub struct Vetted<S> {
    inner: S,
    follower: Follower,
    /// Read already: the first bytes of the connection, and how many of them there are.
    replay: Option<Sniffed>,
}

/// The first bytes of a connection.
#[derive(Debug, Default)]
pub struct Sniffed {
    bytes: [u8; PREFACE.len()],
    length: usize,
}

impl<S> Vetted<S> {
    /// Follows what is read from `inner`, after `sniffed`.
    #[must_use]
    pub fn new(inner: S, follower: Follower, sniffed: Sniffed) -> Self {
        Self { inner, follower, replay: Some(sniffed).filter(|sniffed| sniffed.length > 0) }
    }
}

impl Sniffed {
    /// Reads until it is certain whether the connection begins with the HTTP/2 preface (RFC 9113 section
    /// 3.4), and says so.
    ///
    /// # Errors
    /// That of the read.
    pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(Self, bool)> {
        use tokio::io::AsyncReadExt as _;
        let mut sniffed = Self::default();
        loop {
            let room = sniffed.bytes.get_mut(sniffed.length..).unwrap_or_default();
            let read = stream.read(room).await?;
            sniffed.length += read;
            let so_far = sniffed.bytes.get(..sniffed.length).unwrap_or_default();
            if !PREFACE.starts_with(so_far) || read == 0 {
                return Ok((sniffed, false));
            }
            if sniffed.length == PREFACE.len() {
                return Ok((sniffed, true));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Vetted<S> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match this.replay.take() {
            Some(sniffed) if buf.remaining() >= sniffed.length => {
                buf.put_slice(sniffed.bytes.get(..sniffed.length).unwrap_or_default());
            }
            Some(_) => return Poll::Ready(Err(io::Error::other("read buffer too small to begin with"))),
            None => ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?,
        }
        this.follower.read(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Vetted<S> {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.follower.wrote(written.is_ready());
        written
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        // TLS takes what it cannot send yet, and says so only here.
        this.follower.wrote(flushed.is_ready());
        flushed
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.follower.wrote(written.is_ready());
        written
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
