//! Whether the audit is what was written, by nothing but its own records and what was signed about them.
//!
//! Comes in: marks first, then the records of one chain after the other, in order, from a store or a file. Goes out: a
//! [`Report`], or the first record that is broken: what, where, why. It believes no record, no mark without a signature,
//! and no store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::marks::{AuditKeys, Mark};
use crate::model::audit::{AuditRecord, CallsKept, Hash, decision_hash, leaf};
use crate::model::decision::Decision;
use crate::store::KeptDecision;

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{whose}: {what}: {why}")]
pub struct Broken {
    /// Which record or mark, and where it stands.
    #[serde(rename = "where")]
    pub whose: String,
    /// One of `changed`, `missing`, `moved`, `inserted`, `cut-off`, `unsigned`, `forged`.
    pub what: &'static str,
    /// Why that is known.
    pub why: String,
}

/// What was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Chain by chain.
    pub chains: Vec<ChainReport>,
    /// Decision records that their links vouch for, if they were looked at.
    pub decisions: u64,
    /// Records from before there were chains.
    pub unchained: u64,
    /// Checkpoints whose signatures are good.
    pub checkpoints: u64,
    /// What a key has signed that was withdrawn since: its checkpoints count for nothing, its cuts rest on its word.
    pub withdrawn: u64,
}

/// What was verified of one chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChainReport {
    /// Whose.
    pub node: String,
    /// How many records are there.
    pub records: u64,
    /// How many were removed for their age.
    pub removed: u64,
    /// The newest one's number.
    pub newest: u64,
    /// The newest record that a checkpoint vouches for; none by then when it is 0. Those after it could be cut off
    /// without a trace.
    pub signed_to: u64,
}

/// Follows chains.
pub struct Verifier<'k> {
    keys: &'k AuditKeys,
    /// What places are called: `line` or `place`.
    spot: &'static str,
    /// By node and number: the hash that was seen there, and who saw it.
    seen: BTreeMap<(String, u64), Witness>,
    cuts: BTreeMap<(String, u64), CutOut>,
    walk: Option<ChainReport>,
    hash: Hash,
    report: Report,
}

struct Witness {
    hash: Hash,
    at: Timestamp,
    by: String,
}

struct CutOut {
    last: u64,
    before: Hash,
    after: Hash,
}

impl<'k> Verifier<'k> {
    /// Nothing seen yet; `spot` is what places are called.
    #[must_use]
    pub fn new(keys: &'k AuditKeys, spot: &'static str) -> Self {
        let (seen, cuts, report) = (BTreeMap::new(), BTreeMap::new(), Report::default());
        Self { keys, spot, seen, cuts, walk: None, hash: Hash::default(), report }
    }

    /// Takes a checkpoint; all of them come before the records. `filed` is what it stands under, where it does.
    ///
    /// # Errors
    /// [`Broken`]: nobody with the key has signed that.
    pub fn checkpoint(&mut self, token: &str, filed: Option<(&str, u64)>, spot: u64) -> Result<(), Broken> {
        let whose = || format!("the checkpoint {}", self.filed(filed, spot));
        let forged = |why: &str| Broken { whose: whose(), what: "forged", why: why.to_owned() };
        let (mark, trusted) = self.keys.read(token).map_err(|why| forged(&why))?;
        let Mark::Checkpoint { node, number, hash, at, others } = mark else {
            return Err(forged("what is signed is no checkpoint"));
        };
        if filed.is_some_and(|filed| filed != (node.as_str(), number)) {
            return Err(forged(&format!("what is signed is one of record {number} of {node}")));
        }
        if !trusted {
            self.report.withdrawn += 1;
            return Ok(());
        }
        let by = node.clone();
        let others = others.into_iter().map(|other| (other.node, other.number, other.hash));
        for (node, number, hash) in std::iter::once((node, number, hash)).chain(others) {
            let key = (node, number);
            if let Some(earlier) = self.seen.get(&key).filter(|earlier| earlier.hash != hash) {
                let why = format!(
                    "at {at} {by} has seen another record there than {} at {}; both have signed",
                    earlier.by, earlier.at
                );
                let whose = format!("record {} of {}", key.1, key.0);
                return Err(Broken { whose, what: "changed", why });
            }
            self.seen.entry(key).or_insert(Witness { hash, at, by: by.clone() });
        }
        self.report.checkpoints += 1;
        Ok(())
    }

