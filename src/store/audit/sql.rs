//! The audit over the tables.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::filter::asked;
use super::{
    Audit, AuditFilter, Audited, Checkpoint, Cut, Head, KeptDecision, NewRecord, Run, Unchained, cut,
};
use crate::model::audit::{ADOPTED, AuditKind, AuditRecord, Hash, Hashing, detail};
use crate::model::id::AccountId;
use crate::store::StoreError;
use crate::store::backend::{Row, sql};
use crate::store::sql::Tables;
use crate::store::sql::link::Asks;

#[async_trait]
impl Audit for Tables {
    fn name_node(&self, name: &str) {
        self.line.name_node(name);
    }

    fn node(&self) -> Arc<str> {
        self.line.node()
    }

    fn chained(&self) -> watch::Receiver<u64> {
        self.line.chained()
    }

    async fn note(&self, records: &[NewRecord]) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = writing.chain(records).await;
        writing.end(done).await
    }

    async fn audit_records(&self, filter: &AuditFilter) -> Result<Vec<Audited>, StoreError> {
        let rows = self.rows(asked(filter)).await?;
        rows.iter().map(audited).collect()
    }

    async fn audit_record(
        &self,
        account: Option<&AccountId>,
        place: u64,
    ) -> Result<Option<Audited>, StoreError> {
        let query =
            sql("SELECT * FROM audit WHERE place = $1 AND ($2 IS NULL OR account = $2)").bind(whole(place));
        let row = self.row(query.bind(account.map(|account| account.as_str()))).await?;
        row.as_ref().map(audited).transpose()
    }

    async fn chains(&self) -> Result<Vec<Head>, StoreError> {
        let rows = self.rows(sql(HEADS)).await?;
        let head = |row: &Row| {
            Ok(Head { node: row.get("node")?, number: row.number("number")?, hash: Hash(row.hash("hash")?) })
        };
        rows.iter().map(head).collect()
    }

    async fn audit_nodes(&self) -> Result<Vec<String>, StoreError> {
        let nodes = sql(
            "SELECT node FROM audit_nodes UNION SELECT node FROM audit WHERE node IS NOT NULL ORDER BY node",
        );
        self.rows(nodes).await?.iter().map(|row| row.get("node")).collect()
    }

    async fn chain(&self, node: &str, after: u64, limit: u32) -> Result<Vec<Audited>, StoreError> {
        let query = sql("SELECT * FROM audit WHERE node = $1 AND number > $2 ORDER BY number LIMIT $3");
        let rows = self.rows(query.bind(node).bind(whole(after)).bind(limit.min(1000))).await?;
        rows.iter().map(audited).collect()
    }

    async fn keep_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let hour = checkpoint.at.as_second().div_euclid(3600).saturating_mul(3_600_000_000);
            let thin = sql("DELETE FROM audit_checkpoints WHERE node = $1 AND at >= $2
                            AND number < (SELECT max(number) FROM audit_checkpoints WHERE node = $1)");
            writing.run(thin.bind(&checkpoint.node).bind(hour)).await?;
            let keep = sql("INSERT INTO audit_checkpoints (node, number, at, token) VALUES ($1, $2, $3, $4)
                            ON CONFLICT (node, number) DO UPDATE SET at = excluded.at, token = excluded.token");
            let keep = keep.bind(&checkpoint.node).bind(whole(checkpoint.number));
            writing.run(keep.bind(checkpoint.at.as_microsecond()).bind(&checkpoint.token)).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        let rows = self.rows(sql("SELECT * FROM audit_checkpoints ORDER BY node, number")).await?;
        rows.iter().map(checkpoint).collect()
    }

    async fn last_checkpoints(&self, node: &str, limit: u32) -> Result<Vec<Checkpoint>, StoreError> {
        let query = sql("SELECT * FROM audit_checkpoints WHERE node = $1 ORDER BY number DESC LIMIT $2");
        self.rows(query.bind(node).bind(limit)).await?.iter().map(checkpoint).collect()
    }

    async fn cuts(&self) -> Result<Vec<Cut>, StoreError> {
        let rows = self.rows(sql("SELECT * FROM audit_cuts ORDER BY node, first")).await?;
        rows.iter().map(cut_out).collect()
    }

    async fn cuts_beside(&self, run: &Run) -> Result<Vec<Cut>, StoreError> {
        let query =
            sql("SELECT * FROM audit_cuts WHERE node = $1 AND (last = $2 OR first = $3) ORDER BY first");
        let query = query.bind(&run.node).bind(whole(run.first.saturating_sub(1)));
        let rows = self.rows(query.bind(whole(run.last.saturating_add(1)))).await?;
        rows.iter().map(cut_out).collect()
    }

    async fn surplus(&self) -> Result<Vec<Run>, StoreError> {
        cut::surplus(self).await
    }

    async fn may_go(&self, run: &Run) -> Result<(), StoreError> {
        let mut reading = self.reading().await?;
        cut::removable(&mut reading, run).await.map(drop)
    }

    async fn cut(&self, cuts: &[Cut]) -> Result<(), StoreError> {
        cut::carry_out(self, cuts).await
    }

    async fn decisions_between(
        &self,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<KeptDecision>, StoreError> {
        let query = sql("SELECT * FROM decisions WHERE place BETWEEN $1 AND $2 ORDER BY place LIMIT $3");
        let rows = self.rows(query.bind(whole(from)).bind(whole(to)).bind(limit)).await?;
        rows.iter().map(kept_decision).collect()
    }

    async fn count_decisions(&self, after: u64) -> Result<u64, StoreError> {
        let query = sql("SELECT count(*) AS rows FROM decisions WHERE place > $1").bind(whole(after));
        self.row(query).await?.map_or(Ok(0), |row| row.number("rows"))
    }

    async fn stray_decision(&self, after: u64) -> Result<Option<KeptDecision>, StoreError> {
        let query = sql("SELECT * FROM decisions d WHERE d.place > $1 AND NOT EXISTS (
                             SELECT 1 FROM audit a
                             WHERE a.kind = 'calls' AND a.calls_from <= d.place AND a.calls_to >= d.place)
                         ORDER BY d.place LIMIT 1");
        self.row(query.bind(whole(after))).await?.as_ref().map(kept_decision).transpose()
    }

    async fn unchained(&self) -> Result<Unchained, StoreError> {
        let mut reading = self.reading().await?;
        unchained(&mut reading).await
    }

    async fn adopt(&self, now: Timestamp) -> Result<(), StoreError> {
        let loose = sql("SELECT 1 FROM audit WHERE number IS NULL LIMIT 1");
        let calls = sql("SELECT 1 FROM decisions LIMIT 1");
        let told = || sql("SELECT 1 FROM audit WHERE event = $1 LIMIT 1").bind(ADOPTED);
        let any_link = sql("SELECT 1 FROM audit WHERE kind = 'calls' LIMIT 1");
        let nothing = self.row(loose).await?.is_none()
            && (self.row(calls).await?.is_none() || self.row(any_link).await?.is_some());
        if nothing || self.row(told()).await?.is_some() {
            return Ok(());
        }
        let mut writing = self.writing().await?;
        let done = async {
            if writing.row(told()).await?.is_some() {
                return Ok(());
            }
            let found = unchained(&mut writing).await?;
            let detail = serde_json::to_string(&found).map_err(|error| {
                StoreError::Unavailable(format!("what was found makes no JSON ({error})"))
            })?;
            let record = NewRecord {
                at: now,
                account: None,
                actor: "consentry".to_owned(),
                event: ADOPTED.to_owned(),
                subject: String::new(),
                detail,
            };
            writing.chain(&[record]).await
        }
        .await;
        writing.end(done).await
    }
}

/// A place or a number, as databases count.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn checkpoint(row: &Row) -> Result<Checkpoint, StoreError> {
    Ok(Checkpoint {
        node: row.get("node")?,
        number: row.number("number")?,
        at: row.time("at")?,
        token: row.get("token")?,
    })
}

