//! `consentry dev`: control plane, sidecar and demo upstream in one process, on the embedded store, with a small
//! world to try them in.

mod assemble;
mod data;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::{Failure, print, signals};
use crate::config::provider::{self, Provider};
use crate::config::redis::Redis;
use crate::demo::ready::Ready;
use crate::demo::story::Walkthrough;
use crate::grants::shared::Reach;
use crate::observe::log;
use assemble::World;

/// Run everything in one process on the embedded store, with a small world to try it in.
#[derive(Debug, Args)]
pub struct Dev {
    /// The folder that keeps everything between runs
    #[arg(long, value_name = "DIR", default_value = ".consentry", env = "CONSENTRY_DATA")]
    data: PathBuf,
    /// The policy authors' folder; ./policies if there is one, else what the program was built with
    #[arg(long, value_name = "DIR", env = "CONSENTRY_POLICIES")]
    policies: Option<PathBuf>,
    /// The control plane's port; 0 picks one
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    control_port: u16,
    /// The sidecar's port; 0 picks one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    sidecar_port: u16,
    /// The demo upstream's port; 0 picks one
    #[arg(long, value_name = "PORT", default_value_t = 8082)]
    upstream_port: u16,
    /// The operators' port; 0 picks one
    #[arg(long, value_name = "PORT", default_value_t = 9901)]
    admin_port: u16,
    /// Redis as the shared tier of grants, such as redis://127.0.0.1:6379; without it everything works too
    #[arg(long, value_name = "URL")]
    redis: Option<Url>,
    /// How many sidecars to run; all but the first pick a port
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    sidecars: u8,
    /// A file of [[provider]] tables, as in control.toml: log in at an OpenID provider
    #[arg(long, value_name = "FILE")]
    providers: Option<PathBuf>,
    /// Write a JSON file with addresses, log-ins and applications once all is serving
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Dev {
    /// Runs until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// What could not be opened, bound or read.
    pub fn run(self) -> Result<(), Failure> {
        log::start();
        super::on_runtime(self.serve())
    }

    async fn serve(self) -> Result<(), Failure> {
        let ready_file = self.ready_file.clone();
        if let Some(file) = &ready_file {
            // A file of an earlier run would say that this one is ready.
            Ready::withdraw(file).map_err(|error| Failure::Unreachable(error.to_string()))?;
        }
        let mut end = signals::End::new()?;
        let world = tokio::select! {
            started = World::start(&self) => started?,
            () = end.come() => return Ok(()),
        };
        if let Some(remark) = world.remark() {
            print::narrate(remark);
        }
        if let Some(story) = Walkthrough::new(world.ready()) {
            print::data(&story.text())?;
        }
        // In the data directory too, where `consentry app` looks for it.
        let own = self.data.join("ready.json");
        for file in ready_file.iter().chain([&own]) {
            world.ready().write(file).map_err(|error| Failure::Unreachable(error.to_string()))?;
        }
        end.come().await;
        print::narrate("consentry: ending; calls under way may finish");
        world.end(DRAIN).await;
        Ok(())
    }

    /// How the shared tier is reached, if there is to be one.
    fn shared(&self) -> Result<Option<Arc<Reach>>, Failure> {
        super::sidecar::reach(self.redis.clone().map(Redis::at).as_ref())
    }

    fn providers(&self) -> Result<Vec<Provider>, Failure> {
        Ok(self.providers.as_deref().map(provider::read).transpose()?.unwrap_or_default())
    }

    fn policies(&self) -> Option<PathBuf> {
        let beside = || Some(PathBuf::from("policies")).filter(|folder| folder.is_dir());
        self.policies.clone().or_else(beside)
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

const DRAIN: Duration = Duration::from_secs(30);
