//! Which policies a role follows: a folder that may change, or what the program was built with.

use std::path::Path;
use std::sync::Arc;

use super::Failure;
use crate::policy::reload::{Current, Watcher};
use crate::policy::{Policies, Problems};

/// The policies in force, and what follows their folder as long as it lives.
pub(super) fn in_force(folder: Option<&Path>) -> Result<(Arc<Current>, Option<Watcher>), Failure> {
    let invalid = |problems: Problems| Failure::Invalid(problems.to_string());
    match folder {
        Some(folder) => {
            let (current, watcher) = Current::follow(folder).map_err(invalid)?;
            Ok((current, Some(watcher)))
        }
        None => Ok((Current::fixed(Policies::embedded().map_err(invalid)?), None)),
    }
}
