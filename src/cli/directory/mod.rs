//! `consentry directory`: an operator's hand on the embedded directory, in the store itself. Here the first account of
//! a real control plane is made, and whatever else is needed where nobody can log in yet, or nobody any more.
//!
//! Comes in: a store by the control plane's settings, or the data folder of `dev`. Goes out: changes under the name
//! `operator` in the audit, and secrets printed once. A running control plane hears of them within a second and tells
//! its sidecars; nothing here waits for that.

mod account;
mod apply;
mod declared;
mod group;
mod person;
mod plan;
mod token;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use url::Url;

use super::Failure;
use super::app::{at, table, word};
use super::print::{self, Format};
use crate::config::control as settings;
use crate::model::account::{Account, Principal, PrincipalKey, PrincipalKind};
use crate::model::id::PrincipalId;
use crate::model::time::Clock;
use crate::store::{self, PasswordLink, Shared};
use crate::token::random::{Secret, fill};

/// Manage accounts, users, groups, roles and API tokens in the store of a control plane.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Directory {
    /// The control plane's settings file
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The data folder of `consentry dev` instead
    #[arg(long, value_name = "DIR", env = "CONSENTRY_DATA", global = true, conflicts_with = "config")]
    data: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Human, global = true)]
    format: Format,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add and list accounts
    #[command(subcommand)]
    Account(account::Verb),
    /// Add, list and change users
    #[command(subcommand)]
    User(person::UserVerb),
    /// Add, list and change groups
    #[command(subcommand)]
    Group(group::Verb),
    /// Add, list and change roles
    #[command(subcommand)]
    Role(person::RoleVerb),
    /// Give, list and revoke tokens of the admin API
    #[command(subcommand)]
    Token(token::Verb),
    /// Bring the directory to what a file declares; nothing is taken away without --prune
    Apply(apply::Apply),
}

impl Directory {
    /// Does it.
    ///
    /// # Errors
    /// The store is not there or does not answer; what is named is not there, or is there already.
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        super::on_runtime(self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let (store, issuer) = open(self.config.as_deref(), self.data.as_deref()).await?;
        let desk = Desk { store, issuer, now: Clock::system().now(), format: self.format };
        let done = match self.verb {
            Verb::Account(verb) => verb.run(&desk).await,
            Verb::User(verb) => verb.run(&desk).await,
            Verb::Group(verb) => verb.run(&desk).await,
            Verb::Role(verb) => verb.run(&desk).await,
            Verb::Token(verb) => verb.run(&desk).await,
            Verb::Apply(apply) => apply.run(&desk).await,
        };
        desk.store.close().await;
        done
    }
}

/// What every verb works on.
struct Desk {
    store: Shared,
    /// Where people reach the control plane, for links.
    issuer: Url,
    now: Timestamp,
    format: Format,
}

impl Desk {
    /// Prints a value, or its rows for people.
    fn tell(
        &self,
        value: &Value,
        heading: &[&str],
        rows: &[Vec<String>],
        empty: &str,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => print::data(&format!("{value:#}\n")),
            Format::Human => print::data(&table(heading, rows, empty)),
        }
    }

    /// Prints a secret, which is told this once, after a sentence about it.
    fn tell_secret(&self, sentence: &str, secret: &Secret, value: &Value) -> Result<(), Failure> {
        print::narrate(&format!("consentry: {sentence}"));
        match self.format {
            Format::Json => print::data(&format!("{value:#}\n")),
            Format::Human => print::data(&format!("{}\n", secret.expose())),
        }
    }

    /// The account with this alias or number.
    async fn account(&self, named: &str) -> Result<Account, Failure> {
        let wanted = named.to_lowercase();
        let all = self.store.accounts().await?;
        let found =
            all.into_iter().find(|one| one.alias.to_lowercase() == wanted || one.id.as_str() == named);
        found.ok_or_else(|| {
            Failure::No(format!("there is no account {named}; `consentry directory account list` lists them"))
        })
    }

    /// Whoever has this login.
    async fn somebody(&self, login: &str) -> Result<Principal, Failure> {
        let found = self.store.credential(login).await?.map(|found| found.principal);
        found.ok_or_else(|| Failure::No(format!("nobody has the login {login}")))
    }

    /// A login's name and its account.
    async fn split<'a>(&self, login: &'a str) -> Result<(&'a str, Account), Failure> {
        let (name, alias) = login.split_once('@').ok_or_else(|| {
            Failure::Usage(format!("{login} is no login; it is a name and an account, as in alice@acme"))
        })?;
        plain(name)?;
        Ok((name, self.account(alias).await?))
    }

    /// A link that sets a password.
    fn link(&self) -> Result<NewLink, Failure> {
        let secret = random()?;
        let base = self.issuer.as_str().trim_end_matches('/');
        let address = Secret::new(format!("{base}/set-password?link={}", secret.expose()));
        let expires_at = self.now + SignedDuration::from_hours(LINK_HOURS);
        Ok(NewLink { address, kept: PasswordLink { hash: secret.hash(), expires_at } })
    }
}

/// A link, as it is told and as it is kept.
struct NewLink {
    address: Secret,
    kept: PasswordLink,
}

/// The store, and where its control plane is reached.
async fn open(config: Option<&Path>, data: Option<&Path>) -> Result<(Shared, Url), Failure> {
    if let Some(config) = config {
        let settings = settings::Control::read(config)?;
        let store = store::open_with(&settings.store, settings.store_password_file.as_deref()).await?;
        return Ok((store, settings.issuer));
    }
    let data = data.unwrap_or(Path::new(".consentry"));
    let file = data.join("consentry.db");
    if !file.is_file() {
        return Err(Failure::Usage(format!(
            "there is no store in {}; give the control plane's settings with --config, or the data folder of \
             `consentry dev` with --data",
            data.display()
        )));
    }
    let issuer = Url::parse(DEV).map_err(|error| Failure::Invalid(error.to_string()))?;
    Ok((store::open(&format!("sqlite:{}", file.display())).await?, issuer))
}

/// A name in front of the `@`, of a group or of a role.
fn plain(name: &str) -> Result<(), Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let shown = super::app::plain(name);
    Err(Failure::Usage(format!("{shown:?} is no name; a name is 1 to 64 characters of A-Z a-z 0-9 . _ -")))
}

fn key(account: &Account, kind: PrincipalKind, id: PrincipalId) -> PrincipalKey {
    PrincipalKey { account: account.id.clone(), kind, id }
}

/// A number of so many digits after `first`.
fn number(first: char, digits: usize) -> Result<String, Failure> {
    let mut bytes = [0; 8];
    fill(&mut bytes).map_err(|error| Failure::Unreachable(error.to_string()))?;
    let mut text = String::from(first);
    text.extend(format!("{:020}", u64::from_be_bytes(bytes)).chars().rev().take(digits));
    Ok(text)
}

fn random() -> Result<Secret, Failure> {
    Secret::random().map_err(|error| Failure::Unreachable(error.to_string()))
}

fn invalid(error: impl std::fmt::Display) -> Failure {
    Failure::Usage(error.to_string())
}

/// The fields of a value as a row.
fn cells(value: &Value, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| word(at(value, name))).collect()
}

const LINK_HOURS: i64 = 72;
/// Where `dev` listens unless told otherwise.
const DEV: &str = "http://127.0.0.1:8081";

const EXAMPLES: &str = "\
Examples:
  consentry directory account add acme --config control.toml
  consentry directory user add alice@acme --administrator --config control.toml
  consentry directory token add alice@acme --label ci --days 90 --config control.toml
  consentry directory apply directory.toml --dry-run --config control.toml";
