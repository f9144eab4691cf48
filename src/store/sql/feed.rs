//! The change log. Writers add to it through `Writing::log`.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use super::Tables;
use super::link::Asks;
use crate::model::id::Seq;
use crate::store::backend::{Row, sql};
use crate::store::{Change, Epoch, Feed, NewRecord, StoreError, Subject};

#[async_trait]
impl Feed for Tables {
    async fn newest(&self) -> Result<Seq, StoreError> {
        Asks::newest(&mut &*self).await
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
        let missing = || StoreError::Corrupt {
            what: self.backend.place().to_string(),
            why: "it has no epoch".to_owned(),
        };
        Ok(Epoch(row.ok_or_else(missing)?.get("epoch")?))
    }

    async fn note_policies(&self, version: &str, now: Timestamp) -> Result<Option<Seq>, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let note =
                sql("UPDATE log_state SET policies = $1 WHERE policies IS DISTINCT FROM $1").bind(version);
            if writing.run(note).await? == 0 {
                return Ok(None);
            }
            let detail = json!({ "version": version });
            writing.chain(&[NewRecord::of_nobody("policies.change", "", &detail, now)]).await?;
            let seq = writing.log(&Subject::Policies, now).await?;
            Ok(Some(seq))
        }
        .await;
        writing.end(done).await
    }

    fn woken(&self) -> watch::Receiver<Seq> {
        self.backend.woken().subscribe()
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
