//! What has to be done so that the directory is what a file declares. Nothing is changed here.
//!
//! What is not declared stays: an account, somebody, a group, a right. With `prune`, declared accounts lose what is
//! not declared in them: groups are deleted, users and roles disabled, and people are in exactly the groups that are
//! declared. Nobody is deleted, since what they have done refers to them.

use std::fmt;

use super::Desk;
use super::declared::{Account as Wished, Declared, Somebody};
use super::person::AT_ONCE;
use crate::cli::Failure;
use crate::model::account::{Account, PrincipalKey, PrincipalKind};
use crate::model::id::{AccountId, GroupName};
use crate::store::{PeopleFilter, Person, PersonChange, StoreError};

/// One change, in the order in which they are made.
pub(super) enum Step {
    /// An account with its root identity.
    Found { alias: String, id: Option<AccountId> },
    /// A group, or another description of one.
    Group { alias: String, name: GroupName, description: String, fresh: bool },
    /// Somebody new.
    Add { alias: String, kind: PrincipalKind, whom: NewSomebody },
    /// Somebody else than before.
    Change { login: String, key: PrincipalKey, change: PersonChange, told: Vec<String> },
    /// Another password.
    Password { login: String, key: PrincipalKey, hash: String },
    /// A group that is not declared.
    DropGroup { alias: String, name: GroupName },
}

/// Somebody new.
pub(super) struct NewSomebody {
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) administrator: bool,
    pub(super) enabled: bool,
    pub(super) groups: Vec<GroupName>,
    pub(super) password_hash: Option<String>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { alias, .. } => write!(f, "+ account {alias}, with root@{alias}"),
            Self::Group { alias, name, fresh: true, .. } => write!(f, "+ group {name} of {alias}"),
            Self::Group { alias, name, fresh: false, .. } => {
                write!(f, "~ group {name} of {alias}: description")
            }
            Self::Add { alias, kind, whom } => {
                let right = if whom.administrator { ", administrator" } else { "" };
                write!(f, "+ {kind} {}@{alias}{right}{}", whom.name, within(&whom.groups))
            }
            Self::Change { login, told, .. } => write!(f, "~ {login}: {}", told.join(", ")),
            Self::Password { login, .. } => write!(f, "~ {login}: password"),
            Self::DropGroup { alias, name } => write!(f, "- group {name} of {alias}"),
        }
    }
}

/// What has to be done.
pub(super) async fn plan(desk: &Desk, declared: &Declared, prune: bool) -> Result<Vec<Step>, Failure> {
    let there = desk.store.accounts().await?;
    let mut steps = Vec::new();
    for wished in &declared.accounts {
        let alias = wished.alias.to_lowercase();
        let found = there.iter().find(|one| one.alias.to_lowercase() == alias);
        if let (Some(found), Some(id)) = (found, &wished.id)
            && found.id != *id
        {
            return Err(Failure::No(format!(
                "the account {alias} has the number {} and not {id}; a number is never changed",
                found.id
            )));
        }
        match found {
            Some(account) => of_known(desk, account, wished, prune, &mut steps).await?,
            None => of_new(wished, &mut steps),
        }
    }
    Ok(steps)
}

fn of_new(wished: &Wished, steps: &mut Vec<Step>) {
    let alias = wished.alias.clone();
    steps.push(Step::Found { alias: alias.clone(), id: wished.id.clone() });
    for group in &wished.groups {
        let description = group.description.clone().unwrap_or_default();
        steps.push(Step::Group { alias: alias.clone(), name: group.name.clone(), description, fresh: true });
    }
    for (kind, somebody) in people(wished) {
        steps.push(add(&alias, kind, wished, somebody));
    }
}

async fn of_known(
    desk: &Desk,
    account: &Account,
    wished: &Wished,
    prune: bool,
    steps: &mut Vec<Step>,
) -> Result<(), Failure> {
    let groups = groups(desk, account).await?;
    for group in &wished.groups {
        let there = groups.iter().find(|(name, _)| *name == group.name);
        let wanted = group.description.clone();
        let fresh = there.is_none();
        if fresh || wanted.as_ref().is_some_and(|wanted| there.is_some_and(|(_, is)| is != wanted)) {
            let (alias, name) = (account.alias.clone(), group.name.clone());
            steps.push(Step::Group { alias, name, description: wanted.unwrap_or_default(), fresh });
        }
    }
    let mut declared = Vec::new();
    for (kind, somebody) in people(wished) {
        let login = format!("{}@{}", somebody.name, account.alias);
        match desk.store.credential(&login).await? {
            None => steps.push(add(&account.alias, kind, wished, somebody)),
            Some(found) if found.principal.key.account != account.id || found.principal.key.kind != kind => {
                return Err(Failure::No(format!(
                    "{login} is a {} of another kind or account; choose another name",
                    found.principal.key.kind
                )));
            }
            Some(found) => {
                let key = found.principal.key.clone();
                let person = desk.store.person(&key).await?;
                let person = person.ok_or_else(|| StoreError::Missing(login.clone()))?;
                let (change, told) = difference(&person, wished, somebody, prune);
                if !told.is_empty() {
                    steps.push(Step::Change { login: login.clone(), key: key.clone(), change, told });
                }
                let hash =
                    somebody.password_hash.clone().filter(|hash| found.password_hash.as_ref() != Some(hash));
                if let Some(hash) = hash {
                    steps.push(Step::Password { login, key: key.clone(), hash });
                }
                declared.push(key);
            }
        }
    }
    if prune {
        superfluous(desk, account, &declared, steps).await?;
        let kept = |name: &GroupName| wished.groups.iter().any(|group| group.name == *name);
        for (name, _) in groups.into_iter().filter(|(name, _)| !kept(name)) {
            steps.push(Step::DropGroup { alias: account.alias.clone(), name });
        }
    }
    Ok(())
}

