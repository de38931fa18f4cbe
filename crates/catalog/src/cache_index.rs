//! What a git cache remembers: its entries, its mirrors and its checkouts, in one SQLite file of the cache's own.
//!
//! The records are text that only the cache reads. What is searched by stands beside them: names, sources, and when
//! an entry was last used.
//!
//! What always holds:
//! - no connection outlives a call: the file is for many short-lived processes, and one that is forked off must not
//!   inherit a connection;
//! - an entry's name is one whatever its case, so that no file system mixes two of them up;
//! - entries that come, change and go are durable when their call returns; notes of when something was used or asked,
//!   and mirrors, may be lost when power fails, never the file;
//! - reading needs no room on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Connection, Row, Sqlite, Transaction};

use crate::CatalogError;
use crate::dialect::is_busy;
use crate::storage_full::is_storage_full;

/// How long a call waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// As [`BUSY_TIMEOUT`], for what may be left out.
const BRIEF_TIMEOUT: Duration = Duration::from_millis(50);

/// Tables, oldest first. One that was released is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/cache/0001_cache.sql"),
    include_str!("../migrations/cache/0002_entry_changes.sql"),
];

/// What everything takes.
const BYTES: &str = "SELECT (SELECT coalesce(sum(bytes), 0) FROM entries)
                          + (SELECT coalesce(sum(bytes), 0) FROM mirrors)
                          + (SELECT coalesce(sum(bytes), 0) FROM checkouts)";

/// The file of one cache.
#[derive(Clone, Debug)]
pub struct CacheIndex {
    path: PathBuf,
}

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntryRow {
    /// Its name.
    pub name: String,
    /// What it is a copy of.
    pub source_key: String,
    /// When it was last used, in milliseconds since the epoch.
    pub accessed_ms: i64,
    /// What it takes on disk besides its mirrors.
    pub bytes: i64,
    /// All else.
    pub record: String,
}

/// A mirror or a checkout as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheItemRow {
    /// What it is found by.
    pub key: String,
    /// What it takes on disk.
    pub bytes: i64,
    /// All else.
    pub record: String,
}

/// Everything in the index at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheContents {
    /// In the order of their names.
    pub entries: Vec<CacheEntryRow>,
    /// The mirrors.
    pub mirrors: Vec<CacheItemRow>,
    /// The checkouts.
    pub checkouts: Vec<CacheItemRow>,
}

/// The entries of an index at one moment, and what everything in it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheOverview {
    /// Another one after every change of an entry.
    pub changes: i64,
    /// In the order of their names; `None` if they are those that the caller knows.
    pub entries: Option<Vec<CacheEntryRow>>,
    /// What entries, mirrors and checkouts take together.
    pub bytes: i64,
}

/// The two kinds of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheItems {
    /// Mirrors of repositories.
    Mirrors,
    /// Working trees at a commit.
    Checkouts,
}

impl CacheIndex {
    /// The index in the file at `path`, whose tables are made or brought up to date.
    pub async fn open(path: &Path) -> Result<CacheIndex, CatalogError> {
        let index = CacheIndex {
            path: path.to_owned(),
        };
        let mut conn = index.connect_with(SqliteSynchronous::Normal, true).await?;
        let opened = index.migrate(&mut conn).await;
        close(conn, opened).await?;
        Ok(index)
    }

