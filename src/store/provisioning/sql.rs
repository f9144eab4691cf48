//! Provisioning in SQL.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::{Assignees, AssignmentChange, Provisioning};
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::change::Subject;
use crate::model::grant::{AssignmentMode, Grant};
use crate::model::id::{GrantKey, Seq};
use crate::store::backend::{Row, sql};
use crate::store::sql::Tables;
use crate::store::sql::directory::{missing, of};
use crate::store::sql::grants::{about, live, put, tell};
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
            let grant = live(&mut writing, key).await?;
            let added = add(&mut writing, key, &change.add).await?;
            let removed = remove(&mut writing, key, &change.remove).await?;
            let mode = change.mode.unwrap_or(grant.assignment);
            reassign(&mut writing, grant, &Reassigned { mode, added, removed }, by, now).await
        }
        .await;
        writing.end(done).await
    }
}

/// Who is assigned otherwise than before.
pub(in crate::store) struct Reassigned {
    pub(in crate::store) mode: AssignmentMode,
    pub(in crate::store) added: Vec<Assignee>,
    pub(in crate::store) removed: Vec<Assignee>,
}

/// A kind, and the name in it.
pub(in crate::store) type Assignee = (AssigneeKind, String);

/// Writes audit and change log of an assignment that is made already; where nothing differs, nothing.
///
/// Of single users and roles the log tells one by one, and the grant stays as it is, so that whatever is under way for
/// everybody else goes on. A mode or a group is everybody's affair, and so are more than [`ALONE`]: then it is the grant
/// that has changed.
pub(in crate::store) async fn reassign(
    writing: &mut Writing,
    mut grant: Grant,
    differs: &Reassigned,
    by: &Actor,
    now: Timestamp,
) -> Result<(Grant, Seq), StoreError> {
    let Reassigned { mode, added, removed } = differs;
    let touched = added.len().saturating_add(removed.len());
    if *mode == grant.assignment && touched == 0 {
        let newest = writing.newest().await?;
        return Ok((grant, newest));
    }
    let words = |all: &[Assignee]| {
        all.iter().map(|(kind, name)| format!("{}/{name}", kind.as_str())).collect::<Vec<_>>()
    };
    let more = (touched <= MOST_TOLD).then(|| json!({ "added": words(added), "removed": words(removed) }));
    let event = ("grant.assign", by.login.as_str());
    let alone: Option<Vec<PrincipalKey>> =
        added.iter().chain(removed).map(|one| principal_of(&grant.key, one)).collect();
    match alone.filter(|alone| *mode == grant.assignment && alone.len() <= ALONE) {
        Some(alone) => {
            tell(writing, &grant, event, more, now).await?;
            let mut seq = writing.newest().await?;
            for whom in alone {
                seq = writing.log(&Subject::Member(grant.key.clone(), whom), now).await?;
            }
            Ok((grant, seq))
        }
        None => {
            grant.assignment = *mode;
            grant.revision = grant.revision.next();
            let seq = put(writing, &grant, event, more, now).await?;
            Ok((grant, seq))
        }
    }
}

/// The one principal that is assigned by this; none if it is a group.
fn principal_of(key: &GrantKey, (kind, name): &Assignee) -> Option<PrincipalKey> {
    let kind = match kind {
        AssigneeKind::User => PrincipalKind::User,
        AssigneeKind::Role => PrincipalKind::Role,
        AssigneeKind::Group => return None,
    };
    Some(PrincipalKey { account: key.account.clone(), kind, id: name.parse().ok()? })
}

/// All who are assigned.
pub(in crate::store) async fn assigned(
    writing: &mut Writing,
    key: &GrantKey,
) -> Result<BTreeSet<Assignee>, StoreError> {
    let query = about(key, sql("SELECT kind, name FROM assignments WHERE account = $1 AND application = $2"));
    let rows = writing.rows(query).await?;
    let one = |row: &Row| {
        let kind = match row.get::<&str>("kind")? {
            "user" => AssigneeKind::User,
            "group" => AssigneeKind::Group,
            "role" => AssigneeKind::Role,
            word => return Err(row.unreadable("kind", format!("{word:?} cannot be assigned"))),
        };
        Ok((kind, row.get("name")?))
    };
    rows.iter().map(one).collect()
}

/// Assigns, and answers who was not assigned before.
pub(in crate::store) async fn add(
    writing: &mut Writing,
    key: &GrantKey,
    all: &Assignees,
) -> Result<Vec<Assignee>, StoreError> {
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
async fn remove(writing: &mut Writing, key: &GrantKey, all: &Assignees) -> Result<Vec<Assignee>, StoreError> {
    let delete =
        "DELETE FROM assignments WHERE account = $1 AND application = $2 AND kind = $3 AND name = $4";
    each(writing, key, all, delete).await
}

async fn each(
    writing: &mut Writing,
    key: &GrantKey,
    all: &Assignees,
    statement: &'static str,
) -> Result<Vec<Assignee>, StoreError> {
    let users = all.users.iter().map(|id| (AssigneeKind::User, id.as_str()));
    let groups = all.groups.iter().map(|name| (AssigneeKind::Group, name.as_str()));
    let roles = all.roles.iter().map(|id| (AssigneeKind::Role, id.as_str()));
    let mut touched = Vec::new();
    for (kind, name) in users.chain(groups).chain(roles) {
        let query = about(key, sql(statement)).bind(kind.as_str()).bind(name);
        if writing.run(query).await? > 0 {
            touched.push((kind, name.to_owned()));
        }
    }
    Ok(touched)
}

/// So many users and roles are told of one by one.
const ALONE: usize = 64;
/// And so many assigned or assigned no more stand in the audit by name.
const MOST_TOLD: usize = 2_000;
