//! `consentry control`: the control plane alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hyper_util::service::TowerToHyperService;
use serde_json::json;

use super::{Failure, policies, print, sealing, sidecar, signals};
use crate::config::control as settings;
use crate::control::health::Health;
use crate::control::{Control as Role, Settings, Setup, with_peer};
use crate::grants::source::Source;
use crate::model::time::Clock;
use crate::net::listener::{Bound, ListenerSettings, Shared};
use crate::net::tls::ServerTls;
use crate::observe::log;
use crate::store;

/// Run the control plane: log-in, consent, console, admin API.
#[derive(Debug, Args)]
pub struct Control {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write a JSON file with the addresses once they are served
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Bring the store's schema up to date, then end: for an upgrade, before the new version starts to serve
    #[arg(long)]
    migrate_only: bool,
}

impl Control {
    /// Runs until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// What could not be opened, bound or read.
    pub fn run(self) -> Result<(), Failure> {
        let settings = settings::Control::read(&self.config)?;
        log::start();
        if self.migrate_only {
            return super::on_runtime(migrate(settings));
        }
        super::on_runtime(serve(settings, self.ready_file))
    }
}

/// Opening a store brings its schema up to date.
async fn migrate(settings: settings::Control) -> Result<(), Failure> {
    let store = store::open_with(&settings.store, settings.store_password_file.as_deref()).await?;
    store.close().await;
    print::narrate("consentry: the store's schema is up to date");
    Ok(())
}

async fn serve(settings: settings::Control, ready_file: Option<PathBuf>) -> Result<(), Failure> {
    sidecar::withdraw(ready_file.as_deref())?;
    let mut end = signals::End::new()?;
    let store = open(&settings).await?;
    let (policies, _watcher) = policies::in_force(settings.policies.as_deref())?;
    let bound = bind(settings.listen).await?;
    let (operators, internal) =
        (bind_operators(settings.admin).await?, bind_internal(settings.internal.as_ref()).await?);
    let scheme = scheme(settings.internal.as_ref());
    let (lease, clock, shared) =
        (settings.lease(), Clock::system(), sidecar::reach(settings.redis.as_ref())?);
    // Also without an internal API: sidecars of other nodes on the same store, and those that an earlier run of this one
    // has given a lease, are waited for.
    let source = Source::new(Arc::clone(&store), lease, clock.clone(), true).await?;
    let sealer = sealing::sealer(&settings.key_place())?;
    let proxies = settings.trusted_proxies;
    let control = Role::start(Setup {
        issuer: settings.issuer,
        resources: settings.resources,
        store: Arc::clone(&store),
        policies,
        source: Arc::clone(&source),
        sealer,
        clock,
        settings: Settings::default(),
        providers: settings.providers,
        registration: settings.registration,
    })
    .await
    .map_err(|error| Failure::Unreachable(error.to_string()))?;
    let served = bound.serve(TowerToHyperService::new(with_peer(control.router(), &proxies)));
    let health = Health::new(&control);
    let operators = operators.map(|bound| health.serve(bound));
    let internal = internal.map(|bound| bound.serve(TowerToHyperService::new(control.internal())));
    narrate(&served, operators.as_ref(), internal.as_ref());
    let internal_url = internal.as_ref().map(|served| format!("{scheme}://{}", served.address()));
    let told = json!({ "issuer": control.issuer().as_str(), "internal": internal_url });
    sidecar::tell(ready_file.as_deref(), &told)?;
    let publishing = match shared {
        Some(reach) => Some(tokio::spawn(control.publish(reach, lease).await?.run())),
        None => None,
    };
    let hearing = tokio::spawn(async move { tokio::join!(source.hear_others(), source.watch_presumed()) });
    signals::serving();
    tokio::select! {
        () = control.tend() => {}
        () = end.come() => {}
    }
    signals::ending();
    health.drain();
    // Sidecars are answered to the end: a deletion under way waits for what they say.
    served.drain(DRAIN).await;
    if let Some(internal) = internal {
        internal.drain(SHORT).await;
    }
    hearing.abort();
    if let Some(publishing) = publishing {
        publishing.abort();
    }
    control.close_audit().await;
    store.close().await;
    Ok(())
}

/// How the internal API is reached.
fn scheme(internal: Option<&settings::Internal>) -> &'static str {
    if internal.is_some_and(|internal| internal.tls.is_some()) { "https" } else { "http" }
}

/// The store, to whose audit this node adds by its name.
async fn open(settings: &settings::Control) -> Result<store::Shared, Failure> {
    let store = store::open_with(&settings.store, settings.store_password_file.as_deref()).await?;
    if let Some(node) = &settings.node {
        store.name_node(node);
    }
    Ok(store)
}

/// Says where it is to be reached.
fn narrate(public: &Shared, operators: Option<&Shared>, internal: Option<&Shared>) {
    print::narrate(&format!("consentry: control plane on http://{}", public.address()));
    if let Some(operators) = operators {
        print::narrate(&format!("consentry: operators on http://{}", operators.address()));
    }
    if let Some(internal) = internal {
        print::narrate(&format!("consentry: its internal API, for sidecars, on {}", internal.address()));
    }
}

async fn bind_operators(address: Option<SocketAddr>) -> Result<Option<Bound>, Failure> {
    match address {
        Some(address) => bind(address).await.map(Some),
        None => Ok(None),
    }
}

async fn bind(address: SocketAddr) -> Result<Bound, Failure> {
    let bound = Bound::new(ListenerSettings::new(address)).await;
    bound.map_err(|error| Failure::Unreachable(error.to_string()))
}

/// The listener of the internal API, if there is to be one.
async fn bind_internal(settings: Option<&settings::Internal>) -> Result<Option<Bound>, Failure> {
    let Some(internal) = settings else { return Ok(None) };
    let mut listening = ListenerSettings::new(internal.listen);
    if let Some(tls) = &internal.tls {
        let tls = ServerTls::for_clients(&tls.certificate, &tls.key, tls.client_ca.as_deref());
        listening.tls = Some(sidecar::renewed(tls)?);
    }
    let bound = Bound::new(listening).await;
    bound.map(Some).map_err(|error| Failure::Unreachable(error.to_string()))
}

const DRAIN: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_secs(2);
