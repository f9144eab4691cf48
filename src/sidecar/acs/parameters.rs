//! What the parameters of a request name: the operation, its version, the region, the account, what is acted upon.
//!
//! Comes in: query and form, still encoded, and the product's description. Goes out: each fact once. Whatever could be
//! read in two ways is refused: a parameter that stands twice and says two things, in one place or in two; one that
//! another server would find behind a semicolon; one that is only spelled otherwise.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::model::id::AccountId;
use crate::policy::calls::{Calls, List, Use};
use crate::sidecar::adapter::NotUnderstood;

/// What was found so far.
#[derive(Default)]
pub(in crate::sidecar) struct Facts<'r> {
    /// The operation.
    pub(in crate::sidecar) operation: Option<Cow<'r, str>>,
    /// The interface's version.
    pub(in crate::sidecar) version: Option<Cow<'r, str>>,
    /// The region.
    pub(in crate::sidecar) region: Option<String>,
    /// The account that owns what is acted upon.
    pub(in crate::sidecar) account: Option<AccountId>,
    /// What is acted upon.
    pub(in crate::sidecar) resources: Vec<String>,
    /// Whether a part of a credential is among them.
    pub(in crate::sidecar) credential: bool,
    /// What is acted upon, by the parameter that says of which kind it is, and the rest of its name.
    unsorted: Vec<(String, String)>,
    /// What such parameters say.
    kinds: Vec<(usize, String)>,
    /// Each parameter that was used: its place in the description, its number in a list, its value.
    used: Vec<(usize, String, String)>,
}

impl<'r> Facts<'r> {
    /// Takes in what a query or a form says.
    pub(in crate::sidecar) fn take(&mut self, encoded: &'r [u8], calls: &Calls) -> Result<(), NotUnderstood> {
        for piece in encoded.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
            let Some((name, value)) = form_urlencoded::parse(piece).next() else { continue };
            let found = calls.usage(plain(&name));
            if piece.contains(&b';') {
                // Some servers end a parameter at a semicolon, and find another behind it.
                for part in piece.split(|byte| *byte == b';') {
                    let Some((name, _)) = form_urlencoded::parse(part).next() else { continue };
                    if let Some((_, usage, _)) = calls.usage(plain(&name)) {
                        return Err(NotUnderstood::Ambiguous(what(usage)));
                    }
                }
            }
            if let Some((at, usage, number)) = found {
                self.note(at, usage, number, value)?;
            }
        }
        Ok(())
    }

    /// These, and those of the form. What both name must be alike; so must an operation that is named in both.
    pub(in crate::sidecar) fn with(mut self, form: Self, calls: &Calls) -> Result<Self, NotUnderstood> {
        for (mine, theirs, usage) in [
            (&mut self.operation, form.operation, &Use::Operation),
            (&mut self.version, form.version, &Use::Version),
        ] {
            if mine.is_some() && theirs.is_some() && *mine != theirs {
                return Err(NotUnderstood::Ambiguous(what(usage)));
            }
            *mine = mine.take().or(theirs);
        }
        let differs = |(at, number, value): &(usize, String, String)| {
            self.used.iter().any(|(known, of, other)| known == at && of == number && other != value)
        };
        if form.used.iter().any(differs) {
            return Err(NotUnderstood::Ambiguous("a parameter"));
        }
        let (mine, theirs) = (self.account.take(), form.account);
        if mine.is_some() && theirs.is_some() && mine != theirs {
            return Err(NotUnderstood::Ambiguous(what(&Use::Account)));
        }
        self.account = mine.or(theirs);
        let (mine, theirs) = (self.region.take(), form.region);
        if mine.is_some() && theirs.is_some() && mine != theirs {
            return Err(NotUnderstood::Ambiguous(what(&Use::Region)));
        }
        self.region = mine.or(theirs);
        self.resources.extend(form.resources);
        self.unsorted.extend(form.unsorted);
        self.kinds.extend(form.kinds);
        for (parameter, rest) in std::mem::take(&mut self.unsorted) {
            let is_it = |(at, _): &&(usize, String)| {
                calls.usage(&parameter).is_some_and(|(known, _, _)| known == *at)
            };
            let (_, kind) = self.kinds.iter().find(is_it).ok_or(KIND)?;
            self.resources.push(format!("{kind}{rest}"));
        }
        // Mostly there is one.
        if self.resources.len() > 1 {
            let mut seen = std::collections::HashSet::new();
            self.resources.retain(|resource| seen.insert(resource.clone()));
        }
        self.credential |= form.credential;
        Ok(self)
    }

    fn note(
        &mut self,
        at: usize,
        usage: &Use,
        number: &str,
        value: Cow<'r, str>,
    ) -> Result<(), NotUnderstood> {
        let same = |place: &mut Option<Cow<'r, str>>, value: Cow<'r, str>| match place {
            Some(_) => Err(NotUnderstood::Ambiguous(what(usage))),
            None => {
                *place = Some(value);
                Ok(())
            }
        };
        match usage {
            // `Action.1` is not it.
            Use::Operation if number.is_empty() => return same(&mut self.operation, value),
            Use::Version if number.is_empty() => return same(&mut self.version, value),
            Use::Operation | Use::Version => return Err(NotUnderstood::Ambiguous(what(usage))),
            // The upstream reads the one without, which may say another.
            Use::Region if !number.is_empty() => return Err(NotUnderstood::Ambiguous(what(usage))),
            Use::Credential => {
                self.credential = true;
                return Ok(());
            }
            Use::Region | Use::Account | Use::Kind | Use::Resource(..) => {}
        }
        let number = number.to_ascii_lowercase();
        let earlier = self.used.iter().find(|(known, of, _)| *known == at && *of == number);
        if let Some((_, _, earlier)) = earlier {
            return if *earlier == *value { Ok(()) } else { Err(NotUnderstood::Ambiguous(what(usage))) };
        }
        match usage {
            Use::Operation | Use::Version | Use::Credential => {}
            Use::Region => self.region = Some(text(&value)?.to_owned()),
            Use::Account => {
                let account = value.parse::<AccountId>().map_err(|_| NotUnderstood::Malformed {
                    what: "the account among the parameters",
                    expected: "an account's number",
                })?;
                if self.account.replace(account.clone()).is_some_and(|other| other != account) {
                    return Err(NotUnderstood::Ambiguous(what(usage)));
                }
            }
            Use::Kind => {
                let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
                if !plain || !number.is_empty() {
                    return Err(KIND);
                }
                self.kinds.push((at, value.to_ascii_lowercase()));
            }
            Use::Resource(name, list) => {
                for value in values(&value, *list, !number.is_empty())? {
                    let filled = name.fill(text(&value)?);
                    match name.kind() {
                        Some(kind) => self.unsorted.push((kind.to_owned(), filled)),
                        None => self.resources.push(filled),
                    }
                }
            }
        }
        if self.used.len() >= MOST || self.resources.len() + self.unsorted.len() > MOST {
            return Err(NotUnderstood::Malformed {
                what: "what is acted upon",
                expected: "at most 100 names",
            });
        }
        self.used.push((at, number, value.into_owned()));
        Ok(())
    }
}

