//! Which control plane's store an operator means: by its settings, or by the data folder of `consentry dev`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::{Failure, sealing};
use crate::config::control as settings;
use crate::store::{self, Shared};
use crate::token::seal::Sealer;

/// A control plane on this machine, or whose store is within reach.
#[derive(Debug, Args)]
pub(in crate::cli) struct Place {
    /// The control plane's settings file
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The data folder of `consentry dev` instead
    #[arg(long, value_name = "DIR", env = "CONSENTRY_DATA", global = true, conflicts_with = "config")]
    data: Option<PathBuf>,
}

impl Place {
    /// Opens the store.
    ///
    /// # Errors
    /// The settings are not to be read; there is no store, or it does not answer.
    pub(in crate::cli) async fn store(&self) -> Result<Shared, Failure> {
        if let Some(config) = &self.config {
            let settings = settings::Control::read(config)?;
            return Ok(store::open_with(&settings.store, settings.store_password_file.as_deref()).await?);
        }
        let file = self.folder().join("consentry.db");
        if !file.is_file() {
            return Err(Failure::Unreachable(format!(
                "there is no store in {}; give the control plane's settings with --config, or the data folder of \
                 `consentry dev` with --data",
                self.folder().display()
            )));
        }
        Ok(store::open(&format!("sqlite:{}", file.display())).await?)
    }

    /// What seals the secrets in that store: the same as the control plane's own.
    ///
    /// # Errors
    /// The settings or the key file are not to be read.
    pub(in crate::cli) fn sealer(&self) -> Result<Sealer, Failure> {
        match &self.config {
            Some(config) => sealing::sealer(&settings::Control::read(config)?.key_place()),
            None => sealing::sealer(&self.folder().join("key")),
        }
    }

    fn folder(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new(".consentry"))
    }
}
