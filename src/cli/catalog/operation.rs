//! Operations, and where each is put: with what reads, with what changes, or only with the whole product.
//!
//! Doubt goes to where less is given: what is not known to read is taken for a change, and what hands out secrets or
//! rights is in neither part, so that only who grants the whole product grants it.

use std::collections::BTreeMap;

/// One operation of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    /// Its name in an action, behind the colon.
    pub(super) name: String,
    /// Where it is put.
    pub(super) part: Part,
    /// Why.
    pub(super) why: String,
    /// What the document calls it: two that are called otherwise must not become one.
    pub(super) origin: String,
}

/// Where an operation is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// `:read`
    Read,
    /// `:write`
    Write,
    /// The product scope alone.
    Whole,
}

/// A product, as its document describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Product {
    /// Its short name, which its actions begin with, if the document has one.
    pub(super) name: Option<String>,
    /// Its title for people.
    pub(super) title: Option<String>,
    /// What it can do.
    pub(super) operations: Vec<Operation>,
    /// What every scope gives, so that a client can talk to it at all.
    pub(super) always: &'static [&'static str],
}

/// A document that no scope file can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAProduct {
    /// It is not what it was said to be.
    #[error("it is not {expected}: {why}")]
    Unreadable {
        /// What was expected.
        expected: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Something in it cannot be an action.
    #[error("{0}")]
    Operation(String),
}

impl Operation {
    /// The place that a name alone speaks for: its first word says whether it reads.
    pub(super) fn by_name(name: &str) -> (Part, String) {
        let words = words(name);
        let first = words.first().copied().unwrap_or_default();
        let changing = words
            .windows(2)
            .find(|pair| matches!(pair, ["And" | "Or", verb] if CHANGES.contains(verb)))
            .and_then(|pair| pair.last().copied());
        let first = match first {
            "Batch" => words.get(1).copied().unwrap_or_default(),
            other => other,
        };
        match changing {
            Some(verb) => (Part::Write, format!("its name speaks of {verb}")),
            None if READS.contains(&first) => (Part::Read, format!("its name begins with {first}")),
            None if CHANGES.contains(&first) => (Part::Write, format!("its name begins with {first}")),
            None => (Part::Write, "nothing says that it only reads".to_owned()),
        }
    }

    /// The same place, or the product scope alone where the name speaks of what is worth more than the product.
    pub(super) fn guarded(name: &str, (part, why): (Part, String)) -> (Part, String) {
        let words = words(name);
        let has = |list: &[&str]| words.iter().find(|word| list.contains(*word)).copied();
        let key = words.windows(2).any(|pair| matches!(pair, ["Access" | "Private", "Key" | "Keys"]));
        match (part, has(SECRETS).or_else(|| key.then_some("keys")), has(RIGHTS)) {
            (_, Some(word), _) => (Part::Whole, format!("{why}, and it may hand out secrets ({word})")),
            (Part::Write, None, Some(word)) => {
                (Part::Whole, format!("{why}, and it may give rights to others ({word})"))
            }
            (part, None, _) => (part, why),
        }
    }
}

/// One list, without what stands twice for the same thing.
///
/// # Errors
/// Two operations would be one action, and what is granted for the one would be granted for the other.
pub(super) fn distinct(operations: Vec<Operation>) -> Result<Vec<Operation>, NotAProduct> {
    let mut by_name: BTreeMap<String, Operation> = BTreeMap::new();
    for operation in operations {
        // Clouds and people do not look at the case of letters.
        let key = operation.name.to_ascii_lowercase();
        match by_name.get(&key) {
            None => {
                by_name.insert(key, operation);
            }
            Some(known) if *known == operation => {}
            Some(known) => {
                return Err(NotAProduct::Operation(format!(
                    "{} and {} would both be the action {}; give each a name of its own",
                    known.origin, operation.origin, known.name
                )));
            }
        }
    }
    Ok(by_name.into_values().collect())
}

/// Text from outside as one line that shows what it is: no controls, nothing invisible, not too long.
pub(super) fn plain(text: &str) -> String {
    let shown: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let shown = crate::model::audit::harmless(shown);
    let mut line = shown.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.chars().count() > LONGEST_TEXT {
        line = line.chars().take(LONGEST_TEXT).chain("…".chars()).collect();
    }
    line
}

/// The words of a name in CamelCase, abbreviations as one (`DescribeDBInstances`: `Describe`, `DBInstances`).
fn words(name: &str) -> Vec<&str> {
    let mut ends: Vec<usize> = name
        .bytes()
        .zip(name.bytes().skip(1))
        .enumerate()
        .filter(|(_, (before, after))| !before.is_ascii_uppercase() && after.is_ascii_uppercase())
        .map(|(index, _)| index + 1)
        .collect();
    ends.push(name.len());
    let mut from = 0;
    ends.into_iter()
        .filter_map(|end| {
            let word = name.get(from..end);
            from = end;
            word
        })
        .collect()
}

/// Of a text that is shown.
const LONGEST_TEXT: usize = 120;

const READS: &[&str] = &[
    "Check", "Count", "Describe", "Download", "Exists", "Fetch", "Find", "Get", "Has", "Head", "Is", "List",
    "Lookup", "Query", "Read", "Scan", "Search", "Select", "Show", "View",
];
const CHANGES: &[&str] = &[
    "Add",
    "Allocate",
    "Apply",
    "Attach",
    "Authorize",
    "Bind",
    "Cancel",
    "Change",
    "Clear",
    "Copy",
    "Create",
    "Deactivate",
    "Delete",
    "Detach",
    "Disable",
    "Enable",
    "Execute",
    "Import",
    "Insert",
    "Install",
    "Invoke",
    "Modify",
    "Move",
    "Patch",
    "Post",
    "Publish",
    "Purge",
    "Put",
    "Reboot",
    "Release",
    "Remove",
    "Rename",
    "Replace",
    "Reset",
    "Restart",
    "Restore",
    "Revoke",
    "Rotate",
    "Run",
    "Send",
    "Set",
    "Start",
    "Stop",
    "Submit",
    "Tag",
    "Terminate",
    "Unbind",
    "Untag",
    "Update",
    "Upload",
    "Write",
];
const SECRETS: &[&str] =
    &["Secret", "Secrets", "Password", "Passwords", "Credential", "Credentials", "Token", "Tokens"];
const RIGHTS: &[&str] = &["Policy", "Policies", "Permission", "Permissions", "Acl", "Role", "Roles"];
