//! The tables, brought up to date when a catalog is opened.
//!
//! A migration that has run is recorded with its checksum and never edited: a change is a new file
//! with the next number, one for each database.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, SqlSafeStr};

use crate::dialect::{Dialect, Owned};

/// Number, name, text for SQLite, text for PostgreSQL.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "catalog",
        include_str!("../migrations/sqlite/0001_catalog.sql"),
        include_str!("../migrations/postgres/0001_catalog.sql"),
    ),
    (
        2,
        "jobs",
        include_str!("../migrations/sqlite/0002_jobs.sql"),
        include_str!("../migrations/postgres/0002_jobs.sql"),
    ),
    (
        3,
        "events",
        include_str!("../migrations/sqlite/0003_events.sql"),
        include_str!("../migrations/postgres/0003_events.sql"),
    ),
    (
        5,
        "ssh_keys",
        include_str!("../migrations/sqlite/0005_ssh_keys.sql"),
        include_str!("../migrations/postgres/0005_ssh_keys.sql"),
    ),
    (
        6,
        "upstreams",
        include_str!("../migrations/sqlite/0006_upstreams.sql"),
        include_str!("../migrations/postgres/0006_upstreams.sql"),
    ),
    (
        7,
        "audit",
        include_str!("../migrations/sqlite/0007_audit.sql"),
        include_str!("../migrations/postgres/0007_audit.sql"),
    ),
    (
        9,
        "sweep",
        include_str!("../migrations/sqlite/0009_sweep.sql"),
        include_str!("../migrations/postgres/0009_sweep.sql"),
    ),
    (
        10,
        "push through",
        include_str!("../migrations/sqlite/0010_push_through.sql"),
        include_str!("../migrations/postgres/0010_push_through.sql"),
    ),
    (
        11,
        "audit_expiry",
        include_str!("../migrations/sqlite/0011_audit_expiry.sql"),
        include_str!("../migrations/postgres/0011_audit_expiry.sql"),
    ),
    (
        12,
        "audit_age",
        include_str!("../migrations/sqlite/0012_audit_age.sql"),
        include_str!("../migrations/postgres/0012_audit_age.sql"),
    ),
    (
        13,
        "unreachable",
        include_str!("../migrations/sqlite/0013_unreachable.sql"),
        include_str!("../migrations/postgres/0013_unreachable.sql"),
    ),
    (
        14,
        "failing since",
        include_str!("../migrations/sqlite/0014_failing_since.sql"),
        include_str!("../migrations/postgres/0014_failing_since.sql"),
    ),
    (
        15,
        "server secrets",
        include_str!("../migrations/sqlite/0015_server_secrets.sql"),
        include_str!("../migrations/postgres/0015_server_secrets.sql"),
    ),
];

fn migrator(dialect: Dialect) -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(number, name, sqlite, postgres)| {
        let text = match dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        };
        Migration::new(
            number,
            name.into(),
            MigrationType::Simple,
            text.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

/// Runs what has not run yet. Several nodes may do so at once; one works and the others wait.
pub(crate) async fn run(conn: &mut Owned) -> Result<(), MigrateError> {
    match conn {
        Owned::Sqlite(conn) => {
            // The driver has no lock of its own for SQLite: the write lock of one transaction
            // around everything is it.
            let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
            migrator(Dialect::Sqlite)
                .run_direct(None, &mut *tx, false)
                .await?;
            tx.commit().await?;
            Ok(())
        }
        // Here the driver takes an advisory lock.
        Owned::Postgres(conn) => {
            migrator(Dialect::Postgres)
                .run_direct(None, conn, false)
                .await
        }
    }
}
