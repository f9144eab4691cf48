//! What is signed about the audit, and the keys that it is signed with.
//!
//! Comes in: the store's keys and the operator's secret, or a file of public keys. Goes out: statements that no one
//! without that secret can make. A key that stands in the store counts only when its private half opens under the
//! operator's secret, so that who can write the store cannot add a key of their own.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::audit::Hash;
use crate::model::id::AccountId;
use crate::store::{Shared, StoreError};
use crate::token::jwk::PublicJwk;
use crate::token::keys::{Purpose, Signer};
use crate::token::seal::Sealer;
use crate::token::verify::{KeySet, verify_audit};

/// A signed statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "lowercase")]
pub enum Mark {
    /// A chain had come to this record.
    Checkpoint {
        /// Whose chain.
        node: String,
        /// The record's number.
        number: u64,
        /// The record's hash.
        hash: Hash,
        /// When it was signed.
        at: Timestamp,
        /// How far every other chain had come.
        #[serde(default)]
        others: Vec<Seen>,
    },
    /// These records were removed for their age.
    Cut {
        /// Whose chain.
        node: String,
        /// The first one's number.
        first: u64,
        /// The last one's number.
        last: u64,
        /// The hash before the first.
        before: Hash,
        /// The hash of the last.
        after: Hash,
        /// When it was signed.
        at: Timestamp,
    },
    /// An export was made of these lines.
    Export {
        /// Whose records; everybody's when nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountId>,
        /// How many lines stand before this one.
        lines: u64,
        /// Over those lines.
        digest: Hash,
        /// When it was signed.
        at: Timestamp,
    },
}

/// Another chain, as a checkpoint saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whose chain.
    pub node: String,
    /// Its newest record's number.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
}

/// The keys that statements about the audit are verified with.
pub struct AuditKeys {
    keys: Vec<PublicJwk>,
    set: KeySet,
    withdrawn: KeySet,
}

/// Why there are no keys to verify with.
#[derive(Debug, thiserror::Error)]
pub enum NoKeys {
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key of the store is not one that the operator's secret has sealed.
    #[error("the audit's key {kid} in the store was not made with the operator's secret: {why}")]
    Foreign {
        /// Its name.
        kid: String,
        /// What does not fit.
        why: String,
    },
    /// The text holds no such key.
    #[error("this is no key set with a key of the audit; `consentry audit key` prints one")]
    NoSet,
}

impl AuditKeys {
    /// The store's keys, each opened with the operator's secret.
    ///
    /// # Errors
    /// [`NoKeys`]; the first key that is not the operator's is named.
    pub async fn of_store(store: &Shared, sealer: &Sealer) -> Result<Self, NoKeys> {
        let (mut good, mut withdrawn) = (Vec::new(), Vec::new());
        for (key, withdrawn_at) in store.audit_keys().await? {
            let foreign = |why: String| NoKeys::Foreign { kid: key.kid.clone(), why };
            let pkcs8 = sealer.open(&key.kid, &key.sealed).map_err(|why| foreign(why.to_string()))?;
            let signer =
                Signer::from_pkcs8(Purpose::Audit, &pkcs8).map_err(|why| foreign(why.to_string()))?;
            let public = signer.public().clone();
            if public.kid() != key.kid || public.to_json() != key.public_jwk {
                return Err(foreign("its public half is another key's".to_owned()));
            }
            if withdrawn_at.is_some() { &mut withdrawn } else { &mut good }.push(public);
        }
        Ok(Self { set: KeySet::new(&good), withdrawn: KeySet::new(&withdrawn), keys: good })
    }

    /// The keys of a JSON Web Key Set.
    ///
    /// # Errors
    /// [`NoKeys::NoSet`].
    pub fn parse(text: &str) -> Result<Self, NoKeys> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_str(text).map_err(|_| NoKeys::NoSet)?;
        let keys = set.keys.iter().filter_map(|key| PublicJwk::parse(&key.to_string()).ok());
        let keys: Vec<PublicJwk> = keys.filter(|key| key.purpose() == Purpose::Audit).collect();
        if keys.is_empty() {
            return Err(NoKeys::NoSet);
        }
        Ok(Self { set: KeySet::new(&keys), withdrawn: KeySet::default(), keys })
    }

    /// The public halves as a JSON Web Key Set, to be kept where nobody changes it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(PublicJwk::to_json).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    /// What a token states, and whether its key is still trusted: what a withdrawn one has signed, somebody else may
    /// have signed as well.
    ///
    /// # Errors
    /// Why it states nothing, in a sentence.
    pub fn read(&self, token: &str) -> Result<(Mark, bool), String> {
        if token.len() > LONGEST {
            return Err("it is too long".to_owned());
        }
        let (claims, trusted) = match verify_audit(&self.withdrawn, token) {
            Ok(claims) => (claims, false),
            Err(_) => (verify_audit(&self.set, token).map_err(|refused| refused.to_string())?, true),
        };
        let mark = serde_json::from_slice(&claims);
        Ok((mark.map_err(|error| format!("what it states cannot be read ({error})"))?, trusted))
    }
}

/// Every chain that there ever was stands in a checkpoint.
const LONGEST: usize = 4 << 20;
