//! Redis's clock, watched by one's own: watermarks are dated by it, so a step back would make an old one look young.

/// What is known of a server's clock.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    run_id: String,
    anchor: Option<Sample>,
    floor: u64,
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
}

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
    fn another_server_has_another_clock() {
        let mut clock = ServerClock::default();
        clock.look("one", at(0, 50_000));
        assert_eq!(clock.look("two", at(1_000, 40_000)), 0);
    }
}
