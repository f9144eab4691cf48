//! Bodies in both directions, streamed without copying and with back-pressure.
//!
//! In: the library's incoming bodies. Out: [`Inbound`] (from the caller) and [`Answer`] (to the caller), with
//! trailers filtered, an idle limit, and a [`Cut`]. A body that breaks is an error and never an end, so that
//! the other side's connection breaks too. It changes no byte.
mod answer;
mod inbound;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};

use super::headers::keep_listed_trailers;
use super::watch::{Cut, Link, Patience, Slot, Verdict};
use super::wire::Fault;
pub use answer::Answer;
pub(super) use answer::Status;
pub use inbound::Inbound;
pub(super) use inbound::Progress;

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
    /// It is not the body that was announced.
    #[error("the body is not the one that was signed")]
    Other,
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

/// The whole of a body that is no longer than `limit` bytes.
async fn whole<B>(mut body: B, limit: usize) -> Result<Bytes, Broken>
where
    B: Body<Data = Bytes, Error = Broken> + Unpin,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Broken::TooLong);
    }
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(bytes) = frame?.into_data() else { continue };
        if first.len().max(joined.len()) + bytes.len() > limit {
            return Err(Broken::TooLong);
        }
        // The usual body comes in one piece and is not copied.
        if first.is_empty() && joined.is_empty() {
            first = bytes;
            continue;
        }
        joined.extend_from_slice(&std::mem::take(&mut first));
        joined.extend_from_slice(&bytes);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

fn take(bytes: &mut Bytes) -> Option<Frame<Bytes>> {
    if bytes.is_empty() { None } else { Some(Frame::data(std::mem::take(bytes))) }
}

/// The frame, without trailers that are not listed.
fn allowed(mut frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
    match frame.trailers_mut() {
        Some(trailers) => keep_listed_trailers(trailers).then_some(frame),
        None => Some(frame),
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, HeaderValue};

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