pub(super) fn cut_out(row: &Row) -> Result<Cut, StoreError> {
    Ok(Cut { run: run(row)?, token: row.get("token")? })
}

fn run(row: &Row) -> Result<Run, StoreError> {
    Ok(Run {
        node: row.get("node")?,
        first: row.number("first")?,
        last: row.number("last")?,
        before: Hash(row.hash("before")?),
        after: Hash(row.hash("after")?),
    })
}

async fn unchained(asks: &mut impl Asks) -> Result<Unchained, StoreError> {
    let (mut hashing, mut records, mut after) = (Hashing::new(b"consentry audit before chains 1"), 0, 0);
    loop {
        let next =
            sql("SELECT * FROM audit WHERE (number IS NULL OR number < 1 OR node IS NULL) AND place > $1
                        ORDER BY place LIMIT 500");
        let rows = asks.rows(next.bind(whole(after))).await?;
        for row in &rows {
            let Audited { place, record } = audited(row)?;
            hashing.number(place);
            hashing.text(&record.line());
            (records, after) = (records + 1, place);
        }
        if rows.is_empty() {
            break;
        }
    }
    let newest = asks.row(sql("SELECT coalesce(max(place), 0) AS place FROM decisions")).await?;
    let decisions_to = newest.map_or(Ok(0), |row| row.number("place"))?;
    Ok(Unchained { records, digest: hashing.end(), decisions_to })
}

pub(super) fn audited(row: &Row) -> Result<Audited, StoreError> {
    let number = row.get::<Option<i64>>("number")?;
    let word: &str = row.get("kind")?;
    let kind = AuditKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    let hash = |column: &'static str| match row.get::<Option<&[u8]>>(column)? {
        Some(_) => row.hash(column).map(Hash),
        None => Ok(Hash::default()),
    };
    let text: String = row.get("detail")?;
    let record = AuditRecord {
        node: row.get::<Option<String>>("node")?.unwrap_or_default(),
        number: number.map_or(Ok(0), |_| row.number("number"))?,
        kind: kind.ok_or_else(|| row.unreadable("kind", format!("no record is a {word:?}")))?,
        at: row.time("at")?,
        account: row.get::<Option<&str>>("account")?.map(|_| row.parse("account")).transpose()?,
        actor: row.get("actor")?,
        event: row.get("event")?,
        subject: row.get("subject")?,
        // What is no JSON any more does not hash to what it was, and is found by that.
        detail: serde_json::value::RawValue::from_string(text.clone()).unwrap_or_else(|_| detail(&text)),
        prev: hash("prev")?,
        hash: hash("hash")?,
    };
    Ok(Audited { place: row.number("place")?, record })
}

fn kept_decision(row: &Row) -> Result<KeptDecision, StoreError> {
    Ok(KeptDecision {
        place: row.number("place")?,
        id: row.get("id")?,
        account: row.get("account")?,
        application: row.get("application")?,
        outcome: row.get("outcome")?,
        text: row.get("record")?,
    })
}

const HEADS: &str = "SELECT n.node, a.number, a.hash FROM audit_nodes n
    JOIN audit a ON a.node = n.node AND a.number = (SELECT max(b.number) FROM audit b WHERE b.node = n.node)
    ORDER BY n.node";
