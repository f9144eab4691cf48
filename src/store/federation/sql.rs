//! Links from providers' subjects to users, in SQL.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::{Arrival, Arrived, Federation, Identity, NewIdentity, Newcomer};
use crate::model::account::{Account, Principal, PrincipalKey, PrincipalKind};
use crate::model::id::{AccountId, GroupName};
use crate::store::backend::{Row, sql};
use crate::store::people::allow_credentials;
use crate::store::sql::Tables;
use crate::store::sql::directory::{insert, join, of, principal};
use crate::store::sql::link::{Asks, Writing};
use crate::store::{Actor, AuditEvent, By, NewPrincipal, StoreError, Subject};

#[async_trait]
impl Federation for Tables {
    async fn account_named(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let query = sql("SELECT * FROM accounts WHERE alias_key = $1 OR id = $2
             ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END LIMIT 1")
        .bind(name.to_lowercase())
        .bind(name);
        let row = self.row(query).await?;
        row.map(|row| Ok(Account { id: row.parse("id")?, alias: row.get("alias")? })).transpose()
    }

    async fn arrive(&self, arrival: &Arrival, now: Timestamp) -> Result<Arrived, StoreError> {
        let mut writing = self.writing().await?;
        let done = async { arrive(&mut writing, arrival, now).await }.await;
        writing.end(done).await
    }

    async fn identities(
        &self,
        account: &AccountId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Identity>, StoreError> {
        let query = sql("SELECT i.*, p.login FROM identities i
             JOIN principals p ON p.account = i.account AND p.kind = i.principal_kind AND p.id = i.principal_id
             WHERE i.account = $1 AND i.id > $2 ORDER BY i.id LIMIT $3")
        .bind(account.as_str())
        .bind(after)
        .bind(limit);
        self.rows(query).await?.iter().map(identity).collect()
    }

    async fn link_identity(
        &self,
        new: &NewIdentity,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Identity, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let query = sql("SELECT * FROM people WHERE login_key = $1 AND account = $2 AND kind = 'user'")
                .bind(new.login.to_lowercase())
                .bind(new.account.as_str());
            let none = || StoreError::Missing(format!("user {} in this account", new.login));
            let user = writing.row(query).await?.ok_or_else(none)?.principal()?;
            allow_credentials(&mut writing, By::Person(by), &user).await?;
            let link = Identity {
                id: new.id.clone(),
                issuer: new.issuer.clone(),
                subject: new.subject.clone(),
                provider: new.provider.clone(),
                login: user.login.clone(),
                linked_at: now,
                linked_by: by.login.clone(),
                last_login_at: None,
            };
            keep_link(&mut writing, &link, &user.key).await?;
            let detail = json!({ "provider": new.provider, "subject": new.subject });
            audit(&mut writing, &user, &by.login, ("identity.linked", &detail), now).await?;
            Ok(link)
        }
        .await;
        writing.end(done).await
    }

    async fn unlink_identity(
        &self,
        account: &AccountId,
        id: &str,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let query = sql("SELECT * FROM identities WHERE account = $1 AND id = $2");
            let none = || StoreError::Missing(format!("identity {id}"));
            let row = writing.row(query.bind(account.as_str()).bind(id)).await?.ok_or_else(none)?;
            let (key, issuer, subject) =
                (row.principal_key()?, row.get::<String>("issuer")?, row.get::<String>("subject")?);
            let provider: String = row.get("provider")?;
            let user = principal(&mut writing, &key).await?.ok_or_else(none)?;
            allow_credentials(&mut writing, By::Person(by), &user).await?;
            end_sessions(&mut writing, &key, Some((&issuer, &subject))).await?;
            writing.run(sql("DELETE FROM identities WHERE id = $1").bind(id)).await?;
            let detail = json!({ "provider": provider, "subject": subject });
            audit(&mut writing, &user, &by.login, ("identity.unlinked", &detail), now).await
        }
        .await;
        writing.end(done).await
    }
}

async fn arrive(writing: &mut Writing, arrival: &Arrival, now: Timestamp) -> Result<Arrived, StoreError> {
    let query = sql("SELECT id, account, principal_kind, principal_id, barred FROM identities
         WHERE issuer = $1 AND subject = $2 AND account = $3")
    .bind(&arrival.issuer)
    .bind(&arrival.subject)
    .bind(arrival.account.as_str());
    let Some(link) = writing.row(query).await? else {
        return match &arrival.newcomer {
            _ if !arrival.member => Ok(Arrived::NoMember { changed: false }),
            None => Ok(Arrived::Unknown),
            Some(newcomer) => make(writing, arrival, newcomer, now).await,
        };
    };
    let (id, key, barred): (String, _, bool) = (link.get("id")?, link.principal_key()?, link.get("barred")?);
    let user = principal(writing, &key).await?;
    let user = user.ok_or_else(|| StoreError::Corrupt {
        what: format!("identity {id}"),
        why: "it stands for nobody".to_owned(),
    })?;
    if !arrival.member {
        let changed = user.enabled;
        if changed {
            bar(writing, arrival, &user, &id, now).await?;
        }
        return Ok(Arrived::NoMember { changed });
    }
    if !user.enabled && !barred {
        return Ok(Arrived::Disabled { login: user.login });
    }
    let changed = change(writing, arrival, &user, now).await?;
    let query = sql("UPDATE identities SET last_login_at = $2, barred = $3 WHERE id = $1");
    writing.run(query.bind(&id).bind(now.as_microsecond()).bind(false)).await?;
    let user = principal(writing, &key).await?.ok_or_else(|| StoreError::Missing(user.login.clone()))?;
    audit_login(writing, arrival, &user, now).await?;
    Ok(Arrived::In { principal: user, changed })
}

/// Makes the user of a subject that is linked to none.
async fn make(
    writing: &mut Writing,
    arrival: &Arrival,
    newcomer: &Newcomer,
    now: Timestamp,
) -> Result<Arrived, StoreError> {
    let query = sql("SELECT 1 AS taken FROM principals WHERE login_key = $1");
    if writing.row(query.bind(newcomer.login.to_lowercase())).await?.is_some() {
        return Ok(Arrived::Taken { login: newcomer.login.clone() });
    }
    let key =
        PrincipalKey { account: arrival.account.clone(), kind: PrincipalKind::User, id: newcomer.id.clone() };
    let user = Principal {
        key: key.clone(),
        login: newcomer.login.clone(),
        display_name: arrival.display_name.clone().unwrap_or_else(|| newcomer.login.clone()),
        enabled: true,
        full_access: arrival.full_access.unwrap_or(false),
        groups: arrival.groups.clone().unwrap_or_default(),
    };
    insert(writing, &NewPrincipal { principal: user, password_hash: None }).await?;
    let user = principal(writing, &key).await?.ok_or_else(|| StoreError::Missing(newcomer.login.clone()))?;
    let link = Identity {
        id: newcomer.identity.clone(),
        issuer: arrival.issuer.clone(),
        subject: arrival.subject.clone(),
        provider: arrival.provider.clone(),
        login: user.login.clone(),
        linked_at: now,
        linked_by: arrival.provider.clone(),
        last_login_at: Some(now),
    };
    keep_link(writing, &link, &key).await?;
    let detail = json!({
        "provider": arrival.provider, "subject": arrival.subject,
        "groups": user.groups, "administrator": user.full_access,
    });
    audit(writing, &user, &arrival.provider, ("user.made", &detail), now).await?;
    // Somebody of this id is new, but a sidecar may remember that there was nobody.
    writing.log(&Subject::Principal(key), now).await?;
    audit_login(writing, arrival, &user, now).await?;
    Ok(Arrived::In { principal: user, changed: true })
}

/// Makes groups, rights and name what the claims say. Whether what sidecars know was changed.
async fn change(
    writing: &mut Writing,
    arrival: &Arrival,
    user: &Principal,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if let Some(name) = arrival.display_name.as_ref().filter(|name| **name != user.display_name) {
        let query =
            sql("UPDATE principals SET display_name = $4 WHERE account = $1 AND kind = $2 AND id = $3");
        writing.run(of(&user.key, query).bind(name)).await?;
    }
    let full_access = arrival.full_access.unwrap_or(user.full_access);
    let groups = arrival.groups.as_ref().map(|groups| sorted(groups));
    let groups = groups.filter(|groups| *groups != sorted(&user.groups));
    if full_access == user.full_access && groups.is_none() && user.enabled {
        return Ok(false);
    }
    if full_access && !user.full_access {
        // An older session may rest on less than an administrator's has to.
        end_sessions(writing, &user.key, None).await?;
        let links = sql("DELETE FROM password_links WHERE account = $1 AND kind = $2 AND id = $3");
        writing.run(of(&user.key, links)).await?;
    }
    let query = sql(
        "UPDATE principals SET full_access = $4, enabled = $5 WHERE account = $1 AND kind = $2 AND id = $3",
    );
    writing.run(of(&user.key, query).bind(full_access).bind(true)).await?;
    if let Some(groups) = &groups {
        let query = sql("DELETE FROM memberships WHERE account = $1 AND kind = $2 AND id = $3");
        writing.run(of(&user.key, query)).await?;
        for group in groups {
            join(writing, &user.key, group).await?;
        }
    }
    let detail = json!({
        "provider": arrival.provider, "groups": groups.unwrap_or_else(|| user.groups.clone()),
        "administrator": full_access, "enabled": true,
    });
    audit(writing, user, &arrival.provider, ("user.changed", &detail), now).await?;
    writing.log(&Subject::Principal(user.key.clone()), now).await?;
    Ok(true)
}

/// Disables a user because the provider no longer counts them among its members.
async fn bar(
    writing: &mut Writing,
    arrival: &Arrival,
    user: &Principal,
    link: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = sql("UPDATE principals SET enabled = $4 WHERE account = $1 AND kind = $2 AND id = $3");
    writing.run(of(&user.key, query).bind(false)).await?;
    end_sessions(writing, &user.key, None).await?;
    writing.run(sql("UPDATE identities SET barred = $2 WHERE id = $1").bind(link).bind(true)).await?;
    let detail = json!({ "provider": arrival.provider, "enabled": false });
    audit(writing, user, &arrival.provider, ("user.disabled", &detail), now).await?;
    writing.log(&Subject::Principal(user.key.clone()), now).await?;
    Ok(())
}

/// Ends a user's sessions: all of them, or those that this issuer and subject have vouched for.
async fn end_sessions(
    writing: &mut Writing,
    key: &PrincipalKey,
    vouched: Option<(&str, &str)>,
) -> Result<(), StoreError> {
    let (issuer, subject) = vouched.unwrap_or_default();
    let mine = "account = $1 AND principal_kind = $2 AND principal_id = $3
                AND ($4 OR (issuer = $5 AND subject = $6))";
    for text in [
        format!("DELETE FROM pending_consents WHERE session IN (SELECT hash FROM sessions WHERE {mine})"),
        format!("DELETE FROM sessions WHERE {mine}"),
    ] {
        let query = of(key, crate::store::backend::built(text));
        writing.run(query.bind(vouched.is_none()).bind(issuer).bind(subject)).await?;
    }
    Ok(())
}

async fn keep_link(writing: &mut Writing, link: &Identity, user: &PrincipalKey) -> Result<(), StoreError> {
    let query = of(
        user,
        sql("INSERT INTO identities (account, principal_kind, principal_id, id, issuer, subject, provider,
                                     linked_at, linked_by, last_login_at, barred)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING"),
    )
    .bind(&link.id)
    .bind(&link.issuer)
    .bind(&link.subject)
    .bind(&link.provider)
    .bind(link.linked_at.as_microsecond())
    .bind(&link.linked_by)
    .bind(link.last_login_at.map(Timestamp::as_microsecond))
    .bind(false);
    if writing.run(query).await? == 0 {
        let provider = &link.provider;
        return Err(StoreError::Exists(format!(
            "a link of this subject of {provider} in this account, or of {} to another one of {provider},",
            link.login
        )));
    }
    Ok(())
}

async fn audit_login(
    writing: &mut Writing,
    arrival: &Arrival,
    user: &Principal,
    now: Timestamp,
) -> Result<(), StoreError> {
    let detail = json!({ "provider": arrival.provider, "subject": arrival.subject });
    audit(writing, user, &user.login, ("login.succeeded", &detail), now).await
}

async fn audit(
    writing: &mut Writing,
    user: &Principal,
    actor: &str,
    (event, detail): (&str, &serde_json::Value),
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = AuditEvent {
        at: now,
        account: user.key.account.clone(),
        actor: actor.to_owned(),
        event: event.to_owned(),
        subject: user.login.clone(),
        detail: detail.to_string(),
    };
    writing.audit(&event).await
}

fn sorted(groups: &[GroupName]) -> Vec<GroupName> {
    let mut groups = groups.to_vec();
    groups.sort();
    groups.dedup();
    groups
}

fn identity(row: &Row) -> Result<Identity, StoreError> {
    Ok(Identity {
        id: row.get("id")?,
        issuer: row.get("issuer")?,
        subject: row.get("subject")?,
        provider: row.get("provider")?,
        login: row.get("login")?,
        linked_at: row.time("linked_at")?,
        linked_by: row.get("linked_by")?,
        last_login_at: row.time_any("last_login_at")?,
    })
}
