//! The data directory: ours alone, the store in it, and where decision records go.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::super::Failure;
use crate::control::usage::scopes_of;
use crate::model::decision::Decision;
use crate::model::time::Clock;
use crate::observe::line::Lines;
use crate::observe::records::Keep;
use crate::policy::reload::Current;
use crate::store::{self, Shared};

/// The data directory, ours alone as long as this value lives: two processes that both count on their own view of
/// the store would break each other's promises.
pub(super) struct Claim {
    _lock: File,
}

/// Makes the data directory, if it is not there, and claims it.
pub(super) fn claim(data: &Path) -> Result<Claim, Failure> {
    let failed = |what: &str, error: std::io::Error| {
        let place = data.display();
        Failure::Unreachable(format!(
            "the data directory {place} cannot be {what}: {error}; give another with --data"
        ))
    };
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|error| failed("made", error))?;
    let lock =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(data.join("lock"));
    let lock = lock.map_err(|error| failed("written", error))?;
    match lock.try_lock() {
        Ok(()) => Ok(Claim { _lock: lock }),
        Err(TryLockError::WouldBlock) => Err(Failure::Unreachable(format!(
            "the data directory {} is in use by another process; end that one, or give another with --data",
            data.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed("locked", error)),
    }
}

/// Opens the store in the data directory.
pub(super) async fn open_store(data: &Path) -> Result<Shared, Failure> {
    let path = data.join("consentry.db");
    Ok(store::open(&format!("sqlite:{}", path.display())).await?)
}

/// Keeps decision records in the store.
pub(super) struct StoreRecords {
    pub(super) store: Shared,
    pub(super) runtime: Handle,
    /// Whose scopes give the actions.
    pub(super) policies: Arc<Current>,
    pub(super) clock: Clock,
}

impl Keep for StoreRecords {
    fn keep(&mut self, batch: Lines<'_>) -> Result<(), String> {
        let decisions = batch.decisions()?;
        let (policies, now) = (self.policies.policies(), self.clock.now());
        let scopes_of = |decision: &Decision| scopes_of(&policies, decision);
        let kept = self.store.keep_decisions(&decisions, &scopes_of, now);
        self.runtime.block_on(kept).map_err(|error| error.to_string())
    }
}
