//! Claims into what they mean here, by the operator's mapping. Nothing is asked of the store.
//!
//! A claim of an unexpected shape refuses: a group that is not seen could be one that a guardrail forbids. A claim is
//! named by its name, or by a JSON pointer (`/realm_access/roles`) when the name begins with a slash.

use serde_json::Value;

use super::id_token::{Claims, text};
use crate::config::provider::{Held, Mapped, Provider};
use crate::model::id::GroupName;

/// What the claims say of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// The account, as the settings name it: one that the provider may speak for.
    pub(super) account: String,
    /// The name in the account, without it.
    pub(super) login: Option<String>,
    /// The name that people see.
    pub(super) display_name: Option<String>,
    /// All groups; nothing when the provider has no say in them.
    pub(super) groups: Option<Vec<GroupName>>,
    /// Full access; nothing when the provider has no say in it.
    pub(super) full_access: Option<bool>,
    /// Whether they may come in.
    pub(super) member: bool,
    /// Where people come in as roles: the role's name.
    pub(super) role: Option<String>,
}

/// Why claims mean nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Meaningless {
    /// They lead to no account, or to several.
    #[error("its claims lead to no account that it may speak for, or to more than one")]
    Account,
    /// One has an unexpected shape.
    #[error("one of its claims is neither a text nor a list of texts, or is too long")]
    Shape,
    /// There are more groups than the provider puts into a token.
    #[error("it has left groups out of its answer; have it send only those that are needed here")]
    LeftOut,
    /// They lead to no role.
    #[error("its claims lead to no role")]
    Role,
}

/// What these claims mean.
pub(super) fn read(settings: &Provider, claims: &Claims) -> Result<Said, Meaningless> {
    let account = match (&settings.account, settings.accounts.as_slice()) {
        (None, [one]) => one.clone(),
        (None, _) => return Err(Meaningless::Account),
        (Some(mapped), _) => the_one(mapped, claims)?.ok_or(Meaningless::Account)?,
    };
    // The mapping was checked when it was read; whom a provider may speak for is worth a second look.
    if !settings.accounts.contains(&account) {
        return Err(Meaningless::Account);
    }
    let role = match &settings.roles {
        None => None,
        Some(mapped) => Some(the_one(mapped, claims)?.ok_or(Meaningless::Role)?),
    };
    Ok(Said {
        account,
        login: text(claims, &settings.claims.login).and_then(login),
        display_name: text(claims, &settings.claims.name).map(shown).filter(|name| !name.is_empty()),
        groups: groups(settings, claims)?,
        full_access: settings.administrator.as_ref().map(|held| holds(held, claims)).transpose()?,
        member: settings.members.as_ref().map_or(Ok(true), |held| holds(held, claims))?,
        role,
    })
}

/// The one thing here that the claim's words stand for; nothing when there is none or more than one.
fn the_one(mapped: &Mapped, claims: &Claims) -> Result<Option<String>, Meaningless> {
    let words = words(claims, &mapped.claim)?;
    let mut meant: Vec<&String> = words.iter().filter_map(|word| mapped.values.get(*word)).collect();
    meant.sort();
    meant.dedup();
    match meant.as_slice() {
        [one] => Ok(Some((*one).clone())),
        [] | [_, ..] => Ok(None),
    }
}

fn holds(held: &Held, claims: &Claims) -> Result<bool, Meaningless> {
    let words = words(claims, &held.claim)?;
    Ok(words.iter().any(|word| held.values.iter().any(|value| value == word)))
}

fn groups(settings: &Provider, claims: &Claims) -> Result<Option<Vec<GroupName>>, Meaningless> {
    let Some(claim) = &settings.claims.groups else { return Ok(None) };
    // Distributed claims (OpenID Connect Core section 5.6.2) are how some say "too many to list".
    let left_out = claims.get("_claim_names").is_some_and(|names| names.get(claim).is_some());
    if left_out || claims.get("hasgroups").is_some_and(|has| has == true) {
        return Err(Meaningless::LeftOut);
    }
    let words = words(claims, claim)?;
    let named = words.iter().filter_map(|word| match &settings.groups {
        Some(meant) => meant.get(*word).map(String::as_str),
        None => Some(*word),
    });
    // What cannot be a group's name here is no group that anybody here could mean.
    let mut groups: Vec<GroupName> = named.filter_map(|name| name.parse().ok()).collect();
    groups.sort();
    groups.dedup();
    Ok(Some(groups))
}

/// The words of a claim: a text, or a list of texts; none when it is absent.
fn words<'c>(claims: &'c Claims, name: &str) -> Result<Vec<&'c str>, Meaningless> {
    let found = match name.strip_prefix('/') {
        None => claims.get(name),
        Some(rest) => match rest.split_once('/') {
            None => claims.get(rest),
            Some((first, inner)) => claims.get(first).and_then(|value| value.pointer(&format!("/{inner}"))),
        },
    };
    match found {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(any)) if any.len() <= MOST_WORDS => {
            any.iter().map(|one| one.as_str().ok_or(Meaningless::Shape)).collect()
        }
        Some(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            Err(Meaningless::Shape)
        }
    }
}

