//! PAP: authorization server, consent, console and admin API over the store.
//!
//! Comes in: browsers, applications and administrators by HTTP. Goes out: pages, tokens, JSON, and grants written
//! into the store. Every change is the store's one transaction; nothing is decided about calls here, that is the
//! sidecar's.
//!
//! To add an endpoint: one file, and one route line in [`Control::router`] or the folder's `routes`.

pub mod admin;
mod arrival;
pub mod audit;
pub mod browser;
pub mod console;
pub mod directory;
mod exchange;
mod federation;
mod form;
pub mod health;
pub mod internal;
pub mod issuer;
pub mod me;
mod narrowing;
pub mod oauth;
pub mod page;
mod paging;
mod peer;
pub mod people;
mod pieces;
mod problem;
pub mod publishing;
mod redirect_uri;
mod registration;
pub mod requests;
pub mod rescope;
pub mod resources;
pub mod security;
pub mod sessions;
mod signing;
pub mod tenant;
pub mod usage;

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;

use crate::config::provider::Provider;
use crate::config::registration::Registration;
use crate::grants::acknowledge::CutBefore;
use crate::grants::origin::SessionSecret;
use crate::grants::shared::{Publisher, Reach};
use crate::grants::source::Source;
use crate::model::time::Clock;
use crate::policy::Policies;
use crate::policy::reload::Current;
use crate::store::{Shared, StoreError};
use crate::token::factor::passkey::Passkeys;
use crate::token::issue::Subjects;
use crate::token::password::Passwords;
use crate::token::seal::{SealError, Sealer};
use arrival::Arrival;
use audit::Refusals;
use browser::throttle::Throttle;
pub use browser::throttle::ThrottleSettings;
use federation::Federation;
use issuer::Issuer;
pub use peer::with_peer;
pub use problem::{Problem, Reply};
use registration::Registrar;
use resources::Resources;
use signing::Ring;
pub use signing::{StartError, rotate_keys};

/// What a control plane is made of.
pub struct Setup {
    /// The address that clients know it by.
    pub issuer: Url,
    /// The addresses of the sidecars, for which tokens may be asked (RFC 8707); the issuer itself always is one.
    pub resources: Vec<Url>,
    /// The durable truth.
    pub store: Shared,
    /// The policies in force, followed while their files change.
    pub policies: Arc<Current>,
    /// Tells sidecars of changes, and knows who has heard of them.
    pub source: Arc<Source>,
    /// Seals private keys.
    pub sealer: Sealer,
    /// The time.
    pub clock: Clock,
    /// Lives and limits.
    pub settings: Settings,
    /// The organizations' own providers, by which their people log in.
    pub providers: Vec<Provider>,
    /// How applications may register themselves.
    pub registration: Registration,
}

/// Lives and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Life of an authorization code, in seconds.
    pub code_seconds: i64,
    /// Life of a browser session, in seconds.
    pub session_seconds: i64,
    /// How long a consent page can be answered, in seconds.
    pub consent_seconds: i64,
    /// For how long a new signing key is published before it signs, in seconds.
    pub key_notice_seconds: i64,
    /// After how long a signing key is followed by a new one, in seconds.
    pub key_life_seconds: i64,
    /// How often a password may be wrong.
    pub throttle: ThrottleSettings,
    /// How many passwords are checked at once.
    pub logins_at_once: usize,
    /// The largest body taken, in bytes.
    pub body_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            code_seconds: 60,
            session_seconds: 8 * 3600,
            consent_seconds: 600,
            key_notice_seconds: 900,
            key_life_seconds: 30 * 24 * 3600,
            throttle: ThrottleSettings::default(),
            logins_at_once: 2,
            body_limit: 64 * 1024,
        }
    }
}

/// The state of the role, shared by all handlers.
pub struct Control {
    issuer: Issuer,
    resources: Resources,
    store: Shared,
    policies: Arc<Current>,
    source: Arc<Source>,
    clock: Clock,
    settings: Settings,
    sealer: Sealer,
    ring: ArcSwap<Ring>,
    subjects: Subjects,
    passwords: Passwords,
    passkeys: Option<Passkeys>,
    throttle: Throttle,
    federation: Federation,
    /// How often attempts to log in at a provider may begin.
    starts: Throttle,
    /// How often an authorization's tokens may be exchanged for narrower ones.
    narrowings: Throttle,
    /// How often tokens may be exchanged.
    exchanges: Throttle,
    registrar: Registrar,
    publisher: OnceLock<Arc<Publisher>>,
    refusals: Refusals,
}

impl Control {
    /// Opens the signing keys, making them at the first start.
    ///
    /// # Errors
    /// [`StartError`] says what is missing.
    pub async fn start(setup: Setup) -> Result<Arc<Self>, StartError> {
        let Setup { issuer, resources, store, policies, source, sealer, clock, settings, .. } = setup;
        let (providers, registrar) = (setup.providers, Registrar::new(setup.registration)?);
        let issuer = Issuer::new(&issuer)?;
        let resources = Resources::new(&issuer, &resources);
        store.adopt(clock.now()).await?;
        signing::make_missing(&store, &sealer, clock.now()).await?;
        let ring = ArcSwap::from_pointee(Ring::load(&store, &sealer, clock.now()).await?);
        let subjects = Subjects::new(&*sealer.derive("subjects")?);
        let passwords = Passwords::new(settings.logins_at_once)?;
        let passkeys = Passkeys::new(issuer.origin(), sealer.derive("passkey handles")?);
        let throttle = Throttle::new(settings.throttle);
        let (federation, starts) = (Federation::new(providers)?, Throttle::new(STARTS));
        let exchanges = Throttle::new(exchange::EXCHANGES);
        Ok(Arc::new(Self {
            issuer,
            resources,
            store,
            policies,
            source,
            clock,
            settings,
            sealer,
            ring,
            subjects,
            passwords,
            passkeys,
            throttle,
            federation,
            starts,
            narrowings: Throttle::new(narrowing::OFTEN),
            exchanges,
            registrar,
            publisher: OnceLock::new(),
            refusals: Refusals::new(),
        }))
    }

