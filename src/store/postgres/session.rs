//! A transaction in the database, with a deadline for each of its statements.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Postgres as Driver};

use super::fault::{fault, silent};
use super::listen::CHANGES;
use crate::model::id::Seq;
use crate::store::StoreError;
use crate::store::backend::{Query, Row, Session, sql};

/// A connection: a reader's, or the writer's own.
pub(super) enum Held {
    /// Goes back to the pool.
    Pooled(PoolConnection<Driver>),
    /// Goes back to its place.
    Own(Box<PgConnection>),
}

impl Held {
    fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Own(connection) => connection,
        }
    }
}

/// A session over a connection. Dropped before its end it closes the connection, which undoes what it did; so does a
/// statement that was not answered in time.
pub(super) struct InDatabase {
    held: Option<Held>,
    place: Arc<str>,
    home: Arc<Mutex<Option<Box<PgConnection>>>>,
    lost: bool,
}

impl InDatabase {
    pub(super) fn new(held: Held, place: Arc<str>, home: Arc<Mutex<Option<Box<PgConnection>>>>) -> Self {
        Self { held: Some(held), place, home, lost: false }
    }

    /// Gives the connection back: nothing is under way on it.
    pub(super) fn release(mut self) {
        match self.held.take() {
            Some(Held::Own(connection)) => *self.home.lock() = Some(connection),
            Some(Held::Pooled(_)) | None => {}
        }
    }

    /// Whether the connection was found broken: a question may be asked again on another one.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.held.as_mut().map(Held::connection).ok_or_else(|| silent(&self.place))
    }
}

impl Drop for InDatabase {
    fn drop(&mut self) {
        match self.held.take() {
            Some(Held::Pooled(mut connection)) => connection.close_on_drop(),
            Some(Held::Own(_)) | None => {}
        }
    }
}

#[async_trait]
impl Session for InDatabase {
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError> {
        let place = Arc::clone(&self.place);
        let asked = query.prepared::<Driver>().fetch_all(self.connection()?);
        let mut lost = false;
        let rows = within(&place, async { asked.await.inspect_err(|error| lost = is_broken(error)) }).await;
        self.lost = lost;
        let rows = rows?;
        Row::taken(&rows, &place).map_err(|error| fault(&place, &error))
    }

    async fn run(&mut self, query: Query) -> Result<u64, StoreError> {
        let place = Arc::clone(&self.place);
        let done = within(&place, query.prepared::<Driver>().execute(self.connection()?)).await?;
        Ok(done.rows_affected())
    }

    async fn steer(&mut self, statements: &'static str) -> Result<(), StoreError> {
        let place = Arc::clone(&self.place);
        within(&place, self.connection()?.execute(statements)).await.map(|_| ())
    }

    async fn commit(mut self: Box<Self>, logged: Option<Seq>) -> Result<(), StoreError> {
        if let Some(seq) = logged {
            self.rows(sql("SELECT pg_notify($1, $2) IS NULL AS told").bind(CHANGES).bind(seq.0.to_string()))
                .await?;
        }
        self.steer("COMMIT").await?;
        self.release();
        Ok(())
    }
}

/// The connection has ended: by itself, or because an operator or a shutdown has ended it.
fn is_broken(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|complaint| complaint.code());
    matches!(error, sqlx::Error::Io(_)) || code.is_some_and(|code| code == "57P01")
}

/// What the database answers, unless it takes too long. It gives up sooner by itself, when it lives.
pub(super) async fn within<T>(
    place: &str,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => answer.map_err(|error| fault(place, &error)),
        Err(_) => Err(silent(place)),
    }
}

const ANSWER: Duration = Duration::from_secs(8);
