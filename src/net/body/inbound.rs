//! The body of a request, from the caller.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::{Broken, Wait, allowed, take, whole};
use crate::net::sieve::{Sieve, Sum};
use crate::net::watch::{Cut, Exchange, Link, Order, Slot};
use crate::net::wire::Fault;

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
    sieve: Option<Box<dyn Sieve>>,
    /// The sieve has given all.
    sifted: bool,
}

/// What the one who waits for the response must know of the upload.
#[derive(Debug, Default)]
pub(in crate::net) struct Progress {
    /// When bytes last moved.
    pub(in crate::net) tick: Cell<u32>,
    pub(in crate::net) broken: Cell<Option<Broken>>,
}

impl Inbound {
    /// A body that arrives on a connection.
    pub(in crate::net) fn arriving(incoming: Incoming, exchange: &Exchange) -> Self {
        if incoming.is_end_stream() {
            return Self(Received::Empty(Some((Rc::clone(&exchange.link), exchange.number))));
        }
        let exchange = exchange.clone();
        let wait = Wait { slot: Slot::new(&exchange.watch), ticks: exchange.watch.limits.idle, cut: None };
        let progress = Rc::default();
        let upload = Upload { incoming, exchange, first: None, wait, progress, sieve: None, sifted: false };
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
    pub fn read(self, limit: usize) -> impl Future<Output = Result<Bytes, Broken>> {
        whole(self, limit)
    }

    /// Sets how long it may be idle and what cuts it.
    pub(in crate::net) fn wait_for(&mut self, ticks: u32, cut: Option<&Cut>) {
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

    pub(in crate::net) fn progress(&self) -> Option<Rc<Progress>> {
        match &self.0 {
            Received::Streamed(upload) => Some(Rc::clone(&upload.progress)),
            Received::Empty(_) | Received::Whole(_) => None,
        }
    }

    /// The bytes of a body that was read before, or of none; nothing of one that is still to come.
    #[must_use]
    pub fn whole(&self) -> Option<&Bytes> {
        static NOTHING: Bytes = Bytes::new();
        match &self.0 {
            Received::Empty(_) => Some(&NOTHING),
            Received::Whole(whole) => Some(&whole.bytes),
            Received::Streamed(_) => None,
        }
    }

    /// Makes it break unless all of it together has this SHA-256. Its last piece is passed on only once that is certain,
    /// so that no receiver takes what came before for a whole. Trailers are dropped.
    ///
    /// # Errors
    /// [`Broken::Other`]: what is here already has another.
    pub fn expect_sha256(&mut self, expected: [u8; 32]) -> Result<(), Broken> {
        let mut sum = Sum::new(expected);
        if let Some(whole) = self.whole() {
            sum.take(whole.clone())?;
            return sum.end().map(drop);
        }
        self.sift(Box::new(sum));
        Ok(())
    }

    /// What arrives from now on passes through `sieve`. A body that was read before stays as it is.
    pub fn sift(&mut self, sieve: Box<dyn Sieve>) {
        if let Received::Streamed(upload) = &mut self.0 {
            upload.sieve = Some(sieve);
        }
    }

    /// The length of a body that did not come from the connection as it is.
    pub(in crate::net) fn whole_length(&self) -> Option<usize> {
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
    /// The next frame that may pass.
    fn pass(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            let arrived = match self.first.take() {
                Some(_) if self.wait.cut.as_ref().is_some_and(Cut::is_fired) => Some(Err(Broken::Cut)),
                Some(first) => Some(Ok(first)),
                None if self.sifted => None,
                None => ready!(self.poll(cx)),
            };
            let Some(sieve) = self.sieve.as_mut().filter(|_| !self.sifted) else {
                if let Some(Err(broken)) = &arrived {
                    self.progress.broken.set(Some(*broken));
                }
                return Poll::Ready(arrived);
            };
            let passing = match arrived {
                Some(Ok(frame)) => frame.into_data().map_or(Ok(Bytes::new()), |piece| sieve.take(piece)),
                Some(Err(broken)) => Err(broken),
                None => {
                    self.sifted = true;
                    sieve.end()
                }
            };
            match passing {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(broken) => {
                    self.sifted = true;
                    self.progress.broken.set(Some(broken));
                    return Poll::Ready(Some(Err(broken)));
                }
            }
        }
    }

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
            Received::Streamed(upload) => upload.pass(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Received::Empty(_) => true,
            Received::Whole(whole) => whole.bytes.is_empty(),
            Received::Streamed(upload) if upload.sieve.is_some() => upload.sifted,
            Received::Streamed(upload) => upload.first.is_none() && upload.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Received::Empty(_) => SizeHint::with_exact(0),
            Received::Whole(whole) => SizeHint::with_exact(whole.bytes.len() as u64),
            Received::Streamed(upload) => match &upload.sieve {
                Some(sieve) => {
                    let coming = upload.incoming.size_hint().exact();
                    sieve.length(coming).map_or_else(SizeHint::new, SizeHint::with_exact)
                }
                None => upload.incoming.size_hint(),
            },
        }
    }
}

fn fault(exchange: &Exchange) -> Option<Fault> {
    exchange.link.findings.fault(exchange.number)
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
