//! The way to a control plane in another process: news, facts and keys over its internal API.
//!
//! Comes in: where the control nodes are, and the sidecar's own key. Goes out: a [`ChangeLog`] and an [`Origin`].
//! It enrols by itself, with the one-time token or the certificate that it was given. Every question has a deadline;
//! when a node does not answer, the next is asked. It writes no grant, and there is no request that could.

mod credential;
mod nodes;
pub mod records;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use http::Method;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::sidecar::ControlPlane;
use crate::grants::exchange::{Exchange, NotExchanged};
use crate::grants::follow::Refresh;
use crate::grants::follow::messages::{
    EXCHANGE_SCOPE, EXCHANGE_TOKEN, EXCHANGE_TOO_OFTEN, Enrol, Enrolment, FoundGrant, FoundMember, Keys,
    OwnKeyPublished, PolicyFiles, REFUSED, REVOKED, UNKNOWN,
};
use crate::grants::follow::news::{ChangeLog, FollowError, News, Report, Snapshot};
use crate::grants::origin::{Origin, OriginError, OwnKey, SessionSecret};
use crate::model::account::PrincipalKey;
use crate::model::grant::Installed;
use crate::model::id::{GrantKey, SidecarId};
use crate::model::member::Member;
use crate::model::time::{Clock, boot_milliseconds};
use crate::net::tls::TlsError;
use crate::policy::reload::Current;
use crate::token::exchange::{Exchanged, KeySecret, KeySecrets, Wire};
use crate::token::keys::KeyError;
use crate::token::proof::{NoProver, Prover};
use crate::token::random::{NoRandomness, Secret, sha256};
use nodes::{Asked, Nodes, Question};

/// A sidecar's way to its control plane.
pub struct Link {
    nodes: Nodes,
    prover: Prover,
    issuer: String,
    clock: Clock,
    /// For an answer that is not held back.
    patience: Duration,
    given: Option<Secret>,
    token_file: Option<PathBuf>,
    enrolling: Mutex<Enrolling>,
    record_keys: ArcSwapOption<String>,
    exchange_secrets: ArcSwapOption<KeySecrets>,
    sessions: ArcSwapOption<SessionSecret>,
}

/// What has been tried to be enrolled.
struct Enrolling {
    tokens: HashSet<[u8; 32]>,
    /// Whether the certificate may be tried. Once: who is replaced under its name must not replace in turn.
    certificate: bool,
    /// The last refusal, and when.
    refused: Option<(String, u64)>,
}

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The key cannot be kept or read.
    #[error("the sidecar's key {} cannot be {done}: {why}; give [control] a state folder that this user may write", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What was tried.
        done: &'static str,
        /// Why it failed.
        why: std::io::Error,
    },
    /// What stands in the file is no key.
    #[error("{} is no sidecar's key; remove it, and enrol the sidecar anew", .0.display())]
    NoKey(PathBuf),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No proofs can be made with it.
    #[error(transparent)]
    Prover(#[from] NoProver),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The machine gives no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// An address cannot be used.
    #[error("{0} is no address of a control node")]
    Address(String),
}

impl Link {
    /// The way to the nodes that the settings name. The key is read from the state folder, or made there. `given` is
    /// the one-time token of the environment; `lease` the sidecar's longest.
    ///
    /// # Errors
    /// [`LinkError`]; nothing has been asked of anybody yet.
    pub fn new(
        settings: &ControlPlane,
        issuer: &str,
        given: Option<Secret>,
        lease: Duration,
        clock: Clock,
    ) -> Result<Arc<Self>, LinkError> {
        let prover = Prover::new(settings.name.clone(), credential::own(&settings.state)?)?;
        Ok(Arc::new(Self {
            nodes: Nodes::new(settings)?,
            prover,
            issuer: issuer.to_owned(),
            clock,
            patience: (lease / 5).clamp(Duration::from_millis(250), Duration::from_secs(2)),
            given,
            token_file: settings.token_file.clone(),
            enrolling: Mutex::new(Enrolling {
                tokens: HashSet::new(),
                certificate: settings.certificate.is_some(),
                refused: None,
            }),
            record_keys: ArcSwapOption::empty(),
            exchange_secrets: ArcSwapOption::empty(),
            sessions: ArcSwapOption::empty(),
        }))
    }

