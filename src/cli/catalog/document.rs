//! Documents from outside, read within bounds: JSON or YAML, no key twice.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};

use super::operation::NotAProduct;

/// The longest document that is read, in bytes.
pub(super) const LARGEST: usize = 32 * 1024 * 1024;
/// The most operations that a product may have.
pub(super) const MOST: usize = 20_000;

/// Reads a document of either kind.
pub(super) fn read<T: DeserializeOwned>(text: &str, expected: &'static str) -> Result<T, NotAProduct> {
    if text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) {
        json(text, expected)
    } else {
        let wrong = |why: String| NotAProduct::Unreadable { expected, why: first_line(&why) };
        serde_saphyr::from_str(text).map_err(|why| wrong(why.to_string()))
    }
}

/// Reads a document of JSON.
pub(super) fn json<T: DeserializeOwned>(text: &str, expected: &'static str) -> Result<T, NotAProduct> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text)
        .map_err(|why| NotAProduct::Unreadable { expected, why: first_line(&why.to_string()) })
}

/// Parsers show what they read, which may be anything.
fn first_line(why: &str) -> String {
    super::operation::plain(why.lines().next().unwrap_or_default())
}

/// A mapping in which no key stands twice, in its own order. (Which of two would count is a matter of who reads it.)
#[derive(Debug)]
pub(super) struct Unique<V>(pub(super) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
    type Value = Unique<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<V>, A::Error> {
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("{key:?} stands there twice")));
            }
            if entries.len() >= MOST {
                return Err(A::Error::custom(format!("there are more than {MOST} entries")));
            }
            entries.push((key, value));
        }
        Ok(Unique(entries))
    }
}
