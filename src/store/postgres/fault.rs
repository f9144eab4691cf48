//! What PostgreSQL complains of, in the store's words: one sentence that names the database and the mend.

use sqlx::Error;

use crate::store::StoreError;

/// The store's error for a complaint about the database `place`.
pub(super) fn fault(place: &str, error: &Error) -> StoreError {
    if let Some(code) = error.as_database_error().and_then(|complaint| complaint.code()) {
        return told(place, &code, error);
    }
    if matches!(error, Error::PoolTimedOut) {
        silent(place)
    } else if matches!(error, Error::PoolClosed) {
        StoreError::Unavailable(format!("{place} was closed; open it again"))
    } else if matches!(error, Error::Io(_) | Error::Tls(_)) {
        StoreError::Unavailable(format!(
            "{place} cannot be reached ({error}); check that it runs, and its address and sslmode"
        ))
    } else if matches!(error, Error::Decode(_) | Error::ColumnDecode { .. } | Error::ColumnNotFound(_)) {
        StoreError::Corrupt { what: place.to_owned(), why: error.to_string() }
    } else {
        StoreError::Unavailable(format!("{place}: {error}"))
    }
}

/// It did not answer in time.
pub(super) fn silent(place: &str) -> StoreError {
    StoreError::Unavailable(format!("{place} does not answer in time; try again, and check that it runs"))
}

/// SQLSTATE codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn told(place: &str, code: &str, error: &Error) -> StoreError {
    match code {
        "53100" => StoreError::Unwritable(format!(
            "the disk of {place} is full; free some space, no restart is needed"
        )),
        "25006" => {
            StoreError::Unwritable(format!("{place} is read-only; name the primary, or end its recovery"))
        }
        "42501" => StoreError::Unwritable(format!(
            "{place}: the user lacks a right ({error}); make it the owner of the database"
        )),
        "28P01" | "28000" => StoreError::Unavailable(format!(
            "{place} refuses the user or its password; set CONSENTRY_STORE_PASSWORD or the password file"
        )),
        "3D000" => {
            StoreError::Unavailable(format!("{place}: there is no such database; make it with createdb"))
        }
        "55P03" => StoreError::Unavailable(format!("{place} has been busy for too long; try again")),
        "40001" | "40P01" => {
            StoreError::Conflict(format!("{place}: another program's change came first; try again"))
        }
        "22021" => StoreError::Conflict("the text holds a character that cannot be kept".to_owned()),
        "23503" => StoreError::Missing("account, principal or grant to refer to".to_owned()),
        "XX001" | "XX002" => StoreError::Corrupt { what: place.to_owned(), why: error.to_string() },
        _ if code.starts_with("23") || code == "P0001" => StoreError::Corrupt {
            what: place.to_owned(),
            why: format!("a change broke a rule of the schema and was not made ({error})"),
        },
        _ => StoreError::Unavailable(format!("{place}: {error}")),
    }
}
