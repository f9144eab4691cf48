//! Signed records: all that stands in Redis, written by control and believed by nobody without its signature.
//!
//! Comes in: a text out of Redis, the key that it stood under, control's public keys. Goes out: what it says, as of
//! which place of which life of the store, or why it is as good as absent ([`Bad`]). Whether it is still true is
//! [`crate::grants::changed::ChangedAt`]'s word, not this one's.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::change::Epoch;
use crate::model::id::Seq;
use crate::token::keys::{KeyError, Signer};
use crate::token::record::signed;
use crate::token::verify::{KeySet, TokenRefused};

/// A record whose signature is right, and which was made for the very key it was found under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<T> {
    /// Which life of the store it is from.
    pub epoch: Epoch,
    /// Up to which place of the change log what it says is known to be true.
    pub as_of: Seq,
    /// What it says.
    pub body: T,
}

/// Why a record counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bad {
    /// It carries no signature that can be checked: forged, cut short, or something else altogether.
    Unsigned,
    /// Its key is not among control's.
    UnknownKey,
    /// It is signed, but for another place in Redis: another account's, another application's.
    OtherPlace,
    /// A newer version of the program wrote it.
    Newer,
    /// It is longer than any record is.
    TooLong,
    /// It is signed, and still cannot be read.
    Unreadable,
    /// Something that it rests on has changed since, or it is from another life of the store.
    Stale,
}

impl Bad {
    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::UnknownKey => "unknown_key",
            Self::OtherPlace => "other_place",
            Self::Newer => "newer",
            Self::TooLong => "too_long",
            Self::Unreadable => "unreadable",
            Self::Stale => "stale",
        }
    }
}

#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    key: &'a str,
    epoch: &'a Epoch,
    as_of: Seq,
    body: &'a T,
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    key: std::borrow::Cow<'a, str>,
    epoch: Epoch,
    as_of: Seq,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct Format {
    v: u32,
}

/// Writes a record that is to stand under `key`.
///
/// # Errors
/// It could not be signed.
pub fn write<T: Serialize>(
    signer: &Signer,
    key: &str,
    epoch: &Epoch,
    as_of: Seq,
    body: &T,
) -> Result<String, KeyError> {
    signer.sign(&Written { v: FORMAT, key, epoch, as_of, body })
}

/// Reads what was found under `key`.
///
/// # Errors
/// Why it counts as absent.
pub fn read<T: DeserializeOwned>(keys: &KeySet, key: &str, found: &[u8]) -> Result<Record<T>, Bad> {
    if found.len() > LONGEST {
        return Err(Bad::TooLong);
    }
    let text = std::str::from_utf8(found).map_err(|_| Bad::Unsigned)?;
    let claims = signed(keys, text).map_err(|refused| match refused {
        TokenRefused::UnknownKey => Bad::UnknownKey,
        TokenRefused::Invalid(_) | TokenRefused::Expired => Bad::Unsigned,
    })?;
    // The format alone first: a newer one may look different in everything else.
    let format: Format = serde_json::from_slice(&claims).map_err(|_| Bad::Unreadable)?;
    if format.v != FORMAT {
        return Err(Bad::Newer);
    }
    let record: Read<'_> = serde_json::from_slice(&claims).map_err(|_| Bad::Unreadable)?;
    if record.key != key {
        return Err(Bad::OtherPlace);
    }
    let body = serde_json::from_str(record.body.get()).map_err(|_| Bad::Unreadable)?;
    Ok(Record { epoch: record.epoch, as_of: record.as_of, body })
}

/// A fact's record as it stands in Redis: before it, in the clear and for control's own use, as of when it is.
#[must_use]
pub fn stamp(as_of: Seq, record: &str) -> String {
    format!("{} {record}", as_of.0)
}

/// A fact's record without what stands before it.
#[must_use]
pub fn stamped(found: &[u8]) -> &[u8] {
    found.iter().position(|byte| *byte == b' ').and_then(|at| found.get(at + 1..)).unwrap_or(found)
}

/// Nothing longer is read: whoever can write Redis must not fill a sidecar's memory.
pub const LONGEST: usize = 64 * 1024;

const FORMAT: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keys::{Purpose, generate};

    fn signer(purpose: Purpose) -> Signer {
        Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap()
    }

    fn epoch() -> Epoch {
        Epoch("one".to_owned())
    }

    fn written(signer: &Signer, key: &str) -> String {
        write(signer, key, &epoch(), Seq(7), &"body").unwrap()
    }

    fn found(keys: &KeySet, key: &str, text: &str) -> Result<Record<String>, Bad> {
        read(keys, key, text.as_bytes())
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let signer = signer(Purpose::Record);
        let keys = KeySet::new([signer.public()]);
        let read = found(&keys, "p:g:{1/4}", &written(&signer, "p:g:{1/4}")).unwrap();
        assert_eq!(read, Record { epoch: epoch(), as_of: Seq(7), body: "body".to_owned() });
    }

    #[test]
    fn a_record_is_absent_when_anybody_else_made_it_or_cut_it_or_moved_it() {
        let (ours, theirs) = (signer(Purpose::Record), signer(Purpose::Record));
        let keys = KeySet::new([ours.public()]);
        let good = written(&ours, "a");
        assert_eq!(found(&keys, "a", &written(&theirs, "a")), Err(Bad::UnknownKey));
        assert_eq!(found(&keys, "b", &good), Err(Bad::OtherPlace));
        for end in [0, 1, good.len() / 2, good.len() - 1] {
            assert_eq!(found(&keys, "a", good.get(..end).unwrap()), Err(Bad::Unsigned), "cut at {end}");
        }
        let borrowed = good.rsplit_once('.').unwrap().0;
        let swapped = format!("{borrowed}.{}", written(&ours, "b").rsplit_once('.').unwrap().1);
        assert_eq!(found(&keys, "a", &swapped), Err(Bad::Unsigned));
        assert_eq!(read::<String>(&keys, "a", &[0xff; 9]), Err(Bad::Unsigned));
        assert_eq!(read::<String>(&keys, "a", &vec![b'a'; LONGEST + 1]), Err(Bad::TooLong));
    }

    #[test]
    fn a_key_for_something_else_signs_no_record() {
        let assertion = signer(Purpose::Assertion);
        let keys = KeySet::new([assertion.public()]);
        assert_eq!(found(&keys, "a", &written(&assertion, "a")), Err(Bad::Unsigned));
    }

    #[test]
    fn a_record_of_a_newer_format_is_absent_whatever_else_it_says() {
        let signer = signer(Purpose::Record);
        let keys = KeySet::new([signer.public()]);
        let newer = signer.sign(&serde_json::json!({ "v": FORMAT + 1, "else": true })).unwrap();
        assert_eq!(found(&keys, "a", &newer), Err(Bad::Newer));
        let unreadable = signer.sign(&serde_json::json!({ "v": FORMAT })).unwrap();
        assert_eq!(found(&keys, "a", &unreadable), Err(Bad::Unreadable));
    }
}
