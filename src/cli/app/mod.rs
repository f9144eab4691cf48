//! `consentry app`: an account's applications, by the admin API.

mod apply;
mod connection;
mod plan;
mod table;
mod verbs;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::api::Api;
use super::{Failure, print};
use connection::Connection;
pub(super) use table::{at, plain, table, word};

/// List, show, register, provision, apply, assign, suspend, resume and revoke applications.
#[derive(Debug, Args)]
pub struct App {
    #[command(flatten)]
    connection: Connection,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Human, global = true)]
    format: Format,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables and sentences
    Human,
    /// The admin API's own JSON
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the installed applications
    List {
        /// The official applications that can be provisioned instead
        #[arg(long, conflicts_with = "published")]
        official: bool,
        /// The applications that this account has registered instead
        #[arg(long)]
        published: bool,
    },
    /// Show an installed application
    Show {
        /// Its client ID or name
        application: String,
        /// The policies that enforce its grant instead
        #[arg(long)]
        policies: bool,
    },
    /// Register an application of this account
    Register(verbs::Register),
    /// Install an official application
    Provision {
        /// Its client ID or name
        application: String,
        /// An optional scope to add; may be given several times
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Provision and assign as a file says, and take nothing away unless told
    Apply(apply::Apply),
    /// Say who may use an installed application; shows it when nothing is said
    Assign(verbs::Assign),
    /// List who has agreed in person to an official application
    Consents {
        /// Its client ID or name
        application: String,
    },
    /// End a person's own consent: their tokens end everywhere, and they are asked again
    Withdraw {
        /// Its client ID or name
        application: String,
        /// Whose, by login
        login: String,
    },
    /// Stop an application, and keep what was authorized
    Suspend(verbs::Change),
    /// Let a suspended application go on
    Resume(verbs::Change),
    /// Delete an application: its access ends everywhere
    Revoke(verbs::Change),
}

impl App {
    /// Does it and prints what came of it.
    ///
    /// # Errors
    /// Exit code 1 when it was refused, 2 when it was asked in a wrong way, 4 when the server cannot be reached.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Unreachable(format!("the machine gives no thread: {error}")))?;
        runtime.block_on(self.go())
    }

    async fn go(self) -> Result<ExitCode, Failure> {
        let api = self.connection.open()?;
        let (value, human) = match (self.verb, self.format) {
            (Verb::Revoke(change), Format::Human) => change.revoke_aloud(&api).await?,
            (verb, _) => verb.ask(&api).await?,
        };
        match self.format {
            Format::Human => print::data(&human)?,
            Format::Json => print::data(&format!("{value:#}\n"))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Verb {
    async fn ask(self, api: &Api) -> Result<verbs::Told, Failure> {
        match self {
            Self::List { official: true, .. } => verbs::list_official(api).await,
            Self::List { published: true, .. } => verbs::list_published(api).await,
            Self::List { .. } => verbs::list(api).await,
            Self::Show { application, policies } => verbs::show(api, &application, policies).await,
            Self::Register(register) => register.go(api).await,
            Self::Provision { application, scopes } => verbs::provision(api, &application, &scopes).await,
            Self::Apply(apply) => apply.go(api).await,
            Self::Assign(assign) => assign.go(api).await,
            Self::Consents { application } => verbs::consents(api, &application).await,
            Self::Withdraw { application, login } => verbs::withdraw(api, &application, &login).await,
            Self::Suspend(change) => change.go(api, "suspend").await,
            Self::Resume(change) => change.go(api, "resume").await,
            Self::Revoke(change) => change.go(api, "revoke").await,
        }
    }
}

#[cfg(test)]
mod tests;
