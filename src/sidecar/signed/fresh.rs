//! The time that a request was signed at, and whether that is near enough to now.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::NotProven;

/// Reads `2026-11-22T12:30:00Z`, in seconds since 1970.
pub(super) fn iso8601(text: &str) -> Result<i64, NotProven> {
    let read = text.ends_with('Z').then(|| text.parse::<Timestamp>().ok()).flatten();
    read.map(Timestamp::as_second).ok_or(NotProven::Incomplete("the time is not in UTC as ISO 8601 has it"))
}

/// Reads `Sun, 22 Nov 2026 12:30:00 GMT` (RFC 9110 §5.6.7), in seconds since 1970.
pub(super) fn http_date(text: &str) -> Result<i64, NotProven> {
    static READER: DateTimeParser = DateTimeParser::new();
    let read = text.ends_with("GMT").then(|| READER.parse_timestamp(text).ok()).flatten();
    read.map(Timestamp::as_second).ok_or(NotProven::Incomplete("the date is not that of HTTP"))
}

/// Whether a request that was signed less than `age` seconds ago may be taken, or one that its sender's clock puts a
/// little ahead of now; until when it may, in seconds since 1970.
pub(super) fn until(signed_at: i64, now: i64, age: i64) -> Result<i64, NotProven> {
    let until = signed_at.saturating_add(age);
    let ahead = signed_at.saturating_sub(now);
    if ahead <= AHEAD && now < until { Ok(until) } else { Err(NotProven::Skewed) }
}

/// How old a request may be in seconds, as at the cloud.
pub(super) const AGE: i64 = 900;

/// By how many seconds a client's clock may be ahead. A request that waits for its time could be sent again for as long
/// as that afterwards: also to a process that was started meanwhile, and has not seen it.
const AHEAD: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_time_are_read_and_no_other() {
        assert_eq!(iso8601("1970-01-01T00:01:00Z"), Ok(60));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:01:00 GMT"), Ok(60));
        for wrong in
            ["", "60", "1970-01-01T00:01:00", "1970-01-01T00:01:00+01:00", "Thu, 01 Jan 1970 00:01:00 GMT"]
        {
            assert!(iso8601(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "60", "1970-01-01T00:01:00Z", "Thu, 01 Jan 1970 00:01:00 +0100"] {
            assert!(http_date(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_quarter_of_an_hour_ago_is_near_enough_and_more_is_not() {
        assert_eq!(until(1000, 1000, AGE), Ok(1900));
        assert_eq!(until(1000, 1899, AGE), Ok(1900));
        assert_eq!(until(1000, 1900, AGE), Err(NotProven::Skewed));
        assert_eq!(until(1000, 1300, 300), Err(NotProven::Skewed));
    }

    #[test]
    fn a_clock_may_be_a_minute_ahead_and_no_more() {
        for age in [AGE, 300] {
            assert_eq!(until(1060, 1000, age), Ok(1060 + age));
            assert_eq!(until(1061, 1000, age), Err(NotProven::Skewed));
        }
        assert_eq!(until(i64::MAX, 1000, AGE), Err(NotProven::Skewed));
    }
}
