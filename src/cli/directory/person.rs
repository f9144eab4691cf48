//! `directory user` and `directory role`.

use std::io::Read;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Desk, cells, invalid, key, number, plain};
use crate::cli::{Failure, print};
use crate::model::account::{Principal, PrincipalKey, PrincipalKind};
use crate::model::id::GroupName;
use crate::store::{By, NewPrincipal, PeopleFilter, Person, PersonChange, StoreError};
use crate::token::password::Passwords;
use crate::token::random::Secret;

#[derive(Debug, Subcommand)]
pub(super) enum UserVerb {
    /// Add a user, and print a link that sets their password
    Add(NewUser),
    /// List the users of an account
    List(Wanted),
    /// Disable a user: nothing works for them any more
    Disable {
        /// Their login
        login: String,
    },
    /// Enable a user again
    Enable {
        /// Their login
        login: String,
    },
    /// Print a link that sets a password, the root identity's too
    Password {
        /// Their login
        login: String,
        /// Set the password that stands on standard input instead
        #[arg(long)]
        stdin: bool,
    },
    /// Make a user an administrator of the account
    Administrator {
        /// Their login
        login: String,
        /// Take the right instead
        #[arg(long)]
        take: bool,
    },
    /// Take passkeys, authenticator and recovery codes away from somebody who has lost them
    Reset {
        /// Their login
        login: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct NewUser {
    /// Their login, as in alice@acme
    login: String,
    /// The name that people see
    #[arg(long)]
    name: Option<String>,
    /// Make them an administrator of the account
    #[arg(long)]
    administrator: bool,
    /// A group to put them into; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<GroupName>,
}

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// The account, by alias or number
    account: String,
    /// Only those whose login or name has this in it
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum RoleVerb {
    /// Add a role
    Add {
        /// Its name with the account, as in deploy@acme
        login: String,
        /// The name that people see
        #[arg(long)]
        name: Option<String>,
        /// A group to put it into; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<GroupName>,
    },
    /// List the roles of an account
    List(Wanted),
    /// Disable a role
    Disable {
        /// Its name with the account
        login: String,
    },
    /// Enable a role again
    Enable {
        /// Its name with the account
        login: String,
    },
}

impl UserVerb {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Add(new) => add(desk, new).await,
            Self::List(wanted) => list(desk, wanted, false).await,
            Self::Disable { login } => enable(desk, &login, false).await,
            Self::Enable { login } => enable(desk, &login, true).await,
            Self::Password { login, stdin: false } => link(desk, &login).await,
            Self::Password { login, stdin: true } => set(desk, &login).await,
            Self::Administrator { login, take } => {
                let change = PersonChange { full_access: Some(!take), ..PersonChange::default() };
                change_one(
                    desk,
                    &login,
                    &change,
                    if take { "is no administrator" } else { "is an administrator" },
                )
                .await
            }
            Self::Reset { login } => {
                let whom = desk.somebody(&login).await?;
                desk.store.reset_factors(&whom.key, By::Operator, desk.now).await?;
                print::narrate(&format!("consentry: {login} signs in with the password alone from now on"));
                Ok(())
            }
        }
    }
}

impl RoleVerb {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Add { login, name, groups } => add_role(desk, &login, name, groups).await,
            Self::List(wanted) => list(desk, wanted, true).await,
            Self::Disable { login } => enable(desk, &login, false).await,
            Self::Enable { login } => enable(desk, &login, true).await,
        }
    }
}

/// The number of a new user.
pub(super) fn user_id() -> Result<String, Failure> {
    number('2', 17)
}

/// A change that stands against nothing but what is there.
pub(super) fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::Conflict(why) => Failure::No(why),
        StoreError::Exists(what) => Failure::No(format!("{what} exists already")),
        StoreError::Missing(what) => Failure::No(format!("there is no {what}")),
        StoreError::Unavailable(_) | StoreError::Corrupt { .. } | StoreError::Unwritable(_) => error.into(),
    }
}

async fn add(desk: &Desk, new: NewUser) -> Result<(), Failure> {
    let (name, account) = desk.split(&new.login).await?;
    let id = user_id()?.parse().map_err(invalid)?;
    let principal = Principal {
        key: key(&account, PrincipalKind::User, id),
        login: format!("{name}@{}", account.alias),
        display_name: new.name.unwrap_or_else(|| name.to_owned()),
        enabled: true,
        full_access: new.administrator,
        groups: new.groups,
    };
    let (login, link) = (principal.login.clone(), desk.link()?);
    let new = NewPrincipal { principal, password_hash: None };
    let added = desk.store.add_person(&new, Some(&link.kept), By::Operator, desk.now).await;
    added.map_err(refused)?;
    tell_link(desk, &login, &link)
}

