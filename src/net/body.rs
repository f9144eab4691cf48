//! Bodies in both directions, streamed without copying and with back-pressure.
//!
//! In: the library's incoming bodies. Out: [`Inbound`] (from the caller) and [`Answer`] (to the caller), with
//! trailers filtered, an idle limit, and a [`Cut`]. A body that breaks is an error and never an end, so that
//! the other side's connection breaks too. It changes no byte.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::headers::keep_listed_trailers;
use super::sift::{Sieve, Sifted, whole};
use super::upstream::Lease;
use super::watch::{Cut, Exchange, Link, Order, Patience, Slot, Verdict};
use super::wire::Fault;

/// Why a body did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The caller's framing is malformed: its fault, answer 400 and close.
    #[error("the body is malformed: {0}")]
    Framing(Fault),
    /// Whoever sends it went away.
    #[error("the sender of the body went away before its end")]
    Gone,
    /// Nothing was sent for too long.
    #[error("nothing was sent for longer than a body may be idle")]
    Idle,
    /// It was cut.
    #[error("the stream was cut")]
    Cut,
    /// It is longer than what is accepted.
    #[error("the body is longer than what is accepted here")]
    TooLong,
}

/// The body of a request. It is small, because a request is copied from hand to hand with it.
#[derive(Debug)]
pub struct Inbound(Received);

#[derive(Debug)]
enum Received {
    /// With the connection and the request's number on it, by which what is wrong with its framing is known.
    Empty(Option<(Rc<Link>, u32)>),
    Whole(Box<Whole>),
    Streamed(Box<Upload>),
}

#[derive(Debug)]
struct Whole {
    bytes: Bytes,
    cut: Option<Cut>,
}

#[derive(Debug)]
struct Upload {
    incoming: Incoming,
    exchange: Exchange,
    /// Read before the upstream was opened.
    first: Option<Frame<Bytes>>,
    wait: Wait,
    progress: Rc<Progress>,
}

/// What the one who waits for the response must know of the upload.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// When bytes last moved.
    pub(super) tick: Cell<u32>,
    pub(super) broken: Cell<Option<Broken>>,
}

impl Inbound {
    /// A body that arrives on a connection.
    pub(super) fn arriving(incoming: Incoming, exchange: &Exchange) -> Self {
        if incoming.is_end_stream() {
            return Self(Received::Empty(Some((Rc::clone(&exchange.link), exchange.number))));
        }
        let exchange = exchange.clone();
        let wait = Wait { slot: Slot::new(&exchange.watch), ticks: exchange.watch.limits.idle, cut: None };
        let upload = Upload { incoming, exchange, first: None, wait, progress: Rc::default() };
        Self(Received::Streamed(Box::new(upload)))
    }

    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Received::Empty(None))
    }

    /// What is wrong with the framing of the request, head or body, as far as it was read.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match &self.0 {
            Received::Empty(of) => of.as_ref().and_then(|(link, number)| link.findings.fault(*number)),
            Received::Whole(_) => None,
            Received::Streamed(upload) => fault(&upload.exchange),
        }
    }

    /// Reads the whole body, if it is no longer than `limit` bytes. Trailers are dropped.
    ///
    /// # Errors
    /// [`Broken`]; it is [`Broken::TooLong`] as soon as that is certain.
    pub async fn read(self, limit: usize) -> Result<Bytes, Broken> {
        whole(self, limit).await
    }

    /// Sets how long it may be idle and what cuts it.
    pub(super) fn wait_for(&mut self, ticks: u32, cut: Option<&Cut>) {
        match &mut self.0 {
            Received::Empty(_) => {}
            Received::Whole(whole) => whole.cut = cut.cloned(),
            Received::Streamed(upload) => {
                upload.wait.ticks = ticks;
                upload.wait.cut = cut.cloned();
            }
        }
    }

    /// Reads the first piece of a chunked HTTP/1 body, so that bad framing is known before an upstream is
    /// opened. (HTTP/2 frames cannot be malformed in that way, and its caller may wait for our headers.)
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn prime(&mut self) -> Result<(), Broken> {
        let Received::Streamed(upload) = &mut self.0 else { return Ok(()) };
        let chunked = upload.incoming.size_hint().exact().is_none();
        if !chunked || upload.first.is_some() || upload.exchange.link.http2 {
            return Ok(());
        }
        upload.first = poll_fn(|cx| upload.poll(cx)).await.transpose()?;
        if upload.first.is_none() {
            // It was a chunked body without a chunk. The frame keeps it a body, as the caller framed it.
            upload.first = Some(Frame::data(Bytes::new()));
        }
        Ok(())
    }

    pub(super) fn progress(&self) -> Option<Rc<Progress>> {
        match &self.0 {
            Received::Streamed(upload) => Some(Rc::clone(&upload.progress)),
            Received::Empty(_) | Received::Whole(_) => None,
        }
    }

    /// The bytes of a body that was read before.
    #[must_use]
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.0 {
            Received::Whole(whole) => Some(&whole.bytes),
            Received::Empty(_) | Received::Streamed(_) => None,
        }
    }

    /// The length of a body that did not come from the connection as it is.
    pub(super) fn whole_length(&self) -> Option<usize> {
        match &self.0 {
            Received::Whole(whole) => Some(whole.bytes.len()),
            Received::Empty(_) | Received::Streamed(_) => None,
        }
    }
}

