//! Starting and ending a sidecar: settings become a running one.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::SignedDuration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::admin::Status;
use super::assume::Identities;
use super::aws::Names;
use super::explicit::Manner;
use super::forward::Upstreams;
use super::identify::Tokens;
use super::intercept::{AuthorityError, Interception};
use super::record::Desk;
use super::route::{Means, Routes};
use super::seat::Recent;
use super::signed::Nonces;
use super::sts::Sts;
use super::trade::Trade;
use super::{Sidecar, Worker};
use crate::config::sidecar as settings;
use crate::grants::Grants;
use crate::grants::follow::news::ChangeLog;
use crate::grants::follow::{CutStreams, Follower, Following, Refresh};
use crate::grants::lease::Lease;
use crate::grants::origin::{Origin, OriginError, OwnKey};
use crate::grants::shared::{Reach, Tier, Watch};
use crate::grants::slots::SlotClock;
use crate::model::id::SidecarId;
use crate::model::time::{Clock, Moment};
use crate::net::listener::{self, BoundWorkers, ListenError, Workers};
use crate::net::tls::{self, TlsError};
use crate::net::upstream::{Protocol, Upstream, UpstreamSettings};
use crate::observe::metrics::Metrics;
use crate::observe::records::{Keep, Records, Writer};
use crate::policy::reload::Current;
use crate::token::assertion::AssertionSigner;
use crate::token::keys::{self, KeyError, Purpose, Signer};
use crate::token::random;
use crate::token::session::SessionKey;
use crate::token::verify::KeySet;

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

/// A running sidecar. It refuses everything until a follower has given it a lease and keys.
pub struct Running {
    workers: Arc<Workers>,
    status: Arc<Status>,
    grants: Arc<Grants>,
    shared: Option<Arc<Tier>>,
    slots: Arc<SlotClock>,
    lease: Arc<Lease>,
    key: OwnKey,
    origin: Arc<dyn Origin>,
    clock: Clock,
    writer: Writer,
    following: watch::Sender<Following>,
}

/// By which ways a sidecar hears of changes, besides its shared tier.
pub struct Ways {
    /// Where it asks: the control plane.
    pub log: Arc<dyn ChangeLog>,
    /// Reads the policy authors' files anew, where they come from the control plane.
    pub refresh_policies: Refresh,
}

impl Ways {
    /// The control plane alone.
    #[must_use]
    pub fn only(log: Arc<dyn ChangeLog>) -> Self {
        let refresh_policies: Refresh = Arc::new(|| Box::pin(async { Ok(()) }));
        Self { log, refresh_policies }
    }
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

impl Running {
    /// Where applications reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.workers.address()
    }

    /// Its name in records and receipts.
    #[must_use]
    pub fn name(&self) -> &SidecarId {
        &self.key.sidecar
    }

    /// What the operators' port tells.
    #[must_use]
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Follows changes until `stop`: run it as a task of its own. Without it every call is refused.
    pub fn follow(&self, ways: Ways, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let Ways { log, refresh_policies } = ways;
        let (tell, told) = mpsc::channel(WAITING);
        let policies = Arc::clone(&self.status.policies);
        let follower = Follower {
            sidecar: self.name().clone(),
            log,
            told,
            slots: Arc::clone(&self.slots),
            changed: self.shared.as_ref().map(|tier| Arc::clone(tier.changed())),
            lease: Arc::clone(&self.lease),
            refresh_keys: self.refresh_keys(),
            refresh_policies,
            cut: self.cut(),
            policies: Arc::new(move || policies.policies().version().to_string()),
            state: self.following.clone(),
        };
        let watch = self.shared.clone().map(|tier| {
            Watch::new(tier, self.following.subscribe(), tell, self.lease.length()).run(stop.clone())
        });
        async move {
            let watching = async {
                if let Some(watch) = watch {
                    watch.await;
                }
            };
            tokio::join!(follower.run(stop), watching);
        }
    }

    /// Struck by a follower.
    #[cfg(test)]
    pub(super) fn slots(&self) -> &Arc<SlotClock> {
        &self.slots
    }

    /// How it stands with the control plane.
    #[must_use]
    pub fn following(&self) -> watch::Receiver<Following> {
        self.following.subscribe()
    }

