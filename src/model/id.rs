//! Typed identifiers, so that an account is never taken for an application.
//!
//! All are short, printable and safe in a URL, a Redis key, a log line and a Cedar entity id without quoting.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is 1 to 128 characters of A-Z a-z 0-9 . _ - @, but this is {0:?}")]
pub struct NotAnId(String);

fn parse(text: &str) -> Result<Arc<str>, NotAnId> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@');
    if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
        return Err(NotAnId(text.chars().take(140).collect()));
    }
    Ok(Arc::from(text))
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;
            fn try_from(text: String) -> Result<Self, NotAnId> {
                parse(&text).map(Self)
            }
        }

        impl From<$name> for Arc<str> {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier!(
    /// A tenant's number, such as `1000000000000001`.
    AccountId
);
identifier!(
    /// An identity inside an account: a user's or a role's id; the root identity's is the account's own number.
    PrincipalId
);
identifier!(
    /// An OAuth client's `client_id` (RFC 6749 §2.2).
    ApplicationId
);
identifier!(
    /// A group of users inside an account, by name.
    GroupName
);
identifier!(
    /// All tokens that came from one authorization code: they are rotated, and die, together.
    FamilyId
);
identifier!(
    /// A decision record's id, as every answer of a sidecar carries it in `x-consentry-decision`.
    DecisionId
);
identifier!(
    /// A sidecar, as enrolled; or one of its processes: the sidecar's name, a dot and eight hexadecimal digits.
    SidecarId
);

impl SidecarId {
    /// The name that a process's sidecar is enrolled by.
    #[must_use]
    pub fn enrolment(&self) -> &str {
        let process = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        match self.0.rsplit_once('.') {
            Some((name, word)) if process(word) && !name.is_empty() => name,
            Some(_) | None => &self.0,
        }
    }
}

impl DecisionId {
    /// A UUID's text is an identifier.
    #[must_use]
    pub fn of(uuid: &uuid::Uuid) -> Self {
        Self(Arc::from(uuid.to_string()))
    }
}

/// What a grant is about: one account's authorization of one application. Its text form, and the grant's id in
/// records, is `account/application`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GrantKey {
    /// The account that authorized.
    pub account: AccountId,
    /// The application that was authorized.
    pub application: ApplicationId,
}

impl fmt::Display for GrantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.application)
    }
}

/// A grant's number. It only rises, whatever happens to the grant, so that what was issued under an older
/// installation can never come back to life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The next number.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the store's change log. Sidecars follow it and acknowledge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_keeps_its_text() {
        let id: ApplicationId = "4611686018427387904".parse().unwrap();
        assert_eq!(id.to_string(), "4611686018427387904");
    }

    #[test]
    fn a_process_leads_to_its_sidecar_and_a_sidecar_to_itself() {
        for (process, sidecar) in [
            ("web-1.0a1b2c3d", "web-1"),
            ("web-1.eu.0a1b2c3d", "web-1.eu"),
            ("web-1.eu", "web-1.eu"),
            ("web-1", "web-1"),
        ] {
            assert_eq!(process.parse::<SidecarId>().unwrap().enrolment(), sidecar);
        }
    }

    #[test]
    fn an_identifier_is_refused_when_it_could_mean_something_elsewhere() {
        for text in ["", "a b", "a/b", "a\"b", "a\nb", "ü", &"x".repeat(129)] {
            assert!(text.parse::<AccountId>().is_err(), "{text:?} was taken");
        }
    }
}
