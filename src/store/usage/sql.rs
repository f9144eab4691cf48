//! Use in tables: the counting of a batch, and what is asked of it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{BOUNDS, Counted, DAYS_KEPT, Figure, InUse, ScopesOf, Usage, day_of};
use crate::model::decision::{Decision, Outcome};
use crate::model::id::{AccountId, ApplicationId, GrantKey};
use crate::model::scope::{Scope, ScopeSet};
use crate::store::StoreError;
use crate::store::backend::{Query, Row, built, places, sql};
use crate::store::sql::link::{Asks, Writing};
use crate::store::sql::{Tables, about};

#[async_trait]
impl Usage for Tables {
    async fn in_use(
        &self,
        account: &AccountId,
        after: Option<&ApplicationId>,
        limit: u32,
    ) -> Result<Vec<InUse>, StoreError> {
        let mut reading = self.reading().await?;
        let page =
            sql(IN_USE).bind(account.as_str()).bind(after.map(|id| id.as_str())).bind(limit.min(MOST_ASKED));
        let rows = reading.rows(page).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let last_used = row.time_any("used_at")?;
            all.push(InUse { installed: row.installed()?, last_used, scopes: BTreeMap::new() });
        }
        let (Some(first), Some(last)) = (all.first(), all.last()) else { return Ok(all) };
        let between = sql("SELECT * FROM scope_uses WHERE account = $1 AND application BETWEEN $2 AND $3")
            .bind(account.as_str())
            .bind(first.installed.application.id.as_str())
            .bind(last.installed.application.id.as_str());
        let mut uses = BTreeMap::<ApplicationId, BTreeMap<Scope, Timestamp>>::new();
        for row in reading.rows(between).await? {
            let (scope, at) = (row.parse("scope")?, row.time("used_at")?);
            uses.entry(row.parse("application")?).or_default().insert(scope, at);
        }
        for one in &mut all {
            one.scopes = uses.remove(&one.installed.application.id).unwrap_or_default();
        }
        Ok(all)
    }

    async fn scope_uses(&self, key: &GrantKey) -> Result<BTreeMap<Scope, Timestamp>, StoreError> {
        let query = about(key, sql("SELECT * FROM scope_uses WHERE account = $1 AND application = $2"));
        let rows = self.rows(query).await?;
        rows.iter().map(|row| Ok((row.parse("scope")?, row.time("used_at")?))).collect()
    }

    async fn figures(
        &self,
        account: &AccountId,
        application: Option<&ApplicationId>,
        counted: Counted,
        days: (i64, i64),
    ) -> Result<Vec<Figure>, StoreError> {
        let query = sql("SELECT day, name, calls FROM use_figures WHERE account = $1 AND application = $2
                         AND what = $3 AND day BETWEEN $4 AND $5 ORDER BY day, name");
        let rows = self.rows(asked(query, account, application, counted, days)).await?;
        rows.iter().map(figure).collect()
    }

    async fn most(
        &self,
        account: &AccountId,
        application: Option<&ApplicationId>,
        counted: Counted,
        days: (i64, i64),
        limit: u32,
    ) -> Result<Vec<Figure>, StoreError> {
        let query = sql("SELECT max(day) AS day, name, CAST(sum(calls) AS BIGINT) AS calls FROM use_figures
                         WHERE account = $1 AND application = $2 AND what = $3 AND day BETWEEN $4 AND $5
                         GROUP BY name ORDER BY calls DESC, name LIMIT $6");
        let query = asked(query, account, application, counted, days).bind(limit.min(MOST_ASKED));
        let rows = self.rows(query).await?;
        rows.iter().map(figure).collect()
    }

    async fn forget_old_figures(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let old = sql("DELETE FROM use_figures WHERE day < $1").bind(day_of(now) - DAYS_KEPT);
            writing.run(old).await
        }
        .await;
        writing.end(done).await
    }
}

