//! Browser sessions, and consents that are waiting for a person to decide.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Actor, Entry, StoreError};
use crate::model::account::{Principal, PrincipalKey};
use crate::model::id::AccountId;

/// A person logged in at a browser. The cookie is 256 random bits; only its hash is kept.
#[derive(Debug, Clone)]
pub struct BrowserSession {
    /// SHA-256 of the cookie.
    pub hash: [u8; 32],
    /// Who.
    pub principal: PrincipalKey,
    /// When they proved who they are. Where a provider vouched for them, that was there, and can be long ago.
    pub authenticated_at: Timestamp,
    /// When it began here.
    pub opened_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// How they proved who they are, in order.
    pub factors: Vec<Factor>,
    /// From which address; empty when that is not known.
    pub address: String,
    /// What the browser called itself, cut; empty when it did not.
    pub user_agent: String,
    /// The provider that vouched for them, if one did.
    pub vouched: Option<Vouched>,
}

impl BrowserSession {
    /// A session that began with the proof of a password at `at`, and of which nothing else is known.
    #[must_use]
    pub fn new(hash: [u8; 32], principal: PrincipalKey, at: Timestamp, expires_at: Timestamp) -> Self {
        Self {
            hash,
            principal,
            authenticated_at: at,
            opened_at: at,
            expires_at,
            factors: vec![Factor::Password],
            address: String::new(),
            user_agent: String::new(),
            vouched: None,
        }
    }

    /// The name that lists give it.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId::of(&self.hash)
    }
}

/// A way to prove who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// A password of the embedded directory.
    Password,
    /// A time-based one-time code (RFC 6238).
    Totp,
    /// A passkey (WebAuthn).
    Passkey,
    /// A code kept for the day on which the rest is lost.
    RecoveryCode,
    /// An organization's own OpenID provider says so.
    Provider,
}

impl Factor {
    /// The word in the store and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Passkey => "passkey",
            Self::RecoveryCode => "recovery-code",
            Self::Provider => "provider",
        }
    }
}

/// The word names no factor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no way to log in is called {0:?}")]
pub struct NotAFactor(String);

impl FromStr for Factor {
    type Err = NotAFactor;
    fn from_str(text: &str) -> Result<Self, NotAFactor> {
        [Self::Password, Self::Totp, Self::Passkey, Self::RecoveryCode, Self::Provider]
            .into_iter()
            .find(|factor| factor.as_str() == text)
            .ok_or_else(|| NotAFactor(text.to_owned()))
    }
}

/// Who vouched for a session: so it ends when they take their word back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The provider's name here.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// Its word for the person (`sub`).
    pub subject: String,
    /// Its word for the session there (`sid`), if it gave one.
    pub session: Option<String>,
}

/// A session's name in lists: the first half of the hash by which it is kept. It proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// The name of the session with this hash.
    #[must_use]
    pub fn of(hash: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(hash.first_chunk::<16>().unwrap_or(&[0; 16]));
        Self(half)
    }

    /// The least and the greatest hash that the name may stand for.
    pub(in crate::store) fn bounds(self) -> ([u8; 32], [u8; 32]) {
        let (mut least, mut greatest) = ([0; 32], [u8::MAX; 32]);
        for (index, byte) in self.0.into_iter().enumerate() {
            for bound in [&mut least, &mut greatest] {
                if let Some(place) = bound.get_mut(index) {
                    *place = byte;
                }
            }
        }
        (least, greatest)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no session's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session's name is 32 hexadecimal digits")]
pub struct NotASessionId;

impl FromStr for SessionId {
    type Err = NotASessionId;
    fn from_str(text: &str) -> Result<Self, NotASessionId> {
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(lower) {
            return Err(NotASessionId);
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| NotASessionId)
    }
}

/// Where a list of sessions goes on: after the session that began then and has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPlace {
    /// When that one began.
    pub opened_at: Timestamp,
    /// Its name.
    pub id: SessionId,
}

