//! The lease: how long a sidecar may count on what it knows without hearing from where the truth is.
//!
//! It is counted from when the question was *sent*, on a clock that runs through suspend and is not moved by
//! corrections of the time of day. When it has run out, nothing cached is used and every open stream is cut.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::time::{Moment, boot_milliseconds, milliseconds};

/// One sidecar's lease.
#[derive(Debug)]
pub struct Lease {
    ends: AtomicU64,
    longest: Duration,
    /// What the last renewal lasted, in milliseconds: less than the longest when the other side allows less.
    agreed: AtomicU64,
}

impl Lease {
    /// A lease that has not begun.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self { ends: AtomicU64::new(0), longest, agreed: AtomicU64::new(u64::MAX) }
    }

    /// How long one renewal lasts.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.longest.min(Duration::from_millis(self.agreed.load(Ordering::Acquire)))
    }

    /// Whether it runs now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds_at(Moment::now())
    }

    /// Whether it runs at a moment that has just been.
    #[must_use]
    pub fn holds_at(&self, at: Moment) -> bool {
        at.milliseconds() < self.ends.load(Ordering::Acquire)
    }

    /// How long it still runs; its whole length when it does not.
    #[must_use]
    pub fn patience(&self) -> Duration {
        match self.ends.load(Ordering::Acquire).saturating_sub(boot_milliseconds()) {
            0 => self.length(),
            left => Duration::from_millis(left),
        }
    }

    /// An answer has come to a question that was sent at `sent` (in [`boot_milliseconds`]).
    pub fn renew(&self, sent: u64) {
        self.renew_for(sent, self.longest);
    }

    /// As [`Lease::renew`], when the answer allows no more than `longest`.
    pub fn renew_for(&self, sent: u64, longest: Duration) {
        self.renew_until(sent, longest, u64::MAX);
    }

    /// As [`Lease::renew_for`], but not beyond `end` (in [`boot_milliseconds`]). That cuts this one renewal short, and
    /// does not count as its length: beats and deadlines are parts of that, and would become too short to be kept.
    pub fn renew_until(&self, sent: u64, longest: Duration, end: u64) {
        let length = milliseconds(self.longest.min(longest));
        self.agreed.store(length, Ordering::Release);
        self.ends.fetch_max(sent.saturating_add(length).min(end), Ordering::AcqRel);
    }

    /// Ends it now.
    pub fn give_up(&self) {
        self.ends.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_once_an_answer_has_come() {
        let lease = Lease::new(Duration::from_secs(5));
        lease.renew(boot_milliseconds());
        assert!(lease.holds());
    }

    #[test]
    fn an_answer_is_waited_for_as_long_as_the_lease_runs_and_no_longer() {
        let lease = Lease::new(Duration::from_secs(60));
        assert_eq!(lease.patience(), lease.length());
        lease.renew(boot_milliseconds().saturating_sub(50_000));
        assert!(lease.holds() && lease.patience() <= Duration::from_secs(10));
    }

    #[test]
    fn a_renewal_lasts_as_long_as_both_sides_allow() {
        let lease = Lease::new(Duration::from_secs(30));
        assert_eq!(lease.length(), Duration::from_secs(30));
        lease.renew_for(boot_milliseconds(), Duration::from_secs(2));
        assert_eq!(lease.length(), Duration::from_secs(2));
        assert!(lease.patience() <= Duration::from_secs(2));
        lease.renew_for(boot_milliseconds(), Duration::from_secs(60));
        assert_eq!(lease.length(), Duration::from_secs(30));
    }

    #[test]
    fn a_renewal_that_is_cut_short_leaves_beats_and_deadlines_as_long_as_they_were() {
        let lease = Lease::new(Duration::from_secs(5));
        let now = boot_milliseconds();
        lease.renew_until(now, Duration::from_secs(5), now);
        assert!(!lease.holds());
        assert_eq!((lease.length(), lease.patience()), (Duration::from_secs(5), Duration::from_secs(5)));
        lease.renew_until(now, Duration::from_secs(5), now + 4000);
        assert!(lease.holds() && lease.patience() <= Duration::from_secs(4));
    }

    #[test]
    fn a_lease_does_not_hold_before_the_first_answer_nor_after_an_answer_that_took_too_long() {
        let lease = Lease::new(Duration::from_millis(50));
        assert!(!lease.holds());
        lease.renew(boot_milliseconds().saturating_sub(50));
        assert!(!lease.holds());
    }
}
