//! What the change log says: which facts are to be read again. The facts themselves never stand in it.

use super::account::PrincipalKey;
use super::id::{ApplicationId, GrantKey, Seq};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place.
    pub seq: Seq,
    /// What changed. The new facts are read from the store, never from the log.
    pub subject: Subject,
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A grant, its assignment included.
    Grant(GrantKey),
    /// A principal: disabled, enabled, rights or groups changed.
    Principal(PrincipalKey),
    /// A principal beside one grant: personal consent, an ended token family.
    Member(GrantKey, PrincipalKey),
    /// An application, changed or disabled by its publisher.
    Application(ApplicationId),
    /// The signing keys.
    Keys,
}
