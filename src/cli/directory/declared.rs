//! What a file declares: accounts with their groups, users and roles. TOML, or JSON when the name ends so. Unknown
//! keys are refused, and so is a password that is no hash.

use std::path::Path;

use serde::Deserialize;

use super::plain;
use crate::cli::Failure;
use crate::config::file;
use crate::model::id::{AccountId, GroupName};
use crate::token::password;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Declared {
    /// The accounts; others are left alone.
    pub(super) accounts: Vec<Account>,
}

/// An account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub(super) alias: String,
    /// Its number; one is made up when the account is new and none is given.
    pub(super) id: Option<AccountId>,
    #[serde(default)]
    pub(super) groups: Vec<Group>,
    #[serde(default)]
    pub(super) users: Vec<Somebody>,
    #[serde(default)]
    pub(super) roles: Vec<Somebody>,
}

/// A group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: GroupName,
    #[serde(default)]
    pub(super) description: Option<String>,
    /// Users in it, by name; those whose own `groups` name it are in it as well.
    #[serde(default)]
    pub(super) members: Vec<String>,
}

/// A user or a role. What is not said stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Somebody {
    /// What stands before the `@` of the login.
    pub(super) name: String,
    pub(super) display_name: Option<String>,
    pub(super) administrator: Option<bool>,
    pub(super) enabled: Option<bool>,
    /// The groups they are in.
    pub(super) groups: Option<Vec<GroupName>>,
    /// An Argon2id hash as a PHC string; without one, a new user gets a link.
    pub(super) password_hash: Option<String>,
}

impl Declared {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or says something that cannot be.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?;
        let declared: Self = if path.extension().is_some_and(|kind| kind == "json") {
            serde_json::from_str(&text)
                .map_err(|error| Failure::Invalid(format!("{}: {error}", path.display())))?
        } else {
            file::parse(path, &text)?
        };
        declared.check().map_err(|why| Failure::Invalid(format!("{}: {why}", path.display())))?;
        Ok(declared)
    }

    fn check(&self) -> Result<(), String> {
        once("account", self.accounts.iter().map(|one| one.alias.as_str()))?;
        for account in &self.accounts {
            let of = |what: &str| format!("{what} of {}", account.alias);
            plain(&account.alias).map_err(|error| error.to_string())?;
            once(&of("group"), account.groups.iter().map(|one| one.name.as_str()))?;
            let people = account.users.iter().chain(&account.roles);
            once(&of("user or role"), people.clone().map(|one| one.name.as_str()))?;
            for somebody in people {
                somebody.check()?;
            }
            for group in &account.groups {
                let known = |name: &&String| !account.users.iter().any(|user| user.name == **name);
                if let Some(stranger) = group.members.iter().find(known) {
                    return Err(format!(
                        "the group {} has a member {stranger}, who is no user there",
                        group.name
                    ));
                }
            }
            if let Some(role) = account.roles.iter().find(|one| one.administrator == Some(true)) {
                return Err(format!("the role {} is to administer, and no role does", role.name));
            }
            if let Some(role) = account.roles.iter().find(|one| one.password_hash.is_some()) {
                return Err(format!("the role {} has a password, and no role logs in", role.name));
            }
        }
        Ok(())
    }
}

impl Somebody {
    fn check(&self) -> Result<(), String> {
        plain(&self.name).map_err(|error| error.to_string())?;
        match &self.password_hash {
            Some(text) if !password::is_hash(text) => Err(format!(
                "the password_hash of {} is no Argon2id hash ($argon2id$…); passwords themselves are not taken",
                self.name
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// No name stands twice, in whatever letter case.
fn once<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name.to_lowercase()) {
            return Err(format!("the {what} {name} stands twice"));
        }
    }
    Ok(())
}
