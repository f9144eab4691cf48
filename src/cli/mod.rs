//! The command line. Data goes to standard output, narration to standard error; the exit code says how it went.

pub mod api;
pub mod app;
mod audit;
mod catalog;
pub mod check;
pub mod control;
pub mod dev;
mod directory;
pub mod failure;
mod operator;
mod policies;
pub mod policy;
pub mod print;
mod sealing;
pub mod sidecar;
pub mod signals;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

pub use failure::Failure;
use operator::{health, keys, registrations, sidecars, store};

/// An authorization sidecar for third-party applications.
#[derive(Debug, Parser)]
#[command(name = "consentry", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process on the embedded store, with a small world to try it in
    Dev(dev::Dev),
    /// Run the control plane: log-in, consent, console, admin API
    Control(control::Control),
    /// Run a sidecar: the proxy that decides and forwards
    Sidecar(sidecar::Sidecar),
    /// Check a settings file of a sidecar or a control plane, its policies, and its interception authority
    Check(check::Check),
    /// Ask a running role whether it is well
    Health(health::Health),
    /// Check, format, test, show and explain policies
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Propose a scope file for a product from what it says of itself
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    /// List, show, register, provision, assign, suspend, resume and revoke applications
    App(app::App),
    /// Follow, verify and export the audit
    #[command(subcommand)]
    Audit(audit::Audit),
    /// List and rotate the issuer's signing keys
    Keys(keys::Keys),
    /// Disable and enable applications that registered themselves
    Registrations(registrations::Registrations),
    /// Invite, list and revoke the sidecars of a control plane
    Sidecars(sidecars::Sidecars),
    /// Manage accounts, users, groups, roles and API tokens in the store of a control plane
    Directory(directory::Directory),
    /// Copy a store, from SQLite to PostgreSQL or back
    #[command(subcommand)]
    Store(store::Store),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    Man {
        /// The folder to write them to; standard output gets the first page unless set
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Runs what was typed, and answers how it went.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes; clap knows which stream each belongs on.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match cli.command.run() {
        Ok(code) => code,
        Err(failure) => {
            print::narrate(&format!("consentry: {failure}"));
            failure.code()
        }
    }
}

impl Command {
    fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Dev(dev) => dev.run().map(|()| ExitCode::SUCCESS),
            Self::Control(control) => control.run().map(|()| ExitCode::SUCCESS),
            Self::Sidecar(sidecar) => sidecar.run().map(|()| ExitCode::SUCCESS),
            Self::Check(check) => check.run().map(|()| ExitCode::SUCCESS),
            Self::Health(health) => health.run().map(|()| ExitCode::SUCCESS),
            Self::Policy(policy) => policy.run(),
            Self::Catalog(catalog) => catalog.run(),
            Self::App(app) => app.run(),
            Self::Audit(audit) => audit.run(),
            Self::Keys(keys) => keys.run().map(|()| ExitCode::SUCCESS),
            Self::Registrations(registrations) => registrations.run().map(|()| ExitCode::SUCCESS),
            Self::Sidecars(sidecars) => sidecars.run().map(|()| ExitCode::SUCCESS),
            Self::Directory(directory) => directory.run().map(|()| ExitCode::SUCCESS),
            Self::Store(store) => store.run().map(|()| ExitCode::SUCCESS),
            Self::Completions { shell } => completions(shell),
            Self::Man { out } => manual(out.as_deref()),
        }
    }
}

/// Runs a role to its end.
fn on_runtime(role: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Unreachable(format!("the machine gives no threads: {error}")))?;
    let ended = runtime.block_on(role);
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

fn completions(shell: clap_complete::Shell) -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "consentry", &mut text);
    print::data(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

fn manual(out: Option<&std::path::Path>) -> Result<ExitCode, Failure> {
    let broken =
        |error: std::io::Error| Failure::Unreachable(format!("the manual cannot be written: {error}"));
    match out {
        Some(folder) => clap_mangen::generate_to(Cli::command(), folder).map_err(broken)?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(broken)?;
            print::data(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 a check failed or the answer is no, 2 usage, 3 settings or policies invalid,
4 something needed cannot be reached.

Examples:
  consentry dev
  consentry check --config deploy/sidecar.toml
  consentry policy test";