    /// Renewed by a follower.
    #[must_use]
    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Cuts what no longer rests on anything, for a follower.
    #[must_use]
    pub fn cut(&self) -> CutStreams {
        let (grants, workers) = (Arc::clone(&self.grants), Arc::clone(&self.workers));
        let sidecar = Arc::clone(&self.status.sidecar);
        let total = Arc::clone(&self.status.streams_cut);
        Arc::new(move || {
            let (grants, workers, total) = (Arc::clone(&grants), Arc::clone(&workers), Arc::clone(&total));
            let sidecar = Arc::clone(&sidecar);
            Box::pin(async move {
                if grants.end_stale() {
                    sidecar.sts.iter().for_each(|sts| sts.drop_ended());
                    let cut = u64::try_from(workers.sever().await).unwrap_or(u64::MAX);
                    total.fetch_add(cut, Ordering::SeqCst);
                }
                total.load(Ordering::SeqCst)
            })
        })
    }

    /// Reads the issuer's keys anew, for a follower; before that it makes sure that this sidecar's own is among those
    /// that upstreams know.
    #[must_use]
    pub fn refresh_keys(&self) -> Refresh {
        let (sidecar, origin) = (Arc::clone(&self.status.sidecar), Arc::clone(&self.origin));
        let (key, clock) = (self.key.clone(), self.clock.clone());
        let (shared, slots) = (self.shared.clone(), Arc::clone(&self.slots));
        Arc::new(move || {
            let (sidecar, origin) = (Arc::clone(&sidecar), Arc::clone(&origin));
            let (key, clock) = (key.clone(), clock.clone());
            let (shared, slots) = (shared.clone(), Arc::clone(&slots));
            Box::pin(async move {
                let known = KeySet::parse(&origin.keys().await?);
                if !known.is_ok_and(|keys| keys.contains(&key.kid)) {
                    publish(&*origin, &key, &clock).await?;
                }
                // At once: what fails after it is tried again, and then no key is gone any more.
                if sidecar.tokens.refresh_keys().await? {
                    // What was allowed to a token that the withdrawn key has signed may be a forger's, streams too.
                    slots.strike_all();
                }
                if let Some(secret) = origin.session_secret().await? {
                    let key = SessionKey::new(secret.expose().as_bytes());
                    sidecar.sessions.store(Some(Arc::new(key)));
                }
                if let Some(tier) = shared
                    && tier.refresh_keys(&*origin).await?
                {
                    // What rests on the signature of a key that was withdrawn may be forged.
                    slots.strike_all();
                }
                Ok(())
            })
        })
    }

    /// Publishes the key that assumed identities are signed with, for a day.
    ///
    /// # Errors
    /// The control plane did not take it.
    pub async fn publish_key(&self) -> Result<(), OriginError> {
        publish(&*self.origin, &self.key, &self.clock).await
    }

    /// Publishes the key again and again, in time. Never ends: run it as a task of its own.
    pub fn keep_published(&self) -> impl Future<Output = ()> + Send + use<> {
        let (origin, key, clock) = (Arc::clone(&self.origin), self.key.clone(), self.clock.clone());
        async move {
            loop {
                tokio::time::sleep(PUBLISH_EVERY).await;
                if let Err(error) = publish(&*origin, &key, &clock).await {
                    tracing::warn!(%error, "this sidecar's key could not be published again; it will be tried later");
                }
            }
        }
    }

    /// Ends it: takes no new connection, lets what is under way finish within `limit`, writes the last records.
    /// Answers whether all could finish.
    pub async fn drain(self, limit: Duration) -> bool {
        self.status.drain();
        let finished = self.workers.drain(limit).await;
        drop(self.writer);
        finished
    }
}

async fn publish(origin: &dyn Origin, key: &OwnKey, clock: &Clock) -> Result<(), OriginError> {
    let published_until = clock.now() + SignedDuration::from_hours(24);
    origin.publish_key(&OwnKey { published_until, ..key.clone() }).await
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

/// News by other ways that wait to be taken in.
const WAITING: usize = 4;
/// Several tries fit into the day that a key is published for.
const PUBLISH_EVERY: Duration = Duration::from_secs(4 * 3600);