/// Who is enabled and not declared is to be disabled.
async fn superfluous(
    desk: &Desk,
    account: &Account,
    declared: &[PrincipalKey],
    steps: &mut Vec<Step>,
) -> Result<(), Failure> {
    for roles in [false, true] {
        let mut filter = PeopleFilter { roles, ..PeopleFilter::users(AT_ONCE) };
        loop {
            let found = desk.store.people(&account.id, &filter).await?;
            let Some(last) = found.last() else { break };
            filter.after = Some(last.principal.login.clone());
            for Person { principal, .. } in found {
                let root = principal.key.kind == PrincipalKind::Account;
                if root || !principal.enabled || declared.contains(&principal.key) {
                    continue;
                }
                let change = PersonChange { enabled: Some(false), ..PersonChange::default() };
                let told = vec!["disabled, for it is not declared".to_owned()];
                steps.push(Step::Change { login: principal.login, key: principal.key, change, told });
            }
        }
    }
    Ok(())
}

/// What of somebody is otherwise than declared, and what that is called.
fn difference(
    person: &Person,
    account: &Wished,
    wished: &Somebody,
    prune: bool,
) -> (PersonChange, Vec<String>) {
    let is = &person.principal;
    let (mut change, mut told) = (PersonChange::default(), Vec::new());
    if let Some(name) = wished.display_name.as_ref().filter(|name| **name != is.display_name) {
        told.push("name".to_owned());
        change.display_name = Some(name.clone());
    }
    if let Some(enabled) = wished.enabled.filter(|enabled| *enabled != is.enabled) {
        told.push(if enabled { "enabled" } else { "disabled" }.to_owned());
        change.enabled = Some(enabled);
    }
    if let Some(right) = wished.administrator.filter(|right| *right != is.full_access) {
        told.push(if right { "administrator" } else { "no administrator" }.to_owned());
        change.full_access = Some(right);
    }
    let mut groups = memberships(account, wished);
    if !prune {
        groups.extend(is.groups.iter().cloned());
    }
    groups.sort();
    groups.dedup();
    let mut there = is.groups.clone();
    there.sort();
    if groups != there {
        told.push(format!("groups{}", within(&groups)));
        change.groups = Some(groups);
    }
    (change, told)
}

fn add(alias: &str, kind: PrincipalKind, account: &Wished, wished: &Somebody) -> Step {
    let whom = NewSomebody {
        name: wished.name.clone(),
        display_name: wished.display_name.clone().unwrap_or_else(|| wished.name.clone()),
        administrator: wished.administrator.unwrap_or(false),
        enabled: wished.enabled.unwrap_or(true),
        groups: memberships(account, wished),
        password_hash: wished.password_hash.clone(),
    };
    Step::Add { alias: alias.to_owned(), kind, whom }
}

/// The groups that name somebody, and those that they name.
fn memberships(account: &Wished, somebody: &Somebody) -> Vec<GroupName> {
    let named = account.groups.iter().filter(|group| group.members.contains(&somebody.name));
    let mut groups: Vec<_> = named.map(|group| group.name.clone()).collect();
    groups.extend(somebody.groups.iter().flatten().cloned());
    groups.sort();
    groups.dedup();
    groups
}

fn people(account: &Wished) -> impl Iterator<Item = (PrincipalKind, &Somebody)> {
    let users = account.users.iter().map(|user| (PrincipalKind::User, user));
    users.chain(account.roles.iter().map(|role| (PrincipalKind::Role, role)))
}

async fn groups(desk: &Desk, account: &Account) -> Result<Vec<(GroupName, String)>, Failure> {
    let (mut all, mut after) = (Vec::new(), None::<GroupName>);
    loop {
        let found = desk.store.groups(&account.id, after.as_ref(), AT_ONCE).await?;
        let Some(last) = found.last() else { return Ok(all) };
        after = Some(last.name.clone());
        all.extend(found.into_iter().map(|one| (one.name, one.description)));
    }
}

fn within(groups: &[GroupName]) -> String {
    if groups.is_empty() {
        return String::new();
    }
    format!(" in {}", groups.iter().map(GroupName::as_str).collect::<Vec<_>>().join(" "))
}