fn asked(
    query: Query,
    account: &AccountId,
    application: Option<&ApplicationId>,
    counted: Counted,
    (first, last): (i64, i64),
) -> Query {
    query
        .bind(account.as_str())
        .bind(application.map_or(WHOLE, |id| id.as_str()))
        .bind(counted.as_str())
        .bind(first)
        .bind(last)
}

fn figure(row: &Row) -> Result<Figure, StoreError> {
    Ok(Figure { day: row.get("day")?, name: row.get("name")?, calls: row.number("calls")? })
}

/// Counts records that are new, in the change that keeps them.
pub(in crate::store) async fn count(
    writing: &mut Writing,
    decisions: &[&Decision],
    scopes_of: ScopesOf<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let known = Known::of(writing, decisions).await?;
    let mut batch = Batch::default();
    for decision in decisions {
        batch.take(decision, &known, scopes_of, now);
    }
    batch.write(writing).await
}

/// What of a batch there is: nothing is kept of anything else, whatever a sidecar tells.
struct Known {
    accounts: BTreeSet<String>,
    applications: BTreeSet<String>,
    grants: BTreeSet<(String, String)>,
    people: BTreeSet<(String, String)>,
}

impl Known {
    async fn of(writing: &mut Writing, decisions: &[&Decision]) -> Result<Self, StoreError> {
        let all = |of: fn(&Decision) -> Option<&str>| -> BTreeSet<&str> {
            decisions.iter().filter_map(|decision| of(decision)).collect()
        };
        let accounts = all(|decision| decision.account.as_deref());
        let applications = all(|decision| decision.application.as_deref());
        let people = all(|decision| Some(decision.principal.as_deref()?.split_once('/')?.1));
        let text = |row: &Row, name: &str| row.get::<String>(name);
        let mut known = Self {
            accounts: BTreeSet::new(),
            applications: BTreeSet::new(),
            grants: BTreeSet::new(),
            people: BTreeSet::new(),
        };
        if accounts.is_empty() {
            return Ok(known);
        }
        let (of_these, width) = (list(1, accounts.len()), accounts.len());
        let query = built(format!("SELECT id FROM accounts WHERE id IN {of_these}"));
        for row in writing.rows(given(query, &accounts)).await? {
            known.accounts.insert(text(&row, "id")?);
        }
        if !applications.is_empty() {
            let query =
                built(format!("SELECT id FROM applications WHERE id IN {}", list(1, applications.len())));
            for row in writing.rows(given(query, &applications)).await? {
                known.applications.insert(text(&row, "id")?);
            }
            let query = built(format!(
                "SELECT account, application FROM grants WHERE account IN {of_these} AND application IN {}",
                list(width + 1, applications.len())
            ));
            for row in writing.rows(given(given(query, &accounts), &applications)).await? {
                known.grants.insert((text(&row, "account")?, text(&row, "application")?));
            }
        }
        if !people.is_empty() {
            let query = built(format!(
                "SELECT account, kind, id FROM principals WHERE account IN {of_these} AND id IN {}",
                list(width + 1, people.len())
            ));
            for row in writing.rows(given(given(query, &accounts), &people)).await? {
                let whom = format!("{}/{}", text(&row, "kind")?, text(&row, "id")?);
                known.people.insert((text(&row, "account")?, whom));
            }
        }
        Ok(known)
    }
}