    /// Takes a cut; all of them come before the records.
    ///
    /// # Errors
    /// As [`Verifier::checkpoint`].
    pub fn cut(&mut self, token: &str, filed: Option<(&str, u64)>, spot: u64) -> Result<(), Broken> {
        let whose = || format!("the cut {}", self.filed(filed, spot));
        let forged = |why: &str| Broken { whose: whose(), what: "forged", why: why.to_owned() };
        let (mark, trusted) = self.keys.read(token).map_err(|why| forged(&why))?;
        let Mark::Cut { node, first, last, before, after, .. } = mark else {
            return Err(forged("what is signed is no cut"));
        };
        if filed.is_some_and(|filed| filed != (node.as_str(), first)) || last < first {
            return Err(forged(&format!("what is signed is one of {first} to {last} of {node}")));
        }
        self.report.withdrawn += u64::from(!trusted);
        self.cuts.insert((node, first), CutOut { last, before, after });
        Ok(())
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn record(&mut self, record: &AuditRecord, spot: u64) -> Result<(), Broken> {
        let at = self.spot;
        let broken = |what, why: String| {
            let whose = format!("record {} of {} ({at} {spot})", record.number, record.node);
            Err(Broken { whose, what, why })
        };
        if record.computed() != record.hash {
            return broken(
                "changed",
                "what stands in it does not have the hash that stands in it".to_owned(),
            );
        }
        if self.walk.as_ref().is_none_or(|walk| walk.node != record.node) {
            self.end_chain()?;
            if self.report.chains.iter().any(|chain| chain.node == record.node) {
                return broken("moved", "the other records of its node stand elsewhere".to_owned());
            }
            self.walk = Some(ChainReport { node: record.node.clone(), ..ChainReport::default() });
            self.hash = Hash::default();
        }
        self.pass_cuts()?;
        let Some(walk) = &self.walk else { return Ok(()) };
        let next = walk.newest.saturating_add(1);
        if record.number < next {
            return broken("inserted", format!("number {} is taken: {next} comes next", record.number));
        }
        if record.number > next {
            let why = format!(
                "{next} comes next, and no cut says why {} is not there",
                numbers(next, record.number - 1)
            );
            let whose = format!(
                "{} of {} (before {} {spot})",
                numbers(next, record.number - 1),
                record.node,
                self.spot
            );
            return Err(Broken { whose, what: "missing", why });
        }
        if record.prev != self.hash {
            let why = match record.number {
                1 => "it names a record before it, and is the first".to_owned(),
                number => format!("record {} is not the one that it was written after", number - 1),
            };
            return broken("moved", why);
        }
        self.hash = record.hash;
        if let Some(walk) = &mut self.walk {
            (walk.newest, walk.records) = (record.number, walk.records + 1);
        }
        self.compare(record.number)
    }

    /// Compares decision records with the link that vouches for them; they are all that stand between its places.
    ///
    /// # Errors
    /// [`Broken`], which names the first wrong one.
    pub fn calls(&mut self, record: &AuditRecord, found: &[(u64, String)], spot: u64) -> Result<(), Broken> {
        let whose = format!("record {} of {} ({} {spot})", record.number, record.node, self.spot);
        let said: CallsKept = serde_json::from_str(record.detail.get()).map_err(|error| Broken {
            whose: whose.clone(),
            what: "changed",
            why: format!("what it says of decision records cannot be read ({error})"),
        })?;
        let texts = || found.iter().map(|(place, text)| (*place, text.as_str()));
        if CallsKept::of(texts()).is_some_and(|is| is == said) {
            self.report.decisions += said.count;
            return Ok(());
        }
        Err(wrong_call(&said, found, &whose))
    }

    /// Ends: everything that was signed must have been there.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn finish(mut self) -> Result<Report, Broken> {
        self.end_chain()?;
        if let Some(((node, number), witness)) = self.seen.into_iter().next() {
            let whose = format!("the chain of {node}");
            let why =
                format!("{} has seen its record {number} at {}, and none is there", witness.by, witness.at);
            return Err(Broken { whose, what: "missing", why });
        }
        if let Some(((node, first), cut)) = self.cuts.into_iter().next() {
            let whose = format!("the cut of {} of {node}", numbers(first, cut.last));
            let why = "no chain comes to where it begins".to_owned();
            return Err(Broken { whose, what: "moved", why });
        }
        Ok(self.report)
    }

    /// Says what else was found good.
    pub fn found(&mut self, unchained: u64) {
        self.report.unchained = unchained;
    }

    /// Goes over what was removed with a signature.
    fn pass_cuts(&mut self) -> Result<(), Broken> {
        loop {
            let Some(walk) = &mut self.walk else { return Ok(()) };
            let first = walk.newest.saturating_add(1);
            let Some(cut) = self.cuts.remove(&(walk.node.clone(), first)) else { return Ok(()) };
            if cut.before != self.hash {
                let whose = format!("record {} of {}", walk.newest, walk.node);
                let why = format!("it is not the one before {} that were removed", numbers(first, cut.last));
                return Err(Broken { whose, what: "changed", why });
            }
            walk.removed = walk.removed.saturating_add(cut.last - walk.newest);
            walk.newest = cut.last;
            self.hash = cut.after;
            // What was seen inside of it can be compared with nothing.
            let (from, to) = ((walk.node.clone(), first), (walk.node.clone(), cut.last));
            let inside: Vec<_> = self.seen.range(from..to).map(|(key, _)| key.clone()).collect();
            for key in inside {
                self.seen.remove(&key);
            }
            self.compare(cut.last)?;
        }
    }

