//! The audit's records, and how each one is bound to the one before it.
//!
//! Comes in: who did what to what. Goes out: records whose hash covers all that they say, the node that wrote them, their
//! place in its chain and the hash of the record before. What a line of an export says is all that is hashed, so that who
//! has the line can hash it again. Nothing is signed here: `control` does that, for a whole chain at once.

mod hash;
mod text;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::id::AccountId;
pub use hash::{Hash, Hashing, NotAHash};
pub use text::{detail, harmless, text};

/// One link of a node's chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// The node that wrote it.
    pub node: String,
    /// Its place in the chain of that node, from 1. 0 for a record from before there were chains.
    pub number: u64,
    /// What it is.
    pub kind: AuditKind,
    /// When it happened, in whole microseconds.
    pub at: Timestamp,
    /// Whose it is; nobody's when it concerns the whole installation, or nobody has proven who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Who did it: a login, an application, or an address for what nobody has proven.
    pub actor: String,
    /// What happened: `grant.install`, `login.failed`, `refused.forbidden`, …
    pub event: String,
    /// What it was about: a grant (`account/application`), an application, a login.
    pub subject: String,
    /// More, as a JSON value without line breaks.
    pub detail: Box<RawValue>,
    /// The hash of the record before it in the chain; zeros for the first.
    pub prev: Hash,
    /// The hash of this one.
    pub hash: Hash,
}

/// What a record is. It decides for how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditKind {
    /// Something was done. Never removed.
    Event,
    /// Something was refused. The newest are kept.
    Refusal,
    /// Decision records were kept; goes when they go.
    Calls,
}

impl AuditKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Event, Self::Refusal, Self::Calls];

    /// The word in the store and in exports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Refusal => "refusal",
            Self::Calls => "calls",
        }
    }

    /// What an event of this name is.
    #[must_use]
    pub fn of(event: &str) -> Self {
        match event {
            CALLS => Self::Calls,
            "login.failed" => Self::Refusal,
            other if other.starts_with("refused.") => Self::Refusal,
            _ => Self::Event,
        }
    }
}

/// The event of a record that vouches for decision records.
pub const CALLS: &str = "calls.recorded";
/// The event of the record that says what stood in the audit before there were chains.
pub const ADOPTED: &str = "audit.adopted";

impl AuditRecord {
    /// The hash of all that it says, `hash` itself aside.
    #[must_use]
    pub fn computed(&self) -> Hash {
        let mut hashing = Hashing::new(b"consentry audit record 1");
        hashing.text(&self.node);
        hashing.number(self.number);
        hashing.text(self.kind.as_str());
        // Its two's complement is as good a spelling as any.
        hashing.number(self.at.as_microsecond().cast_unsigned());
        match &self.account {
            None => hashing.number(0),
            Some(account) => {
                hashing.number(1);
                hashing.text(account.as_str());
            }
        }
        for text in [&self.actor, &self.event, &self.subject] {
            hashing.text(text);
        }
        hashing.text(self.detail.get());
        hashing.bytes(&self.prev.0);
        hashing.end()
    }

    /// Whom it is about, `kind/id` or a login, where the detail says so.
    #[must_use]
    pub fn principal(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct About {
            principal: Option<String>,
        }
        serde_json::from_str::<About>(self.detail.get()).ok()?.principal
    }

    /// The record as one line of JSON that no terminal takes for more than text, without its line feed.
    #[must_use]
    pub fn line(&self) -> String {
        harmless(serde_json::to_string(self).unwrap_or_default())
    }
}

/// What a record for decision records says of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallsKept {
    /// How many.
    pub count: u64,
    /// The first one's place.
    pub from: u64,
    /// The last one's place.
    pub to: u64,
    /// Over the hashes of all of them, in the order of their places.
    pub digest: Hash,
    /// The beginning of each one's hash, so that a wrong one can be named: eight characters each.
    pub leaves: String,
}

impl CallsKept {
    /// What is to be said of these, each with its place, in order. None of none.
    #[must_use]
    pub fn of<'r>(records: impl IntoIterator<Item = (u64, &'r str)>) -> Option<Self> {
        let mut digest = Hashing::new(b"consentry decisions 1");
        let (mut places, mut count, mut leaves) = (None, 0, String::new());
        for (place, text) in records {
            let hash = decision_hash(text);
            digest.bytes(&hash.0);
            leaves.push_str(&leaf(&hash));
            let (from, _) = places.unwrap_or((place, place));
            places = Some((from, place));
            count += 1;
        }
        let (from, to) = places?;
        Some(Self { count, from, to, digest: digest.end(), leaves })
    }

    /// The beginning of the hash of each.
    pub fn leaves(&self) -> impl Iterator<Item = &str> {
        let end = |at: usize| at.saturating_add(LEAF);
        (0..self.leaves.len()).step_by(LEAF).filter_map(move |at| self.leaves.get(at..end(at)))
    }
}

