//! The parameters of a request in either cloud's RPC style: of the query and of the form in the body, none of them twice,
//! and those that say what may be had spelled as the clouds do: what one reader knows by another spelling, and another
//! not, would be given more than it asked for.

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
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            if !name.bytes().all(plain) {
                let expected = "made of letters, digits and . - _";
                return Err(NotUnderstood::Malformed { what: "the name of a parameter", expected });
            }
            if let Some(what) = spelled_otherwise(&name) {
                let expected = "spelled so: its case counts";
                return Err(NotUnderstood::Malformed { what, expected });
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

/// The parameter that `name` would be, were it not for the case of its letters.
fn spelled_otherwise(name: &str) -> Option<&'static str> {
    // Those of a list have more behind their name.
    let begins = |known: &str, whole: bool| {
        let begin = name.get(..known.len()).filter(|begin| begin.eq_ignore_ascii_case(known));
        begin.is_some_and(|begin| begin != known && (!whole || name.len() == known.len()))
    };
    let one = ONES.iter().find(|known| begins(known, true));
    one.or_else(|| LISTS.iter().find(|known| begins(known, false))).copied()
}

/// What says who it is, for what and for how long, in the words of either cloud.
const ONES: &[&str] = &[
    "DurationSeconds",
    "ExternalId",
    "OIDCProviderArn",
    "OIDCToken",
    "Policy",
    "ProviderId",
    "RoleArn",
    "RoleSessionName",
    "SerialNumber",
    "SourceIdentity",
    "TokenCode",
    "WebIdentityToken",
];

/// What may be said several times, with a number behind.
const LISTS: &[&str] = &["PolicyArns", "ProvidedContexts", "Tag.", "Tags", "TransitiveTagKeys"];

/// More than any such request has.
const MOST: usize = 100;
