//! The state machine that follows HTTP/1 framing over reads that may end anywhere.

use std::sync::Arc;

use memchr::memchr;

use super::{Fault, Findings};

/// Follows the requests of one HTTP/1 connection.
#[derive(Debug)]
pub struct Follower {
    state: State,
    findings: Arc<Findings>,
    head: Head,
    /// Bytes of the current head section, trailer section or chunk line.
    section: usize,
    /// The beginning of a line that was split over two reads.
    carry: Carry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    RequestLine,
    FieldLine,
    Body(u64),
    ChunkLine,
    ChunkBytes(u64),
    ChunkEnd {
        cr_seen: bool,
    },
    Trailer,
    /// A fault was found: nothing on this connection is followed any more.
    Lost,
}

#[derive(Debug, Default)]
struct Head {
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug)]
struct Carry {
    bytes: [u8; CARRY],
    /// Bytes of the line so far; those beyond `CARRY` are counted and not kept.
    seen: usize,
    last: u8,
}

impl Follower {
    /// A follower at the first byte of a connection.
    #[must_use]
    pub fn new(findings: Arc<Findings>) -> Self {
        let carry = Carry { bytes: [0; CARRY], seen: 0, last: 0 };
        Self { state: State::RequestLine, findings, head: Head::default(), section: 0, carry }
    }

    /// Takes what was just read, before anyone else acts on it.
    pub fn read(&mut self, mut bytes: &[u8]) {
        if bytes.is_empty() || self.state == State::Lost || self.findings.is_off() {
            return;
        }
        while !bytes.is_empty() {
            let plain = self.state == State::FieldLine && self.carry.seen == 0;
            match if plain { self.field_lines(bytes) } else { self.step(bytes) } {
                Ok(rest) => bytes = rest,
                Err(fault) => return self.lose(fault),
            }
        }
        self.findings.set_open(self.in_head());
    }

    /// Takes whether a write was finished.
    pub fn wrote(&self, finished: bool) {
        self.findings.wrote(!finished);
    }

    fn in_head(&self) -> bool {
        match self.state {
            State::RequestLine => self.carry.seen > 0,
            State::FieldLine | State::Lost => true,
            State::Body(_)
            | State::ChunkLine
            | State::ChunkBytes(_)
            | State::ChunkEnd { .. }
            | State::Trailer => false,
        }
    }

    /// Gives up. The fault belongs to the request whose head is open, or else to the one whose body is.
    fn lose(&mut self, fault: Fault) {
        let heads = self.findings.heads();
        let in_head = matches!(self.state, State::RequestLine | State::FieldLine);
        self.findings.report(fault, if in_head { heads.wrapping_add(1) } else { heads });
        self.state = State::Lost;
        self.findings.set_open(true);
    }

