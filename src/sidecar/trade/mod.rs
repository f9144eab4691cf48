//! `assume = "exchange"`: the caller's assertion is traded at the platform's own token service (RFC 8693) for the token
//! that the upstream takes.
//!
//! Comes in: a permit, and whose it is. Goes out: the value of `Authorization`, at hand or to be fetched. One is kept
//! with its standing and used until shortly before it ends, so that a revocation, which ends the standing, ends its use;
//! whoever comes while it is fetched waits for that one. A service that does not answer, refuses, or answers a token of
//! more than was asked for leaves the call without an identity, and it is refused.

mod answer;
mod kept;
mod secret;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jiff::Timestamp;
use url::form_urlencoded;

use super::refuse::{NoIdentity, Refusal};
use crate::config::exchange::Exchange;
use crate::grants::Standing;
use crate::model::caller::Caller;
use crate::model::scope::ScopeSet;
use crate::model::time::Clock;
use crate::net::ask::{Ask, NoWay};
use crate::policy::Permit;
use crate::token::assertion::{AssertionSigner, Assumed};
use crate::token::random::Secret;
use answer::Given;
use kept::{Kept, Place};
use secret::SecretAt;

/// A token service, and the tokens that it gave.
pub(super) struct Trade {
    shop: Arc<Shop>,
    kept: Kept,
}

/// What is at hand for a call.
pub(super) enum Found {
    /// The value of `Authorization`.
    Ready(HeaderValue),
    /// It has to be fetched.
    Fetch(Fetch),
}

/// Fetches the value of `Authorization`.
pub(super) type Fetch = Pin<Box<dyn Future<Output = Result<HeaderValue, Refusal>> + Send>>;

/// The service itself.
struct Shop {
    name: String,
    ask: Ask,
    secret: Option<SecretAt>,
    settings: Exchange,
    clock: Clock,
}

/// What is asked for one standing.
struct Question {
    form: String,
    /// The scopes that are asked for, as the service calls them; none where nothing is said of scopes.
    asked: Option<ScopeSet>,
    /// When all use of its answer ends, in seconds since 1970.
    ends_at: i64,
}

impl Trade {
    /// The service that the settings call `name`.
    ///
    /// # Errors
    /// It cannot be asked, or there is no secret for it.
    pub(super) fn new(name: &str, settings: &Exchange, clock: Clock) -> Result<Self, String> {
        let wrong = |why: &dyn std::fmt::Display| format!("[exchange.{name}]: {why}");
        let within = Duration::from_millis(settings.timeout_ms);
        let ask = Ask::new(&settings.url, settings.ca.as_deref(), settings.allow_local, within)
            .map_err(|why: NoWay| wrong(&why))?;
        let secret = SecretAt::of(settings);
        secret.as_ref().map_or(Ok(()), SecretAt::check).map_err(|why| wrong(&why))?;
        let shop = Shop { name: name.to_owned(), ask, secret, settings: settings.clone(), clock };
        Ok(Self { shop: Arc::new(shop), kept: Kept::default() })
    }

    /// What is at hand for one permitted call. `now` in seconds since 1970.
    pub(super) fn at_hand(
        &self,
        signer: &AssertionSigner,
        permit: &Permit<'_>,
        caller: &Caller,
        standing: &Arc<Standing>,
        now: i64,
    ) -> Result<Found, Refusal> {
        let place = self.kept.place(caller, standing, now);
        if let Some(ready) = place.ready(now) {
            return Ok(Found::Ready(ready));
        }
        let question = self.shop.question(signer, permit, caller, standing, now)?;
        let (shop, standing) = (Arc::clone(&self.shop), Arc::clone(standing));
        Ok(Found::Fetch(Box::pin(async move { shop.fetch(&place, question, standing).await })))
    }
}

