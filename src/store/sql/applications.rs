//! Applications and their secrets.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Tables;
use super::link::{Asks, Writing};
use crate::model::application::Application;
use crate::model::id::{AccountId, ApplicationId, Seq};
use crate::store::backend::{Query, Row, sql};
use crate::store::{Actor, Applications, AuditEvent, Secret, StoreError, Subject};

#[async_trait]
impl Applications for Tables {
    async fn register(
        &self,
        application: &Application,
        secrets: &[Secret],
        by: &Actor,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = add(&mut writing, application, secrets, by).await;
        writing.end(done).await
    }

    async fn change_application(
        &self,
        application: &Application,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = change(&mut writing, None, application, by, now).await.map(|_| ());
        writing.end(done).await
    }

    async fn replace_application(
        &self,
        before: &Application,
        after: &Application,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Seq, StoreError> {
        let mut writing = self.writing().await?;
        let done = change(&mut writing, Some(before), after, by, now).await;
        writing.end(done).await
    }

    async fn application(&self, id: &ApplicationId) -> Result<Option<Application>, StoreError> {
        find(&mut &*self, id).await
    }

    async fn secrets(&self, id: &ApplicationId) -> Result<Vec<Secret>, StoreError> {
        let query =
            sql("SELECT * FROM secrets WHERE application = $1 ORDER BY created_at, id").bind(id.as_str());
        let rows = self.rows(query).await?;
        rows.iter().map(secret).collect()
    }

    async fn add_secret(&self, id: &ApplicationId, secret: &Secret, by: &Actor) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let application = find(&mut writing, id).await?.ok_or_else(|| missing(id))?;
            let live = sql("SELECT id FROM secrets WHERE application = $1").bind(id.as_str());
            if writing.rows(live).await?.len() >= SECRETS {
                return Err(StoreError::Conflict(format!(
                    "the application {id} has {SECRETS} secrets already; delete one first"
                )));
            }
            insert_secret(&mut writing, id, secret).await?;
            let told = ("application.secret.add", json!({ "secret": secret.id }));
            audit(&mut writing, &application, by, told, secret.created_at).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn delete_secret(
        &self,
        id: &ApplicationId,
        secret: &str,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let application = find(&mut writing, id).await?.ok_or_else(|| missing(id))?;
            let query =
                sql("DELETE FROM secrets WHERE application = $1 AND id = $2").bind(id.as_str()).bind(secret);
            if writing.run(query).await? == 0 {
                return Err(StoreError::Missing(format!("secret {secret} of the application {id}")));
            }
            let told = ("application.secret.delete", json!({ "secret": secret }));
            audit(&mut writing, &application, by, told, now).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn published_by(&self, account: &AccountId) -> Result<Vec<Application>, StoreError> {
        let query =
            sql("SELECT * FROM applications WHERE publisher = $1 ORDER BY name").bind(account.as_str());
        let rows = self.rows(query).await?;
        rows.iter().map(Row::application).collect()
    }

    async fn official_applications(&self) -> Result<Vec<Application>, StoreError> {
        let query = sql("SELECT * FROM applications WHERE official ORDER BY name, id");
        let rows = self.rows(query).await?;
        rows.iter().map(Row::application).collect()
    }
}

/// Registers an application with its secrets.
pub(in crate::store) async fn add(
    writing: &mut Writing,
    application: &Application,
    secrets: &[Secret],
    by: &Actor,
) -> Result<(), StoreError> {
    let insert = described(application, sql(INSERT))?
        .bind(application.publisher.as_str())
        .bind(application.created_at.as_microsecond());
    if writing.run(insert).await? == 0 {
        return Err(exists(application));
    }
    for secret in secrets {
        insert_secret(writing, &application.id, secret).await?;
    }
    let told = ("application.register", json!({ "has": members(application), "secrets": ids(secrets) }));
    audit(writing, application, by, told, application.created_at).await
}

/// Replaces what can be changed, if the application still is what was `seen`.
pub(in crate::store) async fn change(
    writing: &mut Writing,
    seen: Option<&Application>,
    application: &Application,
    by: &Actor,
    now: Timestamp,
) -> Result<Seq, StoreError> {
    let before = find(writing, &application.id).await?.ok_or_else(|| missing(&application.id))?;
    if seen.is_some_and(|seen| *seen != before) {
        let changed = format!("the application {} was changed by someone else meanwhile", application.id);
        return Err(StoreError::Conflict(changed));
    }
    let taken = sql("SELECT 1 FROM applications WHERE publisher = $1 AND name = $2 AND id <> $3")
        .bind(before.publisher.as_str())
        .bind(&application.name)
        .bind(application.id.as_str());
    if writing.row(taken).await?.is_some() {
        return Err(exists(application));
    }
    writing.run(described(application, sql(UPDATE))?).await?;
    let told = ("application.change", json!({ "changed": changed(&before, application) }));
    audit(writing, &before, by, told, now).await?;
    writing.log(&Subject::Application(application.id.clone()), now).await
}

/// The application with this id.
pub(in crate::store) async fn find(
    reading: &mut impl Asks,
    id: &ApplicationId,
) -> Result<Option<Application>, StoreError> {
    let row = reading.row(sql("SELECT * FROM applications WHERE id = $1").bind(id.as_str())).await?;
    row.map(|row| row.application()).transpose()
}

/// Binds what can be changed of an application, after its id.
fn described(application: &Application, query: Query) -> Result<Query, StoreError> {
    let redirect_uris = serde_json::to_string(&application.redirect_uris)
        .map_err(|error| StoreError::Unavailable(format!("the redirect URIs make no JSON ({error})")))?;
    Ok(query
        .bind(application.id.as_str())
        .bind(&application.name)
        .bind(&application.display_name)
        .bind(&application.description)
        .bind(&application.publisher_name)
        .bind(&application.contact)
        .bind(application.official)
        .bind(application.kind.as_str())
        .bind(redirect_uris)
        .bind(application.required.to_string())
        .bind(application.optional.to_string())
        .bind(application.access_token_seconds)
        .bind(application.refresh_token_seconds)
        .bind(application.enabled))
}

fn secret(row: &Row) -> Result<Secret, StoreError> {
    Ok(Secret { id: row.get("id")?, hash: row.hash("hash")?, created_at: row.time("created_at")? })
}

async fn insert_secret(writing: &mut Writing, id: &ApplicationId, secret: &Secret) -> Result<(), StoreError> {
    let added = writing
        .run(
            sql("INSERT INTO secrets (application, id, hash, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING")
            .bind(id.as_str())
            .bind(&secret.id)
            .bind(&secret.hash[..])
            .bind(secret.created_at.as_microsecond()),
        )
        .await?;
    if added == 0 {
        return Err(StoreError::Exists(format!("the secret {} of the application {id}", secret.id)));
    }
    Ok(())
}

pub(in crate::store) async fn audit(
    writing: &mut Writing,
    application: &Application,
    by: &Actor,
    (event, mut detail): (&str, Value),
    at: Timestamp,
) -> Result<(), StoreError> {
    if let Some(members) = detail.as_object_mut() {
        members.insert("name".to_owned(), application.name.clone().into());
    }
    let event = AuditEvent {
        at,
        account: application.publisher.clone(),
        actor: by.login.clone(),
        event: event.to_owned(),
        subject: application.id.to_string(),
        detail: detail.to_string(),
    };
    writing.audit(&event).await
}

/// What can be changed of an application, by name.
fn members(application: &Application) -> Map<String, Value> {
    let said = json!({
        "name": application.name,
        "display_name": application.display_name,
        "description": application.description,
        "publisher_name": application.publisher_name,
        "contact": application.contact,
        "official": application.official,
        "type": application.kind.as_str(),
        "redirect_uris": application.redirect_uris,
        "required_scopes": application.required.to_string(),
        "optional_scopes": application.optional.to_string(),
        "access_token_seconds": application.access_token_seconds,
        "refresh_token_seconds": application.refresh_token_seconds,
        "enabled": application.enabled,
    });
    match said {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// What has changed, old and new.
fn changed(before: &Application, after: &Application) -> Map<String, Value> {
    let (old, new) = (members(before), members(after));
    let pairs = old.into_iter().zip(new).filter(|((_, old), (_, new))| old != new);
    pairs.map(|((name, old), (_, new))| (name, json!([old, new]))).collect()
}

fn ids(secrets: &[Secret]) -> Vec<&str> {
    secrets.iter().map(|secret| secret.id.as_str()).collect()
}

fn exists(application: &Application) -> StoreError {
    StoreError::Exists(format!("an application {} or one of the name {}", application.id, application.name))
}

fn missing(id: &ApplicationId) -> StoreError {
    StoreError::Missing(format!("application {id}"))
}

const SECRETS: usize = 2;

const INSERT: &str = "INSERT INTO applications (id, name, display_name, description, publisher_name, contact,
        official, type, redirect_uris, required_scopes, optional_scopes, access_token_seconds,
        refresh_token_seconds, enabled, publisher, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING";

const UPDATE: &str = "UPDATE applications SET name = $2, display_name = $3, description = $4,
        publisher_name = $5, contact = $6, official = $7, type = $8, redirect_uris = $9, required_scopes = $10,
        optional_scopes = $11, access_token_seconds = $12, refresh_token_seconds = $13, enabled = $14
    WHERE id = $1";
