//! The store's rules in SQL, written once for SQLite and PostgreSQL.
//!
//! Comes in: a [`Backend`]. Goes out: a [`Store`] over it. Every check that a change rests on is made inside the
//! change, and only one change is made at a time ([`link`]), so that no rule here depends on how a database
//! isolates two changes from each other. Statements keep to the SQL that both databases read the same.

pub(super) mod applications;
pub(super) mod directory;
mod feed;
pub(super) mod grants;
mod keys;
pub(super) mod link;
mod records;
pub(super) mod rows;
mod sessions;
mod sidecars;
pub(super) mod tokens;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;

use self::link::{Asks, Line, Reading, Writing};
use super::backend::{Backend, Query, Row};
use super::{Store, StoreError};

/// A store over a database.
pub(super) struct Tables {
    backend: Arc<dyn Backend>,
    line: Arc<Line>,
    limits: Limits,
    /// Batches of decision records that were kept, to tell when to trim.
    batches: AtomicU64,
}

/// What only tests change.
pub(super) struct Limits {
    /// How many decision records of an account are kept: the newest.
    pub(super) decisions_kept: u64,
    /// After how many batches of them older ones are looked for.
    pub(super) trimmed_every: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { decisions_kept: 100_000, trimmed_every: 64 }
    }
}

#[async_trait]
impl Store for Tables {
    async fn close(&self) {
        self.backend.close().await;
    }
}

impl Tables {
    /// The store over this database, which is open and has the newest schema.
    pub(super) fn over(backend: Arc<dyn Backend>, limits: Limits) -> Self {
        Self { line: Line::new(Arc::clone(&backend)), backend, limits, batches: AtomicU64::new(0) }
    }

    /// For several questions to one state.
    pub(in crate::store) async fn reading(&self) -> Result<Reading, StoreError> {
        Ok(Reading(self.backend.reading().await?))
    }

    /// For a change.
    pub(in crate::store) async fn writing(&self) -> Result<Writing, StoreError> {
        self.line.writing().await
    }

    /// The first row of the answer to one question.
    pub(in crate::store) async fn row(&self, query: Query) -> Result<Option<Row>, StoreError> {
        Asks::row(&mut &*self, query).await
    }

    /// Every row of the answer to one question.
    pub(in crate::store) async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.backend.rows(query).await
    }
}

#[async_trait]
impl Asks for &Tables {
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.backend.rows(query).await
    }
}
