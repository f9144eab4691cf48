//! What is to be changed so that an application is as a file says: a pure function of both.

use std::collections::BTreeSet;
use std::fmt;

use super::apply::{Mode, Wanted};
use super::table::plain;

/// What an account has of an application.
#[derive(Debug, Clone, Default)]
pub(super) struct Present {
    /// Its client ID, if there is such an application.
    pub(super) client_id: Option<String>,
    /// Whether it is official, and so can be provisioned.
    pub(super) official: bool,
    /// What its publisher requires, of an official one.
    pub(super) required: BTreeSet<String>,
    /// What its publisher offers besides.
    pub(super) optional: BTreeSet<String>,
    /// The grant's revision, if it is installed.
    pub(super) revision: Option<u64>,
    /// What is granted.
    pub(super) granted: BTreeSet<String>,
    /// Whether everybody may use it.
    pub(super) all: bool,
    /// Assigned users, by name and login, as far as the file speaks of users.
    pub(super) users: Vec<(String, String)>,
    /// The same of groups.
    pub(super) groups: Vec<(String, String)>,
    /// The same of roles.
    pub(super) roles: Vec<(String, String)>,
}

/// What is to be done about one application.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// As the file names it.
    pub(super) name: String,
    /// Its client ID; nothing when there is none, which is impossible to change.
    pub(super) client_id: String,
    /// In the order in which they are to be made.
    pub(super) changes: Vec<Change>,
    /// What is more than the file says, and was not to be taken away.
    pub(super) left: Vec<String>,
    /// Why it cannot be as the file says.
    pub(super) impossible: Option<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Install it, or replace the scopes of that revision.
    Provision {
        /// The optional scopes.
        scopes: BTreeSet<String>,
        /// Nothing beyond these.
        at_most: BTreeSet<String>,
        /// The revision to be replaced.
        replace: Option<u64>,
    },
    /// Everybody, or those assigned.
    Mode(Mode),
    /// Assign these of a kind.
    Assign(&'static str, Vec<String>),
    /// Take these of a kind off the list.
    Unassign(&'static str, Vec<String>),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |all: &[String]| plain(&all.join(" "));
        match self {
            Self::Provision { at_most, replace, .. } => {
                let verb = if replace.is_some() { "replace its scopes by" } else { "provision it with" };
                write!(f, "{verb} {}", words(&at_most.iter().cloned().collect::<Vec<_>>()))
            }
            Self::Mode(Mode::All) => f.write_str("let everybody use it"),
            Self::Mode(Mode::Assigned) => f.write_str("let only those assigned use it"),
            Self::Assign(kind, names) => write!(f, "assign {kind} {}", words(names)),
            Self::Unassign(kind, names) => write!(f, "take {kind} {} off the list", words(names)),
        }
    }
}

/// Plans. What is granted and assigned beyond `wanted` is taken away only if `prune` says so.
pub(super) fn plan(wanted: &Wanted, present: &Present, prune: bool) -> Plan {
    let mut plan = Plan { name: plain(&wanted.application), ..Plan::default() };
    match scopes(wanted, present, prune, &mut plan.left) {
        Ok(change) => plan.changes.extend(change),
        Err(why) => plan.impossible = Some(why),
    }
    let Some(client_id) = &present.client_id else { return plan };
    plan.client_id.clone_from(client_id);
    let mut away = Vec::new();
    for (kind, wanted, present) in [
        ("users", &wanted.users, &present.users),
        ("groups", &wanted.groups, &present.groups),
        ("roles", &wanted.roles, &present.roles),
    ] {
        let Some(wanted) = wanted else { continue };
        // A login is one in any letter case, a group's name is not.
        let same = |name: &str, login: &str| kind != "groups" && name.to_lowercase() == login.to_lowercase();
        let is = |name: &str, (id, login): &(String, String)| name == id || same(name, login);
        let missing: Vec<_> =
            wanted.iter().filter(|name| !present.iter().any(|one| is(name, one))).cloned().collect();
        let beyond: Vec<_> = present
            .iter()
            .filter(|one| !wanted.iter().any(|name| is(name, one)))
            .map(|one| one.0.clone())
            .collect();
        if !missing.is_empty() {
            plan.changes.push(Change::Assign(kind, missing));
        }
        if !beyond.is_empty() && prune {
            away.push(Change::Unassign(kind, beyond));
        } else if !beyond.is_empty() {
            plan.left.push(format!("{} {kind} assigned that the file does not name", beyond.len()));
        }
    }
    // Those who stay are assigned before those who do not are taken away.
    match wanted.mode {
        Some(Mode::All) if !present.all => plan.changes.push(Change::Mode(Mode::All)),
        Some(Mode::Assigned) if present.all && prune => plan.changes.push(Change::Mode(Mode::Assigned)),
        Some(Mode::Assigned) if present.all => plan.left.push("everybody may use it".to_owned()),
        Some(Mode::All | Mode::Assigned) | None => {}
    }
    plan.changes.extend(away);
    plan
}

