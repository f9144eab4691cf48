//! A record as a line of JSON, written piece by piece while its call goes on.
//!
//! Comes in: members, each by its name and value; those that many lines share are written once, as a [`Piece`]. Goes
//! out: one object on one line, and from lines the [`Decision`]s again. Which members a record has is
//! [`Decision`]'s to say and the writer's to keep to; a name must not come twice.

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

    /// Adds a text that consists of parts.
    #[inline]
    pub fn parts<const N: usize>(&mut self, name: &'static str, parts: [&str; N]) {
        self.0.extend_from_slice(name.as_bytes());
        if parts.iter().all(|part| is_plain(part)) {
            self.0.push(b'"');
            for part in parts {
                self.0.extend_from_slice(part.as_bytes());
            }
            self.0.extend_from_slice(b"\",");
        } else {
            self.quoted(&parts.concat());
        }
    }

    /// Adds a list of texts.
    pub fn texts<T: AsRef<str>>(&mut self, name: &'static str, values: impl IntoIterator<Item = T>) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'[');
        for value in values {
            self.quoted(value.as_ref());
        }
        // The comma after the last one.
        if self.0.last() == Some(&b',') {
            self.0.pop();
        }
        self.0.extend_from_slice(b"],");
    }

    /// Adds a number.
    #[inline]
    pub fn number(&mut self, name: &'static str, value: u64) {
        self.0.extend_from_slice(name.as_bytes());
        self.digits(value);
        self.0.push(b',');
    }

    /// Adds an object of numbers.
    pub fn numbers<const N: usize>(&mut self, name: &'static str, members: [(&'static str, u32); N]) {
        self.0.extend_from_slice(name.as_bytes());
        for (at, (name, value)) in members.into_iter().enumerate() {
            self.0.push(if at == 0 { b'{' } else { b',' });
            self.0.extend_from_slice(name.as_bytes());
            self.digits(u64::from(value));
        }
        self.0.extend_from_slice(b"},");
    }

    /// Adds what was written before.
    #[inline]
    pub fn piece(&mut self, piece: &Piece) {
        self.0.extend_from_slice(&piece.0);
    }

    /// Ends the line and answers it whole, with its line feed.
    pub fn end(&mut self) -> &[u8] {
        if self.0.last() == Some(&b',') {
            self.0.pop();
        }
        self.0.extend_from_slice(b"}\n");
        &self.0
    }

    /// The buffer, for another line.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.0
    }

    #[inline]
    fn quoted(&mut self, text: &str) {
        if is_plain(text) {
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

    #[inline]
    fn digits(&mut self, value: u64) {
        let mut text = [0; 20];
        let (mut at, mut rest) = (text.len(), value);
        for digit in text.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            at -= 1;
            if rest == 0 {
                break;
            }
        }
        self.0.extend_from_slice(text.get(at..).unwrap_or_default());
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

/// Whether a text stands in JSON as it is (RFC 8259 section 7). No branch per byte.
#[inline]
fn is_plain(text: &str) -> bool {
    let odd = |odd, byte: u8| odd | (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    !text.bytes().fold(false, odd)
}

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
            line.numbers(r#""e":"#, [(r#""f":"#, 0), (r#""g":"#, u32::MAX)]);
            line.number(r#""h":"#, u64::MAX);
        });
        let expected = json!({
            "a": "plain/ü", "b": "xy", "c": ["1", "2"], "d": [], "p": "q", "e": {"f": 0, "g": u32::MAX}, "h": u64::MAX
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
    fn what_is_no_record_is_not_read_as_one() {
        assert!(Lines::new(b"{}\n").decisions().is_err());
        assert!(Lines::new(b"").decisions().is_ok_and(|none| none.is_empty()));
    }
}