/// A user's name in an account: 1 to 64 letters, digits and `._-`, of an address the part before the `@`.
fn login(text: &str) -> Option<String> {
    let name = text.split('@').next().unwrap_or_default().to_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=64).contains(&name.len()) && name.bytes().all(plain)).then_some(name)
}

/// A name without what could reorder or hide the text around it, cut.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect::<String>().trim().to_owned()
}

/// More is a mistake of the mapping, and would be an expensive one.
const MOST_WORDS: usize = 500;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(more: &str) -> Provider {
        let text = format!("name = \"id\"\nissuer = \"https://id.example\"\nclient_id = \"c\"\n{more}");
        toml::from_str(&text).unwrap()
    }

    fn said(more: &str, claims: Value) -> Result<Said, Meaningless> {
        let Value::Object(claims) = claims else { panic!("{claims}") };
        read(&settings(more), &claims)
    }

    const FULL: &str = r#"
accounts = ["acme", "globex"]
account = { claim = "org", values = { "o-1" = "acme", "o-2" = "globex" } }
claims = { groups = "/realm/groups" }
groups = { "eng staff" = "developers" }
administrator = { claim = "entitled", values = ["cloud-admins"] }
members = { claim = "entitled", values = ["cloud-users", "cloud-admins"] }
"#;

    #[test]
    fn claims_lead_to_account_name_groups_and_rights() {
        let claims = json!({
            "org": "o-2", "preferred_username": "Alice@corp.example", "name": "Alice\nSmith",
            "realm": { "groups": ["eng staff", "eng staff", "unmapped"] }, "entitled": ["cloud-admins"],
        });
        let alice = said(FULL, claims).unwrap();
        assert_eq!((alice.account.as_str(), alice.login.as_deref()), ("globex", Some("alice")));
        assert_eq!(alice.display_name.as_deref(), Some("AliceSmith"));
        assert_eq!(alice.groups.unwrap(), ["developers".parse().unwrap()]);
        assert_eq!((alice.full_access, alice.member), (Some(true), true));
    }

    #[test]
    fn what_the_claims_do_not_say_is_not_given() {
        let eve = said(FULL, json!({ "org": "o-1" })).unwrap();
        assert_eq!((eve.groups, eve.full_access, eve.member), (Some(Vec::new()), Some(false), false));
        assert_eq!(eve.login, None);
        let plain = said("accounts = [\"acme\"]", json!({ "groups": ["admins"] })).unwrap();
        assert_eq!((plain.groups, plain.full_access, plain.member), (None, None, true));
    }

    #[test]
    fn an_account_that_is_not_mapped_or_not_certain_is_none() {
        for org in [json!("o-3"), json!("acme"), json!(["o-1", "o-2"]), Value::Null] {
            assert_eq!(said(FULL, json!({ "org": org })), Err(Meaningless::Account), "{org}");
        }
        assert!(said(FULL, json!({ "org": ["o-1", "o-1", "o-9"] })).is_ok());
    }

    #[test]
    fn a_claim_of_another_shape_or_one_that_leaves_something_out_refuses() {
        for claims in [
            json!({ "org": "o-1", "entitled": { "cloud-admins": true } }),
            json!({ "org": "o-1", "realm": { "groups": [1] } }),
            json!({ "org": "o-1", "entitled": true }),
        ] {
            assert_eq!(said(FULL, claims.clone()), Err(Meaningless::Shape), "{claims}");
        }
        let groups = "accounts = [\"acme\"]\nclaims = { groups = \"groups\" }";
        let many = json!({ "_claim_names": { "groups": "src1" } });
        assert_eq!(said(groups, many), Err(Meaningless::LeftOut));
    }

    #[test]
    fn a_name_that_cannot_stand_in_a_login_is_none() {
        for (text, name) in
            [("Bob", Some("bob")), ("bob@x@y", Some("bob")), ("b b", None), ("@x", None), ("é", None)]
        {
            assert_eq!(login(text).as_deref(), name);
        }
    }

    #[test]
    fn people_come_in_as_the_one_role_that_is_mapped() {
        let roles =
            "accounts = [\"acme\"]\nroles = { claim = \"r\", values = { a = \"deploy\", b = \"audit\" } }";
        assert_eq!(said(roles, json!({ "r": ["a", "z"] })).unwrap().role.as_deref(), Some("deploy"));
        for r in [json!(["a", "b"]), json!([]), json!("deploy")] {
            assert_eq!(said(roles, json!({ "r": r })), Err(Meaningless::Role), "{r}");
        }
    }
}
