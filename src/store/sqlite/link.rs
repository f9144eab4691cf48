//! The two ways in: reading one state of the file, and writing one change to it.
//!
//! A reading sees one snapshot from its first to its last query. A writing is one `BEGIN IMMEDIATE` transaction; it
//! holds the only writer, and either [`Writing::commit`] makes all of it durable or dropping it leaves no trace.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, Transaction};
use tokio::sync::watch;

use super::fault::fault;
use super::rows::Row;
use crate::model::id::Seq;
use crate::store::{AuditEvent, StoreError, Subject};

/// A statement with its arguments.
pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A statement. Its text is fixed at compile time, so that no value can become part of it.
pub(super) fn sql<'q>(text: &'static str) -> Query<'q> {
    sqlx::query(text)
}

/// A transaction that knows which file to name when it fails.
pub(super) struct Reading {
    transaction: Transaction<'static, Sqlite>,
    place: Arc<str>,
}

impl Reading {
    pub(super) fn new(transaction: Transaction<'static, Sqlite>, place: Arc<str>) -> Self {
        Self { transaction, place }
    }

    /// The bare transaction, for what is not a query.
    pub(super) fn into_transaction(self) -> Transaction<'static, Sqlite> {
        self.transaction
    }

    /// The first row of the answer.
    pub(super) async fn row(&mut self, query: Query<'_>) -> Result<Option<Row>, StoreError> {
        let row = query.fetch_optional(&mut *self.transaction).await;
        let row = row.map_err(|error| fault(&self.place, &error))?;
        Ok(row.map(|row| Row::new(row, Arc::clone(&self.place))))
    }

    /// Every row of the answer.
    pub(super) async fn rows(&mut self, query: Query<'_>) -> Result<Vec<Row>, StoreError> {
        let rows = query.fetch_all(&mut *self.transaction).await;
        let rows = rows.map_err(|error| fault(&self.place, &error))?;
        Ok(rows.into_iter().map(|row| Row::new(row, Arc::clone(&self.place))).collect())
    }

    /// The newest place in the change log.
    pub(super) async fn newest(&mut self) -> Result<Seq, StoreError> {
        let row = self.row(sql("SELECT seq FROM log_state")).await?;
        seq_of(&self.place, row)
    }
}

fn seq_of(place: &str, row: Option<Row>) -> Result<Seq, StoreError> {
    let missing =
        || StoreError::Corrupt { what: format!("{place}, log_state"), why: "it has no row".to_owned() };
    Ok(Seq(row.ok_or_else(missing)?.number("seq")?))
}

/// A change being made.
pub(super) struct Writing {
    reading: Reading,
    logged: Option<Seq>,
    woken: watch::Sender<Seq>,
}

impl Writing {
    pub(super) fn new(reading: Reading, woken: watch::Sender<Seq>) -> Self {
        Self { reading, logged: None, woken }
    }

    /// Runs a statement and says how many rows it touched.
    pub(super) async fn run(&mut self, query: Query<'_>) -> Result<u64, StoreError> {
        let done = query.execute(&mut *self.reading.transaction).await;
        done.map(|done| done.rows_affected()).map_err(|error| fault(&self.reading.place, &error))
    }

    /// Adds to the change log.
    pub(super) async fn log(&mut self, subject: &Subject, now: Timestamp) -> Result<Seq, StoreError> {
        let (word, grant, application, principal) = match subject {
            Subject::Grant(key) => ("grant", Some(key), None, None),
            Subject::Principal(key) => ("principal", None, None, Some(key)),
            Subject::Member(grant, key) => ("member", Some(grant), None, Some(key)),
            Subject::Application(id) => ("application", None, Some(id), None),
            Subject::Keys => ("keys", None, None, None),
            Subject::Policies => ("policies", None, None, None),
        };
        let account = grant.map(|key| &key.account).or(principal.map(|key| &key.account));
        let application = application.or(grant.map(|key| &key.application));
        let row = self.row(sql("UPDATE log_state SET seq = seq + 1 RETURNING seq")).await?;
        let seq = seq_of(&self.place, row)?;
        self.run(
            sql("INSERT INTO change_log (seq, at, subject, account, application, principal_kind, principal_id)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(i64::try_from(seq.0).unwrap_or(i64::MAX))
            .bind(now.as_microsecond())
            .bind(word)
            .bind(account.map(|id| id.as_str()))
            .bind(application.map(|id| id.as_str()))
            .bind(principal.map(|key| key.kind.as_str()))
            .bind(principal.map(|key| key.id.as_str())),
        )
        .await?;
        self.logged = Some(seq);
        Ok(seq)
    }

    /// Adds to the audit.
    pub(super) async fn audit(&mut self, event: &AuditEvent) -> Result<(), StoreError> {
        self.run(
            sql("INSERT INTO audit (at, account, actor, event, subject, detail)
                 VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(event.at.as_microsecond())
            .bind(event.account.as_str())
            .bind(&event.actor)
            .bind(&event.event)
            .bind(&event.subject)
            .bind(&event.detail),
        )
        .await?;
        Ok(())
    }

    /// Makes it durable, then wakes who follows the change log. Both happen in a task of their own: a caller that
    /// goes away meanwhile cannot leave a commit that nobody hears of.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let Self { reading, logged, woken } = self;
        let place = Arc::clone(&reading.place);
        let task = tokio::spawn(async move {
            reading.transaction.commit().await.map_err(|error| fault(&reading.place, &error))?;
            if let Some(seq) = logged {
                woken.send_if_modified(|newest| {
                    let risen = seq > *newest;
                    *newest = seq.max(*newest);
                    risen
                });
            }
            Ok(())
        });
        task.await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable(format!(
                "{place}: the commit was cut short; read again what became of it"
            )))
        })
    }
}

impl Deref for Writing {
    type Target = Reading;
    fn deref(&self) -> &Reading {
        &self.reading
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut Reading {
        &mut self.reading
    }
}
