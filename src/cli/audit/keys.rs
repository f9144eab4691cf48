//! `consentry audit key` and `consentry audit checkpoint`: what is to be kept elsewhere.

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::operator::place::Place;
use crate::cli::{Failure, print};
use crate::control::audit::{AuditKeys, NoKeys};

/// Print the public keys that the audit is verified with.
#[derive(Debug, Args)]
pub(in crate::cli) struct Key {
    #[command(flatten)]
    place: Place,
}

/// Print the newest checkpoints.
#[derive(Debug, Args)]
pub(in crate::cli) struct Checkpoints {
    #[command(flatten)]
    place: Place,
}

impl Key {
    pub(super) async fn go(self) -> Result<(), Failure> {
        let sealer = self.place.known_sealer()?;
        let store = self.place.store().await?;
        let keys = AuditKeys::of_store(&store, &sealer).await;
        store.close().await;
        print::data(&format!("{}\n", keys?.to_json()))
    }
}

impl Checkpoints {
    pub(super) async fn go(self) -> Result<(), Failure> {
        let store = self.place.store().await?;
        let found = store.checkpoints().await;
        store.close().await;
        // Those of a node stand in the order of their numbers.
        let newest: BTreeMap<String, String> =
            found?.into_iter().map(|checkpoint| (checkpoint.node, checkpoint.token)).collect();
        newest.values().try_for_each(|token| print::data(&format!("{token}\n")))
    }
}

impl From<NoKeys> for Failure {
    fn from(error: NoKeys) -> Self {
        let told = error.to_string();
        match error {
            NoKeys::Store(_) => Self::Unreachable(told),
            NoKeys::Foreign { .. } => Self::No(told),
            NoKeys::NoSet => Self::Usage(told),
        }
    }
}
