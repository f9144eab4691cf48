//! The database's schema: made, or brought up to date, by one node while the others wait.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row as _};

use super::fault::fault;
use crate::store::StoreError;

/// Applies what is missing of [`SCHEMA`], all or nothing. A newer schema and another program's database are refused.
pub(super) async fn bring_up_to_date(connection: &mut PgConnection, place: &str) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| fault(place, &error);
    let mut transaction = connection.begin().await.map_err(failed)?;
    // A long migration by another node is waited for.
    transaction
        .execute(
            "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;
             SELECT pg_advisory_xact_lock(4851293711)",
        )
        .await
        .map_err(failed)?;
    let found = transaction.fetch_one(FOUND).await.map_err(failed)?;
    let read = |column: &str| found.try_get::<bool, _>(column).map_err(failed);
    if !read("ours")? && read("others")? {
        let why = "it holds tables of another program; give consentry a database of its own".to_owned();
        return Err(StoreError::Corrupt { what: place.to_owned(), why });
    }
    let mut applied = 0;
    if read("ours")? {
        let row = transaction.fetch_one("SELECT version FROM consentry_schema").await.map_err(failed)?;
        let version: i64 = row.try_get(0).map_err(failed)?;
        applied = usize::try_from(version).unwrap_or(usize::MAX);
    } else {
        transaction.execute(MARK).await.map_err(failed)?;
    }
    if applied > SCHEMA.len() {
        return Err(StoreError::Unavailable(format!(
            "{place} was written by a newer consentry (its schema is {applied}, this one knows {}); \
             start that version, or restore a backup from before it",
            SCHEMA.len()
        )));
    }
    for script in SCHEMA.iter().skip(applied) {
        transaction.execute(sqlx::raw_sql(*script)).await.map_err(failed)?;
    }
    if applied < SCHEMA.len() {
        let version = i64::try_from(SCHEMA.len()).unwrap_or(i64::MAX);
        let mark = sqlx::query("UPDATE consentry_schema SET version = $1").bind(version);
        transaction.execute(mark).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// The migrations, in order. The database remembers how many it has seen.
const SCHEMA: &[&str] = &[
    include_str!("../../../schemas/store/postgres/0001_first.sql"),
    include_str!("../../../schemas/store/postgres/0011_audit.sql"),
    include_str!("../../../schemas/store/postgres/0012_requests.sql"),
    include_str!("../../../schemas/store/postgres/0013_federation.sql"),
    include_str!("../../../schemas/store/postgres/0014_directory.sql"),
    include_str!("../../../schemas/store/postgres/0015_console.sql"),
    include_str!("../../../schemas/store/postgres/0016_usage.sql"),
    include_str!("../../../schemas/store/postgres/0017_mends.sql"),
    include_str!("../../../schemas/store/postgres/0018_registration.sql"),
];

const MARK: &str = "CREATE TABLE consentry_schema (version BIGINT NOT NULL);
    INSERT INTO consentry_schema (version) VALUES (0)";

/// Tables that came with an extension are nobody's.
const FOUND: &str = "SELECT to_regclass('consentry_schema') IS NOT NULL AS ours,
    EXISTS (
        SELECT 1 FROM pg_class c
        WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind IN ('r', 'p')
            AND NOT EXISTS (
                SELECT 1 FROM pg_depend d
                WHERE d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid AND d.deptype = 'e')
    ) AS others";
