//! Retention: which records go for their age, and their going. What is to go is found by columns that anybody may have
//! changed who can write the tables; nothing goes before its records have been followed, hash by hash.

use std::collections::BTreeMap;

use super::sql::{audited, cut_out, whole};
use super::{Audited, Cut, Run};
use crate::model::audit::{AuditKind, AuditRecord, CallsKept, Hash};
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
    Ok(runs)
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
    for (from, to) in removable(writing, &cut.run).await? {
        let forget = sql("DELETE FROM decisions WHERE place BETWEEN $1 AND $2");
        writing.run(forget.bind(whole(from)).bind(whole(to))).await?;
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
    Ok(Run {
        node: row.get("node")?,
        first: number,
        last: number,
        before: Hash(row.hash("prev")?),
        after: Hash(row.hash("hash")?),
    })
}

/// Follows a run from the record before it to the one after it, and answers between which places the decision records
/// stand that go with it. `Conflict` where it is not what it is said to be, or may not go: somebody has changed it, and
/// to let it go would be to say that this was for its age.
pub(super) async fn removable(asks: &mut impl Asks, run: &Run) -> Result<Vec<(u64, u64)>, StoreError> {
    let mut walk = Walk::begin(asks, run).await?;
    let mut decisions = Vec::new();
    while walk.next <= run.last {
        let page =
            sql("SELECT * FROM audit WHERE node = $1 AND number BETWEEN $2 AND $3 ORDER BY number LIMIT 500");
        let page = page.bind(run.node.as_str()).bind(whole(walk.next)).bind(whole(run.last));
        let page = asks.rows(page).await?;
        for row in &page {
            walk.pass_cuts()?;
            decisions.extend(walk.step(row)?);
        }
        walk.pass_cuts()?;
        if page.is_empty() && walk.next <= run.last {
            return Err(walk.wrong(walk.next, "is not there, and no cut says why"));
        }
    }
    walk.end(asks).await?;
    Ok(decisions)
}

/// How far a run has been followed.
struct Walk<'r> {
    run: &'r Run,
    /// Within the run, by where they begin.
    cuts: BTreeMap<u64, Run>,
    /// Which number comes next.
    next: u64,
    /// The hash of the one before that.
    hash: Hash,
    /// The place of the last record: who comes later stands behind it.
    place: Option<u64>,
}

impl<'r> Walk<'r> {
    async fn begin(asks: &mut impl Asks, run: &'r Run) -> Result<Self, StoreError> {
        let cuts = sql("SELECT * FROM audit_cuts WHERE node = $1 AND first >= $2 AND last <= $3");
        let cuts = cuts.bind(run.node.as_str()).bind(whole(run.first)).bind(whole(run.last));
        let cuts = asks.rows(cuts).await?;
        let cuts: Result<_, StoreError> =
            cuts.iter().map(|row| cut_out(row).map(|cut| (cut.run.first, cut.run))).collect();
        let mut walk = Self { run, cuts: cuts?, next: run.first, hash: run.before, place: None };
        if run.first == 0 || run.last < run.first {
            return Err(walk.wrong(run.first, "is no record of a chain"));
        }
        let earlier = run.first - 1;
        if let Some(row) = asks.row(at(&run.node, earlier)).await? {
            let before = audited(&row)?;
            walk.place = Some(before.place);
            if before.record.computed() != run.before {
                return Err(walk.wrong(earlier, "is not the one that the next one was written after"));
            }
        } else if earlier > 0 {
            let beside =
                sql("SELECT * FROM audit_cuts WHERE node = $1 AND last = $2").bind(run.node.as_str());
            let beside = asks.row(beside.bind(whole(earlier))).await?;
            if beside.is_none_or(|row| !cut_out(&row).is_ok_and(|cut| cut.run.after == run.before)) {
                return Err(walk.wrong(earlier, "is not there, and no cut says why"));
            }
        } else if run.before != Hash::default() {
            return Err(walk.wrong(run.first, "names a record before it, and is the first"));
        }
        Ok(walk)
    }

