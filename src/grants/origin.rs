//! Where a fact is read when it is not near: the control plane, or, in one process with it, its store.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exchange::{Exchange, Exchanger, NotExchanged};
use super::shared::Publisher;
use super::shared::publish::Fact;
use crate::model::account::PrincipalKey;
use crate::model::grant::Installed;
use crate::model::id::{GrantKey, Seq, SidecarId};
use crate::model::member::Member;
use crate::model::time::Clock;
use crate::store::{KeyPurpose, Shared, SidecarKey, StoreError};
use crate::token::exchange::{Exchanged, KeySecrets};

/// The origin of facts.
#[async_trait]
pub trait Origin: Send + Sync + 'static {
    /// The grant with its application; a tombstone is answered as such.
    async fn installed(&self, key: &GrantKey) -> Result<Option<Installed>, OriginError>;
    /// What the principal is to the grant.
    async fn member(&self, key: &GrantKey, principal: &PrincipalKey) -> Result<Option<Member>, OriginError>;
    /// The issuer's public keys, as a JWK set (RFC 7517 §5) in JSON.
    async fn keys(&self) -> Result<String, OriginError>;
    /// Control's public keys for records in the shared tier, as a JWK set in JSON. With none, no record counts.
    async fn record_keys(&self) -> Result<String, OriginError> {
        Ok(r#"{"keys":[]}"#.to_owned())
    }
    /// What the secrets of exchanged access keys are made with, of each key that is live. With none, no signed request
    /// counts.
    async fn exchange_secrets(&self) -> Result<KeySecrets, OriginError> {
        Ok(KeySecrets::default())
    }
    /// Exchanges the token of a caller whom this sidecar has proved for a credential to sign with.
    async fn exchange(&self, asked: &Exchange) -> Result<Exchanged, NotExchanged> {
        let _ = asked;
        Err(NotExchanged::Unavailable(OriginError("it exchanges nothing".to_owned())))
    }
    /// The secret that sessions are bound under, as it came with the keys last asked for. With none, no session is bound.
    async fn session_secret(&self) -> Result<Option<SessionSecret>, OriginError> {
        Ok(None)
    }
    /// Publishes this sidecar's own public key, or prolongs it.
    async fn publish_key(&self, key: &OwnKey) -> Result<(), OriginError>;
}

/// The secret under which sidecars bind an upstream's sessions to their callers. It is printed by nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionSecret(String);

impl SessionSecret {
    /// A secret, as text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// It, to make a key of.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionSecret(***)")
    }
}

/// The public half of the key that a sidecar signs assumed identities with.
#[derive(Debug, Clone)]
pub struct OwnKey {
    /// Its `kid` (RFC 7517 §4.5).
    pub kid: String,
    /// Whose it is.
    pub sidecar: SidecarId,
    /// The key, a JWK as JSON.
    pub public_jwk: String,
    /// Until when it is to be published.
    pub published_until: Timestamp,
}

/// A fact could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the control plane did not answer: {0}")]
pub struct OriginError(pub String);

impl From<StoreError> for OriginError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// The store in the same process.
pub struct StoreOrigin {
    store: Shared,
    clock: Clock,
    publisher: Option<Arc<Publisher>>,
    exchanger: Option<Arc<dyn Exchanger>>,
    sessions: Option<SessionSecret>,
}

impl StoreOrigin {
    /// Reads from `store`.
    #[must_use]
    pub fn new(store: Shared, clock: Clock) -> Arc<Self> {
        Arc::new(Self { store, clock, publisher: None, exchanger: None, sessions: None })
    }

    /// Reads from `store`, and leaves what it reads in the shared tier, so that the next one need not ask.
    #[must_use]
    pub fn publishing(
        store: Shared,
        clock: Clock,
        publisher: Option<Arc<Publisher>>,
        sessions: Option<SessionSecret>,
    ) -> Arc<Self> {
        Arc::new(Self { store, clock, publisher, exchanger: None, sessions })
    }

    /// The same, with who exchanges tokens.
    #[must_use]
    pub fn exchanging(&self, exchanger: Arc<dyn Exchanger>) -> Arc<Self> {
        let Self { store, clock, publisher, sessions, .. } = self;
        let (store, clock, publisher) = (Arc::clone(store), clock.clone(), publisher.clone());
        Arc::new(Self { store, clock, publisher, exchanger: Some(exchanger), sessions: sessions.clone() })
    }

    /// How far the log has come, to be asked before a fact is read; none when the fact is left nowhere.
    async fn before(&self) -> Result<Option<(&Publisher, Seq)>, OriginError> {
        match &self.publisher {
            Some(publisher) => Ok(Some((publisher, self.store.newest().await?))),
            None => Ok(None),
        }
    }

    async fn published(&self, purpose: impl Fn(KeyPurpose) -> bool) -> Result<String, OriginError> {
        let keys = self.store.signing_keys(self.clock.now()).await?;
        let jwks: Vec<&str> =
            keys.iter().filter(|key| purpose(key.purpose)).map(|key| key.public_jwk.as_str()).collect();
        Ok(format!("{{\"keys\":[{}]}}", jwks.join(",")))
    }
}

#[async_trait]
impl Origin for StoreOrigin {
    async fn installed(&self, key: &GrantKey) -> Result<Option<Installed>, OriginError> {
        let before = self.before().await?;
        let installed = self.store.installed(key).await?;
        if let (Some((publisher, as_of)), Some(installed)) = (before, &installed) {
            publisher.fill(as_of, Fact::Grant(Box::new(installed.clone())));
        }
        Ok(installed)
    }

    async fn member(&self, key: &GrantKey, principal: &PrincipalKey) -> Result<Option<Member>, OriginError> {
        let before = self.before().await?;
        let member = self.store.member(key, principal, self.clock.now()).await?;
        if let (Some((publisher, as_of)), Some(member)) = (before, &member) {
            publisher.fill(as_of, Fact::Member(key.clone(), Box::new(member.clone())));
        }
        Ok(member)
    }

    async fn keys(&self) -> Result<String, OriginError> {
        self.published(|purpose| purpose != KeyPurpose::Record && purpose != KeyPurpose::Audit).await
    }

    async fn record_keys(&self) -> Result<String, OriginError> {
        self.published(|purpose| purpose == KeyPurpose::Record).await
    }

    async fn exchange_secrets(&self) -> Result<KeySecrets, OriginError> {
        match &self.exchanger {
            Some(exchanger) => exchanger.secrets().await,
            None => Ok(KeySecrets::default()),
        }
    }

    async fn exchange(&self, asked: &Exchange) -> Result<Exchanged, NotExchanged> {
        match &self.exchanger {
            Some(exchanger) => exchanger.exchange(asked).await,
            None => Err(NotExchanged::Unavailable(OriginError("it exchanges nothing".to_owned()))),
        }
    }

    async fn session_secret(&self) -> Result<Option<SessionSecret>, OriginError> {
        Ok(self.sessions.clone())
    }

    async fn publish_key(&self, key: &OwnKey) -> Result<(), OriginError> {
        let OwnKey { kid, sidecar, public_jwk, published_until } = key.clone();
        let key = SidecarKey { kid, sidecar, public_jwk, published_until };
        Ok(self.store.publish_sidecar_key(&key, self.clock.now()).await?)
    }
}
