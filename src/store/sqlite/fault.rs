//! What SQLite complains of, in the store's words: one sentence that names the file and the mend.

use sqlx::Error;

use crate::store::StoreError;

/// The store's error for a complaint of the driver about the file `place`.
pub(super) fn fault(place: &str, error: &Error) -> StoreError {
    match error.as_database_error().and_then(|complaint| complaint.code()?.parse::<u32>().ok()) {
        Some(code) => told(place, code, error),
        None if matches!(error, Error::PoolTimedOut) => {
            StoreError::Unavailable(format!("{place} has been busy for too long; try again"))
        }
        None if matches!(error, Error::Decode(_) | Error::ColumnDecode { .. } | Error::ColumnNotFound(_)) => {
            StoreError::Corrupt { what: place.to_owned(), why: error.to_string() }
        }
        None => StoreError::Unavailable(format!("{place}: {error}")),
    }
}

/// Result codes: <https://www.sqlite.org/rescode.html>. The low byte is the kind, the rest says more.
fn told(place: &str, code: u32, error: &Error) -> StoreError {
    match (code & 0xff, code) {
        (BUSY | LOCKED, _) => StoreError::Unavailable(format!(
            "{place} is locked by another program; end it (`fuser {place}` names it), then try again"
        )),
        (FULL, _) => StoreError::Unwritable(format!(
            "the disk of {place} is full; free some space, no restart is needed"
        )),
        (READONLY, _) => StoreError::Unwritable(format!(
            "{place} or its folder is read-only; give the user that runs consentry the right to write both"
        )),
        (IOERR, IOERR_WRITE | IOERR_FSYNC | IOERR_DIR_FSYNC | IOERR_TRUNCATE | IOERR_SHMSIZE) => {
            StoreError::Unwritable(format!(
                "writing {place} failed ({error}); check the disk's health and free space, then try again"
            ))
        }
        (IOERR, _) => {
            StoreError::Unavailable(format!("reading {place} failed ({error}); check the disk's health"))
        }
        (CANTOPEN, _) => StoreError::Unavailable(format!(
            "{place} cannot be opened; its folder must exist and belong to the user that runs consentry"
        )),
        (NOTADB, _) => {
            StoreError::Corrupt { what: place.to_owned(), why: "it is not a SQLite database".to_owned() }
        }
        (CORRUPT, _) => StoreError::Corrupt { what: place.to_owned(), why: error.to_string() },
        (_, CONSTRAINT_FOREIGNKEY) => {
            StoreError::Missing("account, principal or grant to refer to".to_owned())
        }
        (CONSTRAINT, _) => StoreError::Corrupt {
            what: place.to_owned(),
            why: format!("a change broke a rule of the schema and was not made ({error})"),
        },
        (_, _) => StoreError::Unavailable(format!("{place}: {error}")),
    }
}

const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const IOERR_WRITE: u32 = 778;
const IOERR_FSYNC: u32 = 1034;
const IOERR_DIR_FSYNC: u32 = 1290;
const IOERR_TRUNCATE: u32 = 1546;
const IOERR_SHMSIZE: u32 = 4874;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const CONSTRAINT: u32 = 19;
const CONSTRAINT_FOREIGNKEY: u32 = 787;
const NOTADB: u32 = 26;
