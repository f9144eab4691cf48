//! `consentry policy format`.

use std::process::ExitCode;

use clap::Args;

use super::super::{Failure, print};
use super::{Folder, Form, tell};
use crate::policy::load::format::untidy;

/// Lays files out.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 done, 1 with --check a file is not formatted, 3 a file is no Cedar.")]
pub struct Format {
    #[command(flatten)]
    folder: Folder,
    /// Change nothing; name the files that would change
    #[arg(long)]
    check: bool,
}

impl Format {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let found = match untidy(&self.folder.policies) {
            Ok(found) => found,
            Err(problems) => return tell::invalid(&problems, Form::Human),
        };
        for file in &found {
            if !self.check {
                std::fs::write(&file.path, &file.text).map_err(|error| {
                    Failure::Unreachable(format!("{} cannot be written: {error}", file.path.display()))
                })?;
            }
            print::data(&format!("{}\n", file.name))?;
        }
        let no = self.check && !found.is_empty();
        if no {
            print::narrate("Not formatted; `consentry policy format` does it.");
        }
        Ok(ExitCode::from(u8::from(no)))
    }
}
