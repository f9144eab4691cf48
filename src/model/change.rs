//! What the change log says: which facts are to be read again. The facts themselves never stand in it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::account::PrincipalKey;
use super::id::{ApplicationId, GrantKey, Seq};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its place.
    pub seq: Seq,
    /// What changed. The new facts are read from the store, never from the log.
    pub subject: Subject,
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A grant, its assignment included, as far as that is not one of single members.
    Grant(GrantKey),
    /// A principal: disabled, enabled, rights or groups changed.
    Principal(PrincipalKey),
    /// A principal beside one grant: personal consent, an ended token family, assigned or not.
    Member(GrantKey, PrincipalKey),
    /// An application, changed or disabled by its publisher.
    Application(ApplicationId),
    /// The signing keys, and which sidecars are enrolled.
    Keys,
    /// The policy authors' files, as the control plane hands them to sidecars that have none of their own.
    Policies,
}

/// Its text is the same on every machine: slots are counted by it.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(grant) => write!(f, "grant/{grant}"),
            Self::Principal(PrincipalKey { account, kind, id }) => {
                write!(f, "principal/{account}/{kind}/{id}")
            }
            Self::Member(grant, PrincipalKey { kind, id, .. }) => write!(f, "member/{grant}/{kind}/{id}"),
            Self::Application(application) => write!(f, "application/{application}"),
            Self::Keys => f.write_str("keys"),
            Self::Policies => f.write_str("policies"),
        }
    }
}

/// Which life of the store a place in its change log belongs to: made with the store, and made anew when it is
/// copied, so that places of one log are never taken for places of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub String);
