//! A whole store copied into an empty one of any kind.
//!
//! Comes in: two places. Goes out: every row of one state of the first in the second, in one transaction there, so
//! that a copy is whole or not there at all. The copy has an epoch of its own: places in its change log are never
//! taken for the first one's.

use std::path::Path;

use super::backend::{Backend, Query, Session, Value, built, places, sql};
use super::{StoreError, backend};

/// What has been copied of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The table.
    pub table: &'static str,
    /// How many rows, so far.
    pub rows: u64,
    /// How many it holds.
    pub of: u64,
}

/// Copies the store at `from` into the empty one at `to`, and says for each table how many rows it was. `told` hears
/// after every few hundred rows how far it has come. What is written to the first store meanwhile is not copied.
///
/// # Errors
/// [`StoreError::Missing`] when there is no store at `from`, [`StoreError::Conflict`] when the one at `to` is not
/// empty, and whatever either store complains of. Nothing has been copied then.
pub async fn copy(
    from: &str,
    to: &str,
    password_file: Option<&Path>,
    mut told: impl FnMut(Copied) + Send,
) -> Result<Vec<Copied>, StoreError> {
    // Opening a file that is not there would make it.
    if let Some(file) = super::file(from).filter(|file| !file.is_file()) {
        return Err(StoreError::Missing(format!("store at {}", file.display())));
    }
    let source = backend(from, password_file).await?;
    let target = backend(to, password_file).await?;
    let (mut reading, mut writing) = (source.reading().await?, target.writing().await?);
    if !is_empty(&mut *writing).await? {
        return Err(StoreError::Conflict(format!(
            "the store at {} is not empty; name a new one, or delete it first",
            target.place()
        )));
    }
    for statement in target.before_copy() {
        writing.steer(statement).await?;
    }
    let mut all = Vec::new();
    for (table, key) in TABLES {
        let columns = columns(&*target, &mut *writing, table).await?;
        let mut copied = Copied { table, rows: 0, of: count(&mut *reading, table).await? };
        told(copied);
        let mut after: Vec<Value> = Vec::new();
        loop {
            let rows = reading.rows(next(table, key, &after)).await?;
            let Some(last) = rows.last() else { break };
            let last: Result<_, _> = key.iter().map(|column| last.value(column).cloned()).collect();
            after = last?;
            let mut insert = built(insert(table, &columns, rows.len()));
            for row in &rows {
                for (column, kind) in &columns {
                    insert = insert.bind(kind.of(row.value(column)?));
                }
            }
            writing.run(insert).await?;
            copied.rows += u64::try_from(rows.len()).unwrap_or(0);
            told(copied);
        }
        all.push(copied);
    }
    follow(&mut *reading, &mut *writing).await?;
    for statement in target.after_copy() {
        writing.steer(statement).await?;
    }
    writing.commit(None).await?;
    reading.commit(None).await?;
    target.close().await;
    source.close().await;
    Ok(all)
}

/// What a column of the copy holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Flag,
    Bytes,
}

impl Kind {
    fn read(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "bigint" | "integer" => Self::Number,
            "boolean" => Self::Flag,
            "bytea" | "blob" => Self::Bytes,
            _ => Self::Text,
        }
    }

    /// The value as this kind: nothing is nothing of it, and what is yes or no here may be a number there.
    fn of(self, value: &Value) -> Value {
        match (self, value) {
            (Self::Text, value) if value.is_nothing() => Value::Text(None),
            (Self::Number, value) if value.is_nothing() => Value::Number(None),
            (Self::Flag, value) if value.is_nothing() => Value::Flag(None),
            (Self::Bytes, value) if value.is_nothing() => Value::Bytes(None),
            (Self::Flag, Value::Number(Some(number))) => Value::Flag(Some(*number != 0)),
            (Self::Text | Self::Number | Self::Flag | Self::Bytes, value) => value.clone(),
        }
    }
}

