//! A record as a line of JSON, written piece by piece while its call goes on.
//!
//! Comes in: members, each by its name and value; those that many lines share are written once, as a [`Piece`]. Goes
//! out: one object on one line, and from lines the [`Decision`]s again. Which members a record has is
//! [`Decision`]'s to say and the writer's to keep to; a name must not come twice.

use std::ops::Range;

use jiff::Timestamp;

use super::figures::{Hex, Second, decimal};
use crate::model::decision::Decision;

/// One object that is being written.
#[derive(Debug, Default)]
pub struct Line(Vec<u8>);

/// Members that were written before, for lines to take in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece(Box<[u8]>);

impl Line {
    /// Begins a line, in a buffer that may have held another one.
    #[must_use]
    pub fn begin(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.reserve(USUAL);
        buffer.push(b'{');
        Self(buffer)
    }

    /// Adds a text. `name` is written as it stands: in quotes, with its colon. So it is everywhere here.
    #[inline]
    pub fn text(&mut self, name: &'static str, value: &str) {
        self.0.extend_from_slice(name.as_bytes());
        self.quoted(value);
    }

    /// Adds a word of this program's own. It is written as it stands, like `name`: a word that JSON cannot hold is a
    /// mistake in the source, and nothing that comes from outside is `'static`.
    #[inline]
    pub fn word(&mut self, name: &'static str, word: &'static str) {
        debug_assert!(is_plain(word.as_bytes()), "{word:?} is no plain word");
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
        self.0.extend_from_slice(word.as_bytes());
        self.0.extend_from_slice(b"\",");
    }

    /// Adds members that are always the same, as they stand, each with its comma.
    #[inline]
    pub fn members(&mut self, members: &'static str) {
        self.0.extend_from_slice(members.as_bytes());
    }

    /// Adds a part of hexadecimal digits.
    #[inline]
    pub fn hex<const N: usize>(&mut self, name: &'static str, hex: &Hex<N>, part: Range<usize>) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
        self.0.extend_from_slice(hex.part(part));
        self.0.extend_from_slice(b"\",");
    }

    /// Adds a moment. `last` is the one that was told last.
    #[inline]
    pub fn moment(&mut self, name: &'static str, at: Timestamp, last: &mut Second) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
        last.write(at, &mut self.0);
        self.0.extend_from_slice(b"\",");
    }

    /// Adds a text that consists of parts.
    #[inline]
    pub fn parts<const N: usize>(&mut self, name: &'static str, parts: [&str; N]) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
        let begin = self.0.len();
        for part in parts {
            self.0.extend_from_slice(part.as_bytes());
        }
        // Looking at the whole once is quicker than looking at each part.
        if self.0.get(begin..).is_some_and(is_plain) {
            self.0.extend_from_slice(b"\",");
        } else {
            self.0.truncate(begin - 1);
            self.escaped(&parts.concat());
        }
    }

    /// Adds a list of texts.
    pub fn texts<T: AsRef<str>>(&mut self, name: &'static str, values: impl IntoIterator<Item = T>) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'[');
        for value in values {
            self.quoted(value.as_ref());
        }
        self.end_members();
        self.0.extend_from_slice(b"],");
    }

    /// Adds a number.
    #[inline]
    pub fn number(&mut self, name: &'static str, value: u64) {
        self.0.extend_from_slice(name.as_bytes());
        decimal(value, &mut self.0);
        self.0.push(b',');
    }

    /// Adds an object, whose members `write` adds.
    #[inline]
    pub fn object(&mut self, name: &'static str, write: impl FnOnce(&mut Self)) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'{');
        write(self);
        self.end_members();
        self.0.extend_from_slice(b"},");
    }

    /// Adds what was written before.
    #[inline]
    pub fn piece(&mut self, piece: &Piece) {
        self.0.extend_from_slice(&piece.0);
    }

    /// Ends the line and answers it whole, with its line feed.
    pub fn end(&mut self) -> &[u8] {
        self.end_members();
        self.0.extend_from_slice(b"}\n");
        &self.0
    }

    /// The buffer, for another line.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.0
    }

    /// Takes back the comma after the last one.
    #[inline]
    fn end_members(&mut self) {
        if self.0.last() == Some(&b',') {
            self.0.pop();
        }
    }

    #[inline]
    fn quoted(&mut self, text: &str) {
        if is_plain(text.as_bytes()) {
            self.0.push(b'"');
            self.0.extend_from_slice(text.as_bytes());
            self.0.extend_from_slice(b"\",");
        } else {
            self.escaped(text);
        }
    }

    #[cold]
    fn escaped(&mut self, text: &str) {
        // A text always becomes JSON, and writing to memory does not fail; an empty text would still be JSON.
        self.0.extend_from_slice(&serde_json::to_vec(text).unwrap_or_else(|_| b"\"\"".to_vec()));
        self.0.push(b',');
    }
}

impl Piece {
    /// Writes members for many lines.
    #[must_use]
    pub fn of(write: impl FnOnce(&mut Line)) -> Self {
        let mut line = Line(Vec::new());
        write(&mut line);
        Self(line.0.into())
    }
}

/// Lines, as they are kept.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    /// Whole lines, each a record.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// Their text, to its last line feed.
    #[must_use]
    pub fn text(self) -> &'a [u8] {
        self.0
    }

    /// The records that they say.
    ///
    /// # Errors
    /// One sentence about a line that is no record.
    pub fn decisions(self) -> Result<Vec<Decision>, String> {
        let lines = self.0.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let read = |line| {
            serde_json::from_slice(line).map_err(|error| format!("a decision record cannot be read: {error}"))
        };
        lines.map(read).collect()
    }
}

