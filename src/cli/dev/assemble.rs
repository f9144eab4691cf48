//! Putting the roles together in one process: who is started in which order, and ended in which.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::super::{Failure, policies, sealing};
use super::{Dev, data, loopback};
use crate::config::registration::Registration;
use crate::config::sidecar as settings;
use crate::control::{Control, Settings, Setup, with_peer};
use crate::demo::ready::Ready;
use crate::demo::seed::Seeded;
use crate::demo::story::Walkthrough;
use crate::demo::{seed, upstream};
use crate::grants::exchange::Exchanger;
use crate::grants::follow::news::ChangeLog;
use crate::grants::origin::StoreOrigin;
use crate::grants::shared::{Publisher, Reach};
use crate::grants::source::Source;
use crate::model::id::SidecarId;
use crate::model::time::Clock;
use crate::net::listener::{Bound, BoundWorkers, ListenError, ListenerSettings, Shared};
use crate::policy::reload::{Current, Watcher};
use crate::sidecar::admin;
use crate::sidecar::running::{Running, Ways};
use crate::sidecar::start;
use crate::store;

/// Everything that `dev` runs.
pub(super) struct World {
    ready: Ready,
    remark: Option<String>,
    control: Shared,
    upstream: Shared,
    admin: Shared,
    sidecars: Vec<Running>,
    stop: CancellationToken,
    followers: Vec<JoinHandle<()>>,
    tending: JoinHandle<()>,
    role: Arc<Control>,
    _policies: Option<Watcher>,
    _claim: data::Claim,
}

/// The sockets, bound before anything is built on their addresses.
struct Sockets {
    control: Bound,
    upstream: Bound,
    admin: Bound,
    sidecars: Vec<BoundWorkers>,
}

/// What the roles share.
struct Common {
    issuer: String,
    store: store::Shared,
    policies: Arc<Current>,
    source: Arc<Source>,
    shared: Option<Arc<Reach>>,
    clock: Clock,
}

impl World {
    /// Starts everything; when it answers, calls are served.
    pub(super) async fn start(dev: &Dev) -> Result<Self, Failure> {
        let claim = data::claim(&dev.data)?;
        let (policies, watcher) = policies::in_force(dev.policies().as_deref())?;
        let (shared, sockets) = (dev.shared()?, Sockets::bind(dev).await?);
        let (store, clock) = (data::open_store(&dev.data).await?, Clock::system());
        let common = Common {
            issuer: format!("http://{}", sockets.control.address()),
            source: Source::new(Arc::clone(&store), LEASE, clock.clone(), false).await?,
            store,
            policies,
            shared,
            clock,
        };
        let role = start_control(&common, sockets.first_sidecar()?, dev).await?;
        let seeded = seed::seed(&common.store, role.passwords(), &dev.data, &common.clock)
            .await
            .map_err(|error| Failure::Unreachable(error.to_string()))?;
        let (remark, ready) = (seeded.remark.clone(), sockets.ready(&common.issuer, seeded));
        let upstream_settings = upstream::Settings {
            issuer: common.issuer.clone(),
            audience: "cloud".to_owned(),
            clock: common.clock.clone(),
            walkthrough: Walkthrough::new(&ready),
        };
        let publisher = publisher(&common, &role).await?;
        let control = sockets.control.serve(TowerToHyperService::new(with_peer(role.router(), &[])));
        let upstream = sockets.upstream.serve(TowerToHyperService::new(upstream::router(upstream_settings)));
        let (stop, mut followers, mut sidecars) = (CancellationToken::new(), Vec::new(), Vec::new());
        let mut tasks = JoinSet::new();
        for bound in sockets.sidecars {
            let number = sidecars.len() + 1;
            let sidecar = start_sidecar(&common, &ready, bound, number, (publisher.clone(), &role)).await?;
            tasks.spawn(sidecar.keep_published());
            followers.push(follow(&sidecar, &common, &stop).await?);
            sidecars.push(sidecar);
        }
        let first = sidecars.first().map(|sidecar| Arc::clone(sidecar.status()));
        let admin = admin::serve(sockets.admin, first.ok_or_else(no_sidecar)?);
        let tended = Arc::clone(&role);
        tasks.spawn(async move { tended.tend().await });
        if let Some(publisher) = publisher {
            tasks.spawn(publisher.run());
        }
        let tending = tokio::spawn(async move { while tasks.join_next().await.is_some() {} });
        let (_policies, _claim) = (watcher, claim);
        Ok(Self {
            ready,
            remark,
            control,
            upstream,
            admin,
            sidecars,
            stop,
            followers,
            tending,
            role,
            _policies,
            _claim,
        })
    }

    /// What the ready file says.
    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// What a person should be told about the seeding, if anything.
    pub(super) fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// Ends everything: the sidecars first, since their calls need the rest.
    pub(super) async fn end(self, limit: Duration) {
        let mut draining = JoinSet::new();
        for sidecar in self.sidecars {
            draining.spawn(sidecar.drain(limit));
        }
        while draining.join_next().await.is_some() {}
        self.stop.cancel();
        self.tending.abort();
        for follower in self.followers {
            // A follower that panicked has said so.
            let _ = follower.await;
        }
        tokio::join!(self.control.drain(SHORT), self.upstream.drain(SHORT), self.admin.drain(SHORT));
        self.role.close_audit().await;
        self.role.store().close().await;
    }
}

