//! A policy that somebody gives along when asking for a role: what it leaves of a session policy.
//!
//! Comes in: a policy document in the cloud's language, from outside. Goes out: a [`Narrowing`], or why it is not
//! understood. It is never passed on: what is understood of it is said anew, its permissions replaced by those of them
//! that were granted, so that nothing of it can add anything. Its own limits (resources, conditions, what it denies) go
//! on to the letter: each of them only takes away. What could be read in two ways, or says more than this module knows,
//! is refused, since whoever sends a policy counts on having no more than it says.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Cloud, LONGEST};

/// What a policy leaves of another one.
#[derive(Debug)]
pub struct Narrowing {
    cloud: Cloud,
    pub(super) statements: Vec<Narrow>,
}

/// Why a policy cannot narrow another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// It is longer than a cloud takes.
    #[error("it has more than {LONGEST} characters")]
    TooLong,
    /// It is no policy of the few forms that are understood.
    #[error("it is not understood ({0})")]
    Form(String),
    /// It is of another version of the language.
    #[error("its Version is not \"{0}\"")]
    Version(&'static str),
    /// It says something of what is said for it.
    #[error("it has a condition on {OWNER}, which is limited to the role's account already")]
    Owner,
}

/// One statement, understood.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Narrow {
    #[serde(rename = "Sid", default)]
    _sid: Option<String>,
    pub(super) effect: Effect,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) action: Vec<String>,
    #[serde(deserialize_with = "one_or_more")]
    pub(super) resource: Vec<String>,
    #[serde(default)]
    pub(super) condition: Conditions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// By operator and key.
pub(super) type Conditions = Once<Once<Values>>;

/// What a key is compared with.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Values {
    One(Scalar),
    Several(Vec<Scalar>),
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Text(String),
    Flag(bool),
    Number(i64),
}

/// Members by name, none twice: not even if the names differ in nothing but the case of letters.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(super) struct Once<T>(pub(super) BTreeMap<String, T>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Id", default)]
    _id: Option<String>,
    version: String,
    #[serde(deserialize_with = "one_or_more")]
    statement: Vec<Narrow>,
}

impl Narrowing {
    /// Reads a policy.
    ///
    /// # Errors
    /// It cannot be kept to for certain.
    pub fn read(cloud: Cloud, text: &str) -> Result<Self, NotUnderstood> {
        if text.chars().count() > LONGEST {
            return Err(NotUnderstood::TooLong);
        }
        let Document { version, statement: statements, .. } =
            serde_json::from_str(text).map_err(|error| NotUnderstood::Form(error.to_string()))?;
        // Another version reads the same words in another way.
        if version != cloud.version() {
            return Err(NotUnderstood::Version(cloud.version()));
        }
        let owner = |statement: &Narrow| {
            let Once(operators) = &statement.condition;
            let on_owner = |Once(keys): &Once<Values>| keys.keys().any(|key| key.eq_ignore_ascii_case(OWNER));
            let like_ours = |name: &String| name.eq_ignore_ascii_case(OPERATOR) && name != OPERATOR;
            operators.values().any(on_owner) || operators.keys().any(like_ours)
        };
        if statements.iter().any(owner) {
            return Err(NotUnderstood::Owner);
        }
        Ok(Self { cloud, statements })
    }

    /// Whether a statement takes in the permission `name`.
    pub(super) fn takes_in(&self, statement: &Narrow, name: &str) -> bool {
        let any_character = match self.cloud {
            Cloud::Aws => true,
            // Which of its services read it so is not written down.
            Cloud::Alibaba => false,
        };
        statement.action.iter().any(|pattern| fits(pattern.as_bytes(), name.as_bytes(), any_character))
    }
}

/// Whether a pattern with `*`, and with `?` where it stands for a character, takes in a name, without regard to the case
/// of letters.
fn fits(pattern: &[u8], name: &[u8], any_character: bool) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(one) if one.eq_ignore_ascii_case(byte) || (*one == b'?' && any_character) => {
                p += 1;
                n += 1;
            }
            Some(_) | None => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Once<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Once<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Once<T>, A::Error> {
                let mut members = BTreeMap::<String, T>::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if members.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
                        return Err(A::Error::custom("a condition stands twice"));
                    }
                    members.insert(name, value);
                }
                Ok(Once(members))
            }
        }

        from.deserialize_map(Members(PhantomData))
    }
}

/// One value, or several in a list; at least one.
fn one_or_more<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Several(Vec<T>),
        One(T),
    }
    let several = match Either::deserialize(from)? {
        Either::Several(several) => several,
        Either::One(one) => vec![one],
    };
    if several.is_empty() { Err(D::Error::custom("an empty list")) } else { Ok(several) }
}

/// The condition that a session policy holds a role to its account by.
pub(super) const OPERATOR: &str = "StringEqualsIfExists";
pub(super) const OWNER: &str = "aws:ResourceAccount";
