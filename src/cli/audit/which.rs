//! Which records are meant.

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::cli::Failure;
use crate::model::id::{AccountId, ApplicationId};
use crate::store::{AuditFilter, Shared, Whom};

/// Which records.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only of this account, by number
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Only about this application
    #[arg(long, value_name = "CLIENT_ID")]
    application: Option<ApplicationId>,
    /// Only by or about this login
    #[arg(long, value_name = "LOGIN")]
    principal: Option<String>,
    /// Only of this name; with a dot at its end, of every name that begins with it
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Only from this time, or the beginning of this day (UTC), on
    #[arg(long, value_name = "TIME", value_parser = |text: &str| time(text, false))]
    since: Option<Timestamp>,
    /// Only before this time, or to the end of this day (UTC)
    #[arg(long, value_name = "TIME", value_parser = |text: &str| time(text, true))]
    until: Option<Timestamp>,
}

impl Which {
    /// Whether anything is left out.
    pub(super) fn is_part(&self) -> bool {
        self.account.is_some()
            || self.application.is_some()
            || self.principal.is_some()
            || self.event.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }

    /// The filter, of every account unless one is given.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn filter(&self, store: &Shared) -> Result<AuditFilter, Failure> {
        let principal = match &self.principal {
            Some(login) => {
                let found = store.credential(login).await?.map(|found| found.principal.key);
                Some(Whom { login: login.clone(), key: found.map(|key| format!("{}/{}", key.kind, key.id)) })
            }
            None => None,
        };
        Ok(AuditFilter {
            account: self.account.clone(),
            application: self.application.clone(),
            principal,
            calls: self.event.as_ref().is_some_and(|event| event.starts_with("calls.")),
            event: self.event.clone(),
            since: self.since,
            until: self.until,
            limit: 500,
            ..AuditFilter::default()
        })
    }
}

fn time(text: &str, end: bool) -> Result<Timestamp, String> {
    let day = || {
        let day: Date = text.parse().ok()?;
        let day = if end { day.tomorrow().ok()? } else { day };
        day.to_zoned(TimeZone::UTC).ok().map(|begins| begins.timestamp())
    };
    let wrong = || "this is no time and no day, as in 2026-11-22T03:24:00Z or 2026-11-22".to_owned();
    text.parse().ok().or_else(day).ok_or_else(wrong)
}
