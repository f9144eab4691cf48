//! Exchanged credentials: an access token becomes an access key for clients that sign their requests.
//!
//! Comes in: a token, presented by an application at `/v1/exchange` or by a sidecar for a caller whom it has proved.
//! Goes out: a credential that says no more than the token did, lives no longer than the token and the grant, and dies
//! with them at every sidecar. It is kept nowhere; that it was made is in the audit.

mod endpoint;
pub(super) mod permitted;
mod roles;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::routing::post;
use serde_json::json;

use self::permitted::{Giving, NotPermitted, permitted};
use super::Control;
use super::browser::throttle::{Guess, ThrottleSettings};
use super::oauth::live::{self, Live};
use crate::grants::exchange::{Exchange, Exchanger, Leaving, NotExchanged};
use crate::grants::origin::OriginError;
use crate::model::caller::Caller;
use crate::model::scope::ScopeSet;
use crate::policy::Exchanging;
use crate::store::{AuditEvent, KeyPurpose, StoreError};
use crate::token::exchange::{Exchanged, KeySecrets, LONGEST, NewCredential, verify_security_token};
use crate::token::issue::AccessToken;
use crate::token::keys::{Purpose, Signer};

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new().route(PATH, post(endpoint::post))
}

/// Where applications exchange.
pub(super) const PATH: &str = "/v1/exchange";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By<'a> {
    /// Whoever has the token, at this address.
    Bearer(Option<IpAddr>),
    /// This sidecar, which has proved itself and the caller.
    Sidecar(&'a str),
}

impl Control {
    /// Exchanges a token.
    pub(super) async fn exchange(&self, asked: &Exchange, by: By<'_>) -> Result<Exchanged, NotExchanged> {
        let (caller, audience) = self.presented(&asked.token, by).ok_or(NotExchanged::Token)?;
        let (now, at) = (self.clock.now(), self.clock.seconds());
        let principal = &caller.principal;
        let live = self.stands(&caller, at).await?;
        let scopes = scopes(&live, &caller, asked.scope.as_deref())?;
        let ends = live.ends_by(caller.expires_at).saturating_sub(at);
        let seconds = asked.seconds.unwrap_or(LONGEST).min(LONGEST).min(u32::try_from(ends).unwrap_or(0));
        if seconds == 0 {
            return Err(NotExchanged::Token);
        }
        // A sidecar has decided the call, by an action of its own.
        if let By::Bearer(ip) = by {
            let giving =
                Giving { exchanging: Exchanging::Credential, audience: &audience, scopes: &scopes, ip };
            permitted(self, &caller, &live, &giving).await?;
        }
        let ring = self.ring();
        let signer = ring.keys.signer(Purpose::Exchange, now).map_err(|why| not_now(&why))?;
        let token = AccessToken {
            issuer: self.issuer.as_str(),
            audience: &audience,
            application: &caller.application,
            principal,
            subject: &caller.subject,
            scopes: &scopes,
            revision: caller.revision,
            family: &caller.family,
            seconds,
        };
        let exchanged = NewCredential { token }.mint(signer, at).map_err(|why| not_now(&why))?;
        let detail = json!({
            "access_key_id": exchanged.access_key_id,
            "principal": format!("{}/{}", principal.kind, principal.id),
            "scopes": scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
            "seconds": seconds,
            "sidecar": match by { By::Bearer(_) => None, By::Sidecar(name) => Some(name) },
        });
        let event = AuditEvent::of_caller("credential.exchange", &caller, &detail, now);
        // Told first: a credential that nobody knows of is none.
        self.store.keep_audit(&event).await.map_err(unavailable)?;
        Ok(exchanged)
    }

    /// What a caller's token rests on, as the store has it now. Each look counts.
    async fn stands(&self, caller: &Caller, at: i64) -> Result<Live, NotExchanged> {
        self.exchanges
            .begin(Guess::Exchange(caller.family.as_str()), None, at)
            .map_err(NotExchanged::TooOften)?;
        let (grant, principal) = (caller.grant(), &caller.principal);
        let live = live::standing(self, &grant, principal, caller.revision, &caller.family).await;
        live.map_err(unavailable)?.ok_or(NotExchanged::Token)
    }

