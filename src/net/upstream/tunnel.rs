//! An upgraded connection: bytes both ways, until one side ends, it is silent for too long, or it is cut.
//!
//! It follows the frames of a WebSocket only as far as is needed to know where one ends, because only there
//! can a close frame be put in (RFC 6455 sections 5.2 and 5.5.1).

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::net::watch::{Cut, Exchange, Link, Order, Patience, Slot, Verdict, Watch};

/// Joins both connections as soon as they have been upgraded.
pub(super) fn open(caller: OnUpgrade, upstream: OnUpgrade, exchange: &Exchange, idle: u32, cut: Option<Cut>) {
    let link = exchange.link.upgraded();
    let watch = Rc::clone(&exchange.watch);
    let joined = Joined { key: watch.join(Rc::clone(&link)), watch, link, idle, cut };
    drop(tokio::task::spawn_local(joined.run(caller, upstream)));
}

/// A tunnel among the connections of its worker.
struct Joined {
    key: usize,
    watch: Rc<Watch>,
    link: Rc<Link>,
    idle: u32,
    cut: Option<Cut>,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.watch.leave(self.key);
    }
}

/// Why a tunnel was ended by us.
enum End {
    Close(u16),
    Abort,
}

impl Joined {
    async fn run(self, caller: OnUpgrade, upstream: OnUpgrade) {
        let moved = Cell::new(self.watch.now());
        let mut slot = Slot::new(&self.watch);
        // The caller may never take up the upgrade.
        let both = tokio::select! {
            both = async { tokio::join!(caller, upstream) } => both,
            _ = poll_fn(|cx| self.poll_end(cx, &mut slot, &moved)) => return,
        };
        let (Ok(caller), Ok(upstream)) = both else { return };
        let frames = Frames::default();
        let mut caller = Framed { inner: TokioIo::new(caller), frames, moved: &moved, watch: &self.watch };
        let mut upstream = TokioIo::new(upstream);
        let end = tokio::select! {
            // The end first: a process that stood still finds much to carry, and no right to any more.
            biased;
            end = poll_fn(|cx| self.poll_end(cx, &mut slot, &moved)) => Some(end),
            _ = tokio::io::copy_bidirectional(&mut caller, &mut upstream) => None,
        };
        drop((slot, upstream));
        if let Some(End::Close(code)) = end
            && caller.frames.at_boundary()
        {
            // The caller may not be reading; it has as long as a cut may take, and no longer.
            let _ = tokio::time::timeout(LAST_WORDS, caller.close(code)).await;
        }
    }

    fn poll_end(&self, cx: &Context<'_>, slot: &mut Slot, moved: &Cell<u32>) -> Poll<End> {
        match self.link.take_order(cx) {
            Order::None => {}
            Order::Finish => return Poll::Ready(End::Close(GOING_AWAY)),
            Order::Close => return Poll::Ready(End::Abort),
        }
        let silent = self.watch.now().wrapping_sub(moved.get()) >= self.idle;
        match slot.verdict() {
            Verdict::Cut => return Poll::Ready(End::Close(POLICY_VIOLATION)),
            Verdict::Late if silent => return Poll::Ready(End::Close(GOING_AWAY)),
            Verdict::Late | Verdict::Wait => {}
        }
        if self.cut.as_ref().is_some_and(Cut::is_fired) {
            slot.notice_cut();
            return Poll::Ready(End::Close(POLICY_VIOLATION));
        }
        if !slot.is_armed() || slot.verdict() == Verdict::Late {
            slot.arm(cx, Patience { ticks: self.idle, cut: self.cut.as_ref(), link: None, counted: true });
        }
        Poll::Pending
    }
}

/// The caller's side: what is written to it is followed, frame by frame.
struct Framed<'a, S> {
    inner: S,
    frames: Frames,
    moved: &'a Cell<u32>,
    watch: &'a Watch,
}

impl<S: AsyncWrite + Unpin> Framed<'_, S> {
    async fn close(&mut self, code: u16) -> io::Result<()> {
        let [high, low] = code.to_be_bytes();
        self.inner.write_all(&[0x88, 2, high, low]).await?;
        self.inner.shutdown().await
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        this.moved.set(this.watch.now());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
        this.frames.follow(buf.get(..written).unwrap_or_default());
        this.moved.set(this.watch.now());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// Where one WebSocket frame ends and the next begins.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of the current frame's header so far.
    header: [u8; 14],
    seen: usize,
    payload: u64,
}

impl Frames {
    fn at_boundary(&self) -> bool {
        self.seen == 0 && self.payload == 0
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let here = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= here as u64;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.header.get_mut(self.seen) {
                *place = *first;
            }
            self.seen += 1;
            bytes = rest;
            if let Some(payload) = self.whole_header() {
                self.payload = payload;
                self.seen = 0;
            }
        }
    }

    /// The length of the payload, once the header is complete.
    fn whole_header(&self) -> Option<u64> {
        let [_, second, ..] = self.header;
        if self.seen < 2 {
            return None;
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if self.seen < 2 + extended + mask {
            return None;
        }
        let length = self.header.get(2..2 + extended).unwrap_or_default();
        let length = length.iter().fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
        Some(if extended == 0 { u64::from(second & 0x7f) } else { length })
    }
}

/// RFC 6455 section 7.4.1.
const GOING_AWAY: u16 = 1001;
const POLICY_VIOLATION: u16 = 1008;
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut out = vec![0x82];
        match length {
            0..126 => out.push(mask | u8::try_from(length).unwrap()),
            126..65_536 => {
                out.push(mask | 126);
                out.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                out.push(mask | 127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            out.extend([1, 2, 3, 4]);
        }
        out.extend(std::iter::repeat_n(0x55, length));
        out
    }

    #[test]
    fn the_end_of_a_frame_is_known_and_its_middle_is_not_an_end() {
        for length in [0, 1, 125, 126, 200, 65_535, 65_536, 70_000] {
            for masked in [false, true] {
                let bytes = frame(length, masked);
                let mut frames = Frames::default();
                for (at, byte) in bytes.iter().enumerate() {
                    frames.follow(&[*byte]);
                    assert_eq!(frames.at_boundary(), at + 1 == bytes.len(), "{length} at {at}");
                }
                frames.follow(&[bytes.clone(), bytes.clone()].concat());
                assert!(frames.at_boundary());
                frames.follow(&bytes[..1]);
                assert!(!frames.at_boundary());
            }
        }
    }
}
