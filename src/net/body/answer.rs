//! The body of a response, to the caller.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::{Broken, Wait, allowed, take, whole};
use crate::net::sift::{Sieve, Sifted};
use crate::net::upstream::Lease;
use crate::net::watch::{Cut, Exchange, Slot};

/// The body of a response.
#[derive(Debug)]
pub struct Answer(Sent);

#[derive(Debug)]
enum Sent {
    Whole(Bytes),
    Streamed(Box<Download>),
    Sifted(Box<Sifted>),
}

#[derive(Debug)]
struct Download {
    incoming: Incoming,
    /// The upstream connection, given back when the body has ended.
    lease: Option<Lease>,
    exchange: Exchange,
    wait: Wait,
    /// How its protocol is told that it was cut, if it has a way.
    status: Option<Status>,
}

/// A protocol that ends a stream by a status in the trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Status {
    /// gRPC over HTTP/2.
    Grpc,
    /// It was told.
    Told,
}

impl Status {
    /// By the type of what an upstream sends. gRPC-Web has its status in the body and is broken off like all others.
    pub(in crate::net) fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(CONTENT_TYPE)?.as_bytes();
        let (name, more) = kind.split_at_checked(GRPC.len())?;
        let whole = more.first().is_none_or(|next| matches!(next, b'+' | b';' | b' '));
        (whole && name.eq_ignore_ascii_case(GRPC)).then_some(Self::Grpc)
    }
}

impl Answer {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Sent::Whole(Bytes::new()))
    }

    /// What an upstream sends. `slot` has waited for its head and goes on waiting.
    pub(in crate::net) fn stream(
        incoming: Incoming,
        lease: Lease,
        exchange: &Exchange,
        slot: Slot,
        ticks: u32,
        cut: Option<&Cut>,
        status: Option<Status>,
    ) -> Self {
        if incoming.is_end_stream() {
            lease.give_back();
            return Self::empty();
        }
        let wait = Wait { slot, ticks, cut: cut.cloned() };
        let exchange = exchange.clone();
        Self(Sent::Streamed(Box::new(Download { incoming, lease: Some(lease), exchange, wait, status })))
    }

    /// The same body behind a sieve.
    #[must_use]
    pub fn sifted(self, sieve: Box<dyn Sieve>) -> Self {
        Self(Sent::Sifted(Box::new(Sifted::new(self, sieve))))
    }

    /// Reads the whole body, if it is no longer than `limit` bytes. Trailers are dropped.
    ///
    /// # Errors
    /// [`Broken`]; it is [`Broken::TooLong`] as soon as that is certain.
    pub async fn read(self, limit: usize) -> Result<Bytes, Broken> {
        whole(self, limit).await
    }
}

impl From<Bytes> for Answer {
    fn from(bytes: Bytes) -> Self {
        Self(Sent::Whole(bytes))
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self(Sent::Whole(text.into()))
    }
}

impl Download {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.status == Some(Status::Told) {
            return Poll::Ready(None);
        }
        let polled = self.poll_incoming(cx);
        let cut = matches!(polled, Poll::Ready(Some(Err(Broken::Cut))));
        if cut && self.status.is_some() && self.exchange.link.part() {
            self.status = Some(Status::Told);
            self.wait.slot.disarm();
            return Poll::Ready(Some(Ok(unauthenticated())));
        }
        polled
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_ready() {
            self.wait.check()?;
        }
        let link = Some(&self.exchange.link);
        let frame = match polled {
            Poll::Ready(Some(Ok(frame))) => Some(frame),
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(Broken::Gone))),
            Poll::Ready(None) => None,
            Poll::Pending => {
                self.wait.on(cx, link, true)?;
                return Poll::Pending;
            }
        };
        let ended = frame.as_ref().is_none_or(Frame::is_trailers) || self.incoming.is_end_stream();
        if ended {
            self.wait.slot.disarm();
            if let Some(lease) = self.lease.take() {
                lease.give_back();
            }
        } else {
            // There is more to come, and the caller may stop reading before it does: be reachable.
            self.wait.again(cx, link);
        }
        Poll::Ready(frame.and_then(allowed).map(Ok))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.0 {
            Sent::Whole(bytes) => Poll::Ready(take(bytes).map(Ok)),
            Sent::Streamed(download) => download.poll(cx),
            Sent::Sifted(sifted) => sifted.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Sent::Whole(bytes) => bytes.is_empty(),
            Sent::Streamed(download) => {
                download.status == Some(Status::Told) || download.incoming.is_end_stream()
            }
            Sent::Sifted(sifted) => sifted.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Sent::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Sent::Streamed(download) => download.incoming.size_hint(),
            Sent::Sifted(_) => SizeHint::default(),
        }
    }
}

/// The end of a gRPC stream that was cut: status 16, `UNAUTHENTICATED`.
fn unauthenticated() -> Frame<Bytes> {
    const CUT: &str = "the stream was cut: access has ended or cannot be confirmed any more; authorize again";
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", HeaderValue::from_static("16"));
    trailers.insert("grpc-message", HeaderValue::from_static(CUT));
    Frame::trailers(trailers)
}

const GRPC: &[u8] = b"application/grpc";
