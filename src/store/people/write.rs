//! Each change of the directory, inside its transaction.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::rules::{allow, allow_credentials, standing};
use super::{By, PasswordLink, PersonChange, Rules, logs_in};
use crate::model::account::{Account, Principal, PrincipalKey};
use crate::model::id::{AccountId, GroupName, Seq};
use crate::store::backend::{built, sql};
use crate::store::factors::end_unproven_of_administrators;
use crate::store::sql::directory::{add_account, insert, join, missing, of, principal};
use crate::store::sql::link::{Asks, Writing};
use crate::store::{AuditEvent, NewPrincipal, StoreError, Subject};

/// Adds an account with its root identity.
pub(super) async fn found(
    writing: &mut Writing,
    account: &Account,
    root: &NewPrincipal,
    link: Option<&PasswordLink>,
    now: Timestamp,
) -> Result<(), StoreError> {
    add_account(writing, account).await?;
    insert(writing, root).await?;
    if let Some(link) = link {
        keep_link(writing, &root.principal.key, link, By::Operator).await?;
    }
    let detail = json!({ "root": root.principal.login });
    audit(writing, &account.id, By::Operator, ("directory.account.add", &account.alias), detail, now).await
}

/// Adds a user or a role.
pub(super) async fn add(
    writing: &mut Writing,
    new: &NewPrincipal,
    link: Option<&PasswordLink>,
    by: By<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Principal { key, login, groups, full_access, .. } = &new.principal;
    let rises = PersonChange { full_access: full_access.then_some(true), ..PersonChange::default() };
    let unarmed = Principal { full_access: false, ..new.principal.clone() };
    allow(writing, by, &unarmed, &rises).await?;
    insert(writing, new).await?;
    if let Some(link) = link.filter(|_| logs_in(key.kind)) {
        keep_link(writing, key, link, by).await?;
    }
    let detail = json!({ "kind": key.kind, "groups": groups, "administrator": full_access });
    audit(writing, &key.account, by, ("directory.person.add", login), detail, now).await
}

