//! The data directory: the store, the key that seals signing keys, and where decision records go.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use super::super::Failure;
use crate::model::decision::Decision;
use crate::observe::records::Keep;
use crate::store::{self, Shared};
use crate::token::random::Secret;
use crate::token::seal::Sealer;

/// Opens the store in the data directory.
pub(super) async fn open_store(data: &Path) -> Result<Shared, Failure> {
    let path = data.join("consentry.db");
    Ok(store::open(&format!("sqlite:{}", path.display())).await?)
}

/// What seals the signing keys: from `CONSENTRY_KEY`, or from a file in the data directory, made at the first start.
pub(super) fn sealer(data: &Path) -> Result<Sealer, Failure> {
    let secret = match std::env::var("CONSENTRY_KEY") {
        Ok(text) => Secret::new(text),
        Err(_) => key_file(&data.join("key"))?,
    };
    Sealer::new(secret.expose().trim().as_bytes()).map_err(|error| Failure::Invalid(error.to_string()))
}

fn key_file(path: &Path) -> Result<Secret, Failure> {
    let failed = |what: &str, error: std::io::Error| {
        Failure::Unreachable(format!(
            "the key file {} cannot be {what}: {error}; give another directory with --data, or CONSENTRY_KEY",
            path.display()
        ))
    };
    match fs::read_to_string(path) {
        Ok(text) => Ok(Secret::new(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = Secret::random().map_err(|error| Failure::Unreachable(error.to_string()))?;
            let write = || {
                let part = PathBuf::from(format!("{}.part", path.display()));
                let mut file =
                    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
                file.write_all(secret.expose().as_bytes())?;
                file.sync_all()?;
                fs::rename(&part, path)?;
                path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
            };
            write().map_err(|error| failed("written", error))?;
            Ok(secret)
        }
        Err(error) => Err(failed("read", error)),
    }
}

/// Keeps decision records in the store.
pub(super) struct StoreRecords {
    pub(super) store: Shared,
    pub(super) runtime: Handle,
}

impl Keep for StoreRecords {
    fn keep(&mut self, batch: &[Decision]) -> Result<(), String> {
        self.runtime.block_on(self.store.keep_decisions(batch)).map_err(|error| error.to_string())
    }
}
