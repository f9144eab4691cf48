//! PostgreSQL: a store that several control nodes share.
//!
//! Comes in: a `postgres://` URL and a password. Goes out: a [`Backend`] over the database. A change takes one
//! advisory lock first, which all nodes share, and commits before the next one begins: READ COMMITTED then sees
//! exactly what the changes before it have left, as if the database had one writer, so that nothing has to be
//! repeated for a conflict and the change log is gapless in the order of its commits. The nodes hear of each other's
//! commits by NOTIFY ([`listen`]). Nothing waits for ever: the database and this side both give up in time.

mod fault;
mod listen;
mod schema;
mod session;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgPool};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::fault::fault;
use self::session::{Held, InDatabase, within};
use super::backend::{Backend, Query, Row, Session, sql};
use super::{Acknowledged, StoreError};
use crate::model::id::Seq;

/// One database.
pub(super) struct Postgres {
    options: PgConnectOptions,
    readers: PgPool,
    /// The connection that changes are made by, between two of them.
    writer: Arc<Mutex<Option<Box<PgConnection>>>>,
    place: Arc<str>,
    /// This handle's name among those who listen.
    node: Arc<str>,
    woken: watch::Sender<Seq>,
    words: broadcast::Sender<Acknowledged>,
    listener: JoinHandle<()>,
}

impl Postgres {
    /// Opens the database and brings its schema up to date, while no other node can.
    pub(super) async fn open(url: &str, password: Option<&str>) -> Result<Self, StoreError> {
        let options = options(url, password)?;
        let place: Arc<str> = shown(&options).into();
        let mut first = connect(&options, &place).await?;
        schema::bring_up_to_date(&mut first, &place).await?;
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(async move { prepare(connection).await }))
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for > STALE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone());
        let (woken, words) = (watch::Sender::new(Seq(0)), broadcast::Sender::new(1024));
        let node: Arc<str> = Uuid::now_v7().to_string().into();
        let listener =
            listen::Listener { options: options.clone(), place: Arc::clone(&place), node: Arc::clone(&node) };
        let listener = tokio::spawn(listener.run(woken.clone(), words.clone()));
        let writer = Arc::new(Mutex::new(Some(Box::new(first))));
        let database = Self { options, readers, writer, place, node, woken, words, listener };
        if let Some(row) = database.rows(sql("SELECT seq FROM log_state")).await?.first() {
            let seq = Seq(row.number("seq")?);
            database.woken.send_if_modified(|newest| {
                *newest = seq.max(*newest);
                false
            });
        }
        Ok(database)
    }

    async fn reader(&self) -> Result<Held, StoreError> {
        let connection = self.readers.acquire().await.map_err(|error| fault(&self.place, &error))?;
        Ok(Held::Pooled(connection))
    }

    async fn begin(&self, held: Held, how: &'static str) -> Result<Box<dyn Session>, StoreError> {
        let mut session = InDatabase::new(held, Arc::clone(&self.place), Arc::clone(&self.writer));
        session.steer(how).await?;
        Ok(Box::new(session))
    }
}

#[async_trait]
impl Backend for Postgres {
    fn place(&self) -> &Arc<str> {
        &self.place
    }