    /// The whole field lines of a head, up to its end or to the line that is not whole: the usual case, in one
    /// tight loop.
    fn field_lines<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(end + 1).unwrap_or_default();
            let line = line.strip_suffix(b"\r\n").ok_or(Fault::BareLineFeed)?;
            rest = after;
            match line.first() {
                // The HTTP library refuses malformed names; only what could decide the framing is read.
                Some(b'c' | b'C' | b't' | b'T' | b' ' | b'\t') => self.head.field(line, false)?,
                Some(_) => {}
                None => {
                    self.count(bytes.len() - rest.len())?;
                    self.head_ended()?;
                    return Ok(rest);
                }
            }
        }
        self.count(bytes.len() - rest.len())?;
        // What is left is the beginning of a line.
        if rest.is_empty() { Ok(rest) } else { self.line(rest) }
    }

    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        match self.state {
            State::RequestLine | State::FieldLine | State::ChunkLine | State::Trailer => self.line(bytes),
            State::Body(left) => {
                let (rest, left) = skip(bytes, left);
                if left == 0 {
                    self.next_request();
                } else {
                    self.state = State::Body(left);
                }
                Ok(rest)
            }
            State::ChunkBytes(left) => {
                let (rest, left) = skip(bytes, left);
                self.state =
                    if left == 0 { State::ChunkEnd { cr_seen: false } } else { State::ChunkBytes(left) };
                Ok(rest)
            }
            State::ChunkEnd { cr_seen } => match (bytes.split_first(), cr_seen) {
                (Some((b'\r', rest)), false) => {
                    self.state = State::ChunkEnd { cr_seen: true };
                    Ok(rest)
                }
                (Some((b'\n', rest)), true) => {
                    self.section = 0;
                    self.state = State::ChunkLine;
                    Ok(rest)
                }
                (Some(_) | None, _) => Err(Fault::BadChunk),
            },
            State::Lost => Ok(&[]),
        }
    }

    /// Reads up to and including the next line feed, or keeps what there is of the line.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.count(bytes.len())?;
            self.look_for_fragment(bytes)?;
            self.carry.keep(bytes);
            return Ok(&[]);
        };
        self.count(end + 1)?;
        let (line, rest) = bytes.split_at_checked(end).unwrap_or_default();
        let rest = rest.get(1..).unwrap_or_default();
        if self.carry.seen == 0 {
            let line = line.strip_suffix(b"\r").ok_or(Fault::BareLineFeed)?;
            self.look_for_fragment(line)?;
            self.whole_line(line, false)?;
        } else {
            self.look_for_fragment(line)?;
            self.carry.keep(line);
            if self.carry.last != b'\r' {
                return Err(Fault::BareLineFeed);
            }
            let (bytes, length) = (self.carry.bytes, self.carry.seen - 1);
            self.carry.seen = 0;
            let kept = bytes.get(..length.min(CARRY)).unwrap_or_default();
            self.whole_line(kept, length > CARRY)?;
        }
        Ok(rest)
    }

    fn look_for_fragment(&self, bytes: &[u8]) -> Result<(), Fault> {
        let found = self.state == State::RequestLine && memchr(b'#', bytes).is_some();
        if found { Err(Fault::Fragment) } else { Ok(()) }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        self.section += bytes;
        let (limit, fault) = match self.state {
            State::RequestLine => (REQUEST_LINE_LIMIT, Fault::LineTooLong),
            State::FieldLine | State::Trailer => (SECTION_LIMIT, Fault::HeadersTooLarge),
            State::ChunkLine => (CARRY, Fault::BadChunk),
            State::Body(_) | State::ChunkBytes(_) | State::ChunkEnd { .. } | State::Lost => return Ok(()),
        };
        if self.section > limit { Err(fault) } else { Ok(()) }
    }

    /// A line without its end. `cut` says that only its beginning was kept.
    fn whole_line(&mut self, line: &[u8], cut: bool) -> Result<(), Fault> {
        match self.state {
            State::RequestLine => {
                // RFC 9112 section 2.2: empty lines before a request line are ignored.
                if !line.is_empty() {
                    self.head = Head::default();
                    self.section = 0;
                    self.state = State::FieldLine;
                }
                Ok(())
            }
            State::FieldLine if line.is_empty() => self.head_ended(),
            State::FieldLine => self.head.field(line, cut),
            State::ChunkLine => self.chunk_line(line),
            State::Trailer if line.is_empty() => {
                self.next_request();
                Ok(())
            }
            State::Trailer => field_name(line).map(|_| ()),
            State::Body(_) | State::ChunkBytes(_) | State::ChunkEnd { .. } | State::Lost => {
                Err(Fault::OutOfStep)
            }
        }
    }

    fn head_ended(&mut self) -> Result<(), Fault> {
        let next = match (self.head.length, self.head.chunked) {
            (Some(_), true) => return Err(Fault::TwoFramings),
            (None, true) => State::ChunkLine,
            (Some(length), false) if length > 0 => State::Body(length),
            (Some(_) | None, false) => State::RequestLine,
        };
        self.findings.head_ended();
        self.section = 0;
        self.state = next;
        Ok(())
    }

    fn next_request(&mut self) {
        self.section = 0;
        self.state = State::RequestLine;
    }

    /// RFC 9112 section 7.1, without white space around the size: `1*HEXDIG [ ";" extension ]`.
    fn chunk_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at_checked(digits).unwrap_or_default();
        let plain = |byte: &u8| *byte == b'\t' || (0x20..0x7f).contains(byte);
        if size.is_empty() || size.len() > 15 || !extension.iter().all(plain) {
            return Err(Fault::BadChunk);
        }
        if extension.first().is_some_and(|first| *first != b';') {
            return Err(Fault::BadChunk);
        }
        let size = size.iter().fold(0_u64, |size, digit| size * 16 + hex(*digit));
        self.section = 0;
        self.state = if size == 0 { State::Trailer } else { State::ChunkBytes(size) };
        Ok(())
    }
}

