//! `consentry policy check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use miette::Severity;
use serde_json::json;

use super::super::{Failure, print};
use super::{Folder, Form, Printing, tell};
use crate::policy::Policies;
use crate::policy::load::schema;

/// Checks a folder.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 the folder is good, 3 it is not.")]
pub struct Check {
    #[command(flatten)]
    folder: Folder,
    /// Write the whole schema there, the service actions included, for editors that understand Cedar
    #[arg(long, value_name = "FILE")]
    schema_out: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

impl Check {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let policies = match Policies::load(&self.folder.policies) {
            Ok(policies) => policies,
            Err(problems) => return tell::invalid(&problems, self.printing.format),
        };
        if let Some(path) = &self.schema_out {
            let text = schema::combined(policies.catalogue()).map_err(Failure::Invalid)?;
            std::fs::write(path, text).map_err(|error| {
                Failure::Unreachable(format!("{} cannot be written: {error}", path.display()))
            })?;
        }
        let (scopes, actions) =
            (policies.catalogue().scopes().count(), policies.catalogue().actions().count());
        let guardrails = policies.guardrails().count();
        match self.printing.format {
            Form::Human => {
                policies.warnings().iter().for_each(|warning| tell::on_stderr(warning, Severity::Warning));
                let version = policies.version();
                print::data(&format!(
                    "good: policy set {version}, {scopes} scopes, {actions} actions, {guardrails} guardrails\n"
                ))?;
            }
            Form::Json => print::data(&tell::lines(&json!({
                "version": policies.version().as_str(), "scopes": scopes, "actions": actions,
                "guardrails": guardrails, "problems": [], "warnings": tell::as_json(policies.warnings()),
            })))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
