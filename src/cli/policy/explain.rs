//! `consentry policy explain`.

use std::process::ExitCode;

use clap::Args;

use super::super::{Failure, print};
use super::facts::{self, Facts};
use super::{Form, InForce, Printing, tell};
use crate::model::id::DecisionId;
use crate::policy::explain;

/// Explains a decision.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 explained, 1 there is no such record, 3 the policies are invalid,\n4 the store cannot be read."
)]
pub struct Explain {
    /// The id that the answer carried in x-consentry-decision
    decision: DecisionId,
    #[command(flatten)]
    facts: Facts,
    #[command(flatten)]
    in_force: InForce,
    #[command(flatten)]
    printing: Printing,
}

impl Explain {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let form = self.printing.format;
        let policies = match self.in_force.load() {
            Ok(policies) => policies,
            Err(problems) => return tell::invalid(&problems, form),
        };
        let known = self.facts.ask(async |store| {
            let Some(record) = store.any_decision(&self.decision).await? else { return Ok(None) };
            let installed = facts::grant_of(&store, &record).await?;
            Ok(Some((record, installed)))
        })?;
        let Some((record, installed)) = known else {
            return Err(Failure::No(format!("there is no record of the decision {}", self.decision)));
        };
        let explanation = explain::explain(&record, installed.as_ref(), &policies);
        match form {
            Form::Human => print::data(&explanation.to_string())?,
            Form::Json => print::data(&tell::lines(&serde_json::json!(explanation)))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
