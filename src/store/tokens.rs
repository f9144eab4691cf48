//! Authorization codes, refresh tokens and the families that they form. Kept by SHA-256 hash only: codes and
//! refresh tokens are 256 random bits.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::model::account::PrincipalKey;
use crate::model::id::{ApplicationId, FamilyId, GrantKey, Revision};
use crate::model::scope::ScopeSet;

/// What one authorization gave, the same for its code and every token that comes from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The family of all that comes from it.
    pub family: FamilyId,
    /// The grant it rests on.
    pub grant: GrantKey,
    /// For whom.
    pub principal: PrincipalKey,
    /// The scopes it carries.
    pub scopes: ScopeSet,
    /// The grant's revision when the code was given.
    pub revision: Revision,
    /// The audience asked for (RFC 8707), if any.
    pub resource: Option<String>,
    /// The `nonce` of the authorization request (OpenID Connect Core §3.1.2.1).
    pub nonce: Option<String>,
    /// When the person logged in, for `auth_time`.
    pub authenticated_at: Timestamp,
    /// Whether a refresh token is to be given.
    pub offline: bool,
}

/// An authorization code to be kept.
pub struct Code {
    /// SHA-256 of the code.
    pub hash: [u8; 32],
    /// What it is good for.
    pub authorization: Authorization,
    /// The redirect URI of the request, to be repeated to the letter (RFC 6749 §4.1.3).
    pub redirect_uri: String,
    /// The S256 challenge (RFC 7636 §4.2).
    pub challenge: String,
    /// When it ends: 60 seconds after it was given.
    pub expires_at: Timestamp,
}

/// What became of presenting a code. Whatever it is, the code is spent.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of it per request, and it is taken apart at once"
)]
pub enum CodeOutcome {
    /// First use, in time.
    Redeemed(Code),
    /// Used before: the family has been ended in the same transaction (RFC 6749 §4.1.2).
    Reused(FamilyId),
    /// Unknown, or too old, or its grant is gone.
    Unknown,
}

/// A refresh token to be kept.
pub struct Refresh {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// What it is good for.
    pub authorization: Authorization,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What became of presenting a refresh token.
pub enum RefreshOutcome {
    /// It was live; it is now spent, and its successor is kept.
    Rotated(Authorization),
    /// It was spent before: the family has been ended in the same transaction (RFC 9700 §4.14.2).
    Reused(FamilyId),
    /// Unknown, too old, of another application, or its family or grant is gone.
    Unknown,
}

/// The tokens.
#[async_trait]
pub trait Tokens {
    /// Keeps a code, and its family as live.
    async fn keep_code(&self, code: &Code) -> Result<(), StoreError>;
    /// Spends a code. Only one of any number of concurrent calls is answered `Redeemed`.
    async fn redeem_code(&self, hash: &[u8; 32], now: Timestamp) -> Result<CodeOutcome, StoreError>;
    /// Keeps the first refresh token of a family; `Missing` when the family is unknown or was ended meanwhile.
    async fn keep_refresh(&self, refresh: &Refresh) -> Result<(), StoreError>;
    /// What a live refresh token is good for, without spending it. Nothing for a spent one, so that reuse is only
    /// found by presenting it to [`Tokens::rotate_refresh`].
    async fn refresh(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<Refresh>, StoreError>;
    /// Spends a refresh token of `application` and keeps its successor in one transaction, so that a crash loses
    /// neither. A token of a grant that is suspended is not spent: it works again after the grant is resumed.
    async fn rotate_refresh(
        &self,
        hash: &[u8; 32],
        application: &ApplicationId,
        successor: &[u8; 32],
        successor_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<RefreshOutcome, StoreError>;
    /// Ends a family: its code, its refresh tokens, and (by the change log) its access tokens, which sidecars
    /// then refuse. `remember_until` is when the last access token of the family ends by itself. Ending it again
    /// changes nothing; `Missing` when it is unknown.
    async fn end_family(
        &self,
        family: &FamilyId,
        remember_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Whether the family is known and not ended.
    async fn family_is_live(&self, family: &FamilyId) -> Result<bool, StoreError>;
    /// Forgets what ended before `now`: spent codes and tokens whose life is over, sessions and pending consents.
    /// Says how much it was.
    async fn forget_old_tokens(&self, now: Timestamp) -> Result<u64, StoreError>;
}