/// What a batch comes to.
#[derive(Default)]
struct Batch<'d> {
    scopes: BTreeMap<(&'d str, &'d str, Scope), Timestamp>,
    people: BTreeMap<(&'d str, &'d str, &'d str), Timestamp>,
    figures: BTreeMap<(&'d str, &'d str, i64, &'static str, String), i64>,
}

impl<'d> Batch<'d> {
    fn take(&mut self, decision: &'d Decision, known: &Known, scopes_of: ScopesOf<'_>, now: Timestamp) {
        // A clock that goes wrong, or a lie, dates nothing later than it was told.
        let at = decision.at.min(now);
        let Some(account) = decision.account.as_deref().filter(|id| known.accounts.contains(*id)) else {
            return;
        };
        let application = decision.application.as_deref().filter(|id| known.applications.contains(*id));
        let forwarded = decision.outcome == Outcome::Forwarded;
        let scopes = if forwarded { scopes_of(decision) } else { ScopeSet::new() };
        if day_of(at) >= day_of(now) - LATEST_DAYS {
            self.add_figures(decision, (account, application), &scopes, day_of(at));
        }
        let Some(application) = application.filter(|_| forwarded) else { return };
        if !known.grants.contains(&(account.to_owned(), application.to_owned())) {
            return;
        }
        for scope in scopes.iter() {
            let last = self.scopes.entry((account, application, scope.clone())).or_insert(at);
            *last = at.max(*last);
        }
        let whom = decision.principal.as_deref();
        if let Some(whom) =
            whom.filter(|whom| known.people.contains(&(account.to_owned(), (*whom).to_owned())))
        {
            let last = self.people.entry((account, whom, application)).or_insert(at);
            *last = at.max(*last);
        }
    }

    fn add_figures(
        &mut self,
        decision: &'d Decision,
        (account, application): (&'d str, Option<&'d str>),
        scopes: &ScopeSet,
        day: i64,
    ) {
        let mut names = vec![(Counted::Outcome, decision.outcome.as_str().to_owned())];
        match decision.outcome {
            Outcome::Forwarded => {
                let took = decision.took;
                let own = took.total.saturating_sub(took.forward);
                names.push((Counted::Own, class(own)));
                names.push((Counted::Total, class(took.total)));
                names.extend(scopes.iter().map(|scope| (Counted::Scope, scope.to_string())));
            }
            Outcome::Answered => {}
            Outcome::Denied | Outcome::Refused | Outcome::Failed => {
                names.push((Counted::Code, code(&decision.code).to_owned()));
            }
        }
        let mut add = |of: &'d str, (counted, name): (Counted, String)| {
            let calls = self.figures.entry((account, of, day, counted.as_str(), name)).or_default();
            *calls += 1;
        };
        if let Some(application) = application {
            names.iter().for_each(|name| add(application, name.clone()));
            add(WHOLE, (Counted::Application, application.to_owned()));
        }
        names.into_iter().for_each(|name| add(WHOLE, name));
    }

    /// Counts what a day has too many different reasons for as one, so that nobody fills the table with inventions.
    async fn merge_codes(&mut self, writing: &mut Writing) -> Result<(), StoreError> {
        let what = Counted::Code.as_str();
        let groups: BTreeSet<_> =
            self.figures.keys().filter(|key| key.3 == what).map(|key| (key.0, key.1, key.2)).collect();
        for (account, application, day) in groups {
            let query =
                sql("SELECT name FROM use_figures WHERE account = $1 AND application = $2 AND day = $3
                             AND what = $4");
            let query = query.bind(account).bind(application).bind(day).bind(what);
            let rows = writing.rows(query).await?;
            let mut names: BTreeSet<String> =
                rows.iter().map(|row| row.get("name")).collect::<Result<_, _>>()?;
            let came: Vec<String> = self
                .figures
                .keys()
                .filter(|key| (key.0, key.1, key.2, key.3) == (account, application, day, what))
                .map(|key| key.4.clone())
                .collect();
            for name in came {
                if names.contains(&name) || names.len() < MOST_CODES {
                    names.insert(name);
                    continue;
                }
                let calls = self.figures.remove(&(account, application, day, what, name)).unwrap_or_default();
                *self.figures.entry((account, application, day, what, OTHER.to_owned())).or_default() +=
                    calls;
            }
        }
        Ok(())
    }

    async fn write(mut self, writing: &mut Writing) -> Result<(), StoreError> {
        self.merge_codes(writing).await?;
        let scopes: Vec<_> = self.scopes.into_iter().collect();
        for some in scopes.chunks(AT_ONCE) {
            let query = upsert(PUT_SCOPES, some.len(), 4, NEWER_SCOPE);
            let query = some.iter().fold(query, |query, ((account, application, scope), at)| {
                query.bind(*account).bind(*application).bind(scope.as_str()).bind(at.as_microsecond())
            });
            writing.run(query).await?;
        }
        let people: Vec<_> = self.people.into_iter().collect();
        for some in people.chunks(AT_ONCE) {
            let query = upsert(PUT_PEOPLE, some.len(), 5, NEWER_PERSON);
            let query = some.iter().fold(query, |query, ((account, whom, application), at)| {
                let (kind, id) = whom.split_once('/').unwrap_or_default();
                query.bind(*account).bind(kind).bind(id).bind(*application).bind(at.as_microsecond())
            });
            writing.run(query).await?;
        }
        let figures: Vec<_> = self.figures.into_iter().collect();
        for some in figures.chunks(AT_ONCE) {
            let query = upsert(PUT_FIGURES, some.len(), 6, ADDED);
            let query = some.iter().fold(query, |query, ((account, application, day, what, name), calls)| {
                query.bind(*account).bind(*application).bind(*day).bind(*what).bind(name).bind(*calls)
            });
            writing.run(query).await?;
        }
        Ok(())
    }
}

/// The class of a time in microseconds, by its upper bound.
fn class(took: u32) -> String {
    BOUNDS.iter().find(|bound| took <= **bound).map_or_else(|| "more".to_owned(), ToString::to_string)
}

/// A code as it is counted; what has not the shape of one counts as `other`.
fn code(text: &str) -> &str {
    let shaped =
        (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if shaped { text } else { OTHER }
}

fn upsert(insert: &str, rows: usize, columns: usize, conflict: &str) -> Query {
    built(format!("{insert} VALUES {} {conflict}", places(rows, columns)))
}

/// `($3, $4)`: `width` places from `first` on.
fn list(first: usize, width: usize) -> String {
    let places: Vec<String> = (first..first + width).map(|place| format!("${place}")).collect();
    format!("({})", places.join(", "))
}

fn given(query: Query, values: &BTreeSet<&str>) -> Query {
    values.iter().fold(query, |query, value| query.bind(*value))
}

/// Stands for the whole account where an application is named: no client ID is empty.
const WHOLE: &str = "";

/// How many rows one statement takes, and one answer has.
const AT_ONCE: usize = 200;
const MOST_ASKED: u32 = 1000;

/// A call that is told of later than so many days is not counted.
const LATEST_DAYS: i64 = 31;

/// How many different codes of a day are counted apart.
const MOST_CODES: usize = 64;
const OTHER: &str = "other";

const IN_USE: &str = "SELECT g.*, a.*, u.used_at FROM grants g JOIN applications a ON a.id = g.application
    LEFT JOIN uses u ON u.account = g.account AND u.application = g.application
    WHERE g.account = $1 AND g.state <> 'revoked' AND g.application > coalesce($2, '')
    ORDER BY g.application LIMIT $3";

const PUT_SCOPES: &str = "INSERT INTO scope_uses (account, application, scope, used_at)";
const NEWER_SCOPE: &str = "ON CONFLICT (account, application, scope) DO UPDATE SET used_at = excluded.used_at
    WHERE scope_uses.used_at < excluded.used_at";

const PUT_PEOPLE: &str =
    "INSERT INTO person_uses (account, principal_kind, principal_id, application, used_at)";
const NEWER_PERSON: &str = "ON CONFLICT (account, principal_kind, principal_id, application)
    DO UPDATE SET used_at = excluded.used_at WHERE person_uses.used_at < excluded.used_at";

const PUT_FIGURES: &str = "INSERT INTO use_figures (account, application, day, what, name, calls)";
const ADDED: &str = "ON CONFLICT (account, application, day, what, name)
    DO UPDATE SET calls = use_figures.calls + excluded.calls";