/// The change of its scopes, if any, or why there can be none.
fn scopes(
    wanted: &Wanted,
    present: &Present,
    prune: bool,
    left: &mut Vec<String>,
) -> Result<Option<Change>, String> {
    if present.client_id.is_none() {
        return Err("there is no official or installed application of this name".to_owned());
    }
    if present.revision.is_none() && !present.official {
        return Err(
            "it is not installed, and not official: an administrator authorizes it at its first use".into()
        );
    }
    let Some(wanted) = &wanted.scopes else {
        return match present.revision {
            Some(_) => Ok(None),
            None => {
                Err("it is not installed, and the file does not say which `scopes` it may have".to_owned())
            }
        };
    };
    let missing = || wanted.difference(&present.granted);
    let beyond: Vec<_> = present.granted.difference(wanted).cloned().collect();
    if !present.official {
        return if missing().next().is_none() && beyond.is_empty() {
            Ok(None)
        } else {
            Err("its scopes differ, and it is not official: an administrator chooses them at its consent page".into())
        };
    }
    if !beyond.is_empty() && !prune {
        left.push(format!("granted beyond the file: {}", plain(&beyond.join(" "))));
    }
    if present.revision.is_some() && missing().next().is_none() && (beyond.is_empty() || !prune) {
        return Ok(None);
    }
    // What is granted already is no widening.
    let at_most: BTreeSet<String> =
        if prune { wanted.clone() } else { wanted.union(&present.granted).cloned().collect() };
    if let Some(scope) = present.required.difference(&at_most).next() {
        return Err(format!("it requires {}, which the file does not name", plain(scope)));
    }
    let offered: BTreeSet<String> = present.required.union(&present.optional).cloned().collect();
    if let Some(scope) = wanted.difference(&offered).next() {
        return Err(format!("it does not offer {}", plain(scope)));
    }
    let at_most: BTreeSet<String> = at_most.intersection(&offered).cloned().collect();
    let scopes = at_most.difference(&present.required).cloned().collect();
    Ok(Some(Change::Provision { scopes, at_most, replace: present.revision }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &str) -> BTreeSet<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn named(words: &str) -> Vec<(String, String)> {
        words.split_whitespace().map(|word| (word.to_owned(), word.to_owned())).collect()
    }

    fn offered() -> Present {
        Present {
            client_id: Some("1".to_owned()),
            official: true,
            required: set("openid profile"),
            optional: set("read write"),
            ..Present::default()
        }
    }

    fn installed(granted: &str, users: &str) -> Present {
        Present { revision: Some(7), granted: set(granted), users: named(users), ..offered() }
    }

    fn wanted(scopes: &str, users: &str) -> Wanted {
        Wanted {
            application: "mcp".to_owned(),
            scopes: Some(set(scopes)),
            users: Some(set(users)),
            ..Wanted::default()
        }
    }

    #[test]
    fn what_is_not_installed_is_provisioned_and_assigned_as_the_file_says() {
        let plan = plan(&wanted("openid profile read", "a@x"), &offered(), false);
        let at_most = set("openid profile read");
        assert_eq!(
            plan.changes,
            [
                Change::Provision { scopes: set("read"), at_most, replace: None },
                Change::Assign("users", vec!["a@x".to_owned()])
            ]
        );
    }

    #[test]
    fn what_is_as_the_file_says_is_not_changed() {
        let plan =
            plan(&wanted("openid profile read", "A@x"), &installed("openid profile read", "a@x"), true);
        assert!(plan.changes.is_empty() && plan.left.is_empty() && plan.impossible.is_none(), "{plan:?}");
    }

    #[test]
    fn a_required_scope_that_the_file_does_not_name_is_not_granted() {
        let plan = plan(&wanted("openid read", ""), &offered(), true);
        assert!(plan.impossible.unwrap().contains("profile"));
        assert!(plan.changes.is_empty());
    }

    #[test]
    fn nothing_is_taken_away_unless_told() {
        let present = Present { all: true, ..installed("openid profile read write", "a@x b@x") };
        let wanted = Wanted { mode: Some(Mode::Assigned), ..wanted("openid profile read", "a@x") };
        let plan = plan(&wanted, &present, false);
        assert!(plan.changes.is_empty(), "{plan:?}");
        assert_eq!(plan.left.len(), 3, "{plan:?}");
        let plan = super::plan(&wanted, &present, true);
        let at_most = set("openid profile read");
        assert_eq!(
            plan.changes,
            [
                Change::Provision { scopes: set("read"), at_most, replace: Some(7) },
                Change::Mode(Mode::Assigned),
                Change::Unassign("users", vec!["b@x".to_owned()])
            ]
        );
    }

    #[test]
    fn an_added_scope_leaves_those_that_are_granted() {
        let plan = plan(&wanted("openid profile write", ""), &installed("openid profile read", ""), false);
        let at_most = set("openid profile read write");
        assert_eq!(
            plan.changes,
            [Change::Provision { scopes: set("read write"), at_most, replace: Some(7) }]
        );
    }

    #[test]
    fn what_nobody_publishes_or_only_a_consent_page_can_install_is_impossible() {
        assert!(plan(&wanted("", ""), &Present::default(), false).impossible.is_some());
        let third = Present { official: false, ..offered() };
        assert!(plan(&wanted("openid", ""), &third, false).impossible.is_some());
        let third = Present { official: false, ..installed("openid", "") };
        assert!(plan(&wanted("openid read", ""), &third, false).impossible.is_some());
        assert!(plan(&wanted("openid", "a@x"), &third, false).impossible.is_none());
    }
}
