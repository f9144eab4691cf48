//! Starting a sidecar: settings become a running one.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::admin::Status;
use super::assume::Identities;
use super::aws::Names;
use super::explicit::Manner;
use super::forward::Upstreams;
use super::identify::Tokens;
use super::intercept::{AuthorityError, Interception};
use super::record::Desk;
use super::route::{Means, Routes};
use super::running::Running;
use super::seat::Recent;
use super::signed::Nonces;
use super::sts::Sts;
use super::trade::Trade;
use super::{Sidecar, Worker};
use crate::config::sidecar as settings;
use crate::grants::Grants;
use crate::grants::lease::Lease;
use crate::grants::origin::{Origin, OwnKey};
use crate::grants::shared::{Reach, Tier};
use crate::grants::slots::SlotClock;
use crate::model::id::SidecarId;
use crate::model::time::{Clock, Moment};
use crate::net::listener::{self, BoundWorkers, ListenError};
use crate::net::tls::{self, TlsError};
use crate::net::upstream::{Protocol, Upstream, UpstreamSettings};
use crate::observe::metrics::Metrics;
use crate::observe::records::{Keep, Records};
use crate::policy::reload::Current;
use crate::token::assertion::AssertionSigner;
use crate::token::keys::{self, KeyError, Purpose, Signer};
use crate::token::random;

/// What a sidecar is made of.
pub struct Setup {
    /// Its settings.
    pub settings: settings::Sidecar,
    /// Where it listens.
    pub bound: BoundWorkers,
    /// Its name in records and receipts.
    pub name: SidecarId,
    /// Where grants come from.
    pub origin: Arc<dyn Origin>,
    /// How the shared tier is reached, if there is one.
    pub shared: Option<Arc<Reach>>,
    /// The policies in force.
    pub policies: Arc<Current>,
    /// The time.
    pub clock: Clock,
    /// Where decision records go.
    pub keep: Box<dyn Keep>,
}