    /// Goes over what was cut before; whoever joins a cut has looked at what was signed for it.
    fn pass_cuts(&mut self) -> Result<(), StoreError> {
        while let Some(cut) = self.cuts.remove(&self.next) {
            if cut.before != self.hash {
                return Err(self.wrong(cut.first, "was cut, and not after the record that stands before it"));
            }
            (self.next, self.hash) = (cut.last.saturating_add(1), cut.after);
        }
        Ok(())
    }

    /// Takes the next record; answers the places of the decision records under it.
    fn step(&mut self, row: &Row) -> Result<Option<(u64, u64)>, StoreError> {
        let Audited { place, record } = audited(row)?;
        if record.number != self.next {
            return Err(self.wrong(self.next, "is not there, and no cut says why"));
        }
        self.is_chained(&record)?;
        if self.place.is_some_and(|before| place <= before) {
            return Err(self.wrong(record.number, "does not stand where it was written"));
        }
        if record.kind != AuditKind::of(&record.event) {
            return Err(self.wrong(record.number, "is kept as something else than it is"));
        }
        let vouched = match record.kind {
            AuditKind::Event => return Err(self.wrong(record.number, "is an event, and those stay")),
            AuditKind::Refusal => None,
            AuditKind::Calls => Some(self.vouched(row, &record)?),
        };
        (self.next, self.hash, self.place) = (record.number.saturating_add(1), record.hash, Some(place));
        Ok(vouched)
    }

    /// Between which places the decision records stand, as the record says itself: the columns are only to find it by.
    fn vouched(&self, row: &Row, record: &AuditRecord) -> Result<(u64, u64), StoreError> {
        let said: Option<CallsKept> = serde_json::from_str(record.detail.get()).ok();
        let columns = (row.number("calls_from")?, row.number("calls_to")?);
        said.map(|said| (said.from, said.to)).filter(|said| *said == columns).ok_or_else(|| {
            self.wrong(record.number, "is found by other decision records than it vouches for")
        })
    }

    /// The record after the run is the one that was written after it.
    async fn end(self, asks: &mut impl Asks) -> Result<(), StoreError> {
        let later = self.next;
        if later != self.run.last.saturating_add(1) || self.hash != self.run.after {
            return Err(self.wrong(self.run.last, "does not have the hash that is to be said of it"));
        }
        if let Some(row) = asks.row(at(&self.run.node, later)).await? {
            let Audited { place, record } = audited(&row)?;
            self.is_chained(&record)?;
            if self.place.is_some_and(|before| place <= before) {
                return Err(self.wrong(later, "does not stand where it was written"));
            }
            return Ok(());
        }
        let beside =
            sql("SELECT * FROM audit_cuts WHERE node = $1 AND first = $2").bind(self.run.node.as_str());
        let beside = asks.row(beside.bind(whole(later))).await?;
        if beside.is_none_or(|row| !cut_out(&row).is_ok_and(|cut| cut.run.before == self.hash)) {
            return Err(self.wrong(later, "is not there: the newest record stays, and no cut says why"));
        }
        Ok(())
    }

    fn is_chained(&self, record: &AuditRecord) -> Result<(), StoreError> {
        if record.computed() != record.hash {
            return Err(self.wrong(record.number, "was changed: it does not have its hash"));
        }
        if record.prev != self.hash {
            return Err(self.wrong(record.number, "was not written after the record that stands before it"));
        }
        Ok(())
    }

    fn wrong(&self, number: u64, why: &str) -> StoreError {
        let Run { node, first, last, .. } = self.run;
        StoreError::Conflict(format!(
            "of {node}, {first} to {last} are not to be cut: record {number} {why}; run `consentry audit verify`"
        ))
    }
}

fn at(node: &str, number: u64) -> Query {
    sql("SELECT * FROM audit WHERE node = $1 AND number = $2").bind(node).bind(whole(number))
}
