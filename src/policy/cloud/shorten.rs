//! The names of a session policy, and how they become shorter without allowing more.
//!
//! A name may become a beginning of it with `*` behind, whole words only and never less than one (`ecs:Describe*`,
//! never `ecs:*`), where nothing that begins so is barred. Each step takes the beginning that saves most, so that as
//! few as possible are needed.

use std::collections::BTreeSet;

use super::{Barred, Held};

/// What a policy's `Action` lists.
pub(super) struct Patterns(Vec<String>);

impl Patterns {
    /// The names as they are.
    pub(super) fn exact<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.map(ToOwned::to_owned).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether one of them takes in `name`.
    pub(super) fn allow(&self, name: &str) -> bool {
        self.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => begins(name, beginning),
            None => pattern.eq_ignore_ascii_case(name),
        })
    }

    /// One step shorter, or nothing and false. `held` are the permissions that the policy is to allow.
    pub(super) fn shorten(&mut self, held: &Held, barred: &[Barred]) -> bool {
        let beginnings: BTreeSet<&str> = held.spelled().flat_map(beginnings).collect();
        let best = beginnings
            .into_iter()
            .filter_map(|beginning| Some((self.saved(beginning)?, beginning)))
            .filter(|(_, beginning)| is_safe(beginning, held, barred))
            // Of two that save the same, the one that says more.
            .max_by_key(|(saved, beginning)| (*saved, beginning.len()));
        let Some((_, beginning)) = best else { return false };
        self.0.retain(|pattern| !begins(pattern, beginning));
        self.0.push(format!("{beginning}*"));
        self.0.sort();
        true
    }

    /// How many characters are saved by writing `beginning*` for all that begin so; nothing when none are.
    fn saved(&self, beginning: &str) -> Option<usize> {
        let before: usize = self
            .iter()
            .filter(|pattern| begins(pattern, beginning))
            .map(|pattern| pattern.len() + QUOTED)
            .sum();
        before.checked_sub(beginning.len() + 1 + QUOTED).filter(|saved| *saved > 0)
    }
}

/// Whether no barred action could come in by it: neither under its own name, nor by a permission that is not held yet.
fn is_safe(beginning: &str, held: &Held, barred: &[Barred]) -> bool {
    let new = |name: &str| begins(name, beginning) && !held.has(name);
    !barred.iter().any(|barred| new(&barred.name) || barred.needs.iter().any(|name| new(name)))
}

/// Without regard to the case of letters.
fn begins(name: &str, beginning: &str) -> bool {
    name.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

/// The beginnings of a permission's name that end with a word, from one word of the operation to all but the last.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let operation = name.find(':').map_or(name.len(), |colon| colon + 1);
    let starts = name.bytes().zip(name.bytes().skip(1)).enumerate();
    let ends =
        starts.filter(|(_, (before, after))| !before.is_ascii_uppercase() && after.is_ascii_uppercase());
    ends.map(|(index, _)| index + 1).filter(move |end| *end > operation).filter_map(|end| name.get(..end))
}

/// What a name costs beyond its letters: two quotes and a comma.
const QUOTED: usize = 3;
