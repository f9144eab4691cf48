//! Decision records and the audit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Tables;
use super::grants::about;
use super::link::{Asks, Writing};
use crate::model::decision::{Decision, Outcome};
use crate::model::id::{AccountId, DecisionId, GrantKey};
use crate::store::backend::{built, places, sql};
use crate::store::usage::{self, ScopesOf};
use crate::store::{AuditEvent, DecisionFilter, Records, StoreError};

#[async_trait]
impl Records for Tables {
    async fn keep_decisions(
        &self,
        decisions: &[Decision],
        scopes_of: ScopesOf<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let mut fresh = BTreeSet::new();
            for batch in decisions.chunks(AT_ONCE) {
                insert(&mut writing, batch, &mut fresh).await?;
            }
            // A batch that was sent again counts once, as does a record that stands in it twice.
            let new: Vec<_> =
                decisions.iter().filter(|decision| fresh.remove(decision.id.as_str())).collect();
            note_uses(&mut writing, &new, now).await?;
            usage::count(&mut writing, &new, scopes_of, now).await?;
            if self.batches.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.limits.trimmed_every.max(1)) {
                forget_oldest(&mut writing, decisions, self.limits.decisions_kept).await?;
            }
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn decisions(
        &self,
        account: &AccountId,
        filter: &DecisionFilter,
    ) -> Result<Vec<Decision>, StoreError> {
        let text = if filter.application.is_some() { OF_APPLICATION } else { OF_ACCOUNT };
        let query = sql(text)
            .bind(account.as_str())
            .bind(filter.application.as_ref().map(|id| id.as_str()))
            .bind(filter.outcome.map(Outcome::as_str))
            .bind(filter.before.as_ref().map(|id| id.as_str()))
            .bind(filter.limit.min(1000));
        let rows = self.rows(query).await?;
        rows.iter().map(|row| row.json("record")).collect()
    }

    async fn decision(&self, account: &AccountId, id: &DecisionId) -> Result<Option<Decision>, StoreError> {
        let query = sql("SELECT record FROM decisions WHERE id = $1 AND account = $2");
        let row = self.row(query.bind(id.as_str()).bind(account.as_str())).await?;
        row.map(|row| row.json("record")).transpose()
    }

    async fn any_decision(&self, id: &DecisionId) -> Result<Option<Decision>, StoreError> {
        let query = sql("SELECT record FROM decisions WHERE id = $1").bind(id.as_str());
        let row = self.row(query).await?;
        row.map(|row| row.json("record")).transpose()
    }

    async fn last_used(&self, key: &GrantKey) -> Result<Option<Timestamp>, StoreError> {
        let query = about(key, sql("SELECT used_at FROM uses WHERE account = $1 AND application = $2"));
        let row = self.row(query).await?;
        row.map(|row| row.time("used_at")).transpose()
    }

    async fn keep_audit(&self, event: &AuditEvent) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            writing.audit(event).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn audit(&self, account: &AccountId, limit: u32) -> Result<Vec<AuditEvent>, StoreError> {
        let query = sql("SELECT * FROM audit WHERE account = $1 ORDER BY place DESC LIMIT $2")
            .bind(account.as_str())
            .bind(limit);
        let rows = self.rows(query).await?;
        rows.iter()
            .map(|row| {
                Ok(AuditEvent {
                    at: row.time("at")?,
                    account: row.parse("account")?,
                    actor: row.get("actor")?,
                    event: row.get("event")?,
                    subject: row.get("subject")?,
                    detail: row.get("detail")?,
                })
            })
            .collect()
    }
}

/// Keeps the newest of each account that the batch is about. Calls that nobody is known to have made count as an
/// account of their own, so that they push out nobody's records but their like.
async fn forget_oldest(writing: &mut Writing, decisions: &[Decision], kept: u64) -> Result<(), StoreError> {
    let kept = i64::try_from(kept).unwrap_or(i64::MAX);
    let accounts: BTreeSet<Option<&str>> =
        decisions.iter().map(|decision| decision.account.as_deref()).collect();
    for account in accounts {
        // Two texts, because PostgreSQL finds nothing by an index with IS NOT DISTINCT FROM.
        let query = match account {
            Some(account) => sql(FORGET_OF_ACCOUNT).bind(kept).bind(account),
            None => sql(FORGET_OF_NOBODY).bind(kept),
        };
        writing.run(query).await?;
    }
    Ok(())
}

/// Adds those that are not there, and their ids to `fresh`.
async fn insert(
    writing: &mut Writing,
    batch: &[Decision],
    fresh: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let records: Result<Vec<String>, _> = batch.iter().map(serde_json::to_string).collect();
    let records = records
        .map_err(|error| StoreError::Unavailable(format!("a decision record makes no JSON ({error})")))?;
    let mut text = "INSERT INTO decisions (id, account, application, outcome, record) VALUES ".to_owned();
    text.push_str(&places(batch.len(), 5));
    text.push_str(" ON CONFLICT (id) DO NOTHING RETURNING id");
    let query = batch.iter().zip(records).fold(built(text), |query, (decision, record)| {
        query
            .bind(decision.id.as_str())
            .bind(decision.account.as_deref())
            .bind(decision.application.as_deref())
            .bind(decision.outcome.as_str())
            .bind(record)
    });
    for row in writing.rows(query).await? {
        fresh.insert(row.get("id")?);
    }
    Ok(())
}

/// Remembers for each grant when it last allowed a call.
async fn note_uses(writing: &mut Writing, decisions: &[&Decision], now: Timestamp) -> Result<(), StoreError> {
    let mut last = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.outcome == Outcome::Forwarded) {
        if let (Some(account), Some(application)) = (&decision.account, &decision.application) {
            let told = decision.at.min(now);
            let at = last.entry((account, application)).or_insert(told);
            *at = told.max(*at);
        }
    }
    for ((account, application), at) in last {
        writing
            .run(
                sql("INSERT INTO uses (account, application, used_at) VALUES ($1, $2, $3)
                     ON CONFLICT (account, application) DO UPDATE SET used_at = excluded.used_at
                     WHERE uses.used_at < excluded.used_at")
                .bind(&**account)
                .bind(&**application)
                .bind(at.as_microsecond()),
            )
            .await?;
    }
    Ok(())
}

/// How many records one statement takes.
const AT_ONCE: usize = 200;

const FORGET_OF_ACCOUNT: &str =
    "DELETE FROM decisions WHERE account = $2 AND place <= (SELECT place FROM decisions
    WHERE account = $2 ORDER BY place DESC LIMIT 1 OFFSET $1)";

const FORGET_OF_NOBODY: &str =
    "DELETE FROM decisions WHERE account IS NULL AND place <= (SELECT place FROM decisions
    WHERE account IS NULL ORDER BY place DESC LIMIT 1 OFFSET $1)";

// Every character of an id sorts before the tilde.
const OF_APPLICATION: &str = "SELECT record FROM decisions WHERE account = $1 AND application = $2
    AND ($3 IS NULL OR outcome = $3) AND id < coalesce($4, '~') ORDER BY id DESC LIMIT $5";

const OF_ACCOUNT: &str = "SELECT record FROM decisions WHERE account = $1 AND $2 IS NULL
    AND ($3 IS NULL OR outcome = $3) AND id < coalesce($4, '~') ORDER BY id DESC LIMIT $5";
