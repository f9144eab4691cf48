//! What a log-in rests on, looked at again inside the change that it leads to.
//!
//! Comes in: what was checked before, outside of any transaction: a password, an authenticator, a passkey, a provider's
//! word. Goes out: whether it still stands. Whoever changes a password, takes a factor away or demands one ends the
//! sessions that are there; a log-in that is under way meanwhile must not open another one behind them.

use crate::model::account::{Principal, PrincipalKey, PrincipalKind};
use crate::model::id::AccountId;
use crate::store::backend::{built, sql};
use crate::store::people::rules;
use crate::store::sql::directory::{of, principal};
use crate::store::sql::link::{Asks, Writing};
use crate::store::{AuditEvent, BrowserSession, StoreError};

/// What was checked of somebody who comes in. It says nothing of itself to a log: there is a hash in it.
#[derive(Clone)]
pub enum Grounds {
    /// A password.
    Password {
        /// The hash that it was checked against.
        hash: String,
        /// The secret that a code was checked with, sealed as it is kept; nothing when none was asked for.
        authenticator: Option<Vec<u8>>,
    },
    /// A passkey.
    Passkey {
        /// Its id.
        credential: Vec<u8>,
    },
    /// The word of the provider that the session names.
    Provider,
}

/// Somebody who comes in.
pub struct Entry {
    /// The session that is opened.
    pub session: BrowserSession,
    /// What it rests on.
    pub grounds: Grounds,
    /// The session that was in its place before, which ends.
    pub instead_of: Option<[u8; 32]>,
    /// What the audit keeps of it, where nothing has told it before.
    pub event: Option<AuditEvent>,
}

