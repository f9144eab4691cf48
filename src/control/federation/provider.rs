//! One provider as it is known here: its discovery document (OpenID Connect Discovery section 4) and its keys, fetched
//! when they are needed and kept for a while.
//!
//! Nothing is fetched at start, so that a provider that is down stops nobody else. A key that is not known is looked
//! for again, but not at every forged token.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::body::Bytes;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::fault::Fault;
use super::fetch::{Credential, Fetch, PATIENCE, Unanswered};
use super::id_token::{Claims, Expected, Keys, Unproven};
use crate::config::provider::Provider as Settings;
use crate::token::random::Secret;

/// A provider.
pub(in crate::control) struct Provider {
    /// What the operator has said of it.
    pub(super) settings: Settings,
    pub(super) secret: Option<Secret>,
    pub(super) fetch: Fetch,
    metadata: ArcSwapOption<Dated<Metadata>>,
    keys: ArcSwapOption<Dated<Keys>>,
    /// One fetches; the others find what it brought.
    turn: Semaphore,
}

/// Where it is asked what.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) userinfo: Option<Url>,
    /// Where people log out (RP-Initiated Logout 1.0).
    pub(super) end_session: Option<Url>,
    /// Whether our secret goes into the form instead of a header.
    pub(super) secret_in_form: bool,
    /// Whether its answers always say who they are from (RFC 9207 section 3).
    pub(super) names_itself: bool,
    keys: Url,
}

struct Dated<T> {
    at: i64,
    /// When it was last looked for in vain, by a key's name.
    sought: i64,
    value: Arc<T>,
}

impl Provider {
    pub(super) fn new(settings: Settings, secret: Option<Secret>, fetch: Fetch) -> Self {
        let (metadata, keys) = (ArcSwapOption::empty(), ArcSwapOption::empty());
        Self { settings, secret, fetch, metadata, keys, turn: Semaphore::new(1) }
    }

    /// Where it is asked what.
    pub(super) async fn metadata(&self, now: i64) -> Result<Arc<Metadata>, Unanswered> {
        if let Some(known) = fresh(&self.metadata, now) {
            return Ok(known);
        }
        let _turn = self.turn().await?;
        if let Some(known) = fresh(&self.metadata, now) {
            return Ok(known);
        }
        let address = format!("{}{WELL_KNOWN}", self.settings.issuer.trim_end_matches('/'));
        let bytes = self.fetch.get(&self.fetch.address(&address)?, Credential::None).await?;
        let value = Arc::new(self.read(&bytes)?);
        self.metadata.store(Some(Arc::new(Dated { at: now, sought: i64::MIN, value: Arc::clone(&value) })));
        Ok(value)
    }

    /// Where people log out there, if it says so soon: a sign-out does not wait long for anybody.
    pub(super) async fn end_session(&self, now: i64) -> Option<Url> {
        let known = tokio::time::timeout(SOON, self.metadata(now)).await.ok()?.ok()?;
        known.end_session.clone()
    }

    /// Waits until nobody else fetches, as long as a fetch may take: who waits longer is told so.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Unanswered> {
        let turn = tokio::time::timeout(PATIENCE, self.turn.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or(Unanswered::Late)
    }

    /// Checks a token against the keys as they are known, and once more against fresh ones when it names a key that
    /// is not among them.
    pub(super) async fn verified(
        &self,
        now: i64,
        check: impl Fn(&Keys, Expected<'_>) -> Result<Claims, Unproven>,
    ) -> Result<Claims, Fault> {
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            now,
            skew: i64::from(self.settings.skew_seconds),
        };
        let metadata = self.metadata(now).await?;
        let keys = match fresh(&self.keys, now) {
            Some(keys) => keys,
            None => self.fetch_keys(&metadata, now, None).await?,
        };
        match check(&keys, expected) {
            Err(Unproven::UnknownKey) => {
                let keys = self.fetch_keys(&metadata, now, Some(&keys)).await?;
                Ok(check(&keys, expected)?)
            }
            other => Ok(other?),
        }
    }

    /// Fetches the keys, unless somebody else has meanwhile. With `besides`, a key was not among those: then no more
    /// often than every few seconds.
    async fn fetch_keys(
        &self,
        metadata: &Metadata,
        now: i64,
        besides: Option<&Arc<Keys>>,
    ) -> Result<Arc<Keys>, Unanswered> {
        let _turn = self.turn().await?;
        let mut sought = i64::MIN;
        if let Some(known) = self.keys.load_full() {
            let other = besides.is_none_or(|besides| !Arc::ptr_eq(besides, &known.value));
            let looked = besides.is_some() && (0..PAUSE).contains(&now.saturating_sub(known.sought));
            if looked || (other && (0..KEPT).contains(&now.saturating_sub(known.at))) {
                return Ok(Arc::clone(&known.value));
            }
            if besides.is_some() {
                sought = now;
                // Before it is known how it ends: a provider that is down is not asked for every forged token.
                let value = Arc::clone(&known.value);
                self.keys.store(Some(Arc::new(Dated { at: known.at, sought, value })));
            }
        }
        let bytes = self.fetch.get(&metadata.keys, Credential::None).await?;
        let value = Arc::new(Keys::parse(&bytes).ok_or(Unanswered::Unreadable("it is no key set"))?);
        self.keys.store(Some(Arc::new(Dated { at: now, sought, value: Arc::clone(&value) })));
        Ok(value)
    }

    fn read(&self, bytes: &Bytes) -> Result<Metadata, Unanswered> {
        let wire: Wire = serde_json::from_slice(bytes)
            .map_err(|_| Unanswered::Unreadable("it is no discovery document"))?;
        // To the letter: it could be another provider's document (Discovery section 4.3).
        if wire.issuer != self.settings.issuer {
            return Err(Unanswered::Unreadable("its discovery document names another issuer"));
        }
        let address = |text: &str| self.fetch.address(text);
        let any = |text: Option<String>| text.map(|text| address(&text)).transpose();
        let ways = wire.token_endpoint_auth_methods_supported.unwrap_or_default();
        let has = |way: &str| ways.iter().any(|one| one == way);
        Ok(Metadata {
            authorization: address(&wire.authorization_endpoint)?,
            token: address(&wire.token_endpoint)?,
            keys: address(&wire.jwks_uri)?,
            userinfo: any(wire.userinfo_endpoint)?,
            end_session: any(wire.end_session_endpoint)?,
            secret_in_form: has("client_secret_post") && !has("client_secret_basic"),
            names_itself: wire.authorization_response_iss_parameter_supported,
        })
    }
}

#[derive(Deserialize)]
struct Wire {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

fn fresh<T>(kept: &ArcSwapOption<Dated<T>>, now: i64) -> Option<Arc<T>> {
    let kept = kept.load();
    let kept = kept.as_ref()?;
    (0..KEPT).contains(&now.saturating_sub(kept.at)).then(|| Arc::clone(&kept.value))
}

const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// For how long documents and keys are kept, in seconds: so long a key that was withdrawn there may be good here.
const KEPT: i64 = 600;
const SOON: Duration = Duration::from_secs(2);
/// How often a key that is not known is looked for, in seconds.
const PAUSE: i64 = 10;
