//! An answer's body that passes a sieve on its way: what comes of it may be changed, and may be held back until more of
//! it is there.
//!
//! Its idle limit, its cut and the upstream's connection are the inner body's. A sieve that is spoiled breaks the body
//! off. What is held back at the end was not whole, and is dropped; trailers are dropped too.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use super::body::{Answer, Broken};

/// What a body passes through.
pub trait Sieve: std::fmt::Debug {
    /// Takes a piece, and gives what may go on.
    ///
    /// # Errors
    /// [`Spoiled`]: nothing more may pass.
    fn pass(&mut self, piece: Bytes) -> Result<Bytes, Spoiled>;
}

/// Why a body may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Spoiled(pub &'static str);

/// A body behind its sieve.
#[derive(Debug)]
pub(super) struct Sifted {
    inner: Answer,
    sieve: Box<dyn Sieve>,
    ended: bool,
}

impl Sifted {
    pub(super) fn new(inner: Answer, sieve: Box<dyn Sieve>) -> Self {
        Self { inner, sieve, ended: false }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(other) => {
                    self.ended = true;
                    return Poll::Ready(other);
                }
            };
            let Ok(piece) = frame.into_data() else { continue };
            match self.sieve.pass(piece) {
                Ok(passed) if passed.is_empty() => {}
                Ok(passed) => return Poll::Ready(Some(Ok(Frame::data(passed)))),
                Err(spoiled) => {
                    tracing::warn!(why = %spoiled, "an upstream's answer was broken off");
                    self.ended = true;
                    return Poll::Ready(Some(Err(Broken::Gone)));
                }
            }
        }
    }
}
