//! The figures of a report: calls a day, refusals by reason, what calls took, and what was called by whom.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::control::Control;
use crate::model::id::{AccountId, ApplicationId};
use crate::store::{BOUNDS, Counted, Figure, StoreError, day_of};

/// An account's or an application's figures over some days.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Figures {
    /// The account's number.
    pub account: String,
    /// The `client_id`, for the figures of one application.
    pub application: Option<String>,
    /// The first day, UTC.
    pub first: String,
    /// The last day, which may not be over.
    pub last: String,
    /// When the figures were read.
    #[schema(value_type = String, format = DateTime)]
    pub read_at: Timestamp,
    /// Each day, in order.
    pub days: Vec<Day>,
    /// What was not forwarded, by code, the most first.
    pub refusals: Vec<Count>,
    /// Forwarded calls by what the sidecar itself took.
    pub own: Spread,
    /// Forwarded calls by how long they took until the upstream's answer began.
    pub total: Spread,
    /// Forwarded calls by the scopes that allowed them, the most first.
    pub scopes: Vec<Count>,
    /// Calls by application, the most first; only for a whole account.
    pub applications: Vec<ApplicationCount>,
}

/// One day's calls by how they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Day {
    /// The day, UTC.
    pub date: String,
    /// Passed on to the upstream.
    pub forwarded: u64,
    /// Denied by policy.
    pub denied: u64,
    /// Refused for another reason.
    pub refused: u64,
    /// Permitted, and the upstream failed.
    pub failed: u64,
}

impl Day {
    /// All together.
    #[must_use]
    pub fn all(&self) -> u64 {
        [self.forwarded, self.denied, self.refused, self.failed].into_iter().fold(0, u64::saturating_add)
    }
}

/// How often something was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Count {
    /// What.
    pub name: String,
    /// How often.
    pub calls: u64,
}

/// How often an application called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApplicationCount {
    /// Its `client_id`.
    pub client_id: String,
    /// What people see.
    pub display_name: String,
    /// How often.
    pub calls: u64,
}

/// How times are spread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Spread {
    /// Half of the calls took at most so many microseconds; null when there was none, or it was longer than any class.
    pub median: Option<u32>,
    /// 95 of 100 calls took at most so many microseconds.
    pub p95: Option<u32>,
    /// 99 of 100 calls took at most so many microseconds.
    pub p99: Option<u32>,
    /// Calls by class: its upper bound in microseconds, or `more`.
    pub classes: Vec<Count>,
}

impl Spread {
    fn of(counted: &[Figure]) -> Self {
        let of = |name: &str| counted.iter().find(|one| one.name == name).map_or(0, |one| one.calls);
        let bounds = BOUNDS.iter().map(ToString::to_string).chain(["more".to_owned()]);
        let classes: Vec<_> = bounds.map(|name| Count { calls: of(&name), name }).collect();
        let all: u64 = classes.iter().map(|class| class.calls).fold(0, u64::saturating_add);
        let at = |hundredths: u64| {
            let wanted = all.saturating_mul(hundredths).div_ceil(100);
            let mut seen = 0_u64;
            let reached = classes.iter().find(|class| {
                seen = seen.saturating_add(class.calls);
                all > 0 && seen >= wanted
            });
            reached.and_then(|class| class.name.parse().ok())
        };
        Self { median: at(50), p95: at(95), p99: at(99), classes: classes.clone() }
    }

    /// How many calls were timed.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.classes.iter().map(|class| class.calls).fold(0, u64::saturating_add)
    }
}

impl Figures {
    /// All calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.sum(Day::all)
    }

    /// Calls that were passed on.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.sum(|day| day.forwarded)
    }

    /// Calls that policy denied.
    #[must_use]
    pub fn denied(&self) -> u64 {
        self.sum(|day| day.denied)
    }

    /// Calls that were refused for another reason.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.sum(|day| day.refused)
    }

    /// Calls that the upstream failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.sum(|day| day.failed)
    }

    fn sum(&self, of: impl Fn(&Day) -> u64) -> u64 {
        self.days.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Reads the figures of the last `days` days, today included.
    ///
    /// # Errors
    /// The store's own.
    pub(super) async fn read(
        control: &Control,
        account: &AccountId,
        application: Option<&ApplicationId>,
        days: i64,
    ) -> Result<Self, StoreError> {
        let (store, now) = (control.store(), control.clock().now());
        let last = day_of(now);
        let first = last.saturating_sub(days.saturating_sub(1));
        let between = (first, last);
        let outcomes = store.figures(account, application, Counted::Outcome, between).await?;
        let most = async |counted, limit| store.most(account, application, counted, between, limit).await;
        let spread = async |counted| Ok::<_, StoreError>(Spread::of(&most(counted, MOST_CLASSES).await?));
        let mut applications = Vec::new();
        if application.is_none() {
            for one in most(Counted::Application, MOST_NAMED).await? {
                applications.push(named(control, one).await?);
            }
        }
        Ok(Self {
            account: account.to_string(),
            application: application.map(ToString::to_string),
            first: date(first),
            last: date(last),
            read_at: now,
            days: (first..=last).map(|day| of_day(day, &outcomes)).collect(),
            refusals: counts(most(Counted::Code, MOST_NAMED).await?),
            own: spread(Counted::Own).await?,
            total: spread(Counted::Total).await?,
            scopes: counts(most(Counted::Scope, MOST_NAMED).await?),
            applications,
        })
    }
}

async fn named(control: &Control, counted: Figure) -> Result<ApplicationCount, StoreError> {
    let known = match counted.name.parse() {
        Ok(id) => control.store().application(&id).await?,
        Err(_) => None,
    };
    let display_name = known.map_or_else(|| counted.name.clone(), |known| known.display_name);
    Ok(ApplicationCount { client_id: counted.name, display_name, calls: counted.calls })
}

fn of_day(day: i64, outcomes: &[Figure]) -> Day {
    let of = |name: &str| {
        let found = outcomes.iter().find(|one| one.day == day && one.name == name);
        found.map_or(0, |one| one.calls)
    };
    Day {
        date: date(day),
        forwarded: of("forwarded"),
        denied: of("denied"),
        refused: of("refused"),
        failed: of("failed"),
    }
}

fn counts(figures: Vec<Figure>) -> Vec<Count> {
    figures.into_iter().map(|one| Count { name: one.name, calls: one.calls }).collect()
}

/// A day's date, `2026-11-22`.
fn date(day: i64) -> String {
    let at = Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%d").to_string()
}

const MOST_NAMED: u32 = 20;
/// As many classes as there are, and more.
const MOST_CLASSES: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(pairs: &[(&str, u64)]) -> Vec<Figure> {
        pairs.iter().map(|(name, calls)| Figure { day: 0, name: (*name).to_owned(), calls: *calls }).collect()
    }

    #[test]
    fn a_spread_says_below_which_bound_most_calls_lie() {
        let spread = Spread::of(&figures(&[("50", 60), ("100", 30), ("500", 9), ("more", 1)]));
        assert_eq!((spread.median, spread.p95, spread.p99), (Some(50), Some(500), Some(500)));
        assert_eq!(spread.calls(), 100);
        assert_eq!(Spread::of(&figures(&[("more", 3)])).median, None);
        assert_eq!(Spread::of(&[]).p99, None);
    }

    #[test]
    fn a_day_without_a_call_stands_there_with_nothing() {
        let day = of_day(0, &figures(&[("forwarded", 2), ("answered", 9)]));
        assert_eq!((day.date.as_str(), day.all()), ("1970-01-01", 2));
        assert_eq!(of_day(20_000, &[]).date, "2024-10-04");
    }
}
