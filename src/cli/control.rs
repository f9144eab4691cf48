//! `consentry control`: the control plane alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hyper_util::service::TowerToHyperService;

use super::{Failure, policies, print, sealing, signals};
use crate::config::control as settings;
use crate::control::{Control as Role, Settings, Setup, with_peer};
use crate::grants::source::Source;
use crate::model::time::Clock;
use crate::net::listener::{Bound, ListenerSettings};
use crate::observe::log;
use crate::store;

/// Run the control plane: log-in, consent, console, admin API.
#[derive(Debug, Args)]
pub struct Control {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Control {
    /// Runs until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// What could not be opened, bound or read.
    pub fn run(self) -> Result<(), Failure> {
        let settings = settings::Control::read(&self.config)?;
        log::start();
        super::on_runtime(serve(settings))
    }
}

async fn serve(settings: settings::Control) -> Result<(), Failure> {
    let mut end = signals::End::new()?;
    let store = store::open(&settings.store).await?;
    let (policies, _watcher) = policies::in_force(settings.policies.as_deref())?;
    let bound = Bound::new(ListenerSettings::new(settings.listen))
        .await
        .map_err(|error| Failure::Unreachable(error.to_string()))?;
    let key_file = settings.key_file.as_deref().unwrap_or(Path::new("consentry.key"));
    let clock = Clock::system();
    let apart = settings.internal.is_some();
    let source = Source::new(Arc::clone(&store), settings.lease(), clock.clone(), apart).await?;
    let control = Role::start(Setup {
        issuer: settings.issuer,
        resources: settings.resources,
        store: Arc::clone(&store),
        policies,
        source: Arc::clone(&source),
        sealer: sealing::sealer(key_file)?,
        clock,
        settings: Settings::default(),
    })
    .await
    .map_err(|error| Failure::Unreachable(error.to_string()))?;
    let served = bound.serve(TowerToHyperService::new(with_peer(control.router())));
    print::narrate(&format!("consentry: control plane on http://{}", served.address()));
    tokio::select! {
        () = control.tend() => {}
        () = end.come() => {}
    }
    served.drain(DRAIN).await;
    store.close().await;
    Ok(())
}

const DRAIN: Duration = Duration::from_secs(30);
