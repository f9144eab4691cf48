//! `directory account`: accounts, each with its root identity.

use clap::Subcommand;
use serde_json::json;

use super::{Desk, cells, invalid, key, number, plain};
use crate::cli::Failure;
use crate::model::account::{Account, Principal, PrincipalKind};
use crate::model::application::UNVERIFIED;
use crate::model::id::AccountId;
use crate::store::{NewPrincipal, StoreError};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add an account, and print a link that sets the password of its root identity
    Add {
        /// Its alias, in which its users' logins end
        alias: String,
        /// Its number; one is made up unless given
        #[arg(long, value_name = "NUMBER")]
        id: Option<AccountId>,
    },
    /// List the accounts
    List,
}

impl Verb {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Add { alias, id } => add(desk, &alias, id).await,
            Self::List => list(desk).await,
        }
    }
}

/// An account and its root identity, as they are added.
pub(super) fn founded(alias: &str, id: Option<AccountId>) -> Result<(Account, NewPrincipal), Failure> {
    plain(alias)?;
    let id = match id {
        Some(id) => id,
        None => number('1', 15)?.parse().map_err(invalid)?,
    };
    if id.as_str() == UNVERIFIED {
        return Err(Failure::Usage(format!(
            "{id} is nobody's account: what registers itself is published under that name"
        )));
    }
    let account = Account { id, alias: alias.to_owned() };
    let root = Principal {
        key: key(&account, PrincipalKind::Account, account.id.as_str().parse().map_err(invalid)?),
        login: format!("root@{alias}"),
        display_name: format!("Root identity of {alias}"),
        enabled: true,
        full_access: false,
        groups: Vec::new(),
    };
    Ok((account, NewPrincipal { principal: root, password_hash: None }))
}

async fn add(desk: &Desk, alias: &str, id: Option<AccountId>) -> Result<(), Failure> {
    let (account, root) = founded(alias, id)?;
    let link = desk.link()?;
    match desk.store.found_account(&account, &root, Some(&link.kept), desk.now).await {
        Ok(()) => {}
        Err(StoreError::Exists(what)) => return Err(Failure::No(format!("{what} exists already"))),
        Err(error) => return Err(error.into()),
    }
    let until = link.kept.expires_at;
    let login = &root.principal.login;
    let value = json!({ "id": account.id, "alias": account.alias, "root": login,
        "link": link.address.expose(), "expires_at": until });
    let sentence = format!(
        "account {alias} ({}) is there. Its root identity {login} sets a password by this link, once, until {until}:",
        account.id
    );
    desk.tell_secret(&sentence, &link.address, &value)
}

async fn list(desk: &Desk) -> Result<(), Failure> {
    let accounts = desk.store.accounts().await?;
    let value = json!({ "accounts": accounts });
    let rows: Vec<_> = accounts.iter().map(|one| cells(&json!(one), &["alias", "id"])).collect();
    desk.tell(
        &value,
        &["alias", "number"],
        &rows,
        "There is no account. `consentry directory account add` adds one.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_founded_under_any_number_but_the_one_of_nobody() {
        let of = |id: &str| founded("acme", Some(id.parse().unwrap()));
        assert_eq!(of("1000000000000001").unwrap().0.alias, "acme");
        assert!(founded("acme", None).is_ok());
        assert!(matches!(of(UNVERIFIED), Err(Failure::Usage(_))));
    }
}