    /// Whether the record at `number` is the one that was seen there.
    fn compare(&mut self, number: u64) -> Result<(), Broken> {
        let Some(walk) = &mut self.walk else { return Ok(()) };
        let Some(witness) = self.seen.remove(&(walk.node.clone(), number)) else { return Ok(()) };
        if witness.hash != self.hash {
            let why = format!(
                "{} has seen another record there at {}: this one, or one before it, was written later",
                witness.by, witness.at
            );
            let whose = format!("record {number} of {}", walk.node);
            return Err(Broken { whose, what: "changed", why });
        }
        walk.signed_to = number;
        Ok(())
    }

    fn end_chain(&mut self) -> Result<(), Broken> {
        self.pass_cuts()?;
        let Some(walk) = self.walk.take() else { return Ok(()) };
        let beyond = (walk.node.clone(), walk.newest.saturating_add(1))..=(walk.node.clone(), u64::MAX);
        if let Some(((_, number), witness)) = self.seen.range(beyond).next_back() {
            let whose = format!("the chain of {} after record {}", walk.node, walk.newest);
            let why = format!("{} has seen its record {number} at {}", witness.by, witness.at);
            return Err(Broken { whose, what: "cut-off", why });
        }
        let unsigned = walk.newest.saturating_sub(walk.signed_to.max(walk.removed));
        if unsigned > MOST_UNSIGNED {
            let whose = format!("the chain of {} after record {}", walk.node, walk.signed_to);
            let why = format!("{unsigned} records are in no checkpoint, and one is made for fewer");
            return Err(Broken { whose, what: "unsigned", why });
        }
        self.report.chains.push(walk);
        Ok(())
    }

    fn filed(&self, filed: Option<(&str, u64)>, spot: u64) -> String {
        match filed {
            Some((node, number)) => format!("of record {number} of {node}"),
            None => format!("at {} {spot}", self.spot),
        }
    }
}

/// Which decision record is not what was vouched for.
fn wrong_call(said: &CallsKept, found: &[(u64, String)], link: &str) -> Broken {
    let is: Vec<String> = found.iter().map(|(_, text)| leaf(&decision_hash(text))).collect();
    let was: Vec<&str> = said.leaves().collect();
    let same = |at: usize, other: usize| is.get(at).map(String::as_str) == was.get(other).copied();
    let wrong = (0..is.len().max(was.len())).find(|at| !same(*at, *at)).unwrap_or(0);
    let named = found.get(wrong).map(|(place, text)| match serde_json::from_str::<Decision>(text) {
        Ok(decision) => format!("the decision record {} (place {place})", decision.id),
        Err(_) => format!("the decision record at place {place}"),
    });
    let ordinal = format!("decision record {} of {} under {link}", wrong + 1, said.count);
    let (whose, what, why) = if is.len() < was.len() && (wrong == is.len() || same(wrong, wrong + 1)) {
        (ordinal, "missing", format!("{} were kept, and {} are there", was.len(), is.len()))
    } else if is.len() > was.len() && (wrong == was.len() || same(wrong + 1, wrong)) {
        let why = format!("{} were kept under {link}, and {} are there", was.len(), is.len());
        (named.unwrap_or(ordinal), "inserted", why)
    } else {
        let why = format!("it does not have the hash that {link} vouches for");
        (named.unwrap_or(ordinal), "changed", why)
    };
    Broken { whose, what, why }
}

/// Whether the columns by which a decision record is found say what the record says.
///
/// # Errors
/// [`Broken`].
pub(super) fn columns(kept: &KeptDecision) -> Result<(), Broken> {
    let fits = serde_json::from_str::<Decision>(&kept.text).is_ok_and(|decision| {
        decision.id.as_str() == kept.id
            && decision.account.as_deref() == kept.account.as_deref()
            && decision.application.as_deref() == kept.application.as_deref()
            && decision.outcome.as_str() == kept.outcome
    });
    if fits {
        return Ok(());
    }
    let whose = format!("the decision record {} (place {})", kept.id, kept.place);
    let why = "the columns that it is found by say something else than the record".to_owned();
    Err(Broken { whose, what: "changed", why })
}

fn numbers(first: u64, last: u64) -> String {
    if first == last { format!("record {first}") } else { format!("records {first} to {last}") }
}

/// A checkpoint is made for a thousand records, and one may have been under way.
const MOST_UNSIGNED: u64 = 20_000;
