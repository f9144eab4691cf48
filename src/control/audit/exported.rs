//! Verifying an export, by nothing but its lines and the public keys.

use std::io::BufRead;

use serde::Deserialize;

use super::export::DOMAIN;
use super::marks::{AuditKeys, Mark};
use super::verify::{Broken, Report, Verifier};
use crate::model::audit::{AuditKind, AuditRecord, Hashing};

/// What an export has turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// Every chain, with nothing left out.
    Whole(Report),
    /// So many records, as the control plane has given them; whether any is left out of it they cannot show.
    Part(u64),
}

/// Verifies an export. `known` are checkpoints that were kept elsewhere.
///
/// # Errors
/// The first line that is broken, or that cannot be read.
pub fn verify(keys: &AuditKeys, known: &[String], lines: impl BufRead) -> Result<Exported, Broken> {
    let mut reading = Reading::new(keys);
    for token in known {
        reading.verifier.checkpoint(token, None, 0)?;
    }
    for line in lines.lines() {
        reading.spot += 1;
        let line = line.map_err(|error| reading.broken("cut-off", format!("it cannot be read ({error})")))?;
        reading.take(&line)?;
    }
    reading.end()
}

#[derive(Deserialize)]
struct Probe {
    consentry_audit: Option<u64>,
    scope: Option<String>,
    decisions: Option<bool>,
    checkpoint: Option<String>,
    cut: Option<String>,
    decision: Option<String>,
    place: Option<u64>,
    export: Option<String>,
}

struct Reading<'k> {
    keys: &'k AuditKeys,
    verifier: Verifier<'k>,
    hashing: Hashing,
    spot: u64,
    head: Option<Head>,
    records: u64,
    /// A link whose decision records are coming.
    link: Option<Link>,
    ended: bool,
}

struct Link {
    record: AuditRecord,
    spot: u64,
    found: Vec<(u64, String)>,
}

#[derive(Clone, Copy)]
struct Head {
    whole: bool,
    decisions: bool,
}

impl<'k> Reading<'k> {
    fn new(keys: &'k AuditKeys) -> Self {
        let (verifier, hashing) = (Verifier::new(keys, "line"), Hashing::new(DOMAIN));
        Self { keys, verifier, hashing, spot: 0, head: None, records: 0, link: None, ended: false }
    }

    fn broken(&self, what: &'static str, why: impl Into<String>) -> Broken {
        Broken { whose: format!("line {}", self.spot), what, why: why.into() }
    }

    fn take(&mut self, line: &str) -> Result<(), Broken> {
        if self.ended {
            return Err(self.broken("inserted", "the export has ended before it"));
        }
        let probe: Probe = serde_json::from_str(line)
            .map_err(|error| self.broken("changed", format!("it is no line of an export ({error})")))?;
        let Some(head) = self.head else { return self.begin(&probe, line) };
        if let Some(token) = &probe.export {
            return self.signed(token);
        }
        self.hashing.text(line);
        if let (Some(text), Some(place)) = (probe.decision, probe.place) {
            let Some(link) = &mut self.link else {
                return Err(self.broken("moved", "no record before it vouches for decision records"));
            };
            link.found.push((place, text));
            return Ok(());
        }
        self.end_link()?;
        match (&probe.checkpoint, &probe.cut) {
            (Some(token), _) => self.verifier.checkpoint(token, None, self.spot),
            (None, Some(token)) => self.verifier.cut(token, None, self.spot),
            (None, None) => self.record(line, head),
        }
    }

    fn begin(&mut self, probe: &Probe, line: &str) -> Result<(), Broken> {
        let whole = match probe.scope.as_deref() {
            Some("whole") => true,
            Some("part") => false,
            Some(_) | None => {
                return Err(self.broken("missing", "an export begins with a line that says what it is of"));
            }
        };
        if probe.consentry_audit != Some(1) {
            return Err(self.broken("changed", "this version reads exports of version 1"));
        }
        self.hashing.text(line);
        self.head = Some(Head { whole, decisions: probe.decisions == Some(true) });
        Ok(())
    }

    fn record(&mut self, line: &str, head: Head) -> Result<(), Broken> {
        let record: AuditRecord = serde_json::from_str(line)
            .map_err(|error| self.broken("changed", format!("it is no record ({error})")))?;
        self.records += 1;
        if head.whole {
            self.verifier.record(&record, self.spot)?;
            if head.decisions && record.kind == AuditKind::Calls {
                self.link = Some(Link { record, spot: self.spot, found: Vec::new() });
            }
        } else if record.number > 0 && record.computed() != record.hash {
            return Err(self.broken("changed", "what stands in it does not have the hash that stands in it"));
        }
        Ok(())
    }

    fn end_link(&mut self) -> Result<(), Broken> {
        let Some(Link { record, spot, found }) = self.link.take() else { return Ok(()) };
        self.verifier.calls(&record, &found, spot)
    }

    /// The last line: these are the lines that were given.
    fn signed(&mut self, token: &str) -> Result<(), Broken> {
        self.end_link()?;
        let (mark, trusted) = self.keys.read(token).map_err(|why| self.broken("forged", why))?;
        if !trusted {
            return Err(self.broken("forged", "the key that signed it was withdrawn"));
        }
        let Mark::Export { lines, digest, .. } = mark else {
            return Err(self.broken("forged", "what is signed is no end of an export"));
        };
        let hashing = std::mem::replace(&mut self.hashing, Hashing::new(DOMAIN));
        if lines.checked_add(1) != Some(self.spot) {
            let why = format!("{lines} lines were signed, and {} stand before it", self.spot - 1);
            return Err(self.broken("cut-off", why));
        }
        if digest != hashing.end() {
            return Err(self.broken("changed", "one of the lines before it is not as it was signed"));
        }
        self.ended = true;
        Ok(())
    }

    fn end(mut self) -> Result<Exported, Broken> {
        self.end_link()?;
        if !self.ended {
            return Err(self.broken("cut-off", "the export has no end: its last line would be signed"));
        }
        match self.head {
            Some(Head { whole: true, .. }) => Ok(Exported::Whole(self.verifier.finish()?)),
            Some(Head { whole: false, .. }) | None => Ok(Exported::Part(self.records)),
        }
    }
}
