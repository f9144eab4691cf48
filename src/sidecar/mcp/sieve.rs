//! A stream of server-sent events whose messages are narrowed one by one (WHATWG HTML §9.2).
//!
//! A list can come in any stream: in the answer to what asked for it, in one that a client resumes, or in the answer to
//! another message with the same id. All that is no list passes to the letter, as soon as its event is whole. An event's
//! own id is said as it is called for the caller.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::list::narrow;
use super::message::Target;
use crate::net::sift::{Sieve, Spoiled};

/// What an event of this id is called for the caller; none if it cannot be.
pub(super) type Named = Box<dyn Fn(&str) -> Option<String>>;

/// Narrows events.
pub(super) struct Events {
    stays: Box<dyn FnMut(&Target) -> bool>,
    /// What an event is called for the caller.
    named: Named,
    /// What of an event has come.
    waiting: BytesMut,
    /// Where in it the line begins that is not whole.
    line: usize,
    /// Up to where that line was looked through.
    looked: usize,
    /// An event may be so long.
    limit: usize,
}

impl Events {
    pub(super) fn new(stays: Box<dyn FnMut(&Target) -> bool>, named: Named, limit: usize) -> Self {
        Self { stays, named, waiting: BytesMut::new(), line: 0, looked: 0, limit }
    }

    /// Where the first whole event ends, if there is one.
    fn end(&mut self) -> Option<usize> {
        loop {
            let rest = self.waiting.get(self.looked..)?;
            let Some(length) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.looked = self.waiting.len();
                return None;
            };
            let at = self.looked.saturating_add(length);
            self.looked = at;
            let next = match (self.waiting.get(at), self.waiting.get(at.saturating_add(1))) {
                (Some(b'\r'), Some(b'\n')) => at.saturating_add(2),
                // The other half of a line's end may be still to come.
                (Some(b'\r'), None) => return None,
                _ => at.saturating_add(1),
            };
            let is_empty = at == self.line;
            (self.line, self.looked) = (next, next);
            if is_empty {
                return Some(next);
            }
        }
    }

    fn event(&mut self, event: Bytes) -> Result<Bytes, Spoiled> {
        let text = std::str::from_utf8(&event).map_err(|_| Spoiled("an event is no text"))?;
        let lines: Vec<&str> = text.trim_start_matches('\u{feff}').split(['\n', '\r']).collect();
        let parts: Vec<&str> = lines.iter().filter_map(|line| field(line, "data")).collect();
        let content = parts.join("\n");
        let narrowed = match content.trim() {
            "" => None,
            _ => narrow(&content, &mut *self.stays).map_err(|_| Spoiled("an event holds no message"))?,
        };
        let is_named = |line: &&str| field(line, "id").is_some_and(|id| !id.is_empty());
        if narrowed.is_none() && !lines.iter().any(is_named) {
            return Ok(event);
        }
        let mut written = String::with_capacity(event.len().saturating_add(64));
        for line in lines.iter().filter(|line| !line.is_empty()) {
            if is_named(line) {
                // One that cannot be named for the caller alone is not said.
                let named = field(line, "id").and_then(|id| (self.named)(id));
                named.iter().for_each(|id| written.extend(["id: ", id, "\n"]));
            } else if narrowed.is_none() || field(line, "data").is_none() {
                written.extend([line, "\n"]);
            }
        }
        for line in narrowed.iter().flat_map(|narrowed| narrowed.split(['\n', '\r'])) {
            written.extend(["data: ", line, "\n"]);
        }
        written.push('\n');
        Ok(Bytes::from(written))
    }
}

/// What a line says in a field.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(name)?;
    if rest.is_empty() {
        return Some("");
    }
    let rest = rest.strip_prefix(':')?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

impl Sieve for Events {
    fn pass(&mut self, piece: Bytes) -> Result<Bytes, Spoiled> {
        self.waiting.extend_from_slice(&piece);
        let mut passed = BytesMut::new();
        while let Some(end) = self.end() {
            (self.line, self.looked) = (0, 0);
            let event = self.waiting.split_to(end).freeze();
            passed.extend_from_slice(&self.event(event)?);
        }
        if self.waiting.len() > self.limit {
            return Err(Spoiled("an event is longer than what is read here"));
        }
        Ok(passed.freeze())
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}