    /// Whom the token speaks for, and for whom it is meant. A security token counts only where a sidecar has seen that
    /// its secret is there too.
    fn presented(&self, token: &str, by: By<'_>) -> Option<(Caller, String)> {
        let caller = live::proven(self, token, None).or_else(|| match by {
            By::Bearer(_) => None,
            By::Sidecar(_) => {
                let (issuer, now) = (self.issuer.as_str(), self.clock.seconds());
                let any = |_: &str| Some(());
                let verified =
                    verify_security_token(&self.ring().verifiers, token, issuer, any, now, live::SKEW);
                verified.ok().map(|(caller, _, ())| caller)
            }
        })?;
        Some((caller, live::audience_of(token)?))
    }

    /// What the secrets of access keys are made with: from the store, and not as this node last read them, since another
    /// may have made a new key.
    pub(super) async fn exchange_secrets(&self) -> Result<KeySecrets, OriginError> {
        let keys = self.store.signing_keys(self.clock.now()).await?;
        let keys = keys.into_iter().filter(|key| key.purpose == KeyPurpose::Exchange);
        keys.map(|key| {
            let unreadable = |why: &dyn std::fmt::Display| OriginError(why.to_string());
            let pkcs8 = self.sealer.open(&key.kid, &key.sealed).map_err(|why| unreadable(&why))?;
            let signer = Signer::from_pkcs8(Purpose::Exchange, &pkcs8).map_err(|why| unreadable(&why))?;
            let secret = signer.exchange_secret().ok_or_else(|| unreadable(&"a key without its secret"))?;
            Ok((Box::from(key.kid.as_str()), secret.clone()))
        })
        .collect()
    }
}

/// For a sidecar in the same process.
#[async_trait]
impl Exchanger for Control {
    async fn secrets(&self) -> Result<KeySecrets, OriginError> {
        self.exchange_secrets().await
    }

    async fn exchange(&self, asked: &Exchange) -> Result<Exchanged, NotExchanged> {
        self.exchange(asked, By::Sidecar(HERE)).await
    }

    async fn leaving(&self, told: &Leaving) -> Result<(), NotExchanged> {
        self.leaving(told, HERE).await
    }
}

/// What the credential may carry: of what the token has, what still counts, and of that what is asked for.
fn scopes(live: &Live, caller: &Caller, asked: Option<&str>) -> Result<ScopeSet, NotExchanged> {
    let Some(asked) = asked else { return Ok(live.scopes(&caller.scopes)) };
    let refused = |what: &str| NotExchanged::Scope(format!("the scope {what} was not granted to this token"));
    let wanted: ScopeSet = asked.parse().map_err(|_| refused("with such characters"))?;
    match wanted.iter().find(|scope| !caller.scopes.covers(scope)) {
        Some(beyond) => Err(refused(beyond.as_str())),
        None => Ok(live.scopes(&wanted.meet(&caller.scopes))),
    }
}

impl From<NotPermitted> for NotExchanged {
    fn from(why: NotPermitted) -> Self {
        match why {
            NotPermitted::Denied { code, text } => Self::Denied { code, text },
            NotPermitted::Unrecorded(error) => unavailable(error),
        }
    }
}

fn unavailable(error: StoreError) -> NotExchanged {
    tracing::error!(%error, "a token could not be exchanged");
    NotExchanged::Unavailable(OriginError("the store cannot answer now".to_owned()))
}

fn not_now(why: &dyn std::fmt::Display) -> NotExchanged {
    tracing::error!(error = %why, "a credential could not be made");
    NotExchanged::Unavailable(OriginError("no credential can be made now".to_owned()))
}

/// The sidecar of `consentry dev`.
const HERE: &str = "in this process";

/// How often one authorization may exchange: a client uses a credential until it ends.
pub(super) const EXCHANGES: ThrottleSettings =
    ThrottleSettings { per_login: 60, per_address: u32::MAX, window_seconds: 300, capacity: 20_000 };
