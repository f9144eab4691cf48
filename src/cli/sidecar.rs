//! `consentry sidecar`: a sidecar in a process of its own.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Failure, policies, print, signals};
use crate::config::redis::Redis;
use crate::config::sidecar as settings;
use crate::demo::ready::{self, Ready};
use crate::grants::shared::{self, Reach};
use crate::model::time::Clock;
use crate::net::listener::{Bound, BoundWorkers, ListenerSettings};
use crate::net::tls::{ServerTls, TlsError};
use crate::observe::log;
use crate::observe::records::{JsonLines, Keep};
use crate::sidecar::admin;
use crate::sidecar::link::records::copied;
use crate::sidecar::link::{Link, LinkError};
use crate::sidecar::running::Ways;
use crate::sidecar::start::{self, Setup, StartError};
use crate::token::random::Secret;

/// Run a sidecar: the proxy that decides and forwards.
#[derive(Debug, Args)]
pub struct Sidecar {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write a JSON file with the addresses and the process's name once they are listened on
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Sidecar {
    /// Runs until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// What could not be opened, bound or read.
    pub fn run(self) -> Result<(), Failure> {
        let settings = settings::Sidecar::read(&self.config)?;
        log::start();
        super::on_runtime(serve(settings, self.config, self.ready_file))
    }
}

async fn serve(
    settings: settings::Sidecar,
    config: PathBuf,
    ready_file: Option<PathBuf>,
) -> Result<(), Failure> {
    let unreachable = |error: &dyn std::error::Error| Failure::Unreachable(error.to_string());
    withdraw(ready_file.as_deref())?;
    let mut end = signals::End::new()?;
    let link = link(&settings, &config)?;
    let shared = reach(settings.redis.as_ref())?;
    let (policies, _watcher) = policies::in_force(settings.policies.as_deref())?;
    let drain = Duration::from_secs(settings.drain_seconds);
    let bound = BoundWorkers::new(listening(&settings)?).map_err(|error| unreachable(&error))?;
    let operators =
        Bound::new(ListenerSettings::new(settings.admin)).await.map_err(|error| unreachable(&error))?;
    let mut ways = Ways::only(Arc::clone(&link) as _);
    if settings.policies.is_none() {
        ways.refresh_policies = link.refresh_policies(&policies);
    }
    let (keep, copies) = copied(keep(&settings.records)?);
    let setup = Setup {
        settings,
        bound,
        name: link.instance().clone(),
        origin: Arc::clone(&link) as _,
        shared,
        policies,
        clock: Clock::system(),
        keep: Box::new(keep),
    };
    let running = start::start(setup).await.map_err(|error| match error {
        StartError::Authority(_) => Failure::Invalid(error.to_string()),
        StartError::Listen(_)
        | StartError::Tls(_)
        | StartError::Key(_)
        | StartError::Random(_)
        | StartError::Settings(_)
        | StartError::Thread(_) => unreachable(&error),
    })?;
    let operators = admin::serve(operators, Arc::clone(running.status()));
    let stop = CancellationToken::new();
    let follower = tokio::spawn(running.follow(ways, stop.clone()));
    let publishing = tokio::spawn(running.keep_published());
    let copying = tokio::spawn(copies.send(link));
    print::narrate(&format!("consentry: sidecar on {}", running.address()));
    let at = |address| format!("http://{address}");
    let told = json!({
        "sidecar": at(running.address()), "admin": at(operators.address()), "id": running.name(),
    });
    tell(ready_file.as_deref(), &told)?;
    signals::serving();
    end.come().await;
    signals::ending();
    // Its calls rest on the lease, so that they come first; the operators' port says how it goes to the end.
    running.drain(drain).await;
    stop.cancel();
    publishing.abort();
    // Either has said what went wrong. A control plane that does not answer is not waited for.
    let _ = tokio::time::timeout(SHORT, copying).await;
    let _ = tokio::time::timeout(SHORT, follower).await;
    operators.drain(SHORT).await;
    Ok(())
}

/// The way to the control plane; without one there is nothing that a sidecar could allow.
fn link(settings: &settings::Sidecar, config: &Path) -> Result<Arc<Link>, Failure> {
    let Some(control) = &settings.control else {
        return Err(Failure::Invalid(format!(
            "{}: there is no [control]: a sidecar gets its grants from a control plane. Name its urls, this sidecar's \
             name, and a state folder, as in deploy/sidecar.toml; or try both roles at once with `consentry dev`.",
            config.display()
        )));
    };
    let given =
        std::env::var("CONSENTRY_ENROLMENT_TOKEN").ok().map(|text| Secret::new(text.trim().to_owned()));
    Link::new(control, &settings.issuer, given, settings.lease(), Clock::system()).map_err(
        |error| match error {
            LinkError::State { .. } | LinkError::Random(_) | LinkError::Key(_) => {
                Failure::Unreachable(error.to_string())
            }
            LinkError::NoKey(_) | LinkError::Prover(_) | LinkError::Tls(_) | LinkError::Address(_) => {
                Failure::Invalid(error.to_string())
            }
        },
    )
}

/// How the shared tier is reached, if there is one.
pub(super) fn reach(settings: Option<&Redis>) -> Result<Option<Arc<Reach>>, Failure> {
    let opened = settings.map(shared::open).transpose();
    opened.map(|reach| reach.map(Arc::new)).map_err(|error| Failure::Invalid(error.to_string()))
}

/// A ready file of an earlier run would say that this one is ready.
pub(super) fn withdraw(ready_file: Option<&Path>) -> Result<(), Failure> {
    let withdrawn = ready_file.map_or(Ok(()), Ready::withdraw);
    withdrawn.map_err(|error| Failure::Unreachable(error.to_string()))
}

/// Says where everything is.
pub(super) fn tell(ready_file: Option<&Path>, told: &serde_json::Value) -> Result<(), Failure> {
    let told = ready_file.map_or(Ok(()), |file| ready::tell(file, told));
    told.map_err(|error| Failure::Unreachable(error.to_string()))
}

fn listening(settings: &settings::Sidecar) -> Result<ListenerSettings, Failure> {
    let mut listening = ListenerSettings::new(settings.listen);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    listening.workers = settings.workers.unwrap_or(processors);
    listening.connections = settings.limits.connections;
    if let Some(interception) = &settings.interception {
        listening.tunnels = interception.tunnels;
    }
    listening.tls = match &settings.tls {
        None => None,
        Some(tls) => Some(renewed(ServerTls::load(&tls.certificate, &tls.key))?),
    };
    Ok(listening)
}

/// A listener's certificate, read again when it changes, as long as there is one who uses it.
pub(super) fn renewed(tls: Result<Arc<ServerTls>, TlsError>) -> Result<Arc<ServerTls>, Failure> {
    let tls = tls.map_err(|error| Failure::Invalid(error.to_string()))?;
    tokio::spawn(ServerTls::follow(Arc::downgrade(&tls), RENEWED));
    Ok(tls)
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

/// How soon a certificate that was renewed is used.
const RENEWED: Duration = Duration::from_secs(10);

const SHORT: Duration = Duration::from_secs(2);