async fn is_empty(session: &mut dyn Session) -> Result<bool, StoreError> {
    for (table, _) in TABLES {
        if count(session, table).await? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn count(session: &mut dyn Session, table: &str) -> Result<u64, StoreError> {
    let rows = session.rows(built(format!("SELECT count(*) AS rows FROM {table}"))).await?;
    rows.first().map_or(Ok(0), |row| row.number("rows"))
}

async fn columns(
    target: &dyn Backend,
    session: &mut dyn Session,
    table: &str,
) -> Result<Vec<(String, Kind)>, StoreError> {
    let rows = session.rows(sql(target.columns()).bind(table)).await?;
    rows.iter().map(|row| Ok((row.get("column")?, Kind::read(row.get("kind")?)))).collect()
}

/// The rows after the one with this key.
fn next(table: &str, key: &[&str], after: &[Value]) -> Query {
    let by = key.join(", ");
    let beyond =
        if after.is_empty() { String::new() } else { format!("WHERE ({by}) > {}", places(1, key.len())) };
    let text = format!("SELECT * FROM {table} {beyond} ORDER BY {by} LIMIT {AT_ONCE}");
    after.iter().fold(built(text), |query, value| query.bind(value.clone()))
}

fn insert(table: &str, columns: &[(String, Kind)], rows: usize) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    format!("INSERT INTO {table} ({}) VALUES {}", names.join(", "), places(rows, names.len()))
}

/// The copy's log goes on where the first one's has come to; its epoch stays its own.
async fn follow(reading: &mut dyn Session, writing: &mut dyn Session) -> Result<(), StoreError> {
    for row in reading.rows(sql("SELECT seq, policies FROM log_state")).await? {
        let state = sql("UPDATE log_state SET seq = $1, policies = $2");
        writing.run(state.bind(row.get::<i64>("seq")?).bind(row.get::<Option<&str>>("policies")?)).await?;
    }
    Ok(())
}

const AT_ONCE: usize = 200;

/// Every table with its key, each after those that it refers to.
const TABLES: [(&str, &[&str]); 41] = [
    ("accounts", &["id"]),
    ("principals", &["account", "kind", "id"]),
    ("memberships", &["account", "kind", "id", "group_name"]),
    ("api_tokens", &["hash"]),
    ("identities", &["id"]),
    ("people_groups", &["account", "name"]),
    ("password_links", &["account", "kind", "id"]),
    ("passkeys", &["credential"]),
    ("totps", &["account", "kind", "id"]),
    ("recovery_codes", &["account", "kind", "id", "hash"]),
    ("directory_rules", &["account"]),
    ("applications", &["id"]),
    ("secrets", &["application", "id"]),
    ("own_registrations", &["application"]),
    ("grants", &["account", "application"]),
    ("assignments", &["account", "application", "kind", "name"]),
    ("consents", &["account", "application", "principal_kind", "principal_id"]),
    ("uses", &["account", "application"]),
    ("scope_uses", &["account", "application", "scope"]),
    ("person_uses", &["account", "principal_kind", "principal_id", "application"]),
    ("use_figures", &["account", "application", "day", "what", "name"]),
    ("tenant_policies", &["account"]),
    ("application_rules", &["account", "application"]),
    ("approval_requests", &["account", "application", "round"]),
    ("approval_askers", &["account", "application", "principal_kind", "principal_id"]),
    ("families", &["id"]),
    ("codes", &["hash"]),
    ("refresh_tokens", &["hash"]),
    ("sessions", &["hash"]),
    ("pending_consents", &["hash"]),
    ("signing_keys", &["kid"]),
    ("sidecar_keys", &["kid"]),
    ("invitations", &["sidecar"]),
    ("sidecars", &["id"]),
    ("sidecar_leases", &["instance"]),
    ("decisions", &["place"]),
    ("audit", &["place"]),
    ("audit_nodes", &["node"]),
    ("audit_checkpoints", &["node", "number"]),
    ("audit_cuts", &["node", "first"]),
    ("change_log", &["seq"]),
];
