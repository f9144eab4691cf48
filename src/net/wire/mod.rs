//! HTTP/1 framing, seen before the HTTP library sees it.
//!
//! In: the bytes of a connection, as they are read. Out: the first thing that is wrong with them, and at
//! which request. hyper accepts or hides several of these faults (a length together with a transfer coding,
//! repeated framing fields, bare line feeds, a fragment in the target); any of them lets two parties disagree
//! about where a request ends. A [`Follower`] copies nothing, allocates nothing per request, and fails
//! closed: what it cannot follow is a fault. It never repairs and never answers.

mod follow;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

pub use follow::Follower;

/// What is wrong with the framing of a request (RFC 9112 sections 2, 3, 6 and 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Fault {
    /// A line ended in a bare line feed.
    #[error("a line of the request ends in a bare line feed")]
    BareLineFeed = 1,
    /// A header line began with white space.
    #[error("a header line is folded")]
    FoldedLine = 2,
    /// A header line had no name, no colon, or white space before the colon.
    #[error("a header line has no well-formed name")]
    BadFieldLine = 3,
    /// The target contained a fragment.
    #[error("the request target contains a fragment")]
    Fragment = 4,
    /// Both `Content-Length` and `Transfer-Encoding` were present.
    #[error("both Content-Length and Transfer-Encoding are present")]
    TwoFramings = 5,
    /// `Content-Length` was repeated.
    #[error("Content-Length is repeated")]
    RepeatedLength = 6,
    /// `Content-Length` was not a plain decimal number.
    #[error("Content-Length is not a plain decimal number")]
    BadLength = 7,
    /// `Transfer-Encoding` was repeated.
    #[error("Transfer-Encoding is repeated")]
    RepeatedCoding = 8,
    /// `Transfer-Encoding` was something else than `chunked`.
    #[error("Transfer-Encoding is something else than chunked")]
    BadCoding = 9,
    /// A chunk did not have the form of RFC 9112 section 7.1.
    #[error("the chunked body is malformed")]
    BadChunk = 10,
    /// The header list was larger than the limit.
    #[error("the header list is larger than 16 KiB")]
    HeadersTooLarge = 11,
    /// The request line was larger than the limit.
    #[error("the request line is longer than 8 KiB")]
    LineTooLong = 12,
    /// The follower and the HTTP library disagreed about where a request began.
    #[error("the framing of the connection cannot be followed")]
    OutOfStep = 13,
}

impl Fault {
    const ALL: [Self; 13] = [
        Self::BareLineFeed,
        Self::FoldedLine,
        Self::BadFieldLine,
        Self::Fragment,
        Self::TwoFramings,
        Self::RepeatedLength,
        Self::BadLength,
        Self::RepeatedCoding,
        Self::BadCoding,
        Self::BadChunk,
        Self::HeadersTooLarge,
        Self::LineTooLong,
        Self::OutOfStep,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| *fault as u8 == code)
    }
}

/// What the follower of one connection has found, shared with whoever answers on it.
///
/// The fault belongs to a request by its number on the connection, counted from one, so that the valid
/// requests before it are still answered.
#[derive(Debug, Default)]
pub struct Findings {
    /// Heads that have been read to their end.
    heads: AtomicU32,
    /// The request that the fault belongs to.
    faulty: AtomicU32,
    fault: AtomicU8,
    /// A head (or what will never become one) has been begun and not ended.
    open: AtomicBool,
    /// The connection no longer speaks HTTP/1 (HTTP/2, or upgraded).
    off: AtomicBool,
    /// What was last written did not all fit: the peer reads too slowly.
    stuck: AtomicBool,
}

// One thread writes and the same thread reads: relaxed order is enough, the atomics only make it `Send`.
impl Findings {
    /// Findings of a connection that speaks HTTP/1 from its first byte.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The fault that forbids request number `request` (counted from one), if there is one.
    #[must_use]
    pub fn fault(&self, request: u32) -> Option<Fault> {
        if self.off.load(Ordering::Relaxed) {
            return None;
        }
        let code = self.fault.load(Ordering::Relaxed);
        if code != 0 && request >= self.faulty.load(Ordering::Relaxed) {
            return Some(Fault::from_code(code).unwrap_or(Fault::OutOfStep));
        }
        (request > self.heads.load(Ordering::Relaxed)).then_some(Fault::OutOfStep)
    }

    /// Stops following: the connection speaks another protocol from here on.
    pub fn switch_off(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    /// Whether a head has been begun and not ended.
    #[must_use]
    pub fn head_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// How many heads have been read to their end.
    #[must_use]
    pub fn heads(&self) -> u32 {
        self.heads.load(Ordering::Relaxed)
    }

    /// Whether something waits for the peer to read.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Notes whether a write had to wait.
    pub fn wrote(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }

    fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    fn head_ended(&self) {
        self.heads.store(self.heads().wrapping_add(1), Ordering::Relaxed);
    }

    fn report(&self, fault: Fault, request: u32) {
        self.faulty.store(request, Ordering::Relaxed);
        self.fault.store(fault as u8, Ordering::Relaxed);
    }

    fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }
}