/// Whether the bytes of a text stand in JSON as they are (RFC 8259 section 7). Eight bytes at a time; the last eight may
/// have been looked at before.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let odd = words.iter().fold(0, |odd, word| odd | odd_bytes(u64::from_ne_bytes(*word)));
    let rest = match (text.last_chunk::<8>(), text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(last), _, _) => u64::from_ne_bytes(*last),
        (None, Some(first), Some(last)) => {
            (u64::from(u32::from_ne_bytes(*first)) << 32) | u64::from(u32::from_ne_bytes(*last))
        }
        (None, _, _) => rest.iter().fold(SPACES, |word, byte| (word << 8) | u64::from(*byte)),
    };
    odd | odd_bytes(rest) == 0
}

/// Not nothing, if one of the eight bytes is a control character, a quotation mark or a backslash. (What is below
/// `n` borrows the highest bit from `byte - n`, which a byte that has that bit itself does not count for.)
#[inline]
fn odd_bytes(word: u64) -> u64 {
    let below = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) & (ONES << 7)
}

const ONES: u64 = u64::MAX / 0xff;
const SPACES: u64 = ONES * b' ' as u64;

/// More than a usual record.
const USUAL: usize = 1024;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(write: impl FnOnce(&mut Line)) -> Value {
        let mut line = Line::begin(b"what was here before".to_vec());
        write(&mut line);
        serde_json::from_slice(line.end().strip_suffix(b"\n").unwrap()).unwrap()
    }

    #[test]
    fn members_stand_as_they_were_given() {
        let piece = Piece::of(|line| line.text(r#""p":"#, "q"));
        let line = written(|line| {
            line.text(r#""a":"#, "plain/ü");
            line.parts(r#""b":"#, ["x", "", "y"]);
            line.texts(r#""c":"#, ["1", "2"]);
            line.texts(r#""d":"#, [""; 0]);
            line.piece(&piece);
            line.object(r#""e":"#, |line| {
                line.number(r#""f":"#, 0);
                line.number(r#""g":"#, u64::from(u32::MAX));
            });
            line.object(r#""i":"#, |_| {});
            line.word(r#""j":"#, "word");
            line.hex(r#""k":"#, &Hex::uuid(0x0123), 33..36);
            line.number(r#""h":"#, u64::MAX);
        });
        let expected = json!({
            "a": "plain/ü", "b": "xy", "c": ["1", "2"], "d": [], "p": "q", "e": {"f": 0, "g": u32::MAX}, "h": u64::MAX,
            "i": {}, "j": "word", "k": "123"
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn what_json_cannot_hold_as_it_is_is_escaped() {
        for odd in ["\"", "\\", "a\nb", "\u{0}", "\",\"outcome\":\"forwarded"] {
            let line = written(|line| {
                line.text(r#""a":"#, odd);
                line.parts(r#""b":"#, ["x", odd]);
                line.texts(r#""c":"#, [odd]);
            });
            assert_eq!(line, json!({ "a": odd, "b": format!("x{odd}"), "c": [odd] }));
        }
    }

    #[test]
    fn every_odd_byte_is_seen_at_every_place_of_a_text_of_every_length_and_no_other_is_odd() {
        for length in 0..40 {
            let mut text = vec![b'x'; length];
            assert!(is_plain(&text));
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    // The neighbour is what a borrow would come from, or go to.
                    for neighbour in [b' ', 0x80, 0xff] {
                        text.fill(neighbour);
                        text[at] = byte;
                        let odd = byte < 0x20 || byte == b'"' || byte == b'\\';
                        assert_eq!(is_plain(&text), !odd, "{byte} at {at} of {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_record_is_not_read_as_one() {
        assert!(Lines::new(b"{}\n").decisions().is_err());
        assert!(Lines::new(b"").decisions().is_ok_and(|none| none.is_empty()));
    }
}