    async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let mut tries = 0;
        loop {
            let held = self.reader().await?;
            let mut session = InDatabase::new(held, Arc::clone(&self.place), Arc::clone(&self.writer));
            let rows = session.rows(query.clone()).await;
            // After a restart of the database every connection of the pool is found broken, once.
            if rows.is_err() && session.is_lost() && tries < READERS {
                tries += 1;
                continue;
            }
            if rows.is_ok() {
                session.release();
            }
            return rows;
        }
    }

    async fn reading(&self) -> Result<Box<dyn Session>, StoreError> {
        let held = self.reader().await?;
        self.begin(held, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    async fn writing(&self) -> Result<Box<dyn Session>, StoreError> {
        let kept = self.writer.lock().take();
        if let Some(mut connection) = kept {
            // One that the database has closed meanwhile is replaced.
            if within(&self.place, connection.ping()).await.is_ok() {
                return self.begin(Held::Own(connection), ONE_WRITER).await;
            }
        }
        let connection = Box::new(connect(&self.options, &self.place).await?);
        self.begin(Held::Own(connection), ONE_WRITER).await
    }

    fn woken(&self) -> &watch::Sender<Seq> {
        &self.woken
    }

    async fn announce(&self, word: &Acknowledged) -> Result<(), StoreError> {
        let said = serde_json::to_string(&(&*self.node, word))
            .map_err(|error| StoreError::Unavailable(format!("a sidecar's word makes no JSON ({error})")))?;
        self.rows(sql("SELECT pg_notify($1, $2) IS NULL AS told").bind(listen::WORDS).bind(said)).await?;
        Ok(())
    }

    fn announcements(&self) -> broadcast::Receiver<Acknowledged> {
        self.words.subscribe()
    }

    fn columns(&self) -> &'static str {
        "SELECT CAST(column_name AS TEXT) AS \"column\", CAST(data_type AS TEXT) AS kind
         FROM information_schema.columns
         WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
    }

    fn before_copy(&self) -> &'static [&'static str] {
        // Nobody waits for a store that is being made, and its rows come from elsewhere.
        &["SET LOCAL idle_in_transaction_session_timeout = '60s'"]
    }

    fn after_copy(&self) -> &'static [&'static str] {
        &[
            "SELECT setval(pg_get_serial_sequence('audit', 'place'), max(place)) FROM audit",
            "SELECT setval(pg_get_serial_sequence('decisions', 'place'), max(place)) FROM decisions",
        ]
    }

    async fn close(&self) {
        self.listener.abort();
        self.readers.close().await;
        let kept = self.writer.lock().take();
        if let Some(connection) = kept {
            let _ = within(&self.place, connection.close()).await; // Dropped, it is closed as well.
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// The URL's meaning. A password in it is refused: it would stand in settings and in lists of processes.
fn options(url: &str, password: Option<&str>) -> Result<PgConnectOptions, StoreError> {
    let parsed = url::Url::parse(url).map_err(|error| {
        StoreError::Unavailable(format!(
            "its URL cannot be read ({error}); give postgres://USER@HOST/DATABASE"
        ))
    })?;
    if parsed.password().is_some() || parsed.query_pairs().any(|(name, _)| name == "password") {
        return Err(StoreError::Unavailable(
            "its URL holds a password; give it in CONSENTRY_STORE_PASSWORD or a password file".to_owned(),
        ));
    }
    let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| {
        StoreError::Unavailable(format!(
            "its URL cannot be used ({error}); give postgres://USER@HOST/DATABASE"
        ))
    })?;
    let options = options.application_name("consentry").disable_statement_logging();
    Ok(password.map_or(options.clone(), |password| options.password(password)))
}

/// The place as errors name it: nothing of the URL's settings.
fn shown(options: &PgConnectOptions) -> String {
    let socket = options.get_socket().map(|folder| folder.display().to_string());
    let host = socket.unwrap_or_else(|| options.get_host().to_owned());
    let database = options.get_database().unwrap_or(options.get_username());
    format!("postgres://{}@{host}:{}/{database}", options.get_username(), options.get_port())
}

async fn connect(options: &PgConnectOptions, place: &Arc<str>) -> Result<PgConnection, StoreError> {
    let connected = async {
        let mut connection = options.connect().await?;
        prepare(&mut connection).await?;
        Ok(connection)
    };
    within(place, connected).await
}

/// What every connection is told. What was acknowledged is on the disk, whatever the database's own default.
async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection
        .execute(
            "SET statement_timeout = '5s'; SET lock_timeout = '5s';
             SET idle_in_transaction_session_timeout = '20s'; SET client_min_messages = warning;
             SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off'",
        )
        .await?;
    Ok(())
}

/// Only one change at a time, of all nodes. The lock ends with the transaction, and that with a node that stands still:
/// the others' deletions are not to wait for it.
const ONE_WRITER: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL idle_in_transaction_session_timeout = '750ms'; SELECT pg_advisory_xact_lock(4851293710)";

/// How many questions are asked at a time.
const READERS: u32 = 8;

/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that was idle for longer is tried before it is used.
const STALE: Duration = Duration::from_secs(2);
