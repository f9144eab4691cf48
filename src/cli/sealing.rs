//! The operator's secret, under which the issuer's signing keys are kept.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::token::random::Secret;
use crate::token::seal::Sealer;

/// What seals the signing keys: from `CONSENTRY_KEY` in the environment, or from a file, made at the first start.
pub(super) fn sealer(file: &Path) -> Result<Sealer, Failure> {
    let secret = match std::env::var("CONSENTRY_KEY") {
        Ok(text) => Secret::new(text),
        Err(_) => key_file(file)?,
    };
    Sealer::new(secret.expose().trim().as_bytes()).map_err(|error| Failure::Invalid(error.to_string()))
}

fn key_file(path: &Path) -> Result<Secret, Failure> {
    let failed = |what: &str, error: std::io::Error| {
        Failure::Unreachable(format!(
            "the key file {} cannot be {what}: {error}; name another file, or give CONSENTRY_KEY",
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
                // A bare file name stands in the working directory.
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
            };
            write().map_err(|error| failed("written", error))?;
            Ok(secret)
        }
        Err(error) => Err(failed("read", error)),
    }
}
