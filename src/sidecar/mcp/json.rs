//! JSON that can be read in one way only: no member of an object stands twice, at any level.
//!
//! Two readers of one text can differ in which of two members they take. Names are compared after their escapes are
//! resolved, so that `n\u0061me` is `name`.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A value, as far as anything is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Object(Vec<(String, Json)>),
    /// Its texts, if it holds a few of them and nothing else. All that is in it was looked at.
    Array(Option<Vec<String>>),
    Text(String),
    Number(Number),
    Null,
    Bool(bool),
}

/// Why a text is not that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is no JSON, or JSON and something behind it.
    Syntax,
    /// A member stands twice.
    Twice,
}

impl Json {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        serde_json::from_slice(bytes).map_err(|error| match error.is_data() {
            true => Unreadable::Twice,
            false => Unreadable::Syntax,
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            Self::Array(_) | Self::Text(_) | Self::Number(_) | Self::Null | Self::Bool(_) => None,
        }
    }

    pub(super) fn into_member(self, name: &str) -> Option<Self> {
        match self {
            Self::Object(members) => {
                members.into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            Self::Array(_) | Self::Text(_) | Self::Number(_) | Self::Null | Self::Bool(_) => None,
        }
    }

    /// Whether a text, a number or a truth value in it, or in objects in it, is what `said` says.
    pub(super) fn holds(&self, said: &str) -> bool {
        match self {
            Self::Object(members) => members.iter().any(|(_, value)| value.holds(said)),
            Self::Text(text) => text == said,
            Self::Number(number) => is_number(number, said),
            Self::Bool(is) => said == if *is { "true" } else { "false" },
            Self::Array(_) | Self::Null => false,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Object(_) | Self::Array(_) | Self::Number(_) | Self::Null | Self::Bool(_) => None,
        }
    }

    /// The texts of an array of a few texts.
    pub(super) fn texts(&self) -> Option<&[String]> {
        match self {
            Self::Array(texts) => texts.as_deref(),
            Self::Object(_) | Self::Text(_) | Self::Number(_) | Self::Null | Self::Bool(_) => None,
        }
    }

    /// The names of an object's members; none of anything else.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let members = match self {
            Self::Object(members) => members.as_slice(),
            Self::Array(_) | Self::Text(_) | Self::Number(_) | Self::Null | Self::Bool(_) => &[],
        };
        members.iter().map(|(name, _)| name.as_str())
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

/// Whether the text is this number, in whatever spelling.
fn is_number(number: &Number, said: &str) -> bool {
    let spelled = number.to_string();
    match (spelled.parse::<i128>(), said.parse::<i128>()) {
        (Ok(number), Ok(said)) => number == said,
        // 42.0 is 42.
        _ => spelled.parse::<f64>().is_ok_and(|number| said.parse().is_ok_and(|said: f64| number == said)),
    }
}

struct Strict;

impl<'de> Visitor<'de> for Strict {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which no member stands twice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let (mut members, mut names) = (Vec::new(), HashSet::new());
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a member stands twice"));
            }
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut texts = Some(Vec::new());
        while let Some(element) = list.next_element::<Json>()? {
            texts = match (texts, element) {
                (Some(mut texts), Json::Text(text)) if texts.len() < MOST_TEXTS => {
                    texts.push(text);
                    Some(texts)
                }
                _ => None,
            };
        }
        Ok(Json::Array(texts))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_bool<E>(self, is: bool) -> Result<Json, E> {
        Ok(Json::Bool(is))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
}

/// So many texts of an array are kept.
const MOST_TEXTS: usize = 256;
