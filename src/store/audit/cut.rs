//! Retention: which records go for their age, and their going.

use std::collections::BTreeMap;

use super::sql::{run, whole};
use super::{Cut, Run};
use crate::model::audit::{AuditKind, Hash};
use crate::model::id::AccountId;
use crate::store::StoreError;
use crate::store::backend::{Query, Row, sql};
use crate::store::sql::Tables;
use crate::store::sql::link::{Asks, Writing};

/// Which runs are to go; see [`super::Audit::surplus`].
pub(super) async fn surplus(tables: &Tables) -> Result<Vec<Run>, StoreError> {
    let mut links: BTreeMap<(String, u64), Run> = BTreeMap::new();
    for account in tables.line.grown() {
        let mut rows = of_calls(tables, account.as_ref()).await?;
        rows.extend(of_refusals(tables, account.as_ref()).await?);
        if rows.is_empty() {
            tables.line.fits(account.as_ref());
        }
        for row in &rows {
            let link = link(row)?;
            links.insert((link.node.clone(), link.first), link);
        }
    }
    let mut runs: Vec<Run> = Vec::new();
    for (_, link) in links {
        match runs
            .last_mut()
            .filter(|run| run.node == link.node && run.last.checked_add(1) == Some(link.first))
        {
            Some(run) => (run.last, run.after) = (link.last, link.after),
            None => runs.push(link),
        }
    }
    for run in &mut runs {
        join(tables, run).await?;
    }
    Ok(joined(runs))
}

/// Removes them; see [`super::Audit::cut`].
pub(super) async fn carry_out(tables: &Tables, cuts: &[Cut]) -> Result<(), StoreError> {
    let mut writing = tables.writing().await?;
    let done = async {
        for cut in cuts {
            one(&mut writing, cut).await?;
        }
        Ok(())
    }
    .await;
    writing.end(done).await
}

