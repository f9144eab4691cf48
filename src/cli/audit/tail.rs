//! `consentry audit tail`.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;

use super::Format;
use super::which::Which;
use crate::cli::app::plain;
use crate::cli::operator::place::Place;
use crate::cli::{Failure, print};
use crate::control::audit::sentence;
use crate::store::{AuditFilter, Audited, Shared, Span};

/// Show the newest records, and those that come.
#[derive(Debug, Args)]
pub(in crate::cli) struct Tail {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    /// Go on, and show what comes
    #[arg(long, short)]
    follow: bool,
    /// How many of the newest to begin with, 0 to 1000
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    lines: u32,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

impl Tail {
    pub(super) async fn go(self) -> Result<(), Failure> {
        let store = self.place.store().await?;
        let shown = self.show(&store).await;
        store.close().await;
        shown
    }

    async fn show(&self, store: &Shared) -> Result<(), Failure> {
        let filter = self.which.filter(store).await?;
        let mut names = HashMap::new();
        let newest = AuditFilter { limit: self.lines.max(1), ..filter.clone() };
        let mut found = store.audit_records(&newest).await?;
        let mut after = found.first().map_or(0, |newest| newest.place);
        found.truncate(usize::try_from(self.lines).unwrap_or(usize::MAX));
        found.reverse();
        self.print(store, &mut names, &found).await?;
        if !self.follow {
            return Ok(());
        }
        let mut end = crate::cli::signals::End::new()?;
        loop {
            let next = AuditFilter { page: Span::After(after), ..filter.clone() };
            let found = store.audit_records(&next).await?;
            self.print(store, &mut names, &found).await?;
            match found.last() {
                Some(last) => after = last.place,
                None => tokio::select! {
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                    () = end.come() => return Ok(()),
                },
            }
        }
    }

    async fn print(
        &self,
        store: &Shared,
        names: &mut HashMap<String, Option<String>>,
        found: &[Audited],
    ) -> Result<(), Failure> {
        for Audited { record, .. } in found {
            let line = match self.format {
                Format::Json => record.line(),
                Format::Human => {
                    let id = record.subject.rsplit('/').next().unwrap_or_default();
                    if !names.contains_key(id) {
                        let named = match id.parse() {
                            Ok(parsed) => store.application(&parsed).await?,
                            Err(_) => None,
                        };
                        names.insert(id.to_owned(), named.map(|application| application.display_name));
                    }
                    let told = sentence(record, |id| names.get(id).cloned().flatten());
                    let whose = record.account.as_ref().map_or("-", |account| account.as_str());
                    plain(&format!("{}  {whose}  {told} ({})", record.at, record.event))
                }
            };
            print::data(&format!("{line}\n"))?;
        }
        Ok(())
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(300);
