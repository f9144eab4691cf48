//! Redis's clock, watched by one's own: watermarks are dated by it, so a step back would make an old one look young,
//! and so would a server that stood still together with its clock.

use std::collections::VecDeque;

/// What is known of a server's clock.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    run_id: String,
    anchor: Option<Sample>,
    floor: u64,
    looks: VecDeque<Sample>,
    dated: Option<Dated>,
}

/// The date that was seen last, and from when at the latest it is.
#[derive(Debug, Clone, Copy)]
struct Dated {
    at: u64,
    seen: u64,
    /// It came from the future when it was first seen, so it is from before a step back, however old.
    ahead: bool,
}

/// One look at a server's clock: it showed `time` at some moment between `sent` and `received`. `time` in
/// milliseconds since 1970 by the server, the others in [`crate::model::time::boot_milliseconds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// When it was asked.
    pub(super) sent: u64,
    /// What it answered.
    pub(super) time: u64,
    /// When the answer had come.
    pub(super) received: u64,
}

impl ServerClock {
    /// Looks at the clock of the server `run_id`, and answers the newest reading of it, if any, that may come from
    /// before a step back: nothing dated up to then can be dated at all. Kept across connections to the same run.
    pub(super) fn look(&mut self, run_id: &str, now: Sample) -> u64 {
        if self.run_id != run_id {
            *self = Self { run_id: run_id.to_owned(), ..Self::default() };
        }
        self.keep(now);
        let Some(anchor) = self.anchor else {
            self.anchor = Some(now);
            return self.floor;
        };
        // At least so much has gone by here, and so the server's clock must show.
        let passed = now.sent.saturating_sub(anchor.received);
        let slack = SLACK_MS.saturating_add(passed / 100);
        if now.time.saturating_add(slack) < anchor.time.saturating_add(passed) {
            let at_most = now.received.saturating_sub(anchor.sent);
            self.floor = self.floor.max(anchor.time.saturating_add(at_most).saturating_add(slack));
            self.anchor = Some(now);
        } else if passed >= APART_MS {
            // Not with each look: many small slacks would add up to a large one.
            self.anchor = Some(now);
        }
        self.floor
    }

    /// Since when, by one's own clock, it is known that the server's clock had not come to `dated` yet, as `now` is the
    /// look that it was read with: whatever bears this date was made after that. None when that cannot be known.
    pub(super) fn since(&mut self, dated: u64, now: Sample) -> Option<u64> {
        let first = match self.dated.filter(|known| known.at == dated) {
            Some(known) => known,
            // It is read after the time, and may be that much younger.
            None => {
                let ahead =
                    dated > now.time.saturating_add(now.received.saturating_sub(now.sent)).saturating_add(1);
                *self.dated.insert(Dated { at: dated, seen: now.sent, ahead })
            }
        };
        let before = self.looks.iter().rev().find(|look| look.time < dated)?;
        (!first.ahead).then(|| before.sent.min(first.seen))
    }

    fn keep(&mut self, now: Sample) {
        if self.looks.back().is_some_and(|last| now.sent < last.sent.saturating_add(LOOKS_APART_MS)) {
            return;
        }
        if self.looks.len() == MOST_LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back(now);
    }
}

const LOOKS_APART_MS: u64 = 20;
const MOST_LOOKS: usize = 512;
const SLACK_MS: u64 = 5;
const APART_MS: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(own: u64, time: u64) -> Sample {
        Sample { sent: own, time, received: own + 1 }
    }

    #[test]
    fn a_clock_that_goes_on_is_trusted() {
        let mut clock = ServerClock::default();
        for second in 0..100 {
            assert_eq!(clock.look("one", at(second * 1000, 50_000 + second * 1001)), 0);
        }
        assert_eq!(clock.look("one", at(200_000, 9_000_000)), 0, "a step forward only makes things look old");
    }

    #[test]
    fn nothing_dated_before_a_step_back_is_trusted_also_once_the_clock_is_there_again() {
        let mut clock = ServerClock::default();
        clock.look("one", at(0, 50_000));
        clock.look("one", at(10_000, 60_000));
        let floor = clock.look("one", at(20_000, 55_000));
        assert!((70_000..71_000).contains(&floor), "{floor}");
        assert_eq!(clock.look("one", at(40_000, 75_000)), floor);
    }

    #[test]
    fn a_clock_that_stands_still_or_crawls_is_noticed_also_over_connections() {
        let mut clock = ServerClock::default();
        clock.look("one", at(0, 50_000));
        assert!(clock.look("one", at(2_000, 50_000)) >= 52_000);
        let mut clock = ServerClock::default();
        let crawl = |step: u64| at(step * 20, 50_000 + step * 15);
        assert!((0..200).map(|step| clock.look("one", crawl(step))).max() > Some(0));
    }

    #[test]
    fn a_date_is_counted_from_the_last_look_before_it() {
        let mut clock = ServerClock::default();
        for (own, time) in [(0, 50_000), (500, 50_500), (1000, 51_000)] {
            clock.look("one", at(own, time));
        }
        assert_eq!(clock.since(50_800, at(1000, 51_000)), Some(500));
        // The machine stood still for a minute, and its clock with it.
        clock.look("one", at(61_000, 51_001));
        assert_eq!(clock.since(50_800, at(61_000, 51_001)), Some(500));
        assert_eq!(clock.since(51_001, at(61_000, 51_001)), Some(1000));
    }

    #[test]
    fn a_date_from_before_the_first_look_or_from_before_a_step_back_is_none() {
        let mut clock = ServerClock::default();
        clock.look("one", at(0, 50_000));
        assert_eq!(clock.since(50_000, at(0, 50_000)), None);
        // As if from the future, and then as if it were fresh.
        assert_eq!(clock.since(60_000, at(10, 50_010)), None);
        clock.look("one", at(9_995, 59_995));
        clock.look("one", at(10_020, 60_020));
        assert_eq!(clock.since(60_000, at(10_020, 60_020)), None);
        assert_eq!(clock.since(60_010, at(10_020, 60_020)), Some(9_995));
    }

    #[test]
    fn a_date_that_was_seen_before_the_clock_stepped_back_does_not_become_younger() {
        let mut clock = ServerClock::default();
        clock.look("one", at(0, 50_000));
        clock.look("one", at(100, 50_100));
        assert_eq!(clock.since(50_050, at(100, 50_100)), Some(0));
        clock.look("one", at(10_000, 50_020));
        clock.look("one", at(10_040, 50_060));
        assert_eq!(clock.since(50_050, at(10_040, 50_060)), Some(100));
    }

    #[test]
    fn another_server_has_another_clock() {
        let mut clock = ServerClock::default();
        clock.look("one", at(0, 50_000));
        assert_eq!(clock.look("two", at(1_000, 40_000)), 0);
    }
}
