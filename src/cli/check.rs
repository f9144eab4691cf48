//! `consentry check`: reads a settings file as its role would, with the policies and the certificate authority that it
//! names.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, print};
use crate::config::{control, file, sidecar};
use crate::model::time::Clock;
use crate::policy::Policies;
use crate::sidecar::intercept::try_authority;

/// Check a settings file of a sidecar or a control plane, its policies, and the interception authority if it names one.
#[derive(Debug, Args)]
pub struct Check {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Check {
    /// Says what is wrong, or that all is well.
    ///
    /// # Errors
    /// The first mistake, with its place and mend.
    pub fn run(self) -> Result<(), Failure> {
        let text = file::text(&self.config)?;
        // Only a sidecar has upstreams; only a control plane has a store.
        let (role, policies) = if is_control(&text) {
            ("control plane", control::Control::read(&self.config)?.policies)
        } else {
            let settings = sidecar::Sidecar::parse(&self.config, &text)?;
            try_authority(&settings, &Clock::system()).map_err(|why| Failure::Invalid(why.to_string()))?;
            ("sidecar", settings.policies)
        };
        check_policies(policies.as_deref())?;
        print::data(&format!("{}: good settings of a {role}\n", self.config.display()))
    }
}

fn is_control(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("store"))
}

fn check_policies(folder: Option<&Path>) -> Result<(), Failure> {
    let checked = folder.map_or_else(Policies::embedded, Policies::load);
    checked.map(|_| ()).map_err(|problems| Failure::Invalid(problems.to_string()))
}
