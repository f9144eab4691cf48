//! `consentry control`: the control plane alone.

use std::path::PathBuf;

use clap::Args;

use super::Failure;

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
        Err(Failure::Usage(format!("{}: not yet", self.config.display())))
    }
}
