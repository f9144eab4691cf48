//! The lists in a server's answers, narrowed to what the caller may call.
//!
//! Comes in: one message of a server, and who says of an entry whether it may stay. Goes out: the same message to the
//! letter but for the entries that go. An entry that has no name, two, or one that
//! could not be asked for goes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::message::Target;
use super::resource::Uri;

/// A server's message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The message without the entries that may not stay; none if it stays as it is. One whose entries cost more than
/// [`MOST`] decisions is unreadable.
pub(super) fn narrow(
    text: &str,
    stays: &mut dyn FnMut(&Target) -> bool,
) -> Result<Option<String>, Unreadable> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut judged = 0_usize;
    let mut counted = |target: &Target| {
        judged = judged.saturating_add(target.decisions());
        judged <= MOST && stays(target)
    };
    let narrowed =
        if text.starts_with('[') { messages(text, &mut counted) } else { message(text, &mut counted) };
    if judged > MOST { Err(Unreadable) } else { narrowed }
}

fn message(text: &str, stays: &mut dyn FnMut(&Target) -> bool) -> Result<Option<String>, Unreadable> {
    let message: Members<'_> = serde_json::from_str(text).map_err(|_| Unreadable)?;
    members(&message, |name, value| match name {
        "result" if is_object(value) => result(value, stays),
        _ => Ok(None),
    })
}

/// Several messages in one, as versions before 2025-06-18 may send them. Each is an object: they do not nest, however
/// deep a server nests them.
fn messages(text: &str, stays: &mut dyn FnMut(&Target) -> bool) -> Result<Option<String>, Unreadable> {
    let all: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Unreadable)?;
    let mut changed = Vec::new();
    for one in &all {
        changed.push(message(one.get(), stays)?);
    }
    if changed.iter().all(Option::is_none) {
        return Ok(None);
    }
    let parts = all.iter().zip(&changed).map(|(one, other)| other.as_deref().unwrap_or(one.get()));
    Ok(Some(format!("[{}]", parts.collect::<Vec<_>>().join(","))))
}

fn result(text: &str, stays: &mut dyn FnMut(&Target) -> bool) -> Result<Option<String>, Unreadable> {
    let result: Members<'_> = serde_json::from_str(text).map_err(|_| Unreadable)?;
    let lists = result.0.iter().any(|(name, value)| entry(name).is_some() && value.get().starts_with('['));
    members(&result, |name, value| match entry(name) {
        Some((member, target)) if value.starts_with('[') => entries(value, member, target, stays),
        // What is left is this caller's own.
        None if lists && name == "cacheScope" => Ok(Some("\"private\"".to_owned())),
        Some(_) | None => Ok(None),
    })
}

fn entries(
    text: &str,
    member: &str,
    target: fn(String) -> Option<Target>,
    stays: &mut dyn FnMut(&Target) -> bool,
) -> Result<Option<String>, Unreadable> {
    let all: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Unreadable)?;
    let (before, mut kept) = (all.len(), Vec::with_capacity(all.len()));
    for one in all {
        if named(one.get(), member).and_then(target).is_some_and(|target| stays(&target)) {
            kept.push(one.get());
        }
    }
    Ok((kept.len() < before).then(|| format!("[{}]", kept.join(","))))
}

/// The one name of an entry.
fn named(entry: &str, member: &str) -> Option<String> {
    let Members(members) = serde_json::from_str(entry).ok()?;
    let mut names = members.iter().filter(|(name, _)| name == member);
    let (_, value) = names.next()?;
    if names.next().is_some() { None } else { serde_json::from_str(value.get()).ok() }
}

/// What names a list's entries, and what these are.
type Entry = (&'static str, fn(String) -> Option<Target>);

/// So many decisions are made on one message. Servers page their lists, most of them at a hundred entries or fewer.
pub(super) const MOST: usize = 1_000;

/// The lists that a result can hold.
fn entry(name: &str) -> Option<Entry> {
    match name {
        "tools" => Some(("name", |name| Some(Target::Tool(name)))),
        "prompts" => Some(("name", |name| Some(Target::Prompt(name)))),
        "resources" => Some(("uri", |uri| Uri::read(&uri).map(Target::Resource))),
        "resourceTemplates" => Some(("uriTemplate", |uri| Uri::read(&uri).map(Target::Resource))),
        _ => None,
    }
}

/// The object with those members replaced that `change` replaces; none if it replaces none.
fn members(
    object: &Members<'_>,
    mut change: impl FnMut(&str, &str) -> Result<Option<String>, Unreadable>,
) -> Result<Option<String>, Unreadable> {
    let mut changed = Vec::new();
    for (name, value) in &object.0 {
        changed.push(change(name, value.get())?);
    }
    // Mostly nothing is, and a long text is not copied for that.
    if changed.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut written = String::from("{");
    for ((name, value), other) in object.0.iter().zip(&changed) {
        let name = serde_json::to_string(name).map_err(|_| Unreadable)?;
        let comma = if written.len() > 1 { "," } else { "" };
        written.extend([comma, name.as_str(), ":", other.as_deref().unwrap_or(value.get())]);
    }
    written.push('}');
    Ok(Some(written))
}

fn is_object(value: &str) -> bool {
    value.starts_with('{')
}

/// An object's members as they stand.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Ordered).map(Members)
    }
}

struct Ordered;

impl<'de> Visitor<'de> for Ordered {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
