//! The publisher's side of what others have installed: which accounts have not decided about the present scopes.
//!
//! Goes out: account, alias and a date. A publisher learns nothing else of another account.

mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::model::account::Account;
use crate::model::application::Application;
use crate::model::id::AccountId;

/// An account that has an application installed and stands on older scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Which.
    pub account: Account,
    /// When it authorized what it has.
    pub since: Timestamp,
}

/// Those accounts, a page of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountsBehind {
    /// By number.
    pub accounts: Vec<Behind>,
    /// Ask again after this one; nothing when these are the last.
    pub next: Option<AccountId>,
}

/// What a publisher may know.
#[async_trait]
pub trait Publishing {
    /// The accounts whose live grant lacks a decision about a scope that `application` offers, or holds one that it does
    /// not offer any more; after `after`, at most `limit`.
    async fn behind(
        &self,
        application: &Application,
        after: Option<&AccountId>,
        limit: usize,
    ) -> Result<AccountsBehind, StoreError>;
}