impl Head {
    fn field(&mut self, line: &[u8], cut: bool) -> Result<(), Fault> {
        let first = line.first().map_or(0, u8::to_ascii_lowercase);
        if cut {
            // A name longer than what is kept is none of the two that matter; a value that long is wrong.
            let kept = memchr(b':', line).and_then(|colon| line.get(..colon));
            return match kept {
                Some(name) if is(name, LENGTH) => Err(Fault::BadLength),
                Some(name) if is(name, CODING) => Err(Fault::BadCoding),
                Some(_) | None if first == b' ' || first == b'\t' => Err(Fault::FoldedLine),
                Some(_) | None => Ok(()),
            };
        }
        // The HTTP library refuses malformed names; only lines that could decide the framing are read here.
        match first {
            b'c' | b't' | b' ' | b'\t' => self.framing_field(line),
            _ => Ok(()),
        }
    }

    fn framing_field(&mut self, line: &[u8]) -> Result<(), Fault> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Fault::FoldedLine);
        }
        if let Some(value) = value_of(line, LENGTH)? {
            if self.length.is_some() {
                return Err(Fault::RepeatedLength);
            }
            self.length = Some(length(trim(value))?);
        } else if let Some(value) = value_of(line, CODING)? {
            if self.chunked {
                return Err(Fault::RepeatedCoding);
            }
            if !trim(value).eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::BadCoding);
            }
            self.chunked = true;
        }
        Ok(())
    }
}

impl Carry {
    fn keep(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.seen.min(CARRY)..).unwrap_or_default();
        let kept = bytes.len().min(room.len());
        if let (Some(room), Some(bytes)) = (room.get_mut(..kept), bytes.get(..kept)) {
            room.copy_from_slice(bytes);
        }
        self.seen += bytes.len();
        if let Some(last) = bytes.last() {
            self.last = *last;
        }
    }
}

fn skip(bytes: &[u8], left: u64) -> (&[u8], u64) {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (bytes.get(here..).unwrap_or_default(), left - here as u64)
}

/// The name and the value of a field line, as far as framing depends on them.
fn field_name(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Fault::FoldedLine);
    }
    let colon = memchr(b':', line).ok_or(Fault::BadFieldLine)?;
    let (name, value) = line.split_at_checked(colon).unwrap_or_default();
    if matches!(name.last(), None | Some(b' ' | b'\t')) {
        return Err(Fault::BadFieldLine);
    }
    Ok((name, value.get(1..).unwrap_or_default()))
}

/// The value of a field line, if it has this name.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Result<Option<&'a [u8]>, Fault> {
    let Some((begun, rest)) = line.split_at_checked(name.len()) else { return Ok(None) };
    match rest.split_first() {
        Some((b':', value)) if is(begun, name) => Ok(Some(value)),
        Some((b' ' | b'\t', _)) | None if is(begun, name) => Err(Fault::BadFieldLine),
        Some(_) | None => Ok(None),
    }
}

fn is(name: &[u8], wanted: &[u8]) -> bool {
    name.eq_ignore_ascii_case(wanted)
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().take_while(|byte| blank(byte)).count();
    let value = value.get(start..).unwrap_or_default();
    let end = value.iter().rev().take_while(|byte| blank(byte)).count();
    value.get(..value.len() - end).unwrap_or_default()
}

fn length(value: &[u8]) -> Result<u64, Fault> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Fault::BadLength);
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

fn hex(digit: u8) -> u64 {
    u64::from(char::from(digit).to_digit(16).unwrap_or(0))
}

const LENGTH: &[u8] = b"content-length";
const CODING: &[u8] = b"transfer-encoding";
/// Long enough for any framing field or chunk line that is accepted.
const CARRY: usize = 128;
/// 8 KiB of target, the method and the version.
const REQUEST_LINE_LIMIT: usize = 8 * 1024 + 64;
const SECTION_LIMIT: usize = 16 * 1024;