async fn one(writing: &mut Writing, cut: &Cut) -> Result<(), StoreError> {
    let Run { node, first, last, before, after } = &cut.run;
    let within = |query: Query| query.bind(node.as_str()).bind(whole(*first)).bind(whole(*last));
    let stays =
        sql("SELECT 1 FROM audit WHERE node = $1 AND number BETWEEN $2 AND $3 AND kind = 'event' LIMIT 1");
    let newest = sql("SELECT max(number) AS number FROM audit WHERE node = $1").bind(node.as_str());
    let newest = writing.row(newest).await?.map_or(Ok(None), |row| row.get::<Option<i64>>("number"))?;
    if writing.row(within(stays)).await?.is_some() || newest.is_none_or(|newest| newest <= whole(*last)) {
        return Err(StoreError::Conflict(format!("of {node}, {first} to {last} is not to be cut")));
    }
    let links = sql("SELECT account, calls_from, calls_to FROM audit
                     WHERE node = $1 AND number BETWEEN $2 AND $3 AND kind = 'calls'");
    for row in writing.rows(within(links)).await? {
        let forget = sql("DELETE FROM decisions WHERE place BETWEEN $1 AND $2");
        let forget = forget.bind(row.get::<i64>("calls_from")?).bind(row.get::<i64>("calls_to")?);
        writing.run(forget).await?;
    }
    writing.run(within(sql("DELETE FROM audit WHERE node = $1 AND number BETWEEN $2 AND $3"))).await?;
    writing.run(within(sql("DELETE FROM audit_cuts WHERE node = $1 AND first >= $2 AND last <= $3"))).await?;
    let keep = sql("INSERT INTO audit_cuts (node, first, last, before, after, token)
                    VALUES ($1, $2, $3, $4, $5, $6)");
    writing.run(within(keep).bind(&before.0[..]).bind(&after.0[..]).bind(&cut.token)).await?;
    Ok(())
}

/// The links whose decision records are all beyond what is kept of the account.
async fn of_calls(tables: &Tables, account: Option<&AccountId>) -> Result<Vec<Row>, StoreError> {
    // Two texts, because PostgreSQL finds nothing by an index with IS NOT DISTINCT FROM.
    let oldest = match account {
        Some(_) => {
            sql("SELECT place FROM decisions WHERE account = $2 ORDER BY place DESC LIMIT 1 OFFSET $1")
        }
        None => {
            sql("SELECT place FROM decisions WHERE account IS NULL ORDER BY place DESC LIMIT 1 OFFSET $1")
        }
    };
    let oldest = with(oldest.bind(whole(tables.limits.decisions_kept)), account);
    let Some(oldest) = tables.row(oldest).await? else { return Ok(Vec::new()) };
    let links = match account {
        Some(_) => sql("SELECT * FROM audit a WHERE kind = 'calls' AND calls_to <= $1 AND account = $2
                        AND number < (SELECT max(number) FROM audit b WHERE b.node = a.node)
                        ORDER BY calls_to LIMIT 500"),
        None => sql("SELECT * FROM audit a WHERE kind = 'calls' AND calls_to <= $1 AND account IS NULL
                     AND number < (SELECT max(number) FROM audit b WHERE b.node = a.node)
                     ORDER BY calls_to LIMIT 500"),
    };
    tables.rows(with(links.bind(oldest.get::<i64>("place")?), account)).await
}

/// The refusals beyond what is kept of the account.
async fn of_refusals(tables: &Tables, account: Option<&AccountId>) -> Result<Vec<Row>, StoreError> {
    let oldest = match account {
        Some(_) => sql("SELECT place FROM audit WHERE kind = 'refusal' AND account = $2
                        ORDER BY place DESC LIMIT 1 OFFSET $1"),
        None => sql("SELECT place FROM audit WHERE kind = 'refusal' AND account IS NULL
                     ORDER BY place DESC LIMIT 1 OFFSET $1"),
    };
    let oldest = with(oldest.bind(whole(tables.limits.refusals_kept)), account);
    let Some(oldest) = tables.row(oldest).await? else { return Ok(Vec::new()) };
    let refusals = match account {
        Some(_) => sql("SELECT * FROM audit a WHERE kind = 'refusal' AND place <= $1 AND account = $2
                        AND number < (SELECT max(number) FROM audit b WHERE b.node = a.node)
                        ORDER BY place LIMIT 500"),
        None => sql("SELECT * FROM audit a WHERE kind = 'refusal' AND place <= $1 AND account IS NULL
                     AND number < (SELECT max(number) FROM audit b WHERE b.node = a.node)
                     ORDER BY place LIMIT 500"),
    };
    tables.rows(with(refusals.bind(oldest.get::<i64>("place")?), account)).await
}

fn with(query: Query, account: Option<&AccountId>) -> Query {
    match account {
        Some(account) => query.bind(account.as_str()),
        None => query,
    }
}

fn link(row: &Row) -> Result<Run, StoreError> {
    let number = row.number("number")?;
    debug_assert_ne!(row.get::<&str>("kind")?, AuditKind::Event.as_str());
    Ok(Run {
        node: row.get("node")?,
        first: number,
        last: number,
        before: Hash(row.hash("prev")?),
        after: Hash(row.hash("hash")?),
    })
}

/// Takes in the cuts that end right before a run, or begin right after it.
async fn join(tables: &Tables, joined: &mut Run) -> Result<(), StoreError> {
    let before = sql("SELECT * FROM audit_cuts WHERE node = $1 AND last = $2").bind(joined.node.as_str());
    if let Some(row) = tables.row(before.bind(whole(joined.first.saturating_sub(1)))).await? {
        let earlier = run(&row)?;
        (joined.first, joined.before) = (earlier.first, earlier.before);
    }
    let after = sql("SELECT * FROM audit_cuts WHERE node = $1 AND first = $2").bind(joined.node.as_str());
    if let Some(row) = tables.row(after.bind(whole(joined.last.saturating_add(1)))).await? {
        let later = run(&row)?;
        (joined.last, joined.after) = (later.last, later.after);
    }
    Ok(())
}

/// Two runs with a cut between them have both taken it in: they are one.
fn joined(runs: Vec<Run>) -> Vec<Run> {
    let mut all: Vec<Run> = Vec::new();
    for run in runs {
        match all.last_mut().filter(|last| last.node == run.node && last.last.saturating_add(1) >= run.first)
        {
            Some(last) => (last.last, last.after) = (run.last, run.after),
            None => all.push(run),
        }
    }
    all
}
