//! Writing the chain: a record takes its place within the change that it tells of.

use std::sync::Arc;

use super::NewRecord;
use crate::model::audit::{AuditKind, AuditRecord, CallsKept, Hash, detail, text};
use crate::store::StoreError;
use crate::store::backend::{Query, built, places, sql};
use crate::store::sql::link::{Asks, Writing};
use crate::store::sql::rows::kept;

/// The newest record of a chain, as the next one needs it.
#[derive(Debug, Clone)]
pub(in crate::store) struct Tip {
    /// Whose chain.
    pub(in crate::store) node: Arc<str>,
    /// 0 before the first.
    pub(in crate::store) number: u64,
    hash: Hash,
}

impl Writing {
    /// Adds to this process's chain, in this order.
    pub(in crate::store) async fn chain(&mut self, new: &[NewRecord]) -> Result<(), StoreError> {
        let Some(first) = new.first() else { return Ok(()) };
        let mut tip = self.tip().await?;
        if tip.number == 0 {
            let node = sql("INSERT INTO audit_nodes (node, begun_at) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            self.run(node.bind(&*tip.node).bind(first.at.as_microsecond())).await?;
        }
        let mut records = Vec::with_capacity(new.len());
        for one in new {
            let record = linked(one, &tip);
            tip = Tip { number: record.number, hash: record.hash, ..tip };
            self.grown(record.kind, record.account.as_ref());
            records.push(record);
        }
        for some in records.chunks(AT_ONCE) {
            let query = match some {
                [_] => sql(INSERT_ONE),
                many => built(format!("{INSERT} {}", places(many.len(), 14))),
            };
            let query = some.iter().fold(query, bound);
            self.run(query).await?;
        }
        self.set_tip(tip);
        Ok(())
    }

    async fn tip(&mut self) -> Result<Tip, StoreError> {
        let node = self.node();
        if let Some(tip) = self.known_tip().filter(|tip| tip.node == node) {
            return Ok(tip.clone());
        }
        let newest = sql("SELECT number, hash FROM audit WHERE node = $1 ORDER BY number DESC LIMIT 1");
        Ok(match self.row(newest.bind(&*node)).await? {
            Some(row) => Tip { node, number: row.number("number")?, hash: Hash(row.hash("hash")?) },
            None => Tip { node, number: 0, hash: Hash::default() },
        })
    }
}

fn linked(new: &NewRecord, tip: &Tip) -> AuditRecord {
    let mut record = AuditRecord {
        node: tip.node.to_string(),
        number: tip.number.saturating_add(1),
        kind: AuditKind::of(&new.event),
        at: kept(new.at),
        account: new.account.clone(),
        actor: text(&new.actor),
        event: text(&new.event),
        subject: text(&new.subject),
        detail: detail(&new.detail),
        prev: tip.hash,
        hash: Hash::default(),
    };
    record.hash = record.computed();
    record
}

fn bound(query: Query, record: &AuditRecord) -> Query {
    let calls = match record.kind {
        AuditKind::Calls => serde_json::from_str::<CallsKept>(record.detail.get()).ok(),
        AuditKind::Event | AuditKind::Refusal => None,
    };
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    query
        .bind(&record.node)
        .bind(number(record.number))
        .bind(record.kind.as_str())
        .bind(record.at.as_microsecond())
        .bind(record.account.as_ref().map(|account| account.as_str()))
        .bind(&record.actor)
        .bind(&record.event)
        .bind(&record.subject)
        .bind(record.principal().map(|whom| text(&whom)))
        .bind(record.detail.get())
        .bind(calls.as_ref().map(|calls| number(calls.from)))
        .bind(calls.as_ref().map(|calls| number(calls.to)))
        .bind(&record.prev.0[..])
        .bind(&record.hash.0[..])
}

const AT_ONCE: usize = 200;

const INSERT: &str =
    "INSERT INTO audit (node, number, kind, at, account, actor, event, subject, principal, detail,
    calls_from, calls_to, prev, hash) VALUES";

const INSERT_ONE: &str =
    "INSERT INTO audit (node, number, kind, at, account, actor, event, subject, principal,
    detail, calls_from, calls_to, prev, hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
