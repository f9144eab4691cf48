//! Accounts and the principals in them: the embedded directory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::model::account::{Account, Principal, PrincipalKey};
use crate::model::id::AccountId;

/// A principal to be added. `password_hash` is an Argon2id PHC string.
pub struct NewPrincipal {
    /// The identity.
    pub principal: Principal,
    /// Its password's hash, if it may log in with one. Roles have none.
    pub password_hash: Option<String>,
}

/// What a login is checked against.
pub struct Credential {
    /// Who it would be.
    pub principal: Principal,
    /// Argon2id PHC string; none when this principal cannot log in with a password.
    pub password_hash: Option<String>,
}

/// A token for the admin API, as kept: only its hash.
pub struct ApiToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// For whom it speaks.
    pub principal: PrincipalKey,
    /// What it is for, as its owner named it.
    pub label: String,
    /// When it ends, if ever.
    pub expires_at: Option<Timestamp>,
}

/// The directory.
#[async_trait]
pub trait Directory {
    /// Adds an account; `Exists` when its id or alias is taken.
    async fn add_account(&self, account: &Account) -> Result<(), StoreError>;
    /// The account with this id.
    async fn account(&self, id: &AccountId) -> Result<Option<Account>, StoreError>;
    /// Every account.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;
    /// Adds a principal; `Exists` when its key or login is taken.
    async fn add_principal(&self, new: &NewPrincipal) -> Result<(), StoreError>;
    /// The principal with this key.
    async fn principal(&self, key: &PrincipalKey) -> Result<Option<Principal>, StoreError>;
    /// Who logs in with this login (`alice@acme`), in any letter case.
    async fn credential(&self, login: &str) -> Result<Option<Credential>, StoreError>;
    /// The account's enabled administrators, the root identity first, at most `limit`.
    async fn administrators(&self, account: &AccountId, limit: u32) -> Result<Vec<Principal>, StoreError>;
    /// Disables or enables a principal, writes the change log.
    async fn enable_principal(
        &self,
        key: &PrincipalKey,
        enabled: bool,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Gives or takes full access, writes the change log.
    async fn set_full_access(
        &self,
        key: &PrincipalKey,
        full_access: bool,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Keeps an admin API token; the same hash again replaces it.
    async fn add_api_token(&self, token: &ApiToken) -> Result<(), StoreError>;
    /// Whom a live token with this hash speaks for.
    async fn api_token(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<Principal>, StoreError>;
}
