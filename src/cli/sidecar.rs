//! `consentry sidecar`: the sidecar alone.

use std::path::PathBuf;

use clap::Args;

use super::Failure;

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
        Err(Failure::Usage(format!("{}: not yet", self.config.display())))
    }
}