impl From<Bytes> for Inbound {
    fn from(bytes: Bytes) -> Self {
        Self(Received::Whole(Box::new(Whole { bytes, cut: None })))
    }
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let polled = self.poll_incoming(cx);
        if let Poll::Ready(Some(Err(broken))) = &polled {
            self.progress.broken.set(Some(*broken));
        }
        polled
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_ready() {
            self.wait.check()?;
        }
        // Every byte that the library decoded has passed the follower before.
        if let Some(fault) = fault(&self.exchange) {
            self.exchange.link.order(Order::Finish);
            return Poll::Ready(Some(Err(Broken::Framing(fault))));
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.progress.tick.set(self.exchange.watch.now());
                Poll::Ready(allowed(frame).map(Ok))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(blame(&error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                self.wait.on(cx, None, false)?;
                Poll::Pending
            }
        }
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.0 {
            Received::Empty(_) => Poll::Ready(None),
            // It may have waited for room at the upstream since the request was begun.
            Received::Whole(whole) if whole.cut.as_ref().is_some_and(Cut::is_fired) => {
                Poll::Ready(Some(Err(Broken::Cut)))
            }
            Received::Whole(whole) => Poll::Ready(take(&mut whole.bytes).map(Ok)),
            Received::Streamed(upload) => match upload.first.take() {
                Some(_) if upload.wait.cut.as_ref().is_some_and(Cut::is_fired) => {
                    upload.progress.broken.set(Some(Broken::Cut));
                    Poll::Ready(Some(Err(Broken::Cut)))
                }
                Some(first) => Poll::Ready(Some(Ok(first))),
                None => upload.poll(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Received::Empty(_) => true,
            Received::Whole(whole) => whole.bytes.is_empty(),
            Received::Streamed(upload) => upload.first.is_none() && upload.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Received::Empty(_) => SizeHint::with_exact(0),
            Received::Whole(whole) => SizeHint::with_exact(whole.bytes.len() as u64),
            Received::Streamed(upload) => upload.incoming.size_hint(),
        }
    }
}

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
pub(super) enum Status {
    /// gRPC over HTTP/2.
    Grpc,
    /// It was told.
    Told,
}

impl Status {
    /// By the type of what an upstream sends. gRPC-Web has its status in the body and is broken off like all others.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
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
    pub(super) fn stream(
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

/// How a body waits for its next piece.
#[derive(Debug)]
struct Wait {
    slot: Slot,
    ticks: u32,
    cut: Option<Cut>,
}

impl Wait {
    /// Whether it was cut, asked before any piece of what has waited once is passed on: in a process that stood still
    /// until its lease was over, what lies in the sockets may come before the sweep does.
    fn check(&self) -> Result<(), Broken> {
        if self.slot.is_armed() && self.cut.as_ref().is_some_and(Cut::is_fired) {
            self.slot.notice_cut();
        }
        if self.slot.verdict() == Verdict::Cut { Err(Broken::Cut) } else { Ok(()) }
    }

    /// Nothing came: wait, unless the time is over.
    fn on(&mut self, cx: &Context<'_>, link: Option<&Rc<Link>>, counted: bool) -> Result<(), Broken> {
        match self.slot.verdict() {
            Verdict::Late => return Err(Broken::Idle),
            Verdict::Cut => return Err(Broken::Cut),
            Verdict::Wait => {}
        }
        let patience = Patience { ticks: self.ticks, cut: self.cut.as_ref(), link, counted };
        if !self.slot.is_armed() && self.cut.as_ref().is_some_and(Cut::is_fired) {
            return Err(Broken::Cut);
        }
        self.slot.arm(cx, patience);
        Ok(())
    }

    /// Something came: the time begins anew.
    fn again(&mut self, cx: &Context<'_>, link: Option<&Rc<Link>>) {
        let patience = Patience { ticks: self.ticks, cut: self.cut.as_ref(), link, counted: true };
        self.slot.arm(cx, patience);
    }
}

fn fault(exchange: &Exchange) -> Option<Fault> {
    exchange.link.findings.fault(exchange.number)
}

fn take(bytes: &mut Bytes) -> Option<Frame<Bytes>> {
    if bytes.is_empty() { None } else { Some(Frame::data(std::mem::take(bytes))) }
}

/// The end of a gRPC stream that was cut: status 16, `UNAUTHENTICATED`.
fn unauthenticated() -> Frame<Bytes> {
    const CUT: &str = "the stream was cut: access has ended or cannot be confirmed any more; authorize again";
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", HeaderValue::from_static("16"));
    trailers.insert("grpc-message", HeaderValue::from_static(CUT));
    Frame::trailers(trailers)
}

/// The frame, without trailers that are not listed.
fn allowed(mut frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
    match frame.trailers_mut() {
        Some(trailers) => keep_listed_trailers(trailers).then_some(frame),
        None => Some(frame),
    }
}

/// Whether the caller sent nonsense or went away.
fn blame(error: &hyper::Error) -> Broken {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData)
        {
            return Broken::Framing(Fault::BadChunk);
        }
        source = cause.source();
    }
    Broken::Gone
}

const GRPC: &[u8] = b"application/grpc";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_known_by_its_type_and_what_only_sounds_like_it_is_not() {
        let of = |kind: &'static str| {
            Status::of(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=utf-8"] {
            assert_eq!(of(kind), Some(Status::Grpc), "{kind}");
        }
        for kind in
            ["application/grpc-web", "application/grpc-web+proto", "application/json", "application/gr", ""]
        {
            assert_eq!(of(kind), None, "{kind}");
        }
    }

    #[tokio::test]
    async fn a_body_that_was_read_before_is_not_passed_on_once_it_is_cut() {
        let of = |fired: bool| {
            let mut body = Inbound::from(Bytes::from_static(b"upload"));
            body.wait_for(1, Some(&Cut::when(move || fired)));
            body.read(100)
        };
        assert_eq!(of(false).await, Ok(Bytes::from_static(b"upload")));
        assert_eq!(of(true).await, Err(Broken::Cut));
    }
}