    /// Looks whether the file is whole: an error that [is damage](is_damaged) if it is not.
    pub async fn check(&self) -> Result<(), CatalogError> {
        let mut conn = self.connect().await?;
        let told: Result<String, _> = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&mut conn)
            .await;
        let told = close(conn, told.map_err(failed)).await?;
        match told.as_str() {
            "ok" => Ok(()),
            _ => Err(CatalogError::Damaged { reason: told }),
        }
    }

    /// All of it.
    pub async fn contents(&self) -> Result<CacheContents, CatalogError> {
        let mut conn = self.connect_durably().await?;
        let read = async {
            let mut tx = conn.begin().await?;
            let entries = sqlx::query("SELECT * FROM entries ORDER BY name")
                .fetch_all(&mut *tx)
                .await?;
            let mirrors = sqlx::query("SELECT * FROM mirrors ORDER BY key")
                .fetch_all(&mut *tx)
                .await?;
            let checkouts = sqlx::query("SELECT * FROM checkouts ORDER BY key")
                .fetch_all(&mut *tx)
                .await?;
            tx.rollback().await?;
            Ok(CacheContents {
                entries: entries.iter().map(entry).collect::<Result<_, _>>()?,
                mirrors: mirrors.iter().map(item).collect::<Result<_, _>>()?,
                checkouts: checkouts.iter().map(item).collect::<Result<_, _>>()?,
            })
        }
        .await;
        close(conn, read.map_err(failed)).await
    }

    /// The entries, without the records of what else there is; those of the overview whose `changes` are known are not read
    /// again.
    pub async fn overview(&self, known: Option<i64>) -> Result<CacheOverview, CatalogError> {
        let mut conn = self.connect().await?;
        let read = async {
            let mut tx = conn.begin().await?;
            let changes = sqlx::query_scalar("SELECT number FROM entry_changes")
                .fetch_one(&mut *tx)
                .await?;
            let bytes = sqlx::query_scalar(BYTES).fetch_one(&mut *tx).await?;
            let rows = match known == Some(changes) {
                true => None,
                false => {
                    let all = sqlx::query("SELECT * FROM entries ORDER BY name");
                    Some(all.fetch_all(&mut *tx).await?)
                }
            };
            tx.rollback().await?;
            let entries = rows.map(|rows| rows.iter().map(entry).collect::<Result<_, _>>());
            Ok(CacheOverview {
                changes,
                entries: entries.transpose()?,
                bytes,
            })
        }
        .await;
        close(conn, read.map_err(failed)).await
    }

    /// What entries, mirrors and checkouts take together.
    pub async fn bytes(&self) -> Result<i64, CatalogError> {
        let mut conn = self.connect().await?;
        let bytes = sqlx::query_scalar(BYTES).fetch_one(&mut conn).await;
        close(conn, bytes.map_err(failed)).await
    }

    /// The entry of this name, in any case.
    pub async fn entry(&self, name: &str) -> Result<Option<CacheEntryRow>, CatalogError> {
        let mut conn = self.connect().await?;
        let row = sqlx::query("SELECT * FROM entries WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut conn)
            .await
            .and_then(|row| row.as_ref().map(entry).transpose());
        close(conn, row.map_err(failed)).await
    }

    /// The entries of these names, in any case.
    pub async fn entries(&self, names: &[&str]) -> Result<Vec<CacheEntryRow>, CatalogError> {
        let mut conn = self.connect().await?;
        let read = async {
            let mut found = Vec::new();
            for name in names {
                let row = sqlx::query("SELECT * FROM entries WHERE name = ?")
                    .bind(*name)
                    .fetch_optional(&mut conn)
                    .await?;
                found.extend(row.as_ref().map(entry).transpose()?);
            }
            Ok(found)
        }
        .await;
        close(conn, read.map_err(failed)).await
    }

    /// The entries of a source, the oldest first.
    pub async fn entries_of(&self, source_key: &str) -> Result<Vec<CacheEntryRow>, CatalogError> {
        let mut conn = self.connect().await?;
        let rows = sqlx::query("SELECT * FROM entries WHERE source_key = ? ORDER BY rowid")
            .bind(source_key)
            .fetch_all(&mut conn)
            .await
            .and_then(|rows| rows.iter().map(entry).collect::<Result<Vec<_>, _>>());
        close(conn, rows.map_err(failed)).await
    }

    /// Adds an entry. `false`: another one has the name.
    pub async fn insert_entry(&self, row: &CacheEntryRow) -> Result<bool, CatalogError> {
        let mut conn = self.connect_durably().await?;
        let done = sqlx::query(
            "INSERT INTO entries (name, source_key, accessed_ms, bytes, record)
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
        )
        .bind(&row.name)
        .bind(&row.source_key)
        .bind(row.accessed_ms)
        .bind(row.bytes)
        .bind(&row.record)
        .execute(&mut conn)
        .await
        .map(|done| done.rows_affected() == 1);
        close(conn, done.map_err(failed)).await
    }

    /// Replaces what an entry says. `false`: there is none of its name and source. What is only a note of when it was asked
    /// or used is not `durable`.
    pub async fn update_entry(
        &self,
        row: &CacheEntryRow,
        durable: bool,
    ) -> Result<bool, CatalogError> {
        let mut conn = match durable {
            true => self.connect_durably().await?,
            false => self.connect().await?,
        };
        let done = sqlx::query(
            "UPDATE entries SET accessed_ms = ?, bytes = ?, record = ?
             WHERE name = ? AND source_key = ?",
        )
        .bind(row.accessed_ms)
        .bind(row.bytes)
        .bind(&row.record)
        .bind(&row.name)
        .bind(&row.source_key)
        .execute(&mut conn)
        .await
        .map(|done| done.rows_affected() == 1);
        close(conn, done.map_err(failed)).await
    }

    /// Notes that an entry was used. May be forgotten when power fails, and fails where others are at work for longer than a
    /// reader should wait.
    pub async fn touch_entry(&self, name: &str, accessed_ms: i64) -> Result<(), CatalogError> {
        let mut conn = self
            .connect_within(BRIEF_TIMEOUT, SqliteSynchronous::Normal, false)
            .await?;
        let done = sqlx::query("UPDATE entries SET accessed_ms = ? WHERE name = ?")
            .bind(accessed_ms)
            .bind(name)
            .execute(&mut conn)
            .await
            .map(|_| ());
        close(conn, done.map_err(failed)).await
    }

    /// Removes an entry. `false`: there was none.
    pub async fn remove_entry(&self, name: &str) -> Result<bool, CatalogError> {
        let mut conn = self.connect_durably().await?;
        let done = sqlx::query("DELETE FROM entries WHERE name = ?")
            .bind(name)
            .execute(&mut conn)
            .await
            .map(|done| done.rows_affected() == 1);
        close(conn, done.map_err(failed)).await
    }

    /// Removes the entries of these names, all at once, and says how many there were.
    pub async fn remove_entries(&self, names: &[&str]) -> Result<u64, CatalogError> {
        let mut conn = self.connect_durably().await?;
        let done = async {
            let mut tx = conn.begin().await?;
            let mut removed = 0;
            for name in names {
                removed += sqlx::query("DELETE FROM entries WHERE name = ?")
                    .bind(*name)
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
            }
            tx.commit().await?;
            Ok(removed)
        }
        .await;
        close(conn, done.map_err(failed)).await
    }

    /// The item of this key.
    pub async fn item(
        &self,
        items: CacheItems,
        key: &str,
    ) -> Result<Option<CacheItemRow>, CatalogError> {
        let mut conn = self.connect().await?;
        let row = sqlx::query(match items {
            CacheItems::Mirrors => "SELECT * FROM mirrors WHERE key = ?",
            CacheItems::Checkouts => "SELECT * FROM checkouts WHERE key = ?",
        })
        .bind(key)
        .fetch_optional(&mut conn)
        .await
        .and_then(|row| row.as_ref().map(item).transpose());
        close(conn, row.map_err(failed)).await
    }

    /// All items of a kind, in the order of their keys.
    pub async fn items(&self, items: CacheItems) -> Result<Vec<CacheItemRow>, CatalogError> {
        let mut conn = self.connect().await?;
        let rows = sqlx::query(match items {
            CacheItems::Mirrors => "SELECT * FROM mirrors ORDER BY key",
            CacheItems::Checkouts => "SELECT * FROM checkouts ORDER BY key",
        })
        .fetch_all(&mut conn)
        .await
        .and_then(|rows| rows.iter().map(item).collect::<Result<Vec<_>, _>>());
        close(conn, rows.map_err(failed)).await
    }

    /// Adds or replaces an item.
    pub async fn put_item(
        &self,
        items: CacheItems,
        row: &CacheItemRow,
    ) -> Result<(), CatalogError> {
        let mut conn = match items {
            // One that is lost is fetched again; a checkout would be in nobody's books.
            CacheItems::Mirrors => self.connect().await?,
            CacheItems::Checkouts => self.connect_durably().await?,
        };
        let done = sqlx::query(match items {
            CacheItems::Mirrors => {
                "INSERT OR REPLACE INTO mirrors (key, bytes, record) VALUES (?, ?, ?)"
            }
            CacheItems::Checkouts => {
                "INSERT OR REPLACE INTO checkouts (key, bytes, record) VALUES (?, ?, ?)"
            }
        })
        .bind(&row.key)
        .bind(row.bytes)
        .bind(&row.record)
        .execute(&mut conn)
        .await
        .map(|_| ());
        close(conn, done.map_err(failed)).await
    }

    /// Removes an item. `false`: there was none.
    pub async fn remove_item(&self, items: CacheItems, key: &str) -> Result<bool, CatalogError> {
        let mut conn = self.connect().await?;
        let done = sqlx::query(match items {
            CacheItems::Mirrors => "DELETE FROM mirrors WHERE key = ?",
            CacheItems::Checkouts => "DELETE FROM checkouts WHERE key = ?",
        })
        .bind(key)
        .execute(&mut conn)
        .await
        .map(|done| done.rows_affected() == 1);
        close(conn, done.map_err(failed)).await
    }

    /// For reading, and for what may be lost.
    async fn connect(&self) -> Result<SqliteConnection, CatalogError> {
        self.connect_with(SqliteSynchronous::Normal, false).await
    }

    /// For what is not to be lost.
    async fn connect_durably(&self) -> Result<SqliteConnection, CatalogError> {
        self.connect_with(SqliteSynchronous::Full, false).await
    }

    async fn connect_with(
        &self,
        synchronous: SqliteSynchronous,
        may_make: bool,
    ) -> Result<SqliteConnection, CatalogError> {
        self.connect_within(BUSY_TIMEOUT, synchronous, may_make)
            .await
    }

    async fn connect_within(
        &self,
        patience: Duration,
        synchronous: SqliteSynchronous,
        may_make: bool,
    ) -> Result<SqliteConnection, CatalogError> {
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(may_make)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(patience);
        let started = Instant::now();
        let mut locking = SqliteLockingMode::Normal;
        loop {
            let options = match locking {
                SqliteLockingMode::Normal => options.clone(),
                // Two that want the file alone would wait for each other: each gives it up at once and comes again.
                SqliteLockingMode::Exclusive => options
                    .clone()
                    .locking_mode(locking)
                    .busy_timeout(Duration::ZERO),
            };
            match SqliteConnection::connect_with(&options).await {
                Ok(conn) => return Ok(conn),
                // SQLite does not wait for the lock it needs to make a new file a WAL one, or to have a file alone.
                Err(error) if is_busy(&error) && started.elapsed() < patience => {
                    let is_alone = matches!(locking, SqliteLockingMode::Exclusive);
                    let jitter = started.elapsed().subsec_nanos() % 16;
                    let pause_ms = if is_alone { 1 + u64::from(jitter) } else { 5 };
                    locking = SqliteLockingMode::Normal;
                    std::thread::sleep(Duration::from_millis(pause_ms));
                }
                // There is no room for the index of the log that processes share. Who has the file alone keeps that in
                // memory.
                Err(error)
                    if matches!(locking, SqliteLockingMode::Normal) && is_storage_full(&error) =>
                {
                    locking = SqliteLockingMode::Exclusive;
                }
                Err(error) => return Err(self.unopened(error)),
            }
        }
    }

    async fn migrate(&self, conn: &mut SqliteConnection) -> Result<(), CatalogError> {
        let failed = |error| self.unopened(error);
        let newest = MIGRATIONS.len() as i64;
        if version(conn).await.map_err(failed)? == newest {
            return Ok(());
        }
        let mut tx: Transaction<'_, Sqlite> =
            conn.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        // Another process may have been faster.
        let found = version(&mut tx).await.map_err(failed)?;
        if found > newest {
            return Err(CatalogError::Url {
                reason: format!("'{}' is of a newer version", self.path.display()),
            });
        }
        for text in &MIGRATIONS[usize::try_from(found).unwrap_or(0)..] {
            sqlx::raw_sql(*text)
                .execute(&mut *tx)
                .await
                .map_err(failed)?;
        }
        tx.commit().await.map_err(failed)
    }

    fn unopened(&self, error: sqlx::Error) -> CatalogError {
        CatalogError::Open {
            place: self.path.display().to_string(),
            source: Arc::new(error),
        }
    }
}

