//! Exchanging a token for a credential to sign with: what is asked, who answers, and why not.
//!
//! A sidecar asks for callers whom it has proved; the control plane answers by the facts in its store, so that nothing
//! that a sidecar says can make more of a grant than it is.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::origin::OriginError;
use crate::token::exchange::{Exchanged, KeySecrets};

/// What is asked.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The caller's access token, or the security token that its request was signed with.
    pub token: String,
    /// A life shorter than the longest, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// Fewer scopes than the token has, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, scope, .. } = self;
        f.debug_struct("Exchange").field("seconds", seconds).field("scope", scope).finish_non_exhaustive()
    }
}

/// A role's credentials of a cloud that are about to leave a sidecar. Nobody can end those: that they are given is known
/// first.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// The caller's access token, or the security token that its request was signed with.
    pub token: String,
    /// The role, as its cloud names it.
    pub role: String,
    /// For how long they work, in seconds.
    pub seconds: u32,
}

impl fmt::Debug for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, seconds, .. } = self;
        f.debug_struct("Leaving").field("role", role).field("seconds", seconds).finish_non_exhaustive()
    }
}

/// Why nothing was exchanged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotExchanged {
    /// The token proves nothing, or what it rests on has ended.
    #[error("the token is not valid, or what it rests on has ended; get a new one")]
    Token,
    /// A scope was asked for that the token does not have; which one, in a sentence.
    #[error("{0}; ask for fewer")]
    Scope(String),
    /// Policy forbids it: the denial's code, and why with the next step.
    #[error("{text}")]
    Denied {
        /// The denial's code.
        code: &'static str,
        /// Why, and what can be done.
        text: String,
    },
    /// It was asked for too often.
    #[error("too many credentials were asked for; use one until it ends, and ask again in {0} seconds")]
    TooOften(u32),
    /// It cannot be known, or not be done now.
    #[error(transparent)]
    Unavailable(#[from] OriginError),
}

/// Who exchanges, in the process of the control plane.
#[async_trait]
pub trait Exchanger: Send + Sync + 'static {
    /// What the secrets of access keys are made with, of each key that is live.
    async fn secrets(&self) -> Result<KeySecrets, OriginError>;
    /// Exchanges a token.
    async fn exchange(&self, asked: &Exchange) -> Result<Exchanged, NotExchanged>;
    /// Takes down that a role's credentials leave a sidecar. Without it none do.
    async fn leaving(&self, told: &Leaving) -> Result<(), NotExchanged>;
}
