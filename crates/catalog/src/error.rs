//! What can go wrong in every call: the database itself. What a caller decides on (a ref moved, a
//! name is taken) is an error enum beside the call.

use std::sync::Arc;

use sqlx::migrate::MigrateError;

/// The catalog could not do its work. Cloneable, because one failed commit answers many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// The URL names no database this build can open.
    #[error("catalog url is not usable: {reason}")]
    Url {
        /// What is wrong with it; never the URL itself, which may hold a password.
        reason: String,
    },
    /// No connection.
    #[error("could not open the catalog at {place}")]
    Open {
        /// File, or host and database.
        place: String,
        /// What the driver said.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// The tables are from a newer version, or a migration failed.
    #[error("could not bring the tables of the catalog at {place} up to date")]
    Migrate {
        /// File, or host and database.
        place: String,
        /// Which migration, and why.
        #[source]
        source: Arc<MigrateError>,
    },
    /// A statement failed. Nothing of the call was written.
    #[error("the catalog's database failed")]
    Database {
        /// What the driver said.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// The answer to a COMMIT was lost or bad: the write may be there or not.
    #[error("the catalog's database did not confirm a commit, which may or may not have happened")]
    Unconfirmed {
        /// What the driver said.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// The file is not whole.
    #[error("the catalog's file is damaged: {reason}")]
    Damaged {
        /// What SQLite found.
        reason: String,
    },
    /// `close` was called.
    #[error("the catalog is closed")]
    Closed,
    /// A name that no index could hold.
    #[error("{what} has {bytes} bytes, more than {limit}")]
    TooLong {
        /// Which value.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest that is stored.
        limit: usize,
    },
    /// A text with a NUL character, which PostgreSQL cannot store.
    #[error("{what} contains a NUL character")]
    Nul {
        /// Which value.
        what: &'static str,
    },
    /// A row that this version did not write.
    #[error("the catalog holds {what}, which this version does not know")]
    Unknown {
        /// The value and where it stands.
        what: String,
    },
}

impl From<sqlx::Error> for CatalogError {
    fn from(source: sqlx::Error) -> Self {
        Self::Database {
            source: Arc::new(source),
        }
    }
}
