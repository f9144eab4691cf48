//! A caller: an application acting for one principal, proven by a credential.

use serde::{Deserialize, Serialize};

use super::account::PrincipalKey;
use super::id::{ApplicationId, FamilyId, GrantKey, Revision};
use super::scope::ScopeSet;

/// Who calls, as its access token proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The application (`client_id`).
    pub application: ApplicationId,
    /// For whom it acts. Its account is the caller's account.
    pub principal: PrincipalKey,
    /// That principal's opaque `sub` at the issuer, the same in ID tokens.
    pub subject: String,
    /// The scopes that the token carries. Never more than was granted when it was issued.
    pub scopes: ScopeSet,
    /// The grant's revision when it was issued.
    pub revision: Revision,
    /// The authorization that it came from.
    pub family: FamilyId,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
}

impl Caller {
    /// The grant that the call rests on.
    #[must_use]
    pub fn grant(&self) -> GrantKey {
        GrantKey { account: self.principal.account.clone(), application: self.application.clone() }
    }
}
