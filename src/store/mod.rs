//! PIP at rest: the durable truth, which only the control plane sees.
//!
//! Comes in: changes, each one transaction of its rows, its audit row and its change-log row. Goes out: facts, and
//! the change log that sidecars follow. A change that was acknowledged survives the process; one that was not is
//! there whole or not at all. The store keeps hashes of secrets, never secrets.
//!
//! To add a store: implement the traits of this folder in a folder of its own, add a line to [`open`], and make
//! `contract` pass over it.

mod applications;
mod directory;
mod feed;
mod grants;
mod keys;
mod records;
mod sessions;
mod sidecars;
mod sqlite;
mod tokens;

#[cfg(test)]
mod contract;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

pub use applications::{Applications, Secret};
pub use directory::{ApiToken, Credential, Directory, NewPrincipal};
pub use feed::{Change, Epoch, Feed, Subject};
pub use grants::{Actor, Assignment, Grants, Install, InstallRefused, PersonalConsent};
pub use keys::{KeyPurpose, Keys, SealedKey, SidecarKey};
pub use records::{AuditEvent, DecisionFilter, Records};
pub use sessions::{BrowserSession, PendingConsent, Sessions};
pub use sidecars::{Acknowledged, Enrolled, Instance, Invitation, SidecarStatus, Sidecars};
pub use tokens::{Authorization, Code, CodeOutcome, Refresh, RefreshOutcome, Tokens};

/// Everything that a control plane keeps.
#[async_trait]
pub trait Store:
    Applications
    + Directory
    + Feed
    + Grants
    + Keys
    + Records
    + Sessions
    + Sidecars
    + Tokens
    + Send
    + Sync
    + 'static
{
    /// Ends the use of the store: what is under way finishes, and its files are left whole. What asks it afterwards
    /// is told that it is unavailable.
    async fn close(&self);
}

/// Any store, shared.
pub type Shared = Arc<dyn Store>;

/// Opens the store at `place`: `sqlite:PATH`, or just a path. What is not there is made, for its owner's eyes only.
///
/// # Errors
/// One sentence that names the place and the mend: [`StoreError::Unavailable`] when it is locked, of a newer
/// schema, or no place for a file; [`StoreError::Unwritable`]; [`StoreError::Corrupt`].
pub async fn open(place: &str) -> Result<Shared, StoreError> {
    let path = match place.split_once(':') {
        Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
        Some((scheme, rest)) if rest.starts_with("//") => {
            return Err(StoreError::Unavailable(format!(
                "this consentry knows no store of the kind {scheme}; give sqlite:PATH or a path"
            )));
        }
        Some(_) | None => place,
    };
    if path.is_empty() {
        return Err(StoreError::Unavailable("its path is empty; give sqlite:PATH or a path".to_owned()));
    }
    Ok(Arc::new(sqlite::Sqlite::open(Path::new(path), sqlite::Settings::default()).await?))
}

/// How long an access token can live at most, in seconds: for so long a family that ended early is remembered.
pub const LONGEST_ACCESS_TOKEN: i64 = 10_800;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be reached, or did not answer: nothing is known to have changed. Answer 503.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What it holds does not make sense: an operator must look. Answer 503.
    #[error("the store holds something unreadable: {what}: {why}; restore it from a backup")]
    Corrupt {
        /// Which row or file.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// What stands in the store does not allow it, such as a change that came first: read again, then decide
    /// again. A whole sentence. Answer 409.
    #[error("{0}")]
    Conflict(String),
    /// What is to be made is there already. Answer 409.
    #[error("{0} exists already")]
    Exists(String),
    /// What is to be changed is not there. Answer 404.
    #[error("there is no {0}")]
    Missing(String),
    /// The disk is full or read-only: reads go on, nothing was changed. Answer 507.
    #[error("the store cannot be written: {0}")]
    Unwritable(String),
}
