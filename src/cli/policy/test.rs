//! `consentry policy test`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::super::{Failure, print};
use super::{Folder, Form, Printing, tell};
use crate::policy::Policies;
use crate::policy::cases::{self, Report};

/// Runs cases.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 every case holds, 1 one does not, 3 a file is invalid.")]
pub struct Test {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    printing: Printing,
}

impl Test {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let dir = &self.folder.policies;
        let form = self.printing.format;
        let run = Policies::load(dir).and_then(|policies| cases::run(dir, &policies));
        let report = match run {
            Ok(report) => report,
            Err(problems) => return tell::invalid(&problems, form),
        };
        match form {
            Form::Human => print::data(&in_words(&report))?,
            Form::Json => {
                print::data(&tell::lines(&json!({
                    "passed": report.passed(), "cases": report.cases, "never_seen": report.never_seen,
                })))?;
            }
        }
        Ok(ExitCode::from(u8::from(!report.passed())))
    }
}

fn in_words(report: &Report) -> String {
    let mut text = String::new();
    for case in &report.cases {
        let (mark, why) = match &case.failure {
            None => ("ok  ", String::new()),
            Some(why) => ("FAIL", format!("\n       {why}")),
        };
        text.push_str(&format!("{mark} {}: {}{why}\n", case.file, case.name));
    }
    let failed = report.cases.iter().filter(|case| case.failure.is_some()).count();
    text.push_str(&format!("{} cases, {failed} failed\n", report.cases.len()));
    if !report.never_seen.is_empty() {
        let never = report.never_seen.join(", ");
        text.push_str(&format!("No case has seen these guardrails forbid anything: {never}\n"));
    }
    text
}