/// Changes somebody.
pub(super) async fn change(
    writing: &mut Writing,
    key: &PrincipalKey,
    change: &PersonChange,
    by: By<'_>,
    now: Timestamp,
) -> Result<Seq, StoreError> {
    let before = principal(writing, key).await?.ok_or_else(|| missing(key))?;
    allow(writing, by, &before, change).await?;
    let after = changed(&before, change);
    if change.enabled.is_some() {
        // From here on it is the administrator's word that counts: what a provider has barred, it may no longer lift.
        let query = sql("UPDATE identities SET barred = $4
                         WHERE account = $1 AND principal_kind = $2 AND principal_id = $3");
        writing.run(of(key, query).bind(false)).await?;
    }
    if !after.enabled || (after.full_access && !before.full_access) {
        // A link that somebody was given before would let them in as what the person is only now, or again.
        let query = sql("DELETE FROM password_links WHERE account = $1 AND kind = $2 AND id = $3");
        writing.run(of(key, query)).await?;
    }
    if after == before {
        return writing.newest().await;
    }
    let update = sql("UPDATE principals SET display_name = $4, enabled = $5, full_access = $6
                      WHERE account = $1 AND kind = $2 AND id = $3");
    let update = of(key, update).bind(&after.display_name).bind(after.enabled).bind(after.full_access);
    writing.run(update).await?;
    regroup(writing, &before, &after).await?;
    let demands = after.full_access && !before.full_access && {
        rules(writing, &key.account).await?.administrators_need_second_factor
    };
    if !after.enabled || demands {
        end_sessions(writing, key, None).await?;
    }
    audit(writing, &key.account, by, ("directory.person.change", &before.login), told(&before, &after), now)
        .await?;
    let calls = (after.enabled, after.full_access) != (before.enabled, before.full_access)
        || after.groups != before.groups;
    if calls { writing.log(&Subject::Principal(key.clone()), now).await } else { writing.newest().await }
}

/// Sets a password.
pub(super) async fn set_password(
    writing: &mut Writing,
    key: &PrincipalKey,
    hash: &str,
    expected: Option<&str>,
    keep: Option<&[u8; 32]>,
    by: By<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let whom = live(writing, key).await?;
    allow_credentials(writing, by, &whom).await?;
    if let Some(expected) = expected {
        let query = sql("SELECT password_hash FROM principals WHERE account = $1 AND kind = $2 AND id = $3");
        let row = writing.row(of(key, query)).await?;
        let stands = row.map(|row| row.get::<Option<String>>("password_hash")).transpose()?.flatten();
        if stands.as_deref() != Some(expected) {
            return Err(StoreError::Conflict(
                "the password has been changed meanwhile; log in again".to_owned(),
            ));
        }
    }
    put_password(writing, key, hash, keep).await?;
    audit(writing, &key.account, by, ("directory.password.set", &whom.login), json!({}), now).await
}

/// Makes a link.
pub(super) async fn offer(
    writing: &mut Writing,
    key: &PrincipalKey,
    link: &PasswordLink,
    by: By<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let whom = live(writing, key).await?;
    if !logs_in(key.kind) {
        return Err(StoreError::Conflict(format!("{} is a role, and no role logs in", whom.login)));
    }
    allow_credentials(writing, by, &whom).await?;
    keep_link(writing, key, link, by).await?;
    let detail = json!({ "expires_at": link.expires_at });
    audit(writing, &key.account, by, ("directory.password.link", &whom.login), detail, now).await
}

/// Uses a link.
pub(super) async fn use_link(
    writing: &mut Writing,
    hash: &[u8; 32],
    password_hash: &str,
    now: Timestamp,
) -> Result<Option<Principal>, StoreError> {
    let taken = built(format!(
        "DELETE FROM password_links WHERE hash = $1 AND expires_at > $2 AND {} RETURNING account, kind, id",
        made_well("password_links")
    ));
    let Some(row) = writing.row(taken.bind(&hash[..]).bind(now.as_microsecond())).await? else {
        return Ok(None);
    };
    let key = PrincipalKey { account: row.parse("account")?, kind: row.parse("kind")?, id: row.parse("id")? };
    let Some(whom) = principal(writing, &key).await?.filter(|whom| whom.enabled) else { return Ok(None) };
    put_password(writing, &key, password_hash, None).await?;
    let event = AuditEvent {
        at: now,
        account: key.account.clone(),
        actor: whom.login.clone(),
        event: "directory.password.link_used".to_owned(),
        subject: whom.login.clone(),
        detail: "{}".to_owned(),
    };
    writing.audit(&event).await?;
    Ok(Some(whom))
}

/// Adds a group, or changes what it is for.
pub(super) async fn put_group(
    writing: &mut Writing,
    account: &AccountId,
    name: &GroupName,
    description: &str,
    fresh: bool,
    by: By<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    stands(writing, by, account).await?;
    let text = if fresh {
        sql(
            "INSERT INTO people_groups (account, name, description) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
    } else {
        sql("UPDATE people_groups SET description = $3 WHERE account = $1 AND name = $2")
    };
    let done = writing.run(text.bind(account.as_str()).bind(name.as_str()).bind(description)).await?;
    match (done, fresh) {
        (0, true) => return Err(StoreError::Exists(format!("the group {name}"))),
        (0, false) => return Err(StoreError::Missing(format!("group {name} in account {account}"))),
        _ => {}
    }
    let event = if fresh { "directory.group.add" } else { "directory.group.change" };
    audit(writing, account, by, (event, name.as_str()), json!({ "description": description }), now).await
}

/// Deletes a group.
pub(super) async fn delete_group(
    writing: &mut Writing,
    account: &AccountId,
    name: &GroupName,
    by: By<'_>,
    now: Timestamp,
) -> Result<Seq, StoreError> {
    stands(writing, by, account).await?;
    let of_group = |text| sql(text).bind(account.as_str()).bind(name.as_str());
    if writing.run(of_group("DELETE FROM people_groups WHERE account = $1 AND name = $2")).await? == 0 {
        return Err(StoreError::Missing(format!("group {name} in account {account}")));
    }
    let left = of_group("DELETE FROM memberships WHERE account = $1 AND group_name = $2 RETURNING kind, id");
    let mut members = Vec::new();
    for row in writing.rows(left).await? {
        let key = PrincipalKey { account: account.clone(), kind: row.parse("kind")?, id: row.parse("id")? };
        writing.log(&Subject::Principal(key.clone()), now).await?;
        members.push(key.id);
    }
    // A group of the same name must not find what was assigned to this one.
    writing
        .run(of_group("DELETE FROM assignments WHERE account = $1 AND kind = 'group' AND name = $2"))
        .await?;
    let detail = json!({ "members": members });
    audit(writing, account, by, ("directory.group.delete", name.as_str()), detail, now).await?;
    writing.newest().await
}

/// What an account demands.
pub(in crate::store) async fn rules(asks: &mut impl Asks, account: &AccountId) -> Result<Rules, StoreError> {
    let query = sql("SELECT administrators_second FROM directory_rules WHERE account = $1");
    let row = asks.row(query.bind(account.as_str())).await?;
    let second = row.map(|row| row.get("administrators_second")).transpose()?;
    Ok(Rules { administrators_need_second_factor: second.unwrap_or(false) })
}

/// Changes what an account demands.
pub(super) async fn set_rules(
    writing: &mut Writing,
    account: &AccountId,
    rules: Rules,
    by: By<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    stands(writing, by, account).await?;
    let Rules { administrators_need_second_factor: second } = rules;
    let query = sql("INSERT INTO directory_rules (account, administrators_second) VALUES ($1, $2)
                     ON CONFLICT (account) DO UPDATE SET administrators_second = excluded.administrators_second");
    writing.run(query.bind(account.as_str()).bind(second)).await?;
    if second {
        end_unproven_of_administrators(writing, account).await?;
    }
    let detail = json!({ "administrators_need_second_factor": second });
    audit(writing, account, by, ("directory.rules", account.as_str()), detail, now).await
}

/// Adds to the audit what was done to `what` (event and subject).
pub(in crate::store) async fn audit(
    writing: &mut Writing,
    account: &AccountId,
    by: By<'_>,
    (event, subject): (&str, &str),
    detail: Value,
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = AuditEvent {
        at: now,
        account: account.clone(),
        actor: by.name().to_owned(),
        event: event.to_owned(),
        subject: subject.to_owned(),
        detail: detail.to_string(),
    };
    writing.audit(&event).await
}

/// Somebody who is there and enabled.
pub(in crate::store) async fn live(
    writing: &mut Writing,
    key: &PrincipalKey,
) -> Result<Principal, StoreError> {
    let found = principal(writing, key).await?.ok_or_else(|| missing(key))?;
    if found.enabled {
        return Ok(found);
    }
    Err(StoreError::Conflict(format!("{} is disabled; enable them first", found.login)))
}

/// Ends somebody's sessions, all but `keep`, and what was asked in them.
pub(in crate::store) async fn end_sessions(
    writing: &mut Writing,
    key: &PrincipalKey,
    keep: Option<&[u8; 32]>,
) -> Result<(), StoreError> {
    let keep = keep.map_or(&[][..], |hash| &hash[..]);
    for text in END_SESSIONS {
        writing.run(of(key, sql(text)).bind(keep)).await?;
    }
    Ok(())
}

async fn stands(writing: &mut Writing, by: By<'_>, account: &AccountId) -> Result<(), StoreError> {
    match by {
        By::Operator => Ok(()),
        By::Person(actor) => standing(writing, actor, account).await.map(drop),
    }
}

fn changed(before: &Principal, change: &PersonChange) -> Principal {
    let mut groups = change.groups.clone().unwrap_or_else(|| before.groups.clone());
    groups.extend(change.join.clone());
    groups.retain(|group| Some(group) != change.leave.as_ref());
    groups.sort();
    groups.dedup();
    Principal {
        display_name: change.display_name.clone().unwrap_or_else(|| before.display_name.clone()),
        enabled: change.enabled.unwrap_or(before.enabled),
        full_access: change.full_access.unwrap_or(before.full_access),
        groups,
        ..before.clone()
    }
}

async fn regroup(writing: &mut Writing, before: &Principal, after: &Principal) -> Result<(), StoreError> {
    for group in before.groups.iter().filter(|group| !after.groups.contains(group)) {
        let leave = sql("DELETE FROM memberships
                         WHERE account = $1 AND kind = $2 AND id = $3 AND group_name = $4");
        writing.run(of(&before.key, leave).bind(group.as_str())).await?;
    }
    for group in after.groups.iter().filter(|group| !before.groups.contains(group)) {
        join(writing, &after.key, group).await?;
    }
    Ok(())
}

/// What has changed, old and new.
fn told(before: &Principal, after: &Principal) -> Value {
    let mut told = serde_json::Map::new();
    let mut note = |name: &str, old: Value, new: Value| {
        if old != new {
            told.insert(name.to_owned(), json!([old, new]));
        }
    };
    note("display_name", json!(before.display_name), json!(after.display_name));
    note("enabled", json!(before.enabled), json!(after.enabled));
    note("administrator", json!(before.full_access), json!(after.full_access));
    note("groups", json!(before.groups), json!(after.groups));
    Value::Object(told)
}

async fn keep_link(
    writing: &mut Writing,
    key: &PrincipalKey,
    link: &PasswordLink,
    by: By<'_>,
) -> Result<(), StoreError> {
    let maker = match by {
        By::Operator => None,
        By::Person(actor) => {
            let found = principal(writing, &actor.principal).await?;
            Some(found.ok_or_else(|| missing(&actor.principal))?)
        }
    };
    let query = sql("INSERT INTO password_links
                         (account, kind, id, hash, expires_at, by_kind, by_id, by_administrator)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                     ON CONFLICT (account, kind, id)
                     DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at, by_kind = excluded.by_kind,
                         by_id = excluded.by_id, by_administrator = excluded.by_administrator");
    let query = of(key, query)
        .bind(&link.hash[..])
        .bind(link.expires_at.as_microsecond())
        .bind(maker.as_ref().map_or("operator", |maker| maker.key.kind.as_str()))
        .bind(maker.as_ref().map(|maker| maker.key.id.as_str()))
        .bind(maker.as_ref().is_some_and(Principal::is_administrator));
    writing.run(query).await?;
    Ok(())
}

/// Whether who has made a link could make it now, as a piece of SQL about the links called `name`: they are enabled, and
/// administer the account if they did then. What is an operator's own stands.
pub(super) fn made_well(name: &str) -> String {
    format!(
        "({name}.by_kind = 'operator' OR EXISTS (SELECT 1 FROM principals m
             WHERE m.account = {name}.account AND m.kind = {name}.by_kind AND m.id = {name}.by_id AND m.enabled
                 AND (NOT {name}.by_administrator OR m.kind = 'account' OR m.full_access)))"
    )
}

async fn put_password(
    writing: &mut Writing,
    key: &PrincipalKey,
    hash: &str,
    keep: Option<&[u8; 32]>,
) -> Result<(), StoreError> {
    let query = sql("UPDATE principals SET password_hash = $4 WHERE account = $1 AND kind = $2 AND id = $3");
    writing.run(of(key, query).bind(hash)).await?;
    let link = sql("DELETE FROM password_links WHERE account = $1 AND kind = $2 AND id = $3");
    writing.run(of(key, link)).await?;
    // Whoever guessed at codes knew the password of before.
    let guesses = sql("UPDATE totps SET wrong = 0 WHERE account = $1 AND kind = $2 AND id = $3");
    writing.run(of(key, guesses)).await?;
    end_sessions(writing, key, keep).await
}

const END_SESSIONS: [&str; 2] = [
    "DELETE FROM pending_consents WHERE session <> $4 AND session IN (SELECT hash FROM sessions
     WHERE account = $1 AND principal_kind = $2 AND principal_id = $3)",
    "DELETE FROM sessions WHERE account = $1 AND principal_kind = $2 AND principal_id = $3 AND hash <> $4",
];
