//! How each database is reached, and the settings that make it durable and quick.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use crate::CatalogError;
use crate::dialect::{Owned, Pool, is_busy};

/// A parsed catalog URL.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

/// How long a reader, or a statement inside a transaction, waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Pages of 4 KiB in SQLite's log before SQLite itself moves them to the database file, within a
/// COMMIT: 128 MiB. Lanes do it sooner and better (see `lane::checkpoint`); this is for a lane that
/// cannot.
const CHECKPOINT_PAGES: u32 = 32_768;

/// Statements a connection keeps prepared: a lane has about ten, each in eleven sizes.
const STATEMENTS: usize = 256;

/// SQLite reads at once; each has a thread. PostgreSQL connections for reads, per node.
const READERS: u32 = 8;

impl Place {
    pub(crate) fn parse(url: &str) -> Result<Self, CatalogError> {
        let refuse = |reason: String| CatalogError::Url { reason };
        match url.split_once(':') {
            Some(("sqlite", rest)) => {
                if rest.contains(":memory:") || rest.contains("mode=memory") {
                    return Err(refuse(
                        "a catalog in memory would lose what it acknowledged".into(),
                    ));
                }
                let options = SqliteConnectOptions::from_str(url)
                    .map_err(|error| refuse(error.to_string()))?
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .busy_timeout(BUSY_TIMEOUT)
                    .statement_cache_capacity(STATEMENTS)
                    // KiB of pages a reader keeps: little, since the system keeps them too.
                    .pragma("cache_size", "-4096")
                    .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
                    // Never shrunk: writing over a log that is there costs no file system metadata.
                    .pragma("journal_size_limit", "-1")
                    .disable_statement_logging();
                Ok(Self::Sqlite(Box::new(options)))
            }
            Some(("postgres" | "postgresql", _)) => {
                let mut options = PgConnectOptions::from_str(url)
                    // The driver's message may quote the URL.
                    .map_err(|_| refuse("not a postgres:// address".into()))?;
                if options.get_application_name().is_none() {
                    options = options.application_name("packhouse");
                }
                let options = options
                    .statement_cache_capacity(STATEMENTS)
                    .disable_statement_logging();
                Ok(Self::Postgres(Box::new(options)))
            }
            _ => Err(refuse(
                "it starts with neither sqlite: nor postgres:".into(),
            )),
        }
    }

    /// For messages: never a password.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Sqlite(options) => options.get_filename().display().to_string(),
            Self::Postgres(options) => format!(
                "{}:{}/{}",
                options.get_host(),
                options.get_port(),
                options
                    .get_database()
                    .unwrap_or_else(|| options.get_username())
            ),
        }
    }

    /// Lanes: SQLite has one writer whatever is asked of it.
    pub(crate) fn lanes(&self) -> usize {
        match self {
            Self::Sqlite(_) => 1,
            Self::Postgres(_) => 4,
        }
    }

    /// Where the file of the database is.
    pub(crate) fn local_folder(&self) -> Option<PathBuf> {
        let Self::Sqlite(options) = self else {
            return None;
        };
        let folder = options.get_filename().parent()?;
        let is_here = folder.as_os_str().is_empty();
        Some(if is_here { Path::new(".") } else { folder }.to_owned())
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Connects a lane.
    pub(crate) async fn connect_lane(&self) -> Result<Owned, sqlx::Error> {
        let Self::Postgres(options) = self else {
            let mut owned = self.connect_writer().await?;
            let mut conn = owned.conn();
            let args = conn.args();
            // The lane waits for the write lock itself, in shorter steps than SQLite would.
            conn.execute("PRAGMA busy_timeout = 5", args).await?;
            return Ok(owned);
        };
        let options = options.as_ref().clone().options([
            // Every statement of a lane finds its rows by key. A plan that scans, made while a table
            // was small, must not live on in a prepared statement.
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("plan_cache_mode", "force_generic_plan"),
            ("jit", "off"),
            // A node that hangs must not hold row locks for ever.
            ("idle_in_transaction_session_timeout", "30000"),
            ("statement_timeout", "30000"),
        ]);
        Ok(Owned::Postgres(options.connect().await?))
    }

    /// Connects for writing, with all the time it takes.
    pub(crate) async fn connect_writer(&self) -> Result<Owned, sqlx::Error> {
        match self {
            Self::Sqlite(options) => {
                // A group's result is buffered whole, so that the database's thread never waits
                // for a reader in the middle of it.
                let options = options.as_ref().clone().row_buffer_size(2048);
                // What a group touches stays in memory until its COMMIT writes it once.
                let options = options.pragma("cache_size", "-16384");
                let started = Instant::now();
                loop {
                    match options.connect().await {
                        Ok(conn) => return Ok(Owned::Sqlite(conn)),
                        // SQLite does not wait for the lock it needs to make a new file a WAL one.
                        Err(error) if is_busy(&error) && started.elapsed() < BUSY_TIMEOUT => {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Self::Postgres(options) => Ok(Owned::Postgres(options.connect().await?)),
        }
    }

    /// Connects the readers; the first connection is made at once, so that a bad address shows.
    pub(crate) async fn connect_readers(&self) -> Result<Pool, sqlx::Error> {
        match self {
            Self::Sqlite(options) => {
                let pool = SqlitePoolOptions::new()
                    .max_connections(READERS)
                    // A file needs no ping, which would cost as much as the query after it.
                    .test_before_acquire(false)
                    .idle_timeout(None)
                    .max_lifetime(None)
                    .connect_with(options.as_ref().clone())
                    .await?;
                Ok(Pool::Sqlite(pool))
            }
            Self::Postgres(options) => {
                let pool = PgPoolOptions::new()
                    .max_connections(READERS * 2)
                    .test_before_acquire(false)
                    // Only a connection that lay idle is worth asking whether it is still there.
                    .before_acquire(|conn, meta| {
                        Box::pin(async move {
                            if meta.idle_for > Duration::from_secs(5) {
                                conn.ping().await?;
                            }
                            Ok(true)
                        })
                    })
                    .connect_with(options.as_ref().clone())
                    .await?;
                Ok(Pool::Postgres(pool))
            }
        }
    }

    pub(crate) fn failed(&self, source: sqlx::Error) -> CatalogError {
        CatalogError::Open {
            place: self.describe(),
            source: Arc::new(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart() {
        assert!(matches!(
            Place::parse("sqlite:/a/b.db"),
            Ok(Place::Sqlite(_))
        ));
        assert!(matches!(
            Place::parse("postgres://u@h/db"),
            Ok(Place::Postgres(_))
        ));
        assert!(matches!(
            Place::parse("mysql://h/db"),
            Err(CatalogError::Url { .. })
        ));
        assert!(matches!(
            Place::parse("sqlite::memory:"),
            Err(CatalogError::Url { .. })
        ));
        assert!(matches!(
            Place::parse("catalog.db"),
            Err(CatalogError::Url { .. })
        ));
    }

    #[test]
    fn descriptions_hide_passwords() {
        let place = Place::parse("postgres://user:secret@host:5433/packhouse").unwrap();
        assert_eq!(place.describe(), "host:5433/packhouse");
    }
}
