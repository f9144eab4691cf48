//! The parameters of a request in either cloud's RPC style: of the query and of the form in the body, none of them twice.

use std::borrow::Cow;

use bytes::Bytes;
use url::form_urlencoded;

use crate::sidecar::adapter::NotUnderstood;

/// Parameters by name, decoded.
pub(super) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// Reads them. What stands twice could be read as either.
    pub(super) fn read(query: Option<&'a str>, form: &'a Bytes) -> Result<Self, NotUnderstood> {
        let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let mut all: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for (name, value) in query.chain(form_urlencoded::parse(form)) {
            if all.len() >= MOST {
                return Err(NotUnderstood::Malformed {
                    what: "the request",
                    expected: "one of a few parameters",
                });
            }
            // Names are told apart by their case; nobody sends two that differ in nothing else.
            if all.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                return Err(NotUnderstood::Ambiguous("a parameter"));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    /// The value of `name`; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be there.
    pub(super) fn must(&self, name: &'static str) -> Result<&str, NotUnderstood> {
        self.get(name).ok_or(NotUnderstood::Malformed { what: name, expected: "given" })
    }

    /// Whether any that is not empty has such a name.
    pub(super) fn any(&self, named: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|(name, value)| named(name) && !value.is_empty())
    }
}

/// More than any such request has.
const MOST: usize = 100;