/// The hash of a decision record's text.
#[must_use]
pub fn decision_hash(text: &str) -> Hash {
    let mut hashing = Hashing::new(b"consentry decision 1");
    hashing.text(text);
    hashing.end()
}

/// How a hash begins, as [`CallsKept::leaves`] has it.
#[must_use]
pub fn leaf(hash: &Hash) -> String {
    URL_SAFE_NO_PAD.encode(hash.0.get(..LEAF / 4 * 3).unwrap_or_default())
}

const LEAF: usize = 8;

#[cfg(test)]
mod tests {
    use super::text::{LONGEST_DETAIL, is_odd};
    use super::*;

    fn record() -> AuditRecord {
        let mut record = AuditRecord {
            node: "n1".to_owned(),
            number: 7,
            kind: AuditKind::Event,
            at: Timestamp::from_microsecond(1_800_000_000_123_456).unwrap(),
            account: Some("1000000000000001".parse().unwrap()),
            actor: "admin@acme".to_owned(),
            event: "grant.install".to_owned(),
            subject: "1000000000000001/hub".to_owned(),
            detail: detail(r#"{ "revision": 1, "scopes": ["openid"] }"#),
            prev: Hash([3; 32]),
            hash: Hash::default(),
        };
        record.hash = record.computed();
        record
    }

    #[test]
    fn a_record_read_from_its_line_hashes_the_same() {
        let mut record = record();
        record.actor = "ev\u{1b}[31mil\u{202e}\u{e0001} \"name\"\n".to_owned();
        record.detail = detail("{\"name\":\"\u{7}\u{202e}x\"}");
        record.hash = record.computed();
        let line = record.line();
        assert!(line.chars().all(|c| !is_odd(c)), "{line}");
        let read: AuditRecord = serde_json::from_str(&line).unwrap();
        assert_eq!((read.computed(), &read.actor), (record.hash, &record.actor));
        assert_eq!(read.line(), line);
    }

    #[test]
    fn no_member_can_be_changed_and_none_can_give_to_its_neighbour() {
        let change = |change: fn(&mut AuditRecord)| {
            let mut changed = record();
            change(&mut changed);
            changed.computed() != record().hash
        };
        assert!(change(|r| r.node = "n2".to_owned()));
        assert!(change(|r| r.number = 8));
        assert!(change(|r| r.kind = AuditKind::Refusal));
        assert!(change(|r| r.at = Timestamp::UNIX_EPOCH));
        assert!(change(|r| r.account = None));
        assert!(change(|r| r.actor.push('x')));
        assert!(change(|r| r.event.push('x')));
        assert!(change(|r| r.subject.push('x')));
        assert!(change(|r| r.detail = detail("{}")));
        assert!(change(|r| r.prev = Hash([4; 32])));
        assert!(change(|r| {
            r.actor.push('g');
            r.event.remove(0);
        }));
        assert!(!change(|r| r.hash = Hash([9; 32])));
    }

    #[test]
    fn a_detail_is_one_line_of_json_whatever_it_was() {
        assert_eq!(detail("{\n  \"b\": 1,\n \"a\": \"x\"\n}").get().lines().count(), 1);
        assert_eq!(detail("no json\n").get(), r#""no json\n""#);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(LONGEST_DETAIL));
        assert!(detail(&long).get().len() < LONGEST_DETAIL && detail(&long).get().contains("cut"));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_nothing_else_is() {
        let hash = Hash([0xa7; 32]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        let text = hash.to_string();
        for wrong in [
            "",
            text.get(1..).unwrap(),
            &format!("{text}0"),
            &text.to_uppercase(),
            &format!("{}zz", text.get(2..).unwrap()),
        ] {
            assert_eq!(wrong.parse::<Hash>(), Err(NotAHash), "{wrong}");
        }
    }

    #[test]
    fn of_decision_records_each_and_their_order_count() {
        let all = CallsKept::of([(4, "{a}"), (5, "{b}")]).unwrap();
        assert_eq!((all.count, all.from, all.to), (2, 4, 5));
        assert_eq!(
            all.leaves().collect::<Vec<_>>(),
            [leaf(&decision_hash("{a}")), leaf(&decision_hash("{b}"))]
        );
        assert_ne!(CallsKept::of([(4, "{b}"), (5, "{a}")]).unwrap().digest, all.digest);
        assert_eq!(CallsKept::of([]), None);
    }
}
