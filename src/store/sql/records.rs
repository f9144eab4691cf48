//! Decision records and the audit.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;

use super::Tables;
use super::grants::about;
use super::link::{Asks, Writing};
use crate::model::decision::{Decision, Outcome};
use crate::model::id::{AccountId, DecisionId, GrantKey};
use crate::store::audit::vouch;
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
            // Those of an account side by side, so that one link of the chain vouches for them.
            let mut sorted: Vec<&Decision> = decisions.iter().collect();
            sorted.sort_by(|one, next| one.account.cmp(&next.account));
            let mut kept = Vec::with_capacity(sorted.len());
            for batch in sorted.chunks(AT_ONCE) {
                kept.extend(insert(&mut writing, batch).await?);
            }
            // A batch that was sent again counts once, as does a record that stands in it twice.
            let new: Vec<&Decision> = kept.iter().map(|(_, decision, _)| *decision).collect();
            note_uses(&mut writing, &new, now).await?;
            usage::count(&mut writing, &new, scopes_of, now).await?;
            vouch(&mut writing, kept).await?;
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
        let query =
            sql("SELECT * FROM audit WHERE account = $1 AND kind <> 'calls' ORDER BY place DESC LIMIT $2")
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

/// Answers those that were not there yet, each with its place and its text.
async fn insert<'d>(
    writing: &mut Writing,
    batch: &[&'d Decision],
) -> Result<Vec<(u64, &'d Decision, String)>, StoreError> {
    let records: Result<Vec<String>, _> = batch.iter().map(serde_json::to_string).collect();
    let records = records
        .map_err(|error| StoreError::Unavailable(format!("a decision record makes no JSON ({error})")))?;
    let mut text = "INSERT INTO decisions (id, account, application, outcome, record) VALUES ".to_owned();
    text.push_str(&places(batch.len(), 5));
    text.push_str(" ON CONFLICT (id) DO NOTHING RETURNING id, place");
    let query = batch.iter().zip(&records).fold(built(text), |query, (decision, record)| {
        query
            .bind(decision.id.as_str())
            .bind(decision.account.as_deref())
            .bind(decision.application.as_deref())
            .bind(decision.outcome.as_str())
            .bind(record)
    });
    let mut texts: HashMap<&str, (&'d Decision, String)> = HashMap::with_capacity(batch.len());
    for (decision, record) in batch.iter().zip(records) {
        // Of two with one id the first was kept.
        texts.entry(decision.id.as_str()).or_insert((decision, record));
    }
    let mut kept = Vec::with_capacity(batch.len());
    for row in writing.rows(query).await? {
        if let Some((decision, record)) = texts.remove(row.get::<&str>("id")?) {
            kept.push((row.number("place")?, decision, record));
        }
    }
    Ok(kept)
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

// Every character of an id sorts before the tilde.
const OF_APPLICATION: &str = "SELECT record FROM decisions WHERE account = $1 AND application = $2
    AND ($3 IS NULL OR outcome = $3) AND id < coalesce($4, '~') ORDER BY id DESC LIMIT $5";

const OF_ACCOUNT: &str = "SELECT record FROM decisions WHERE account = $1 AND $2 IS NULL
    AND ($3 IS NULL OR outcome = $3) AND id < coalesce($4, '~') ORDER BY id DESC LIMIT $5";