    /// Publishes in the shared tier what the store holds, and lets sidecars count on it for `lease`: run the answer
    /// as a task of its own. What sidecars ask for is left there too.
    ///
    /// # Errors
    /// The store's own.
    pub async fn publish(
        self: &Arc<Self>,
        reach: Arc<Reach>,
        lease: Duration,
    ) -> Result<Arc<Publisher>, StoreError> {
        let publisher = Publisher::new(reach, Arc::clone(&self.store), self.record_keys(), lease).await?;
        Ok(Arc::clone(self.publisher.get_or_init(|| publisher)))
    }

    /// Who leaves facts in the shared tier, if there is one.
    pub(in crate::control) fn publisher(&self) -> Option<&Arc<Publisher>> {
        self.publisher.get()
    }

    /// Everything that it answers, on one screen. Serve it with
    /// `into_make_service_with_connect_info::<SocketAddr>()`, so that logins can be counted by address.
    pub fn router(self: &Arc<Self>) -> Router {
        let all = Router::new()
            .merge(oauth::routes())
            .merge(exchange::routes())
            .merge(browser::routes())
            .merge(admin::routes())
            .merge(audit::routes())
            .merge(console::routes())
            .merge(federation::routes())
            .merge(sessions::routes())
            .merge(me::routes())
            .merge(publishing::routes())
            .merge(registration::routes())
            .merge(usage::routes())
            .merge(requests::routes())
            .merge(rescope::routes())
            .merge(tenant::routes())
            .merge(people::routes())
            .merge(security::routes())
            .route(page::style::address(), get(page::style::get))
            .route(page::script::address(), get(page::script::get));
        let under_issuer = if self.issuer.path().is_empty() {
            all
        } else {
            // Reached with the issuer's path or, behind a proxy that takes it away, without.
            all.clone().nest(self.issuer.path(), all)
        };
        under_issuer
            .merge(oauth::inserted_metadata(self.issuer.path()))
            .fallback(async || Problem::not_found())
            .method_not_allowed_fallback(async || Problem::wrong_method())
            .layer(from_fn_with_state(Arc::clone(self), audit::watch))
            .layer(DefaultBodyLimit::max(self.settings.body_limit))
            .layer(from_fn_with_state(
                Arrival { limit: self.settings.body_limit, within: WHOLE_BODY },
                arrival::whole,
            ))
            .layer(CatchPanicLayer::custom(on_panic))
            .with_state(Arc::clone(self))
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Shared {
        &self.store
    }

    /// The policy set in force.
    #[must_use]
    pub fn policies(&self) -> Arc<Policies> {
        self.policies.policies()
    }

    /// Tells sidecars of changes, and knows who has heard of them.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Lives and limits.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whom passwords are checked by.
    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// The secret under which sidecars bind sessions: the same for every node with this store's key.
    ///
    /// # Errors
    /// It cannot be derived.
    pub fn session_secret(&self) -> Result<SessionSecret, SealError> {
        let secret = self.sealer.derive("upstream sessions")?;
        Ok(SessionSecret::new(STANDARD.encode(*secret)))
    }

    /// Makes opaque subjects.
    #[must_use]
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// Waits until every sidecar with a lease has heard of what was committed so far, so that an answer is not
    /// overtaken by the next call. A sidecar that does not answer is waited for until its lease ends, and no longer.
    ///
    /// # Errors
    /// The store's own.
    pub async fn heard_everywhere(&self) -> Result<(), StoreError> {
        let newest = self.store.newest().await?;
        self.source.everywhere(newest, &CutBefore::default(), |_| ()).await;
        Ok(())
    }

    fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Asks for passkeys; none where the issuer's address is no name.
    fn passkeys(&self) -> Option<&Passkeys> {
        self.passkeys.as_ref()
    }

    fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    fn narrowings(&self) -> &Throttle {
        &self.narrowings
    }

    fn throttle(&self) -> &Throttle {
        &self.throttle
    }
}

/// A bug ends one request, and tells nobody how it is built.
fn on_panic(payload: Box<dyn Any + Send + 'static>) -> Response {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    Problem::internal("a handler panicked", &text).into_response()
}

/// Attempts to log in at a provider are kept for a while, whoever begins them. The address of a whole organization may
/// begin many; who begins more has a program do it.
const STARTS: ThrottleSettings =
    ThrottleSettings { per_login: u32::MAX, per_address: 1_000, window_seconds: 300, capacity: 20_000 };

/// Forms and JSON of a few kilobytes.
const WHOLE_BODY: Duration = Duration::from_secs(10);

#[cfg(test)]
pub(crate) mod tests;
