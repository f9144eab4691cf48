//! `consentry sidecar`: a sidecar alone.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::Args;

use super::{Failure, policies, print, signals};
use crate::config::sidecar as settings;
use crate::grants::origin::{Origin, OriginError, OwnKey};
use crate::model::account::PrincipalKey;
use crate::model::grant::Installed;
use crate::model::id::{GrantKey, SidecarId};
use crate::model::member::Member;
use crate::model::time::Clock;
use crate::net::listener::{Bound, BoundWorkers, ListenerSettings};
use crate::net::tls::ServerTls;
use crate::observe::log;
use crate::observe::records::{JsonLines, Keep};
use crate::sidecar::admin;
use crate::sidecar::start::{self, Setup};

/// Run a sidecar: the proxy that decides and forwards.
#[derive(Debug, Args)]
pub struct Sidecar {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Sidecar {
    /// Runs until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// What could not be opened, bound or read.
    pub fn run(self) -> Result<(), Failure> {
        let settings = settings::Sidecar::read(&self.config)?;
        log::start();
        super::on_runtime(serve(settings))
    }
}

async fn serve(settings: settings::Sidecar) -> Result<(), Failure> {
    let unreachable = |error: &dyn std::error::Error| Failure::Unreachable(error.to_string());
    let mut end = signals::End::new()?;
    let (policies, _watcher) = policies::in_force(settings.policies.as_deref())?;
    let drain = Duration::from_secs(settings.drain_seconds);
    let bound = BoundWorkers::new(listening(&settings)?).map_err(|error| unreachable(&error))?;
    let operators =
        Bound::new(ListenerSettings::new(settings.admin)).await.map_err(|error| unreachable(&error))?;
    let name: SidecarId = format!("sidecar-{}", std::process::id())
        .parse()
        .map_err(|error| Failure::Invalid(format!("{error}")))?;
    let keep = keep(&settings.records)?;
    let setup = Setup {
        settings,
        bound,
        name,
        origin: Arc::new(NoOrigin),
        shared: None,
        policies,
        clock: Clock::system(),
        keep,
    };
    let running = start::start(setup).await.map_err(|error| unreachable(&error))?;
    let _operators = admin::serve(operators, Arc::clone(running.status()));
    print::narrate(&format!("consentry: sidecar on {}", running.address()));
    print::narrate(
        "consentry: this version's sidecar finds its grants only inside `consentry dev`; alone it refuses every call",
    );
    end.come().await;
    running.drain(drain).await;
    Ok(())
}

fn listening(settings: &settings::Sidecar) -> Result<ListenerSettings, Failure> {
    let mut listening = ListenerSettings::new(settings.listen);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    listening.workers = settings.workers.unwrap_or(processors);
    listening.connections = settings.limits.connections;
    listening.tls = match &settings.tls {
        None => None,
        Some(tls) => Some(
            ServerTls::load(&tls.certificate, &tls.key)
                .map_err(|error| Failure::Invalid(error.to_string()))?,
        ),
    };
    Ok(listening)
}

fn keep(place: &str) -> Result<Box<dyn Keep>, Failure> {
    if place == "-" {
        return Ok(Box::new(JsonLines::new(std::io::stdout(), "standard output".to_owned())));
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(place);
    let file = file.map_err(|error| {
        Failure::Unreachable(format!(
            "decision records cannot be written to {place}: {error}; change records"
        ))
    })?;
    Ok(Box::new(JsonLines::new(file, place.to_owned())))
}

/// Where a sidecar on its own finds grants: nowhere, until it can be enrolled with a control plane in another
/// process. Nothing is known, so everything is refused.
struct NoOrigin;

const NOT_YET: &str = "this version knows no control plane in another process";

#[async_trait]
impl Origin for NoOrigin {
    async fn installed(&self, _key: &GrantKey) -> Result<Option<Installed>, OriginError> {
        Err(OriginError(NOT_YET.to_owned()))
    }

    async fn member(
        &self,
        _key: &GrantKey,
        _principal: &PrincipalKey,
    ) -> Result<Option<Member>, OriginError> {
        Err(OriginError(NOT_YET.to_owned()))
    }

    async fn keys(&self) -> Result<String, OriginError> {
        Err(OriginError(NOT_YET.to_owned()))
    }

    async fn publish_key(&self, _key: &OwnKey) -> Result<(), OriginError> {
        Err(OriginError(NOT_YET.to_owned()))
    }
}
