//! `consentry policy`: what policy authors and administrators do with policies.
//!
//! `check`, `format` and `test` work on a folder alone. `show` and `explain` read a grant or a decision record from
//! the store of a control plane on this machine.

mod check;
mod explain;
mod facts;
mod format;
mod show;
mod tell;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::Failure;
use crate::policy::{Policies, Problems};

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check a policy folder: every file, strictly
    Check(check::Check),
    /// Lay policy files out in the one way, or say which are not
    Format(format::Format),
    /// Run the cases beside the guardrails
    Test(test::Test),
    /// Show the policies that decide about an installed application
    Show(show::Show),
    /// Explain a decision by its id, which every answer carries in x-consentry-decision
    Explain(explain::Explain),
}

impl Policy {
    /// Does it.
    ///
    /// # Errors
    /// What could not be asked at all; a plain no is an exit code.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Check(check) => check.run(),
            Self::Format(format) => format.run(),
            Self::Test(test) => test.run(),
            Self::Show(show) => show.run(),
            Self::Explain(explain) => explain.run(),
        }
    }
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Human,
    /// For programs
    Json,
}

/// Options of every command that prints data.
#[derive(Debug, Args)]
struct Printing {
    /// How data is printed
    #[arg(long, value_enum, default_value = "human")]
    format: Form,
}

/// The folder that a command works on.
#[derive(Debug, Args)]
struct Folder {
    /// The policy folder
    #[arg(long, value_name = "DIR", default_value = "policies", env = "CONSENTRY_POLICIES")]
    policies: PathBuf,
}

/// The policies that a grant or decision is held against.
#[derive(Debug, Args)]
struct InForce {
    /// The policy folder that the sidecar uses; the built-in policies unless given
    #[arg(long, value_name = "DIR", env = "CONSENTRY_POLICIES")]
    policies: Option<PathBuf>,
}

impl InForce {
    fn load(&self) -> Result<Policies, Problems> {
        self.policies.as_deref().map_or_else(Policies::embedded, Policies::load)
    }
}

/// The exit code of an invalid policy folder.
const INVALID: u8 = 3;
