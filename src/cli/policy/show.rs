//! `consentry policy show`.

use std::process::ExitCode;

use clap::Args;

use super::super::{Failure, print};
use super::facts::{self, Facts};
use super::{Form, InForce, Printing, tell};
use crate::model::grant::GrantState;
use crate::model::id::ApplicationId;
use crate::policy::explain;

/// Shows a grant's policies.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 shown, 1 the application is not installed there, 3 the policies are invalid,\n4 the store cannot be read."
)]
pub struct Show {
    /// The application
    client_id: ApplicationId,
    /// The account that installed it, by number or alias
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    facts: Facts,
    #[command(flatten)]
    in_force: InForce,
    #[command(flatten)]
    printing: Printing,
}

impl Show {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let form = self.printing.format;
        let policies = match self.in_force.load() {
            Ok(policies) => policies,
            Err(problems) => return tell::invalid(&problems, form),
        };
        let ask = async |store| facts::installed(&store, &self.account, &self.client_id).await;
        let live = self.facts.ask(ask)?.filter(|installed| match installed.grant.state {
            GrantState::Active | GrantState::Suspended => true,
            GrantState::Revoked => false,
        });
        let Some(installed) = live else {
            return Err(Failure::No(format!(
                "application {} is not installed in account {}",
                self.client_id, self.account
            )));
        };
        let shown = explain::show(&installed, &policies);
        match form {
            Form::Human => print::data(&shown.to_string())?,
            Form::Json => print::data(&tell::lines(&serde_json::json!(shown)))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