    /// This process, as receipts and records name it.
    #[must_use]
    pub fn instance(&self) -> &SidecarId {
        self.prover.instance()
    }

    /// The keys that the shared tier's records are signed with, as a JWK set: as of the last time that the issuer's
    /// were read.
    #[must_use]
    pub fn record_keys(&self) -> Option<Arc<String>> {
        self.record_keys.load_full()
    }

    /// Has `current` be the policy set of the control plane, for a sidecar without files of its own. A set that is bad
    /// as a whole changes nothing.
    #[must_use]
    pub fn refresh_policies(self: &Arc<Self>, current: &Arc<Current>) -> Refresh {
        let (link, current) = (Arc::clone(self), Arc::clone(current));
        Arc::new(move || {
            let (link, current) = (Arc::clone(&link), Arc::clone(&current));
            Box::pin(async move {
                let told: PolicyFiles = link.get("/internal/v1/policies").await?;
                if told.version != current.policies().version().as_str() {
                    // Compiling is work; what is refused is said by `Current`, and in `/readyz`.
                    let taken = tokio::task::spawn_blocking(move || current.take(told.files)).await;
                    taken.map_err(|_| OriginError("its policies could not be read".to_owned()))?;
                }
                Ok(())
            })
        })
    }

    async fn tell<B: Serialize>(&self, method: Method, path: &str, body: &B) -> Result<(), Asked> {
        let body = serde_json::to_vec(body).map_err(|why| Asked::Unreachable(why.to_string()))?;
        let question = Question { method, path, body, within: Some(self.patience) };
        self.nodes.ask(&question, &self.proof()?).await.map(|_| ())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Asked> {
        let question = Question { method: Method::GET, path, body: Vec::new(), within: Some(self.patience) };
        nodes::read(&self.nodes.ask(&question, &self.proof()?).await?)
    }

    fn proof(&self) -> Result<Secret, Asked> {
        self.prover.proof(self.clock.seconds()).map_err(|why| Asked::Unreachable(why.to_string()))
    }

    async fn news(&self, report: &Report) -> Result<News, Asked> {
        let body = serde_json::to_vec(report).map_err(|why| Asked::Unreachable(why.to_string()))?;
        // Held back until there is news; who asks gives up in time.
        let question = Question { method: Method::POST, path: "/internal/v1/follow", body, within: None };
        nodes::read(&self.nodes.ask(&question, &self.proof()?).await?)
    }

    /// Becomes enrolled, after the control plane has said that this sidecar is not.
    async fn enrol(&self, said: String) -> Result<(), FollowError> {
        let Some(token) = self.next_try() else { return Err(self.refused(said)) };
        let enrol = Enrol {
            token: token.as_ref().map(|token| token.expose().to_owned()),
            name: self.prover.sidecar().clone(),
            public_jwk: serde_json::from_str(&self.prover.public().to_json()).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let body = serde_json::to_vec(&enrol).map_err(|why| FollowError::Unreachable(why.to_string()))?;
        let path = "/internal/v1/enrol";
        let question = Question { method: Method::POST, path, body, within: Some(self.patience) };
        let enrolled = self.nodes.ask(&question, &self.proof()?).await;
        // Only an answer uses a try up.
        let enrolled = match enrolled {
            Ok(answer) => nodes::read::<Enrolment>(&answer),
            Err(Asked::Unreachable(why)) => return Err(FollowError::Unreachable(why)),
            Err(refused @ Asked::Refused { .. }) => Err(refused),
        };
        self.tried(token.as_ref());
        match enrolled {
            Ok(enrolled) => {
                tracing::info!(sidecar = %enrolled.sidecar, "enrolled with the control plane");
                if enrolled.issuer != self.issuer {
                    tracing::error!(
                        theirs = %enrolled.issuer, ours = %self.issuer,
                        "the control plane is another issuer than the settings name: no token of its will be taken"
                    );
                }
                Ok(())
            }
            Err(Asked::Refused { text, .. }) => Err(self.refused(text)),
            Err(Asked::Unreachable(why)) => Err(FollowError::Unreachable(why)),
        }
    }

    /// What to enrol with: a token that has not been tried yet, or, once, the certificate alone.
    fn next_try(&self) -> Option<Option<Secret>> {
        let read = self.token_file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let read = read.map(|text| Secret::new(text.trim().to_owned()));
        let enrolling = self.enrolling.lock();
        let new = |token: &Secret| {
            !token.expose().is_empty() && !enrolling.tokens.contains(&sha256(token.expose().as_bytes()))
        };
        let token = self.given.iter().chain(&read).find(|token| new(token)).cloned();
        if token.is_some() { Some(token) } else { enrolling.certificate.then_some(None) }
    }

    fn tried(&self, token: Option<&Secret>) {
        let mut enrolling = self.enrolling.lock();
        enrolling.refused = None;
        match token {
            Some(token) => drop(enrolling.tokens.insert(sha256(token.expose().as_bytes()))),
            None => enrolling.certificate = false,
        }
    }

    fn refused(&self, why: String) -> FollowError {
        self.enrolling.lock().refused = Some((why.clone(), boot_milliseconds()));
        FollowError::Refused(why)
    }

    /// A refusal stands for a while, unless there is something new to be enrolled with.
    fn refused_lately(&self) -> Option<FollowError> {
        let (why, at) = self.enrolling.lock().refused.clone()?;
        let lately = boot_milliseconds().saturating_sub(at) < ASK_AGAIN_MS;
        (lately && self.next_try().is_none()).then_some(FollowError::Refused(why))
    }
}

#[async_trait]
impl ChangeLog for Link {
    async fn follow(&self, report: &Report) -> Result<News, FollowError> {
        if let Some(refused) = self.refused_lately() {
            return Err(refused);
        }
        match self.news(report).await {
            Err(Asked::Refused { code, text }) if code == UNKNOWN || code == REVOKED => {
                self.enrol(text).await?;
                Ok(self.news(report).await?)
            }
            answer => {
                let news = answer?;
                self.enrolling.lock().refused = None;
                Ok(news)
            }
        }
    }

    async fn snapshot(&self) -> Result<Snapshot, FollowError> {
        Ok(self.get("/internal/v1/snapshot").await?)
    }

    async fn leave(&self, _: &SidecarId) {
        let question = Question {
            method: Method::DELETE,
            path: "/internal/v1/follow",
            body: Vec::new(),
            within: Some(self.patience),
        };
        let Ok(proof) = self.proof() else { return };
        if let Err(why) = self.nodes.ask(&question, &proof).await {
            let why = OriginError::from(why);
            tracing::warn!(%why, "the control plane could not be told that this sidecar ends; it is waited for");
        }
    }
}

#[async_trait]
impl Origin for Link {
    async fn installed(&self, key: &GrantKey) -> Result<Option<Installed>, OriginError> {
        let found: FoundGrant = self.get(&format!("/internal/v1/grants/{key}")).await?;
        match found.installed {
            Some(installed) if installed.grant.key != *key => Err(mixed_up()),
            installed => Ok(installed),
        }
    }

    async fn member(&self, key: &GrantKey, principal: &PrincipalKey) -> Result<Option<Member>, OriginError> {
        let PrincipalKey { kind, id, .. } = principal;
        let found: FoundMember = self.get(&format!("/internal/v1/grants/{key}/members/{kind}/{id}")).await?;
        match found.member {
            Some(member) if member.principal.key != *principal => Err(mixed_up()),
            member => Ok(member),
        }
    }

    async fn keys(&self) -> Result<String, OriginError> {
        let keys: Keys = self.get("/internal/v1/keys").await?;
        self.record_keys.store(Some(Arc::new(keys.record_keys.to_string())));
        let secrets = keys.exchange.iter();
        let secrets =
            secrets.filter_map(|key| Some((Box::from(&*key.kid), KeySecret::from_wire(&key.secret)?)));
        self.exchange_secrets.store(Some(Arc::new(secrets.collect())));
        if let Some(secret) = keys.sessions {
            self.sessions.store(Some(Arc::new(secret)));
        }
        Ok(keys.jwks.to_string())
    }

    /// Those that came with the keys last asked for.
    async fn record_keys(&self) -> Result<String, OriginError> {
        if self.record_keys.load().is_none() {
            self.keys().await?;
        }
        let known = self.record_keys.load_full();
        known.map(|keys| keys.as_ref().clone()).ok_or_else(mixed_up)
    }

    /// Those that came with the keys last asked for.
    async fn exchange_secrets(&self) -> Result<KeySecrets, OriginError> {
        if self.exchange_secrets.load().is_none() {
            self.keys().await?;
        }
        let known = self.exchange_secrets.load_full();
        known.map(|secrets| secrets.as_ref().clone()).ok_or_else(mixed_up)
    }

    async fn exchange(&self, asked: &Exchange) -> Result<Exchanged, NotExchanged> {
        let unavailable = |why: String| NotExchanged::Unavailable(OriginError(why));
        let body = serde_json::to_vec(asked).map_err(|why| unavailable(why.to_string()))?;
        let path = "/internal/v1/exchange";
        let question = Question { method: Method::POST, path, body, within: Some(self.patience) };
        let proof = self.proof().map_err(OriginError::from)?;
        let answer = match self.nodes.ask(&question, &proof).await {
            Ok(answer) => nodes::read::<Wire>(&answer).map_err(OriginError::from)?,
            Err(Asked::Unreachable(why)) => return Err(unavailable(why)),
            Err(Asked::Refused { code, text }) => {
                return Err(match code.as_str() {
                    EXCHANGE_TOKEN => NotExchanged::Token,
                    EXCHANGE_SCOPE => NotExchanged::Scope(text),
                    EXCHANGE_TOO_OFTEN => NotExchanged::TooOften(TOO_OFTEN_SECONDS),
                    _ => unavailable(text),
                });
            }
        };
        Ok(answer.into())
    }

    async fn session_secret(&self) -> Result<Option<SessionSecret>, OriginError> {
        Ok(self.sessions.load_full().map(|secret| secret.as_ref().clone()))
    }

    async fn publish_key(&self, key: &OwnKey) -> Result<(), OriginError> {
        let public_jwk = serde_json::from_str(&key.public_jwk).map_err(|why| OriginError(why.to_string()))?;
        Ok(self.tell(Method::POST, "/internal/v1/keys", &OwnKeyPublished { public_jwk }).await?)
    }
}

fn mixed_up() -> OriginError {
    OriginError("it answered about something else than was asked".to_owned())
}

impl From<Asked> for OriginError {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Unreachable(why) => Self(why),
            Asked::Refused { text, .. } => Self(text),
        }
    }
}

impl From<Asked> for FollowError {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Refused { code, text } if [UNKNOWN, REVOKED, REFUSED].contains(&code.as_str()) => {
                Self::Refused(text)
            }
            Asked::Unreachable(text) | Asked::Refused { text, .. } => Self::Unreachable(text),
        }
    }
}

/// After so long a refused sidecar asks again, in milliseconds: it may have been invited meanwhile.
const ASK_AGAIN_MS: u64 = 2000;

/// Who exchanges too often is told to wait so long.
const TOO_OFTEN_SECONDS: u32 = 60;
