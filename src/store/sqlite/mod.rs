//! The embedded store: one SQLite file, for one node.
//!
//! Comes in: a path. Goes out: a [`Backend`] over it. Write-ahead log, `synchronous = FULL`: what was acknowledged
//! is on the disk. All writes pass one connection, one transaction after the other, so that a check made inside a
//! transaction still holds when it commits; readers never wait for it. Other processes may open the same file.

mod fault;
mod session;

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, SqlitePool};
use tokio::sync::{broadcast, watch};

use self::fault::fault;
use self::session::InFile;
use super::backend::{Backend, Query, Row, Session, sql};
use super::{Acknowledged, StoreError};
use crate::model::id::Seq;

/// One file.
pub(super) struct Sqlite {
    readers: SqlitePool,
    writer: SqlitePool,
    place: Arc<str>,
    woken: watch::Sender<Seq>,
    /// Nobody sends to it: the file is one control node's.
    words: broadcast::Sender<Acknowledged>,
}

impl Sqlite {
    /// Opens the file, makes it when it is not there (0600, its folder 0700), and brings its schema up to date.
    /// A file of a newer schema, of another program, or that cannot be read or written is refused. `patience` is
    /// how long to wait for another process that holds the file.
    pub(super) async fn open(path: &Path, patience: Duration) -> Result<Self, StoreError> {
        prepare(path)?;
        let place: Arc<str> = path.display().to_string().into();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(patience)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("trusted_schema", "OFF")
            .pragma("journal_size_limit", "67108864");
        let writer = pool(1)
            .after_release(|connection, _| {
                // SQLite ends some transactions by itself, a full disk's for one; the driver then still believes
                // in it, and would refuse every later one. Such a connection is replaced.
                Box::pin(async move {
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect_with(options.clone())
            .await
            .map_err(|error| fault(&place, &error))?;
        bring_up_to_date(&writer, &place).await?;
        let readers = pool(4)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(|error| fault(&place, &error))?;
        let woken = watch::Sender::new(Seq(0));
        let file = Self { readers, writer, place, woken, words: broadcast::Sender::new(1) };
        if let Some(row) = file.rows(sql("SELECT seq FROM log_state")).await?.first() {
            file.woken.send_replace(Seq(row.number("seq")?));
        }
        Ok(file)
    }
}

#[async_trait]
impl Backend for Sqlite {
    fn place(&self) -> &Arc<str> {
        &self.place
    }

    async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let rows = query.prepared::<sqlx::Sqlite>().fetch_all(&self.readers).await;
        rows.and_then(|rows| Row::taken(&rows, &self.place)).map_err(|error| fault(&self.place, &error))
    }

    async fn reading(&self) -> Result<Box<dyn Session>, StoreError> {
        self.begin(&self.readers, "BEGIN DEFERRED").await
    }

    async fn writing(&self) -> Result<Box<dyn Session>, StoreError> {
        self.begin(&self.writer, "BEGIN IMMEDIATE").await
    }

    fn woken(&self) -> &watch::Sender<Seq> {
        &self.woken
    }

    async fn announce(&self, _word: &Acknowledged) -> Result<(), StoreError> {
        Ok(())
    }

    fn announcements(&self) -> broadcast::Receiver<Acknowledged> {
        self.words.subscribe()
    }

    fn columns(&self) -> &'static str {
        "SELECT name AS \"column\", type AS kind FROM pragma_table_info($1) ORDER BY cid"
    }

    fn before_copy(&self) -> &'static [&'static str] {
        &[]
    }

    fn after_copy(&self) -> &'static [&'static str] {
        &[]
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl Sqlite {
    async fn begin(&self, pool: &SqlitePool, how: &'static str) -> Result<Box<dyn Session>, StoreError> {
        let transaction = pool.begin_with(how).await.map_err(|error| fault(&self.place, &error))?;
        Ok(Box::new(InFile { transaction, place: Arc::clone(&self.place) }))
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes the folder and the file. An existing file is not opened: closing it again would drop the locks that
/// another connection of this process holds on it (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
fn prepare(path: &Path) -> Result<(), StoreError> {
    let shown = path.display();
    if path.is_dir() {
        return Err(StoreError::Unavailable(format!("{shown} is a folder; name a file in it")));
    }
    if path.is_file() {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = folder.map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(0o700).create(folder));
    let made = made.and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
    let Err(error) = made else { return Ok(()) };
    let kind = error.kind();
    if kind == ErrorKind::AlreadyExists && path.is_file() {
        return Ok(()); // Another process was quicker.
    }
    if kind == ErrorKind::AlreadyExists || kind == ErrorKind::NotADirectory {
        return Err(StoreError::Unavailable(format!(
            "{shown} cannot be made, because a part of that path is a file; name another place"
        )));
    }
    Err(StoreError::Unwritable(format!(
        "{shown} cannot be made ({error}); give the user that runs consentry a folder that it may write"
    )))
}

/// Applies what is missing of [`SCHEMA`], all or nothing, while no other process can.
async fn bring_up_to_date(writer: &SqlitePool, place: &Arc<str>) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| fault(place, &error);
    let transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let mut session = InFile { transaction, place: Arc::clone(place) };
    let found = session
        .rows(sql("SELECT i.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema) AS objects,
                         j.journal_mode
                  FROM pragma_application_id i, pragma_user_version v, pragma_journal_mode j"))
        .await?;
    let Some(found) = found.first() else { return Ok(()) };
    let (program, version) = (found.get::<i64>("application_id")?, found.get::<i64>("user_version")?);
    if program != OURS && (program != 0 || version != 0 || found.get::<i64>("objects")? != 0) {
        let why = "it is a database of another program";
        return Err(StoreError::Corrupt { what: place.to_string(), why: why.to_owned() });
    }
    if found.get::<&str>("journal_mode")? != "wal" {
        return Err(StoreError::Unavailable(format!(
            "{place} lies on a file system without shared memory, so that it cannot be kept safely; use a local disk"
        )));
    }
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    if applied > SCHEMA.len() {
        return Err(StoreError::Unavailable(format!(
            "{place} was written by a newer consentry (its schema is {applied}, this one knows {}); \
             start that version, or restore a backup from before it",
            SCHEMA.len()
        )));
    }
    if applied == SCHEMA.len() {
        return Ok(());
    }
    let InFile { mut transaction, .. } = session;
    for script in SCHEMA.iter().skip(applied) {
        sqlx::raw_sql(*script).execute(&mut *transaction).await.map_err(failed)?;
    }
    let marks = format!("PRAGMA application_id = {OURS}; PRAGMA user_version = {}", SCHEMA.len());
    sqlx::raw_sql(AssertSqlSafe(marks)).execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// The migrations, in order. The file remembers how many it has seen.
const SCHEMA: &[&str] = &[
    include_str!("../../../schemas/store/sqlite/0001_first.sql"),
    include_str!("../../../schemas/store/sqlite/0002_sidecars.sql"),
    include_str!("../../../schemas/store/sqlite/0011_audit.sql"),
    include_str!("../../../schemas/store/sqlite/0012_requests.sql"),
    include_str!("../../../schemas/store/sqlite/0013_federation.sql"),
    include_str!("../../../schemas/store/sqlite/0014_directory.sql"),
    include_str!("../../../schemas/store/sqlite/0015_console.sql"),
    include_str!("../../../schemas/store/sqlite/0016_usage.sql"),
    include_str!("../../../schemas/store/sqlite/0017_mends.sql"),
    include_str!("../../../schemas/store/sqlite/0018_registration.sql"),
];

/// What marks a file as ours: "CNSY".
const OURS: i64 = 0x434e_5359;

#[cfg(test)]
impl Sqlite {
    /// The writer's answer to `SELECT … AS answer`.
    pub(super) async fn ask_writer(&self, question: &'static str) -> i64 {
        use sqlx::Row as _;
        sqlx::query(question).fetch_one(&self.writer).await.unwrap().get("answer")
    }

    /// Makes the writer's connection run a statement.
    pub(super) async fn prepare_writer(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.writer).await.unwrap();
    }
}