/// Why a sidecar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its certificate authority for tunnels cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Its own key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The machine gives no random bytes.
    #[error(transparent)]
    Random(#[from] random::NoRandomness),
    /// The settings have no meaning.
    #[error("{0}")]
    Settings(String),
    /// The machine gives no thread.
    #[error("no thread for decision records: {0}")]
    Thread(#[from] std::io::Error),
}

/// Starts a sidecar.
///
/// # Errors
/// Why it cannot; then nothing is left running.
pub async fn start(setup: Setup) -> Result<Running, StartError> {
    let Setup { settings, bound, name, origin, shared, policies, clock, keep } = setup;
    let (slots, lease) = (Arc::new(SlotClock::default()), Arc::new(Lease::new(settings.lease())));
    let public_url = settings.public_url.as_ref().map_or_else(
        || format!("http://{}", bound.address()),
        |url| url.as_str().trim_end_matches('/').to_owned(),
    );
    let metrics = Metrics::new();
    let shared = shared.map(|reach| Tier::new(reach, metrics.shared().clone()));
    let grants = Arc::new(Grants::new(
        Arc::clone(&origin),
        shared.clone(),
        Arc::clone(&slots),
        Arc::clone(&lease),
        Arc::clone(&policies),
        clock.clone(),
        settings.limits.grants,
    ));
    let signer = Signer::from_pkcs8(Purpose::Assertion, &keys::generate(Purpose::Assertion)?)?;
    let key = OwnKey {
        kid: signer.kid().to_owned(),
        sidecar: name.clone(),
        public_jwk: signer.public().to_json(),
        published_until: clock.now(),
    };
    let (records, writer) = Records::start(settings.limits.records, Arc::clone(&metrics), keep)?;
    let tokens =
        Tokens::new(Arc::clone(&origin), settings.issuer.clone(), &public_url, settings.limits.tokens);
    let means = means(&settings, &public_url, (&policies, &origin), &clock)?;
    let sidecar = Arc::new(Sidecar {
        issuer: settings.issuer.clone(),
        public_url,
        routes: Routes::new(&settings.routes, &means).map_err(StartError::Settings)?,
        tokens,
        grants: Arc::clone(&grants),
        identities: Identities::new(AssertionSigner::new(signer, settings.issuer.as_str())?),
        sessions: ArcSwapOption::empty(),
        records,
        metrics,
        clock: clock.clone(),
        limits: settings.limits.clone(),
        nonces: Nonces::new(settings.limits.nonces, Moment::now()),
        interception: Interception::new(&settings, &clock)?,
        sts: means.sts.iter().map(|(_, sts)| Arc::clone(sts)).collect(),
    });
    let following = watch::Sender::default();
    let status = Arc::new(Status {
        sidecar: Arc::clone(&sidecar),
        lease: Arc::clone(&lease),
        policies,
        following: following.subscribe(),
        shared: shared.as_ref().map(|tier| tier.link()),
        draining: AtomicBool::new(false),
        streams_cut: Arc::default(),
    });
    let (upstreams, named) = (upstreams(&settings)?, name.clone());
    let serve = move |worker: &_| prepare(&sidecar, &named, &upstreams, worker).map(super::serve);
    let workers = Arc::new(bound.start(serve).await?);
    Ok(Running { workers, status, grants, shared, slots, lease, key, origin, clock, writer, following })
}

/// What one worker serves with.
fn prepare(
    sidecar: &Arc<Sidecar>,
    name: &SidecarId,
    settings: &[(Arc<str>, UpstreamSettings)],
    worker: &listener::Worker,
) -> Result<Rc<Worker>, Box<dyn std::error::Error + Send + Sync>> {
    let mut upstreams = Vec::new();
    for (name, upstream) in settings {
        upstreams.push((Arc::clone(name), Upstream::new(upstream.clone(), worker)?));
    }
    let mut seed = [0; 8];
    random::fill(&mut seed)?;
    Ok(Rc::new(Worker {
        sidecar: Arc::clone(sidecar),
        upstreams: Upstreams(upstreams),
        desk: Desk::new(name.as_str(), u64::from_be_bytes(seed)),
        recent: Recent::default(),
        signed: Recent::default(),
    }))
}

/// What routes need besides their own settings.
fn means(
    settings: &settings::Sidecar,
    public_url: &str,
    (policies, origin): (&Arc<Current>, &Arc<dyn Origin>),
    clock: &Clock,
) -> Result<Means, StartError> {
    let accounts = Arc::new(settings.cloud_accounts.clone());
    let sts = |(name, sts): (&String, _)| {
        let sts = Sts::new(sts, Arc::clone(&accounts), clock.clone());
        let sts = sts.map_err(|why| StartError::Settings(format!("[sts.{name}]: {why}")))?;
        Ok((Arc::from(name.as_str()), Arc::new(sts)))
    };
    let sts = settings.sts.iter().map(sts).collect::<Result<_, StartError>>()?;
    let host = url::Url::parse(public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let trade = |(name, exchange): (&String, _)| {
        let trade = Trade::new(name, exchange, clock.clone()).map_err(StartError::Settings)?;
        Ok((Arc::from(name.as_str()), Arc::new(trade)))
    };
    let exchange = settings.exchange.iter().map(trade).collect::<Result<_, StartError>>()?;
    let issuer = Arc::from(settings.issuer.as_str());
    let answers = Some(Manner { origin: Arc::clone(origin), issuer });
    let names = Names::new(accounts, host.unwrap_or_default());
    Ok(Means { policies: Arc::clone(policies), sts, exchange, answers, names })
}

fn upstreams(settings: &settings::Sidecar) -> Result<Vec<(Arc<str>, UpstreamSettings)>, StartError> {
    settings
        .upstreams
        .iter()
        .map(|(name, upstream)| Ok((Arc::from(name.as_str()), reach(upstream)?)))
        .collect()
}

fn reach(upstream: &settings::Upstream) -> Result<UpstreamSettings, StartError> {
    let no_host = || StartError::Settings(format!("the upstream {} has no host", upstream.url));
    let host = upstream.url.host_str().ok_or_else(no_host)?.trim_matches(['[', ']']).to_owned();
    let port = upstream.url.port_or_known_default().ok_or_else(no_host)?;
    let secure = upstream.url.scheme() == "https";
    let mut reach = UpstreamSettings::new(host, port);
    reach.tls = secure.then(|| tls::client_config(upstream.ca.as_deref(), true)).transpose()?;
    reach.protocol = match (upstream.http2, secure) {
        (true, _) => Protocol::Http2,
        (false, true) => Protocol::Negotiated,
        (false, false) => Protocol::Http1,
    };
    reach.allow_local = upstream.allow_local;
    reach.connect_timeout = Duration::from_millis(upstream.connect_timeout_ms);
    reach.head_timeout = Duration::from_millis(upstream.head_timeout_ms);
    reach.body_idle = Duration::from_millis(upstream.idle_timeout_ms);
    Ok(reach)
}
