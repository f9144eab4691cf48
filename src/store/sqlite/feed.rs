//! The change log in SQLite. Writers add to it through `Writing::log`.

use async_trait::async_trait;
use tokio::sync::watch;

use super::Sqlite;
use super::link::sql;
use super::rows::Row;
use crate::model::id::Seq;
use crate::store::{Change, Feed, StoreError, Subject};

#[async_trait]
impl Feed for Sqlite {
    async fn newest(&self) -> Result<Seq, StoreError> {
        self.reading().await?.newest().await
    }

    async fn changes_after(&self, seq: Seq, limit: u32) -> Result<Vec<Change>, StoreError> {
        let after = i64::try_from(seq.0).unwrap_or(i64::MAX);
        let query =
            sql("SELECT * FROM change_log WHERE seq > $1 ORDER BY seq LIMIT $2").bind(after).bind(limit);
        let rows = self.rows(query).await?;
        rows.iter().map(change).collect()
    }

    fn woken(&self) -> watch::Receiver<Seq> {
        self.woken.subscribe()
    }
}

fn change(row: &Row) -> Result<Change, StoreError> {
    let subject = match row.get::<&str>("subject")? {
        "grant" => Subject::Grant(row.grant_key()?),
        "principal" => Subject::Principal(row.principal_key()?),
        "member" => Subject::Member(row.grant_key()?, row.principal_key()?),
        "application" => Subject::Application(row.parse("application")?),
        "keys" => Subject::Keys,
        "policies" => Subject::Policies,
        word => return Err(row.unreadable("subject", format!("no change is about a {word:?}"))),
    };
    Ok(Change { seq: Seq(row.number("seq")?), subject })
}
