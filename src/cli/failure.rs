//! How a command fails: which exit code, and one sentence for a person.

use std::process::ExitCode;

use crate::config::file::ConfigError;
use crate::store::StoreError;

/// Why a command did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A check failed, or the answer is no: exit code 1.
    #[error("{0}")]
    No(String),
    /// It was asked for in a wrong way: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Settings or policies are invalid: exit code 3.
    #[error("{0}")]
    Invalid(String),
    /// Something needed cannot be reached, opened or bound: exit code 4.
    #[error("{0}")]
    Unreachable(String),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::No(_) => 1,
            Self::Usage(_) => 2,
            Self::Invalid(_) => 3,
            Self::Unreachable(_) => 4,
        })
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Unreachable(error.to_string())
    }
}
