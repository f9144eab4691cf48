//! Numbers as text, as records and trace headers carry them: written on every call, so written quickly.
//!
//! Comes in: numbers and moments. Goes out: their digits. What is written here stands in JSON and in a header as it
//! is, whatever the numbers are: nobody need look at it again.

use std::ops::Range;

use jiff::Timestamp;

/// Hexadecimal digits in lower case with dashes between them, and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A part of the text; nothing, where there is none.
    #[inline]
    pub(super) fn part(&self, part: Range<usize>) -> &[u8] {
        self.0.get(part).unwrap_or_default()
    }

    /// Writes digits to a place. What has no room is left out.
    #[inline]
    fn put(&mut self, at: usize, digits: &[u8]) {
        if let Some(room) = self.0.get_mut(at..at + digits.len()) {
            room.copy_from_slice(digits);
        }
    }
}

impl<const N: usize> AsRef<[u8]> for Hex<N> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Hex<36> {
    /// A UUID (RFC 9562 section 4).
    #[must_use]
    pub fn uuid(value: u128) -> Self {
        let [a, b, c, d] = digits(value);
        let ([b1, b2], [c1, c2]) = (halves(b), halves(c));
        let mut text = Self([b'-'; 36]);
        text.put(0, &a);
        text.put(9, &b1);
        text.put(14, &b2);
        text.put(19, &c1);
        text.put(24, &c2);
        text.put(28, &d);
        text
    }
}

impl Hex<55> {
    /// A version 00 `traceparent` (W3C Trace Context §3.2).
    #[must_use]
    pub fn traceparent(trace: u128, span: u64, flags: u8) -> Self {
        let [a, b, c, d] = digits(trace);
        let [.., e, f] = digits(u128::from(span));
        let [.., last] = digits(u128::from(flags));
        let mut text = Self([b'-'; 55]);
        text.put(0, b"00");
        text.put(3, &a);
        text.put(11, &b);
        text.put(19, &c);
        text.put(27, &d);
        text.put(36, &e);
        text.put(44, &f);
        text.put(53, last.last_chunk::<2>().unwrap_or(b"00"));
        text
    }
}

/// A second that was told, and as what: most moments are in the same second as the last.
#[derive(Debug)]
pub struct Second {
    number: i64,
    text: String,
}

impl Default for Second {
    fn default() -> Self {
        Self { number: i64::MIN, text: String::new() }
    }
}

impl Second {
    /// Adds a moment, in UTC and to the microsecond (RFC 3339).
    pub(super) fn write(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        let microseconds = at.as_microsecond();
        let number = microseconds.div_euclid(1_000_000);
        if self.number != number {
            let date = Timestamp::from_second(number).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
            *self = Self { number, text: date.trim_end_matches('Z').to_owned() };
        }
        let rest = microseconds.rem_euclid(1_000_000).unsigned_abs();
        let [a, b] = pair(rest / 10_000);
        let [c, d] = pair(rest / 100 % 100);
        let [e, f] = pair(rest % 100);
        out.extend_from_slice(self.text.as_bytes());
        out.extend_from_slice(&[b'.', a, b, c, d, e, f, b'Z']);
    }
}

/// Adds a number. Most are small.
#[inline]
pub(super) fn decimal(value: u64, out: &mut Vec<u8>) {
    if value < 10 {
        out.push(b'0' + value as u8);
    } else {
        more_digits(value, out);
    }
}

fn more_digits(value: u64, out: &mut Vec<u8>) {
    match value {
        0..100 => out.extend_from_slice(&pair(value)),
        100..1000 => {
            let [tens, ones] = pair(value % 100);
            out.extend_from_slice(&[b'0' + (value / 100) as u8, tens, ones]);
        }
        _ => {
            decimal(value / 100, out);
            out.extend_from_slice(&pair(value % 100));
        }
    }
}

/// Two decimal digits, of a number below 100.
#[inline]
fn pair(value: u64) -> [u8; 2] {
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

/// The 32 digits of a number, in groups of eight.
#[inline]
fn digits(value: u128) -> [[u8; 8]; 4] {
    [96, 64, 32, 0].map(|shift| eight((value >> shift) as u32))
}

/// Eight digits at once, one in each byte of a word.
#[inline]
fn eight(value: u32) -> [u8; 8] {
    let word = u64::from(value);
    let word = (word | (word << 16)) & 0x0000_ffff_0000_ffff;
    let word = (word | (word << 8)) & 0x00ff_00ff_00ff_00ff;
    let word = (word | (word << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // A one where the digit is a letter: nine and six make no carry, ten and six do.
    let letters = ((word + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (word + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[inline]
fn halves([a, b, c, d, e, f, g, h]: [u8; 8]) -> [[u8; 4]; 2] {
    [[a, b, c, d], [e, f, g, h]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_those_that_the_standard_library_writes(value: u128, span: u64, flags: u8, shift in 0..64) {
            let uuid = Uuid::from_u128(value).hyphenated().to_string();
            let written = Hex::uuid(value);
            prop_assert_eq!(written.as_bytes(), uuid.as_bytes());
            let trace = format!("00-{value:032x}-{span:016x}-{flags:02x}");
            let written = Hex::traceparent(value, span, flags);
            prop_assert_eq!(written.as_bytes(), trace.as_bytes());
            let (number, mut text) = (span >> shift, Vec::new());
            decimal(number, &mut text);
            prop_assert_eq!(text, number.to_string().into_bytes());
        }
    }

    #[test]
    fn numbers_at_the_edges_have_all_their_digits() {
        for value in [0, 9, 10, 99, 100, 999, 1000, 1001, 9_999, 10_000, 100_000, u64::MAX] {
            let mut text = Vec::new();
            decimal(value, &mut text);
            assert_eq!(text, value.to_string().into_bytes());
        }
    }

    #[test]
    fn a_moment_is_written_to_the_microsecond() {
        let mut second = Second::default();
        for (microseconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_000_001, "1970-01-01T00:00:01.000001Z"),
            (1_999_999, "1970-01-01T00:00:01.999999Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            let mut out = Vec::new();
            second.write(Timestamp::from_microsecond(microseconds).unwrap(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }
}
