//! The clock, as an argument. Nothing else in the crate reads the time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// Where the time comes from: the machine, or a test.
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    Machine,
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::Machine)
    }

    /// A clock that stands at `seconds` since 1970 until [`Clock::advance`] moves it. For tests and benchmarks.
    #[must_use]
    pub fn set(seconds: i64) -> Self {
        Self(Source::Set(Arc::new(AtomicI64::new(seconds))))
    }

    /// Moves a clock made by [`Clock::set`]; the machine's clock is not moved.
    pub fn advance(&self, seconds: i64) {
        match &self.0 {
            Source::Machine => {}
            Source::Set(at) => {
                at.fetch_add(seconds, Ordering::SeqCst);
            }
        }
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the time of day")]
            Source::Machine => Timestamp::now(),
            Source::Set(at) => {
                Timestamp::from_second(at.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
            }
        }
    }

    /// The time of day in whole seconds since 1970, as tokens count it (RFC 7519 §2 NumericDate).
    #[must_use]
    pub fn seconds(&self) -> i64 {
        match &self.0 {
            Source::Machine => self.now().as_second(),
            Source::Set(at) => at.load(Ordering::SeqCst),
        }
    }
}

/// A moment since the machine was started, suspended time included. Leases count in it: the time of day may jump, and
/// the usual monotonic clock stands still while a machine sleeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    nanoseconds: u64,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
        Self { nanoseconds: seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds) }
    }

    /// The moment so long after the machine was started, which [`Moment::default`] is.
    #[must_use]
    pub fn after(start: Duration) -> Self {
        Self { nanoseconds: u64::try_from(start.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// As [`boot_milliseconds`] counts it.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        self.nanoseconds / 1_000_000
    }

    /// Whole microseconds since an earlier moment.
    #[must_use]
    pub fn microseconds_since(self, earlier: Self) -> u32 {
        u32::try_from(self.nanoseconds.saturating_sub(earlier.nanoseconds) / 1000).unwrap_or(u32::MAX)
    }
}

/// Milliseconds since the machine was started, as a [`Moment`] counts them.
#[must_use]
pub fn boot_milliseconds() -> u64 {
    Moment::now().milliseconds()
}

/// A length of time as [`boot_milliseconds`] counts it.
#[must_use]
pub fn milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
