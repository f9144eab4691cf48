//! `consentry audit export`.

use std::sync::Arc;

use clap::Args;
use tokio::sync::mpsc;

use super::which::Which;
use crate::cli::operator::place::Place;
use crate::cli::{Failure, print};
use crate::control::audit::{Scope, export, signer};
use crate::model::time::Clock;
use crate::store::Shared;

/// Write records as lines of JSON, with a signature at the end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry audit export --config control.toml > audit.jsonl
  consentry audit export --data .consentry --account 1000000000000001 --since 2026-11-01")]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    /// The decision records as well, each after the record that vouches for it
    #[arg(long)]
    decisions: bool,
}

impl Export {
    pub(super) async fn go(self) -> Result<(), Failure> {
        if self.decisions && self.which.is_part() {
            return Err(Failure::Usage("decision records are exported with the whole audit only".to_owned()));
        }
        let sealer = self.place.known_sealer()?;
        let store = self.place.store().await?;
        let now = Clock::system().now();
        let scope = if self.which.is_part() {
            let mut filter = self.which.filter(&store).await?;
            filter.calls = true;
            Scope::Part(Box::new(filter))
        } else {
            Scope::Whole { decisions: self.decisions }
        };
        let signer = signer(&store, &sealer, now).await;
        let signer = signer.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let (sender, mut lines) = mpsc::channel::<String>(256);
        let written: Shared = Arc::clone(&store);
        let writing = tokio::spawn(async move { export(&written, &signer, &scope, now, sender).await });
        while let Some(line) = lines.recv().await {
            print::data(&line)?;
        }
        let written = writing.await;
        store.close().await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::Unreachable(format!("the export was cut off: {error}"))),
            Err(_) => Err(Failure::Unreachable("the export was cut off".to_owned())),
        }
    }
}
