//! Whether a failure means that nothing can be written now: what the caller asked for is all right, and may come again
//! later.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;

/// What SQLite says when it could not write: nothing of the transaction is there.
pub(crate) const SQLITE_FULL: &str = "13";
/// Its index of the log could not grow. That happens after a COMMIT has written all it needs, too.
const SQLITE_IOERR_SHMSIZE: &str = "4874";
const POSTGRES_DISK_FULL: &str = "53100";
/// What a standby says, and a database that was set to be read only.
const POSTGRES_READ_ONLY: &str = "25006";

/// Whether `error`, or something that caused it, is that a disk or a quota on it has no room left.
pub fn is_storage_full(error: &(dyn Error + 'static)) -> bool {
    any_cause(error, &says_full)
}

/// Whether `error`, or something that caused it, is that the database is for reading only.
pub fn is_read_only(error: &(dyn Error + 'static)) -> bool {
    any_cause(error, &|error| {
        let error = database_error(error).and_then(sqlx::Error::as_database_error);
        error.is_some_and(|error| error.code().as_deref() == Some(POSTGRES_READ_ONLY))
    })
}

fn any_cause(error: &(dyn Error + 'static), says: &dyn Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if says(error) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn says_full(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        // An error within is no source of one that has it.
        return matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded
        ) || error
            .get_ref()
            .is_some_and(|within| is_storage_full(within));
    }
    database_error(error).is_some_and(database_says_full)
}

fn database_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e sqlx::Error> {
    let shared = error.downcast_ref::<Arc<sqlx::Error>>().map(Arc::as_ref);
    shared.or_else(|| error.downcast_ref::<sqlx::Error>())
}

fn database_says_full(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => says_full(error),
        sqlx::Error::Database(error) => matches!(
            error.code().as_deref(),
            Some(SQLITE_FULL | SQLITE_IOERR_SHMSIZE | POSTGRES_DISK_FULL)
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::CatalogError;

    #[test]
    fn the_cause_is_found_however_deep_it_is() {
        let full = || io::Error::from(ErrorKind::StorageFull);
        assert!(is_storage_full(&full()));
        assert!(is_storage_full(&io::Error::from(ErrorKind::QuotaExceeded)));
        assert!(is_storage_full(&io::Error::other(io::Error::other(full()))));
        assert!(is_storage_full(&CatalogError::from(
            sqlx::Error::Io(full())
        )));
        assert!(!is_storage_full(&io::Error::other("no room")));
        assert!(!is_storage_full(&CatalogError::Closed));
        assert!(!is_storage_full(&CatalogError::from(
            sqlx::Error::PoolClosed
        )));
    }
}