impl Sockets {
    async fn bind(dev: &Dev) -> Result<Self, Failure> {
        let failed = |error: ListenError| Failure::Unreachable(error.to_string());
        let on = |port| ListenerSettings::new(loopback(port));
        Ok(Self {
            control: Bound::new(on(dev.control_port)).await.map_err(failed)?,
            upstream: Bound::new(on(dev.upstream_port)).await.map_err(failed)?,
            admin: Bound::new(on(dev.admin_port)).await.map_err(failed)?,
            sidecars: (0..dev.sidecars)
                .map(|number| BoundWorkers::new(on(if number == 0 { dev.sidecar_port } else { 0 })))
                .collect::<Result<_, _>>()
                .map_err(failed)?,
        })
    }

    /// Where applications call, and what their tokens are for, whichever sidecar takes a call.
    fn first_sidecar(&self) -> Result<SocketAddr, Failure> {
        self.sidecars.first().map(BoundWorkers::address).ok_or_else(no_sidecar)
    }

    fn ready(&self, issuer: &str, seeded: Seeded) -> Ready {
        let url = |address: SocketAddr| format!("http://{address}");
        let sidecars: Vec<String> = self.sidecars.iter().map(|bound| url(bound.address())).collect();
        Ready {
            issuer: issuer.to_owned(),
            sidecar: sidecars.first().cloned().unwrap_or_default(),
            sidecars: if sidecars.len() > 1 { sidecars } else { Vec::new() },
            upstream: url(self.upstream.address()),
            admin: url(self.admin.address()),
            accounts: seeded.accounts,
            applications: seeded.applications,
        }
    }
}

async fn start_control(common: &Common, sidecar: SocketAddr, dev: &Dev) -> Result<Arc<Control>, Failure> {
    let parsed = |url: &str| Url::parse(url).map_err(|error| Failure::Invalid(error.to_string()));
    let setup = Setup {
        issuer: parsed(&common.issuer)?,
        resources: vec![parsed(&format!("http://{sidecar}"))?],
        store: Arc::clone(&common.store),
        policies: Arc::clone(&common.policies),
        source: Arc::clone(&common.source),
        sealer: sealing::sealer(&dev.data.join("key"))?,
        clock: common.clock.clone(),
        settings: Settings::default(),
        providers: dev.providers()?,
        registration: registration()?,
    };
    Control::start(setup).await.map_err(|error| Failure::Unreachable(error.to_string()))
}

/// In the demo applications may register themselves, for the demo's MCP server and no more.
fn registration() -> Result<Registration, Failure> {
    let scopes = "/acs/mcp-server".parse().map_err(|error| Failure::Invalid(format!("{error}")))?;
    Ok(Registration { dynamic: true, documents: true, scopes, ..Registration::default() })
}

/// Who leaves grants in the shared tier, if there is one.
async fn publisher(common: &Common, control: &Arc<Control>) -> Result<Option<Arc<Publisher>>, Failure> {
    let Some(reach) = &common.shared else { return Ok(None) };
    Ok(Some(control.publish(Arc::clone(reach), LEASE).await?))
}

/// The sidecars are replicas of one: each takes the calls that the first one's address is for.
async fn start_sidecar(
    common: &Common,
    ready: &Ready,
    bound: BoundWorkers,
    number: usize,
    (publisher, control): (Option<Arc<Publisher>>, &Arc<Control>),
) -> Result<Running, Failure> {
    let parsed = |url: &str| Url::parse(url).map_err(|error| Failure::Invalid(error.to_string()));
    let mut settings = settings::Sidecar::parse(Path::new("deploy/sidecar.toml"), ROUTES)?;
    settings.issuer.clone_from(&common.issuer);
    for cloud in settings.upstreams.values_mut() {
        cloud.url = parsed(&ready.upstream)?;
    }
    settings.public_url = Some(parsed(&ready.sidecar)?);
    let name = if number == 1 { "dev".to_owned() } else { format!("dev-{number}") };
    let name: SidecarId = name.parse().map_err(|error| Failure::Invalid(format!("{error}")))?;
    let store = Arc::clone(&common.store);
    let runtime = tokio::runtime::Handle::current();
    let (policies, clock) = (Arc::clone(&common.policies), common.clock.clone());
    let keep = data::StoreRecords { store, runtime, policies, clock };
    let setup = start::Setup {
        settings,
        bound,
        name,
        origin: StoreOrigin::publishing(
            Arc::clone(&common.store),
            common.clock.clone(),
            publisher,
            Some(control.session_secret().map_err(|error| Failure::Unreachable(error.to_string()))?),
        )
        .exchanging(Arc::clone(control) as Arc<dyn Exchanger>),
        shared: common.shared.clone(),
        policies: Arc::clone(&common.policies),
        clock: common.clock.clone(),
        keep: Box::new(keep),
    };
    start::start(setup).await.map_err(|error| Failure::Unreachable(error.to_string()))
}

fn no_sidecar() -> Failure {
    Failure::Usage("at least one sidecar has to run".to_owned())
}

/// Follows the store's changes, and waits until the sidecar has its lease and keys.
async fn follow(
    sidecar: &Running,
    common: &Common,
    stop: &CancellationToken,
) -> Result<JoinHandle<()>, Failure> {
    sidecar.publish_key().await.map_err(|error| Failure::Unreachable(error.to_string()))?;
    let log = Arc::clone(&common.source) as Arc<dyn ChangeLog>;
    let task = tokio::spawn(sidecar.follow(Ways::only(log), stop.clone()));
    sidecar
        .following()
        .wait_for(|following| following.ready)
        .await
        .map_err(|_| Failure::Unreachable("the sidecar ended before it was ready".to_owned()))?;
    Ok(task)
}

/// The demo's routes are those of the example, so that what is tried is what is deployed.
const ROUTES: &str = include_str!("../../../deploy/sidecar.toml");
/// As the examples have it.
const LEASE: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_secs(2);