/// In what somebody sets an authenticator up.
#[derive(Clone, Copy)]
pub enum Within<'a> {
    /// In a session of theirs, by its hash. Their other ones that have proven no second factor end.
    Session(&'a [u8; 32]),
    /// At the log-in, after the password with this hash, because it is demanded of them and they have nothing else.
    LogIn(&'a str),
}

/// Whether all that somebody comes in on still stands; `Conflict` when it does not.
pub(in crate::store) async fn stand(
    writing: &mut Writing,
    session: &BrowserSession,
    grounds: &Grounds,
) -> Result<(), StoreError> {
    let key = &session.principal;
    let whom = principal(writing, key).await?.filter(|whom| whom.enabled).ok_or_else(changed)?;
    let stands = match grounds {
        Grounds::Password { hash, authenticator } => {
            let kept = sealed(writing, key).await?;
            kept == *authenticator
                && has_password(writing, key, hash).await?
                && (kept.is_some() || !demanded(writing, &whom).await?)
        }
        Grounds::Passkey { credential } => {
            let query = sql("SELECT 1 AS there FROM passkeys
                             WHERE account = $1 AND kind = $2 AND id = $3 AND credential = $4");
            writing.row(of(key, query).bind(credential)).await?.is_some()
        }
        Grounds::Provider => is_vouched(writing, session).await?,
    };
    if stands { Ok(()) } else { Err(changed()) }
}

/// Whether an authenticator or a passkey may be set up there.
pub(super) async fn may_set_up(
    writing: &mut Writing,
    whom: &Principal,
    within: Within<'_>,
) -> Result<(), StoreError> {
    let key = &whom.key;
    let stands = match within {
        Within::Session(hash) => {
            let query = sql("SELECT 1 AS there FROM sessions
                             WHERE account = $1 AND principal_kind = $2 AND principal_id = $3 AND hash = $4");
            writing.row(of(key, query).bind(&hash[..])).await?.is_some()
        }
        Within::LogIn(hash) => {
            let passkeys =
                sql("SELECT 1 AS there FROM passkeys WHERE account = $1 AND kind = $2 AND id = $3");
            has_password(writing, key, hash).await?
                && demanded(writing, whom).await?
                && writing.row(of(key, passkeys)).await?.is_none()
        }
    };
    if stands { Ok(()) } else { Err(changed()) }
}

/// Ends the sessions of an account's administrators that have proven no second factor, whoever's they are. Those for
/// which a provider vouches are not meant: what is asked for there is the provider's to say.
pub(in crate::store) async fn end_unproven_of_administrators(
    writing: &mut Writing,
    account: &AccountId,
) -> Result<(), StoreError> {
    for text in unproven(
        "s.account = $1 AND EXISTS (SELECT 1 FROM principals p
         WHERE p.account = s.account AND p.kind = s.principal_kind AND p.id = s.principal_id
             AND (p.kind = 'account' OR p.full_access))",
    ) {
        writing.run(built(text).bind(account.as_str())).await?;
    }
    Ok(())
}

/// Ends somebody's sessions that have proven no second factor, but for one.
pub(super) async fn end_unproven_of(
    writing: &mut Writing,
    key: &PrincipalKey,
    but: &[u8; 32],
) -> Result<(), StoreError> {
    let theirs = "s.account = $1 AND s.principal_kind = $2 AND s.principal_id = $3 AND s.hash <> $4";
    for text in unproven(theirs) {
        writing.run(of(key, built(text)).bind(&but[..])).await?;
    }
    Ok(())
}

/// The statements that end sessions, `which` of them is a fixed piece of SQL. What counts is what a session has proven,
/// not what its owner has: who sets a factor up in a session has not come in by it.
fn unproven(which: &str) -> [String; 2] {
    let those = format!(
        "SELECT s.hash FROM sessions s WHERE {which}
         AND (' ' || s.factors || ' ') NOT LIKE '% totp %' AND (' ' || s.factors || ' ') NOT LIKE '% passkey %'
         AND (' ' || s.factors || ' ') NOT LIKE '% recovery-code %'
         AND (' ' || s.factors || ' ') NOT LIKE '% provider %'"
    );
    [
        format!("DELETE FROM pending_consents WHERE session IN ({those})"),
        format!("DELETE FROM sessions WHERE hash IN ({those})"),
    ]
}

async fn sealed(writing: &mut Writing, key: &PrincipalKey) -> Result<Option<Vec<u8>>, StoreError> {
    let query = sql("SELECT sealed FROM totps WHERE account = $1 AND kind = $2 AND id = $3");
    writing.row(of(key, query)).await?.map(|row| row.get("sealed")).transpose()
}

async fn has_password(writing: &mut Writing, key: &PrincipalKey, hash: &str) -> Result<bool, StoreError> {
    let query = sql("SELECT password_hash FROM principals WHERE account = $1 AND kind = $2 AND id = $3");
    let Some(row) = writing.row(of(key, query)).await? else { return Ok(false) };
    Ok(row.get::<Option<&str>>("password_hash")? == Some(hash))
}

/// Whether their account demands a second factor of them.
async fn demanded(writing: &mut Writing, whom: &Principal) -> Result<bool, StoreError> {
    Ok(whom.is_administrator() && rules(writing, &whom.key.account).await?.administrators_need_second_factor)
}

/// Whether the provider's subject is still linked to whose session it is. A role is linked to nobody: the claims that
/// name it were read just before.
async fn is_vouched(writing: &mut Writing, session: &BrowserSession) -> Result<bool, StoreError> {
    let Some(vouched) = &session.vouched else { return Ok(false) };
    match session.principal.kind {
        PrincipalKind::Account => Ok(false),
        PrincipalKind::Role => Ok(true),
        PrincipalKind::User => {
            let query = sql("SELECT 1 AS there FROM identities WHERE account = $1 AND principal_kind = $2
                             AND principal_id = $3 AND issuer = $4 AND subject = $5 AND NOT barred");
            let query = of(&session.principal, query).bind(&vouched.issuer).bind(&vouched.subject);
            Ok(writing.row(query).await?.is_some())
        }
    }
}

fn changed() -> StoreError {
    StoreError::Conflict("what this sign-in rests on was changed meanwhile; sign in again".to_owned())
}
