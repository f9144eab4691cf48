//! Answers that do not end, or are large: events, messages over a WebSocket, a download of any size. Each takes
//! the same small memory however long it lasts.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Interval, interval};

/// Server-sent events without end, one each 100 ms.
pub(super) struct Events<F> {
    beat: Interval,
    count: u64,
    /// What the event of this number is, with its empty line.
    event: F,
}

impl<F: FnMut(u64) -> String + Unpin> Events<F> {
    pub(super) fn new(event: F) -> Self {
        Self { beat: interval(BEAT), count: 0, event }
    }
}

/// An event that only counts.
pub(super) fn counted(count: u64) -> String {
    format!("id: {count}\nevent: changed\ndata: {{\"count\":{count}}}\n\n")
}

impl<F: FnMut(u64) -> String + Unpin> Body for Events<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.beat.poll_tick(cx));
        self.count += 1;
        let count = self.count;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from((self.event)(count))))))
    }
}

/// That many bytes, in pieces of 64 KiB that share one piece of memory.
pub(super) struct Download {
    left: u64,
}

impl Download {
    pub(super) fn new(bytes: u64) -> Self {
        Self { left: bytes }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = Bytes::from_static(PIECE);
        piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Sends a counter each 100 ms, and back what comes in, until the other side goes.
pub(super) async fn talk(mut socket: WebSocket) {
    let mut beat = interval(BEAT);
    let mut count = 0_u64;
    loop {
        let answer = tokio::select! {
            _ = beat.tick() => {
                count += 1;
                Message::text(format!("{{\"count\":{count}}}"))
            }
            received = socket.recv() => match received {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => message,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

const BEAT: Duration = Duration::from_millis(100);
static PIECE: &[u8] = &[b'x'; 64 * 1024];
