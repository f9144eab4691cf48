//! The change log in SQLite. Writers add to it through `Writing::log`.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::Sqlite;
use super::link::sql;
use super::rows::Row;
use crate::model::id::Seq;
use crate::store::{Change, Epoch, Feed, StoreError, Subject};

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

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        let row = self.row(sql("SELECT epoch FROM log_state")).await?;
        let missing =
            || StoreError::Corrupt { what: self.place.to_string(), why: "it has no epoch".to_owned() };
        Ok(Epoch(row.ok_or_else(missing)?.get("epoch")?))
    }

    async fn note_policies(&self, version: &str, now: Timestamp) -> Result<Option<Seq>, StoreError> {
        let mut writing = self.writing().await?;
        let note = sql("UPDATE log_state SET policies = $1 WHERE policies IS DISTINCT FROM $1").bind(version);
        if writing.run(note).await? == 0 {
            return Ok(None);
        }
        let seq = writing.log(&Subject::Policies, now).await?;
        writing.commit().await?;
        Ok(Some(seq))
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
