//! `consentry store`: a control plane's store as a whole.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::{Failure, print};
use crate::store::{self, Copied};

/// Copy a store, from SQLite to PostgreSQL or back.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Store {
    /// Copy a whole store into an empty one of any kind; stop its control planes first
    ///
    /// A place is sqlite:PATH or postgres://USER@HOST/DATABASE. Nothing stands in the new store until all of it does.
    #[command(after_help = "\
Examples:
  consentry store copy sqlite:consentry.db postgres://consentry@db.internal/consentry
  consentry store copy postgres://consentry@db.internal/consentry sqlite:copy.db")]
    Copy {
        /// The store to copy
        #[arg(value_name = "FROM")]
        from: String,
        /// The empty store to copy it to; it is made when it is not there
        #[arg(value_name = "TO")]
        to: String,
        /// The file that holds PostgreSQL's password; CONSENTRY_STORE_PASSWORD goes before it
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

impl Store {
    /// Does it.
    ///
    /// # Errors
    /// One of the stores cannot be opened, or the second one is not empty.
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        let Self::Copy { from, to, password_file } = self;
        super::super::on_runtime(async move {
            let mut progress = Progress::new();
            let copied =
                store::copy(&from, &to, password_file.as_deref(), |copied| progress.tell(copied)).await;
            progress.bar.finish_and_clear();
            for Copied { table, rows, .. } in copied? {
                print::data(&format!("{rows:>9}  {table}\n"))?;
            }
            print::narrate("consentry: copied; name the new store in the settings before you start again");
            Ok(())
        })
    }
}

/// A line on the terminal, if there is one and it takes long enough to be read.
struct Progress {
    bar: ProgressBar,
    since: Instant,
}

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::hidden();
        bar.set_style(
            ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { bar, since: Instant::now() }
    }

    fn tell(&mut self, copied: Copied) {
        if self.bar.is_hidden() && self.since.elapsed() > WORTH_SHOWING && std::io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(copied.of);
        self.bar.set_position(copied.rows);
        self.bar.set_message(copied.table);
    }
}

const WORTH_SHOWING: Duration = Duration::from_secs(1);
