//! `consentry dev`: control plane, sidecar and demo upstream in one process, on the embedded store, with a small
//! world to try them in.

mod assemble;
mod data;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Failure, print, signals};
use crate::demo::ready::Ready;
use crate::demo::story::Walkthrough;
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

    fn policies(&self) -> Option<PathBuf> {
        let beside = || Some(PathBuf::from("policies")).filter(|folder| folder.is_dir());
        self.policies.clone().or_else(beside)
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

const DRAIN: Duration = Duration::from_secs(30);