impl Shop {
    /// The one token of a standing. Who comes second waits for the first, and takes what it brought.
    async fn fetch(
        &self,
        place: &Place,
        question: Question,
        standing: Arc<Standing>,
    ) -> Result<HeaderValue, Refusal> {
        let _turn = place.turn().await;
        let now = self.clock.now().as_second();
        if let Some(ready) = place.ready(now) {
            return Ok(ready);
        }
        // Whoever waited for a failure has it too, instead of waiting for another.
        if let Some(why) = place.just_failed(now) {
            return Err(Refusal::NoIdentity(NoIdentity::JustFailed(self.gave_none(&why))));
        }
        match self.ask(&question).await {
            Ok((token, use_until)) => {
                place.put(token.clone(), use_until, standing);
                Ok(token)
            }
            Err(why) => {
                place.failed(&why, self.clock.seconds());
                Err(self.unavailable(&why))
            }
        }
    }

    async fn ask(&self, question: &Question) -> Result<(HeaderValue, i64), String> {
        let authorization = self.authorization().await?;
        let (status, body) =
            self.ask.post(question.form.clone(), authorization).await.map_err(|why| why.to_string())?;
        let now = self.clock.now().as_second();
        let given = Given::read(status, &body, question.asked.as_ref()).map_err(|why| why.to_string())?;
        let mut token = HeaderValue::try_from(format!("Bearer {}", given.token.expose()))
            .map_err(|_| "its token is none".to_owned())?;
        token.set_sensitive(true);
        let life = given.seconds.min(i64::from(self.settings.seconds));
        let ends_at = now.saturating_add(life).min(question.ends_at);
        let spare = (life / 4).min(SPARE_SECONDS);
        Ok((token, ends_at.saturating_sub(spare)))
    }

    /// What the service is asked (RFC 8693 §2.1). The subject token is the caller's assertion, which names the
    /// application as the one that acts (§4.1).
    fn question(
        &self,
        signer: &AssertionSigner,
        permit: &Permit<'_>,
        caller: &Caller,
        standing: &Standing,
        now: i64,
    ) -> Result<Question, Refusal> {
        let grant = &standing.installed().grant;
        let ends_at = grant.expires_at.map(Timestamp::as_second);
        let assumed = Assumed {
            caller,
            scopes: permit.scopes(),
            revision: grant.revision,
            ends_at,
            audience: self.settings.assertion_audience(),
        };
        let assertion = signer.sign(assumed, None, now).map_err(|error| {
            self.unavailable(&format!("the assertion for it could not be signed: {error}"))
        })?;
        let asked = self.asked(permit)?;
        let scope = asked.as_ref().map(ToString::to_string);
        let mut fields = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", assertion.token.expose()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        let settings = &self.settings;
        fields.extend(settings.audience.as_deref().map(|audience| ("audience", audience)));
        fields.extend(settings.resource.as_deref().map(|resource| ("resource", resource)));
        fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
        if self.secret.is_none() {
            fields.push(("client_id", &settings.client_id));
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Ok(Question { form, asked, ends_at: ends_at.unwrap_or(i64::MAX).min(caller.expires_at) })
    }

    /// What the service calls the scopes that count. Without a word for any of them nothing may be asked: the service
    /// would give what it gives to those who do not say.
    fn asked(&self, permit: &Permit<'_>) -> Result<Option<ScopeSet>, Refusal> {
        if self.settings.scopes.is_empty() {
            return Ok(None);
        }
        let counting = permit.session().counting();
        let known = self.settings.scopes.iter().filter(|(ours, _)| counting.covers(ours));
        let asked: ScopeSet = known.flat_map(|(_, theirs)| theirs.iter().cloned()).collect();
        if asked.is_empty() {
            return Err(self.unavailable("the settings name no scope of it for what was granted"));
        }
        Ok(Some(asked))
    }

    fn unavailable(&self, why: &str) -> Refusal {
        Refusal::NoIdentity(NoIdentity::Failed(self.gave_none(why)))
    }

    fn gave_none(&self, why: &str) -> String {
        format!("the token service {} gave no token: {why}", self.name)
    }

    /// Basic (RFC 6749 §2.3.1), where we have a secret: as it is at this moment, since files are replaced.
    async fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some(secret) = &self.secret else { return Ok(None) };
        let secret = secret.read().await?;
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = Secret::new(format!("{}:{}", encoded(&self.settings.client_id), encoded(secret.expose())));
        let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair.expose())));
        value.map(Some).map_err(|_| "our secret there cannot be sent".to_owned())
    }
}

/// A token is not used any more when it has less than this left, or less than a quarter of its life.
const SPARE_SECONDS: i64 = 20;