async fn add_role(
    desk: &Desk,
    login: &str,
    name: Option<String>,
    groups: Vec<GroupName>,
) -> Result<(), Failure> {
    let (id, account) = desk.split(login).await?;
    let principal = Principal {
        key: key(&account, PrincipalKind::Role, id.parse().map_err(invalid)?),
        login: format!("{id}@{}", account.alias),
        display_name: name.unwrap_or_else(|| id.to_owned()),
        enabled: true,
        full_access: false,
        groups,
    };
    let new = NewPrincipal { principal, password_hash: None };
    desk.store.add_person(&new, None, By::Operator, desk.now).await.map_err(refused)?;
    print::narrate(&format!("consentry: the role {} is there", new.principal.login));
    Ok(())
}

async fn list(desk: &Desk, wanted: Wanted, roles: bool) -> Result<(), Failure> {
    let account = desk.account(&wanted.account).await?;
    let mut filter = PeopleFilter { roles, search: wanted.search, ..PeopleFilter::users(AT_ONCE) };
    let mut all: Vec<Value> = Vec::new();
    loop {
        let found = desk.store.people(&account.id, &filter).await?;
        let Some(last) = found.last() else { break };
        filter.after = Some(last.principal.login.clone());
        all.extend(found.iter().map(told));
    }
    let names = ["login", "id", "kind", "enabled", "administrator", "groups", "password", "factors"];
    let rows: Vec<_> = all.iter().map(|one| cells(one, &names)).collect();
    desk.tell(&json!({ "people": all }), &names, &rows, "There is nobody.")
}

fn told(person: &Person) -> Value {
    let mut factors = Vec::new();
    if person.totp {
        factors.push("authenticator".to_owned());
    }
    if person.passkeys > 0 {
        factors.push(format!("passkeys:{}", person.passkeys));
    }
    let principal = &person.principal;
    json!({ "login": principal.login, "id": principal.key.id, "kind": principal.key.kind,
        "name": principal.display_name, "enabled": principal.enabled,
        "administrator": principal.is_administrator(), "groups": principal.groups,
        "password": person.has_password, "factors": factors })
}

async fn enable(desk: &Desk, login: &str, enabled: bool) -> Result<(), Failure> {
    let change = PersonChange { enabled: Some(enabled), ..PersonChange::default() };
    change_one(desk, login, &change, if enabled { "is enabled" } else { "is disabled" }).await
}

async fn change_one(desk: &Desk, login: &str, change: &PersonChange, now: &str) -> Result<(), Failure> {
    let whom = desk.somebody(login).await?;
    desk.store.change_person(&whom.key, change, By::Operator, desk.now).await.map_err(refused)?;
    print::narrate(&format!("consentry: {} {now}; running sidecars hear of it within seconds", whom.login));
    Ok(())
}

async fn link(desk: &Desk, login: &str) -> Result<(), Failure> {
    let (whom, link) = (desk.somebody(login).await?, desk.link()?);
    let offered = desk.store.offer_password(&whom.key, &link.kept, By::Operator, desk.now).await;
    offered.map_err(refused)?;
    tell_link(desk, &whom.login, &link)
}

async fn set(desk: &Desk, login: &str) -> Result<(), Failure> {
    let whom: PrincipalKey = desk.somebody(login).await?.key;
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = std::io::stdin().take(4096).read_to_string(&mut text);
    read.map_err(|error| Failure::Usage(format!("standard input cannot be read: {error}")))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.chars().count() < 12 {
        return Err(Failure::Usage("a password has at least 12 characters; nothing was changed".to_owned()));
    }
    let unusable = |error: crate::token::password::PasswordError| Failure::Unreachable(error.to_string());
    let passwords = Passwords::new(1).map_err(unusable)?;
    let hash = passwords.hash(Secret::new(password.to_owned())).await.map_err(unusable)?;
    desk.store.set_password(&whom, &hash, None, None, By::Operator, desk.now).await.map_err(refused)?;
    print::narrate(&format!("consentry: {login} has another password, and is signed out everywhere"));
    Ok(())
}

fn tell_link(desk: &Desk, login: &str, link: &super::NewLink) -> Result<(), Failure> {
    let until = link.kept.expires_at;
    let value = json!({ "login": login, "link": link.address.expose(), "expires_at": until });
    let sentence = format!("{login} sets a password by this link, once, until {until}:");
    desk.tell_secret(&sentence, &link.address, &value)
}

/// A name for a group or a role on the command line.
pub(super) fn group(name: &str) -> Result<GroupName, Failure> {
    plain(name)?;
    name.parse().map_err(invalid)
}

/// How many are read from the store at once.
pub(super) const AT_ONCE: u32 = 500;