/// Which live sessions are wanted, the newest first.
#[derive(Debug, Clone)]
pub struct SessionFilter {
    /// Of this account.
    pub account: AccountId,
    /// Only this principal's.
    pub of: Option<PrincipalKey>,
    /// Only those after this one.
    pub after: Option<SessionPlace>,
    /// At most so many.
    pub limit: u32,
}

/// Which sessions a provider has ended (OpenID Connect Back-Channel Logout 1.0 section 2.4).
#[derive(Debug, Clone)]
pub struct TakenBack {
    /// The provider's issuer.
    pub issuer: String,
    /// Whose, if it named the person.
    pub subject: Option<String>,
    /// Which session there, if it named one.
    pub session: Option<String>,
    /// Only those that began until then.
    pub until: Timestamp,
}

/// A consent page that was shown and not answered yet. Good for one answer, in the session that it was shown in.
#[derive(Debug, Clone)]
pub struct PendingConsent {
    /// SHA-256 of the transaction's id, which stands in the form.
    pub hash: [u8; 32],
    /// SHA-256 of the session cookie that it was shown to.
    pub session: [u8; 32],
    /// The whole checked authorization request with what was shown, as JSON of the control plane's own.
    pub request: String,
    /// When it ends: ten minutes after it was shown.
    pub expires_at: Timestamp,
}

/// The sessions.
#[async_trait]
pub trait Sessions {
    /// Opens the session of somebody who comes in, in the place of the one before, with its audit. `Conflict` when
    /// what it rests on was changed since it was checked: nothing is opened or ended then.
    async fn enter(&self, entry: &Entry) -> Result<(), StoreError>;
    /// Keeps a session of somebody who is enabled, whatever it rests on: nobody comes in by this.
    async fn open_session(&self, session: &BrowserSession) -> Result<(), StoreError>;
    /// The live session of an enabled principal.
    async fn session(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<(BrowserSession, Principal)>, StoreError>;
    /// Ends a session.
    async fn close_session(&self, hash: &[u8; 32]) -> Result<(), StoreError>;
    /// Live sessions with whose they are.
    async fn sessions(
        &self,
        filter: &SessionFilter,
        now: Timestamp,
    ) -> Result<Vec<(BrowserSession, Principal)>, StoreError>;
    /// Ends the session of this name if it is in `account` and, where given, `of`'s; writes the audit. Otherwise
    /// `Missing`.
    async fn end_session(
        &self,
        account: &AccountId,
        of: Option<&PrincipalKey>,
        id: SessionId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Ends all of a principal's sessions but the one with the hash `but`; writes the audit, and says how many.
    async fn end_sessions(
        &self,
        of: &PrincipalKey,
        but: Option<&[u8; 32]>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<u64, StoreError>;
    /// Ends the sessions that a provider no longer vouches for, in `accounts` only; writes the audit, and says how
    /// many.
    async fn take_back(
        &self,
        taken: &TakenBack,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<u64, StoreError>;
    /// Ends the sessions in roles that this subject of a provider has come in as, but those in one role; writes the audit,
    /// and says how many.
    async fn end_roles(
        &self,
        of: &Vouched,
        but: Option<&PrincipalKey>,
        now: Timestamp,
    ) -> Result<u64, StoreError>;
    /// Keeps a pending consent.
    async fn keep_pending(&self, pending: &PendingConsent) -> Result<(), StoreError>;
    /// Takes it, once: only one of any number of concurrent calls gets it. Nothing when it is unknown, too old,
    /// or was shown to another session; in the last case it stays.
    async fn take_pending(
        &self,
        hash: &[u8; 32],
        session: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<PendingConsent>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_bounds_the_hashes_that_it_stands_for() {
        let mut hash = [7; 32];
        hash[0] = 0;
        let id = SessionId::of(&hash);
        assert_eq!(id.to_string().parse(), Ok(id));
        let (least, greatest) = id.bounds();
        assert!(least <= hash && hash <= greatest);
        assert!(!(least..=greatest).contains(&[8; 32]));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in
            ["", "id", &"0".repeat(31), &"0".repeat(64), &"G".repeat(32), &"A".repeat(32), &"+".repeat(32)]
        {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }
}
