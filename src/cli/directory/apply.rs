//! `directory apply`: brings the directory to what a file declares, and says what that took.
//!
//! Each step is a transaction of its own; what is interrupted is finished by applying the file again. A second time
//! changes nothing.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::account::founded;
use super::declared::Declared;
use super::person::{refused, user_id};
use super::plan::{NewSomebody, Step, plan};
use super::{Desk, Format, NewLink, invalid, key};
use crate::cli::{Failure, print};
use crate::model::account::{Account, Principal, PrincipalKind};
use crate::store::{By, NewPrincipal};

/// Bring the directory to what a file declares.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The file: TOML, or JSON when its name ends so
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Take away what declared accounts have and the file does not: groups, memberships; users and roles are disabled
    #[arg(long)]
    prune: bool,
}

/// Somebody's link, told once.
type Invited = (String, NewLink);

impl Apply {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let declared = Declared::read(&self.file)?;
        let steps = plan(desk, &declared, self.prune).await?;
        let mut invited = Vec::new();
        for step in &steps {
            if desk.format == Format::Human {
                print::data(&format!("{step}\n"))?;
            }
            if !self.dry_run {
                invited.extend(make(desk, step).await?);
            }
        }
        self.tell(desk, &steps, &invited)
    }

    fn tell(&self, desk: &Desk, steps: &[Step], invited: &[Invited]) -> Result<(), Failure> {
        let done = match (steps.len(), self.dry_run) {
            (0, _) => "nothing to do; the directory is what the file declares".to_owned(),
            (many, true) => format!("{many} changes would be made; nothing was changed"),
            (many, false) => format!("{many} changes made"),
        };
        print::narrate(&format!("consentry: {done}"));
        if desk.format == Format::Json {
            let links: Vec<_> = invited
                .iter()
                .map(|(login, link)| {
                    json!({ "login": login, "link": link.address.expose(), "expires_at": link.kept.expires_at })
                })
                .collect();
            let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
            let told = json!({ "applied": !self.dry_run, "changes": steps, "links": links });
            return print::data(&format!("{told:#}\n"));
        }
        if !invited.is_empty() {
            print::narrate("consentry: these links set a password, once each; they are shown only now:");
        }
        for (login, link) in invited {
            print::data(&format!("{login}  {}\n", link.address.expose()))?;
        }
        Ok(())
    }
}

/// Makes one step true.
async fn make(desk: &Desk, step: &Step) -> Result<Option<Invited>, Failure> {
    let (store, by, now) = (&desk.store, By::Operator, desk.now);
    match step {
        Step::Found { alias, id } => {
            let ((account, root), link) = (founded(alias, id.clone())?, desk.link()?);
            store.found_account(&account, &root, Some(&link.kept), now).await.map_err(refused)?;
            return Ok(Some((root.principal.login, link)));
        }
        Step::Group { alias, name, description, fresh } => {
            let account = desk.account(alias).await?;
            store.put_group(&account.id, name, description, *fresh, by, now).await.map_err(refused)?;
        }
        Step::Add { alias, kind, whom } => {
            let account = desk.account(alias).await?;
            return add(desk, &account, *kind, whom).await;
        }
        Step::Change { key, change, .. } => {
            store.change_person(key, change, by, now).await.map_err(refused)?;
        }
        Step::Password { key, hash, .. } => {
            store.set_password(key, hash, None, None, by, now).await.map_err(refused)?;
        }
        Step::DropGroup { alias, name } => {
            let account = desk.account(alias).await?;
            store.delete_group(&account.id, name, by, now).await.map_err(refused)?;
        }
    }
    Ok(None)
}

async fn add(
    desk: &Desk,
    account: &Account,
    kind: PrincipalKind,
    whom: &NewSomebody,
) -> Result<Option<Invited>, Failure> {
    let id = if kind == PrincipalKind::Role { whom.name.clone() } else { user_id()? };
    let principal = Principal {
        key: key(account, kind, id.parse().map_err(invalid)?),
        login: format!("{}@{}", whom.name, account.alias),
        display_name: whom.display_name.clone(),
        enabled: whom.enabled,
        full_access: whom.administrator,
        groups: whom.groups.clone(),
    };
    let (login, password_hash) = (principal.login.clone(), whom.password_hash.clone());
    let invites = kind == PrincipalKind::User && password_hash.is_none() && whom.enabled;
    let link = if invites { Some(desk.link()?) } else { None };
    let new = NewPrincipal { principal, password_hash };
    let kept = link.as_ref().map(|link| &link.kept);
    desk.store.add_person(&new, kept, By::Operator, desk.now).await.map_err(refused)?;
    Ok(link.map(|link| (login, link)))
}
