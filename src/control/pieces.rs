//! A body in pieces that come while it is read.
//!
//! In: pieces, through a bounded channel, whose other end waits for who reads. Out: a body, which ends as the channel does.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::Frame;
use tokio::sync::mpsc::Receiver;

struct Pieces<T>(Receiver<T>);

/// A body of what comes through the channel.
pub(in crate::control) fn body<T: Into<Bytes> + Send + 'static>(come: Receiver<T>) -> Body {
    Body::new(Pieces(come))
}

impl<T: Into<Bytes>> http_body::Body for Pieces<T> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece.into()))))
    }
}