/// The names that one value holds.
fn values(value: &str, list: List, is_numbered: bool) -> Result<Vec<Cow<'_, str>>, NotUnderstood> {
    match list {
        List::No => Ok(vec![Cow::Borrowed(value)]),
        List::Comma => Ok(value.split(',').map(|one| Cow::Borrowed(one.trim())).collect()),
        // Of some operations the same parameter is a list with numbers.
        List::Json if is_numbered && !value.trim_start().starts_with('[') => Ok(vec![Cow::Borrowed(value)]),
        List::Json => {
            let read: Vec<String> = serde_json::from_str(value).map_err(|_| NotUnderstood::Malformed {
                what: "a list of names",
                expected: "a JSON array of texts",
            })?;
            Ok(read.into_iter().map(Cow::Owned).collect())
        }
    }
}

/// A name that policy and upstream read alike.
fn text(value: &str) -> Result<&str, NotUnderstood> {
    // What could be a list to the upstream is one that the description has to say.
    let is_list = value.contains([',', '[', ']', '{', '}', '"']);
    let odd = value.is_empty()
        || value.len() > 256
        || value.trim() != value
        || is_list
        || value.chars().any(char::is_control);
    if odd {
        return Err(NotUnderstood::Malformed {
            what: "a name among the parameters",
            expected: "a plain text",
        });
    }
    Ok(value)
}

/// A parameter's name without what some servers take off it.
fn plain(name: &str) -> &str {
    name.trim_matches(|c: char| c.is_whitespace() || c.is_control())
}

fn what(usage: &Use) -> &'static str {
    match usage {
        Use::Operation => "the operation",
        Use::Version => "the version",
        Use::Region => "the region",
        Use::Account => "the account",
        Use::Resource(..) | Use::Kind => "what is acted upon",
        Use::Credential => "the credential",
    }
}

const KIND: NotUnderstood = NotUnderstood::Malformed {
    what: "the kind of what is acted upon",
    expected: "said once, in letters and digits",
};
/// Names in one call.
const MOST: usize = 100;
