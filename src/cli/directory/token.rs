//! `directory token`: tokens of the admin API. A token speaks for its user, with whatever rights they have when it is
//! used.

use clap::Subcommand;
use jiff::SignedDuration;
use serde_json::json;

use super::person::refused;
use super::{Desk, cells, random};
use crate::cli::{Failure, print};
use crate::store::{ApiToken, By};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a token for a user, and print it
    Add {
        /// Their login
        login: String,
        /// What it is for
        #[arg(long, default_value = "made by an operator")]
        label: String,
        /// For how many days it can be used
        #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3650))]
        days: u16,
    },
    /// List the tokens of an account
    List {
        /// The account, by alias or number
        account: String,
    },
    /// End a token
    Revoke {
        /// The account, by alias or number
        account: String,
        /// The token's id, as the list tells it
        id: String,
    },
}

impl Verb {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Add { login, label, days } => add(desk, &login, label, days).await,
            Self::List { account } => list(desk, &account).await,
            Self::Revoke { account, id } => {
                let account = desk.account(&account).await?;
                let ended = desk.store.revoke_token(&account.id, &id, By::Operator, desk.now).await;
                ended.map_err(refused)?;
                print::narrate(&format!("consentry: the token {id} works no more"));
                Ok(())
            }
        }
    }
}

async fn add(desk: &Desk, login: &str, label: String, days: u16) -> Result<(), Failure> {
    let (whom, secret) = (desk.somebody(login).await?, random()?);
    let expires_at = desk.now + SignedDuration::from_hours(i64::from(days) * 24);
    let token = ApiToken { hash: secret.hash(), principal: whom.key, label, expires_at: Some(expires_at) };
    desk.store.give_token(&token, By::Operator, desk.now).await.map_err(refused)?;
    let value = json!({ "login": whom.login, "token": secret.expose(), "expires_at": expires_at });
    let sentence = format!("this token speaks for {} until {expires_at}; it is shown only now:", whom.login);
    desk.tell_secret(&sentence, &secret, &value)
}

async fn list(desk: &Desk, account: &str) -> Result<(), Failure> {
    let account = desk.account(account).await?;
    let found = desk.store.tokens(&account.id, desk.now).await?;
    let told = |one: &crate::store::KeptToken| json!({ "id": one.id, "login": one.login, "label": one.label, "expires_at": one.expires_at });
    let all: Vec<_> = found.iter().map(told).collect();
    let names = ["id", "login", "label", "expires_at"];
    let rows: Vec<_> = all.iter().map(|one| cells(one, &names)).collect();
    desk.tell(&json!({ "tokens": all }), &["id", "speaks for", "label", "until"], &rows, "There is no token.")
}
