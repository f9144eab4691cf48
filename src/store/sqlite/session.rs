//! A transaction in the file.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Sqlite as Driver, Transaction};

use super::fault::fault;
use crate::model::id::Seq;
use crate::store::StoreError;
use crate::store::backend::{Query, Row, Session};

/// A transaction that knows which file to name when it fails.
pub(super) struct InFile {
    pub(super) transaction: Transaction<'static, Driver>,
    pub(super) place: Arc<str>,
}

#[async_trait]
impl Session for InFile {
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError> {
        let rows = query.prepared::<Driver>().fetch_all(&mut *self.transaction).await;
        rows.and_then(|rows| Row::taken(&rows, &self.place)).map_err(|error| fault(&self.place, &error))
    }

    async fn run(&mut self, query: Query) -> Result<u64, StoreError> {
        let done = query.prepared::<Driver>().execute(&mut *self.transaction).await;
        done.map(|done| done.rows_affected()).map_err(|error| fault(&self.place, &error))
    }

    async fn steer(&mut self, statements: &'static str) -> Result<(), StoreError> {
        let done = sqlx::raw_sql(statements).execute(&mut *self.transaction).await;
        done.map(|_| ()).map_err(|error| fault(&self.place, &error))
    }

    /// No other process is told: none follows the same file.
    async fn commit(self: Box<Self>, _logged: Option<Seq>) -> Result<(), StoreError> {
        self.transaction.commit().await.map_err(|error| fault(&self.place, &error))
    }
}
