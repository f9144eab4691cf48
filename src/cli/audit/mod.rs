//! `consentry audit`: the whole audit, for the operator, in the store of a control plane on this machine or within reach.

mod export;
mod keys;
mod tail;
mod verify;
mod which;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use super::Failure;

/// Follow, verify and export the audit.
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Show the newest records, and those that come
    Tail(tail::Tail),
    /// Verify every record, of a store or of an export; names the first that is broken
    Verify(verify::Verify),
    /// Write records as lines of JSON, with a signature at the end
    Export(export::Export),
    /// Print the public keys that the audit is verified with, to be kept where nobody changes them
    Key(keys::Key),
    /// Print the newest checkpoints, to be kept elsewhere: what they have seen must be there later on
    Checkpoint(keys::Checkpoints),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Sentences
    Human,
    /// JSON
    Json,
}

impl Audit {
    /// Does it.
    ///
    /// # Errors
    /// Exit code 1 when something is broken, 2 for a wrong use, 4 when the store cannot be reached.
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        super::on_runtime(async {
            match self {
                Self::Tail(tail) => tail.go().await,
                Self::Verify(verify) => verify.go().await,
                Self::Export(export) => export.go().await,
                Self::Key(key) => key.go().await,
                Self::Checkpoint(checkpoints) => checkpoints.go().await,
            }
        })
        .map(|()| ExitCode::SUCCESS)
    }
}
