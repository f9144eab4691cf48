//! Provisioning in SQL.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::{Assignees, AssignmentChange, Provisioning};
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::grant::Grant;
use crate::model::id::{GrantKey, Seq};
use crate::store::backend::sql;
use crate::store::sql::Tables;
use crate::store::sql::directory::{missing, of};
use crate::store::sql::grants::{about, live, put};
use crate::store::sql::link::{Asks, Writing};
use crate::store::{Actor, AssigneeKind, StoreError};

#[async_trait]
impl Provisioning for Tables {
    async fn change_assignment(
        &self,
        key: &GrantKey,
        change: &AssignmentChange,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let mut grant = live(&mut writing, key).await?;
            let added = add(&mut writing, key, &change.add).await?;
            let removed = remove(&mut writing, key, &change.remove).await?;
            let mode = change.mode.unwrap_or(grant.assignment);
            if mode == grant.assignment && added.is_empty() && removed.is_empty() {
                let newest = writing.newest().await?;
                return Ok((grant, newest));
            }
            grant.assignment = mode;
            grant.revision = grant.revision.next();
            let more = json!({ "added": added, "removed": removed });
            let seq = put(&mut writing, &grant, ("grant.assign", &by.login), Some(more), now).await?;
            Ok((grant, seq))
        }
        .await;
        writing.end(done).await
    }
}

/// Assigns, and answers who was not assigned before.
pub(in crate::store) async fn add(
    writing: &mut Writing,
    key: &GrantKey,
    all: &Assignees,
) -> Result<Vec<String>, StoreError> {
    let users = all.users.iter().map(|id| (PrincipalKind::User, id));
    let roles = all.roles.iter().map(|id| (PrincipalKind::Role, id));
    for (kind, id) in users.chain(roles) {
        let whom = PrincipalKey { account: key.account.clone(), kind, id: id.clone() };
        let known = of(&whom, sql("SELECT id FROM principals WHERE account = $1 AND kind = $2 AND id = $3"));
        writing.row(known).await?.ok_or_else(|| missing(&whom))?;
    }
    let insert = "INSERT INTO assignments (account, application, kind, name) VALUES ($1, $2, $3, $4)
                  ON CONFLICT DO NOTHING";
    each(writing, key, all, insert).await
}

/// Assigns no more, and answers who was assigned.
async fn remove(writing: &mut Writing, key: &GrantKey, all: &Assignees) -> Result<Vec<String>, StoreError> {
    let delete =
        "DELETE FROM assignments WHERE account = $1 AND application = $2 AND kind = $3 AND name = $4";
    each(writing, key, all, delete).await
}

async fn each(
    writing: &mut Writing,
    key: &GrantKey,
    all: &Assignees,
    statement: &'static str,
) -> Result<Vec<String>, StoreError> {
    let users = all.users.iter().map(|id| (AssigneeKind::User, id.as_str()));
    let groups = all.groups.iter().map(|name| (AssigneeKind::Group, name.as_str()));
    let roles = all.roles.iter().map(|id| (AssigneeKind::Role, id.as_str()));
    let mut touched = Vec::new();
    for (kind, name) in users.chain(groups).chain(roles) {
        let query = about(key, sql(statement)).bind(kind.as_str()).bind(name);
        if writing.run(query).await? > 0 {
            touched.push(format!("{}/{name}", kind.as_str()));
        }
    }
    Ok(touched)
}