/// How many migrations the file has seen.
async fn version(conn: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(conn)
        .await
}

/// Closes a connection, whatever came of its call.
async fn close<T>(
    conn: SqliteConnection,
    done: Result<T, CatalogError>,
) -> Result<T, CatalogError> {
    let closed = conn.close().await;
    let done = done?;
    closed.map_err(failed)?;
    Ok(done)
}

fn entry(row: &SqliteRow) -> Result<CacheEntryRow, sqlx::Error> {
    Ok(CacheEntryRow {
        name: row.try_get("name")?,
        source_key: row.try_get("source_key")?,
        accessed_ms: row.try_get("accessed_ms")?,
        bytes: row.try_get("bytes")?,
        record: row.try_get("record")?,
    })
}

fn item(row: &SqliteRow) -> Result<CacheItemRow, sqlx::Error> {
    Ok(CacheItemRow {
        key: row.try_get("key")?,
        bytes: row.try_get("bytes")?,
        record: row.try_get("record")?,
    })
}

/// Whether an error is that a file of SQLite is damaged, or none.
pub fn is_damaged(error: &CatalogError) -> bool {
    const CORRUPT: u32 = 11;
    const NO_DATABASE: u32 = 26;
    let source = match error {
        CatalogError::Damaged { .. } => return true,
        CatalogError::Open { source, .. } | CatalogError::Database { source } => source,
        _ => return false,
    };
    let code = source.as_database_error().and_then(|error| error.code());
    let code = code.and_then(|code| code.parse::<u32>().ok());
    // Extended codes have the plain one in their low byte.
    code.is_some_and(|code| matches!(code & 0xff, CORRUPT | NO_DATABASE))
}

fn failed(error: sqlx::Error) -> CatalogError {
    CatalogError::Database {
        source: Arc::new(error),
    }
}
