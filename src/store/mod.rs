//! PIP at rest: the durable truth, which only the control plane sees.
//!
//! Comes in: changes, each one transaction of its rows, its audit row and its change-log row. Goes out: facts, and
//! the change log that sidecars follow. A change that was acknowledged survives the process; one that was not is
//! there whole or not at all. The store keeps hashes of secrets, never secrets.
//!
//! To add a database: implement [`backend::Backend`] in a folder of its own, add a line to [`open`], and make
//! `contract` pass over it.

mod applications;
mod audit;
mod backend;
mod bounds;
mod copy;
mod directory;
mod factors;
mod federation;
mod feed;
mod grants;
mod keys;
mod listing;
mod people;
mod personal;
mod postgres;
mod provisioning;
mod publishing;
mod records;
mod registration;
mod requests;
mod sessions;
mod sidecars;
mod sql;
mod sqlite;
mod tenant;
mod tokens;
mod usage;

#[cfg(test)]
pub(crate) mod contract;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use self::backend::Backend;
pub use applications::{Applications, Secret};
pub use audit::{
    Audit, AuditFilter, Audited, Checkpoint, Cut, Head, KeptDecision, NewRecord, Run, Span, Unchained, Whom,
};
pub use bounds::{Bounds, Lasting};
pub use copy::{Copied, copy};
pub use directory::{ApiToken, Credential, Directory, NewPrincipal};
pub use factors::{Entry, Factors, Grounds, KeptPasskey, KeptTotp, SecondFactors, Within};
pub use federation::{Arrival, Arrived, Federation, Identity, NewIdentity, Newcomer};
pub use feed::{Change, Epoch, Feed, Subject};
pub use grants::{Actor, Assignment, Grants, Install, InstallRefused, PersonalConsent};
pub use keys::{KeyPurpose, Keys, SealedKey, SidecarKey};
pub use listing::{
    Agreed, Assignee, AssigneeCounts, AssigneeKind, InstalledPage, Listed, Listing, Offered, Order, Page,
    PageOf, Place, PlaceKey,
};
pub use people::{By, Group, KeptToken, PasswordLink, People, PeopleFilter, Person, PersonChange, Rules};
pub use personal::{Acting, Personal};
pub use provisioning::{Assignees, AssignmentChange, Provisioning};
pub use publishing::{AccountsBehind, Behind, Publishing};
pub use records::{AuditEvent, DecisionFilter, Records};
pub use registration::{OwnDocument, OwnRegistration, Registrations};
pub use requests::{
    ASKING_WINDOW, ApprovalRequest, ApprovalRequests, Ask, AskOutcome, Decided, MOST_ASKED, RequestFilter,
    RequestState,
};
pub use sessions::{
    BrowserSession, Factor, NotAFactor, NotASessionId, PendingConsent, SessionFilter, SessionId,
    SessionPlace, Sessions, TakenBack, Vouched,
};
pub use sidecars::{Acknowledged, Enrolled, Instance, Invitation, Presumed, SidecarStatus, Sidecars};
pub use tenant::{MOST_RULES, Manner, Rescope, Rule, Standing, TenantPolicy, TenantRules, Terms, Unknown};
pub use tokens::{Authorization, Code, CodeOutcome, Refresh, RefreshOutcome, Tokens};
pub use usage::{BOUNDS, Counted, DAYS_KEPT, Figure, InUse, ScopesOf, Usage, day_of};

/// Everything that a control plane keeps.
#[async_trait]
pub trait Store:
    Applications
    + Bounds
    + ApprovalRequests
    + Audit
    + Directory
    + Federation
    + Factors
    + Feed
    + Grants
    + Keys
    + People
    + Listing
    + Provisioning
    + Personal
    + Publishing
    + Records
    + Registrations
    + Sessions
    + Sidecars
    + TenantRules
    + Tokens
    + Usage
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

/// Opens the store at `place`: `sqlite:PATH`, or just a path, or `postgres://USER@HOST/DATABASE`. Tables that are not
/// there are made, and so is a file, for its owner's eyes only. PostgreSQL's password comes from
/// `CONSENTRY_STORE_PASSWORD` in the environment, if at all.
///
/// # Errors
/// One sentence that names the place and the mend: [`StoreError::Unavailable`] when it is locked, of a newer
/// schema, cannot be reached, or is no place for a file; [`StoreError::Unwritable`]; [`StoreError::Corrupt`].
pub async fn open(place: &str) -> Result<Shared, StoreError> {
    open_with(place, None).await
}

/// The same with the password in a file; the environment goes before it. A file that is not needed is not read.
///
/// # Errors
/// As [`open`], and [`StoreError::Unavailable`] when the file cannot be read.
pub async fn open_with(place: &str, password_file: Option<&Path>) -> Result<Shared, StoreError> {
    let backend = backend(place, password_file).await?;
    Ok(Arc::new(sql::Tables::over(backend, sql::Limits::default())))
}

/// The same with room for so few decision records and refusals of each account.
#[cfg(test)]
pub(crate) async fn open_keeping(place: &str, kept: u64) -> Shared {
    let limits = sql::Limits { decisions_kept: kept, refusals_kept: kept };
    Arc::new(sql::Tables::over(backend(place, None).await.unwrap(), limits))
}

async fn backend(place: &str, password_file: Option<&Path>) -> Result<Arc<dyn Backend>, StoreError> {
    match place.split_once(':') {
        Some(("postgres" | "postgresql", _)) => {
            let password = password(password_file)?;
            let password = password.as_ref().map(|text| text.as_str());
            return Ok(Arc::new(postgres::Postgres::open(place, password).await?));
        }
        Some((scheme, rest)) if scheme != "sqlite" && rest.starts_with("//") => {
            return Err(StoreError::Unavailable(format!(
                "this consentry knows no store of the kind {scheme}; \
                 give sqlite:PATH or postgres://USER@HOST/DATABASE"
            )));
        }
        Some(_) | None => {}
    }
    let path = file(place)
        .filter(|path| !path.as_os_str().is_empty())
        .ok_or_else(|| StoreError::Unavailable("its path is empty; give sqlite:PATH or a path".to_owned()))?;
    Ok(Arc::new(sqlite::Sqlite::open(path, PATIENCE).await?))
}

/// The file of a store that is one.
fn file(place: &str) -> Option<&Path> {
    match place.split_once(':') {
        Some(("sqlite", path)) => Some(Path::new(path.strip_prefix("//").unwrap_or(path))),
        Some((_, rest)) if rest.starts_with("//") => None,
        Some(_) | None => Some(Path::new(place)),
    }
}

fn password(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, StoreError> {
    if let Ok(text) = std::env::var("CONSENTRY_STORE_PASSWORD") {
        return Ok(Some(Zeroizing::new(text)));
    }
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).map_err(|error| {
        let file = file.display();
        StoreError::Unavailable(format!(
            "its password file {file} cannot be read ({error}); mend store_password_file"
        ))
    })?;
    Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

/// How long to wait for another process that holds the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an access token can live at most, in seconds: for so long a family that ended early is remembered.
pub const LONGEST_ACCESS_TOKEN: i64 = 10_800;

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
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
