//! `directory group`.

use clap::Subcommand;
use serde_json::json;

use super::person::{AT_ONCE, group, refused};
use super::{Desk, cells};
use crate::cli::{Failure, print};
use crate::model::id::GroupName;
use crate::store::{By, PersonChange};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add a group to an account
    Add {
        /// The account, by alias or number
        account: String,
        /// The group's name
        group: String,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// List the groups of an account
    List {
        /// The account, by alias or number
        account: String,
    },
    /// Delete a group: nobody is in it any more, and what was assigned to it is not
    Delete {
        /// The account, by alias or number
        account: String,
        /// The group's name
        group: String,
    },
    /// Put a user or a role into a group
    Join {
        /// The group's name
        group: String,
        /// The login of whom to put in
        login: String,
    },
    /// Take a user or a role out of a group
    Leave {
        /// The group's name
        group: String,
        /// The login of whom to take out
        login: String,
    },
}

impl Verb {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Add { account, group: name, description } => {
                let (account, name) = (desk.account(&account).await?, group(&name)?);
                let put =
                    desk.store.put_group(&account.id, &name, &description, true, By::Operator, desk.now);
                put.await.map_err(refused)?;
                print::narrate(&format!("consentry: the group {name} of {} is there", account.alias));
                Ok(())
            }
            Self::List { account } => list(desk, &account).await,
            Self::Delete { account, group: name } => {
                let (account, name) = (desk.account(&account).await?, group(&name)?);
                let gone = desk.store.delete_group(&account.id, &name, By::Operator, desk.now).await;
                gone.map_err(refused)?;
                print::narrate(&format!("consentry: the group {name} of {} is gone", account.alias));
                Ok(())
            }
            Self::Join { group: name, login } => {
                let change = PersonChange { join: Some(group(&name)?), ..PersonChange::default() };
                member(desk, &login, &change, &format!("is in {name}")).await
            }
            Self::Leave { group: name, login } => {
                let change = PersonChange { leave: Some(group(&name)?), ..PersonChange::default() };
                member(desk, &login, &change, &format!("is not in {name}")).await
            }
        }
    }
}

async fn list(desk: &Desk, account: &str) -> Result<(), Failure> {
    let account = desk.account(account).await?;
    let (mut all, mut after) = (Vec::new(), None::<GroupName>);
    loop {
        let found = desk.store.groups(&account.id, after.as_ref(), AT_ONCE).await?;
        let Some(last) = found.last() else { break };
        after = Some(last.name.clone());
        all.extend(
            found.iter().map(
                |one| json!({ "name": one.name, "description": one.description, "members": one.members }),
            ),
        );
    }
    let names = ["name", "description", "members"];
    let rows: Vec<_> = all.iter().map(|one| cells(one, &names)).collect();
    desk.tell(&json!({ "groups": all }), &names, &rows, "There is no group.")
}

async fn member(desk: &Desk, login: &str, change: &PersonChange, now: &str) -> Result<(), Failure> {
    let whom = desk.somebody(login).await?;
    desk.store.change_person(&whom.key, change, By::Operator, desk.now).await.map_err(refused)?;
    print::narrate(&format!("consentry: {} {now}; running sidecars hear of it within seconds", whom.login));
    Ok(())
}
