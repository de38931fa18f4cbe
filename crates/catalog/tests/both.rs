//! Runs a test on both databases, each time on an empty catalog of its own.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt as _;
use packhouse_catalog::Catalog;
use sqlx::Connection as _;

/// An empty database.
pub(crate) struct Database {
    pub(crate) url: String,
    place: Place,
}

enum Place {
    /// Kept for its folder, which goes with it.
    Sqlite {
        _dir: tempfile::TempDir,
    },
    Postgres {
        server: String,
        schema: String,
    },
}

impl Database {
    /// Cuts the connections a server has with the catalogs of this database; SQLite has none.
    pub(crate) async fn disconnect(&self) {
        let Place::Postgres { server, schema } = &self.place else {
            return;
        };
        let mut conn = sqlx::PgConnection::connect(server).await.unwrap();
        let kill =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
        let killed = sqlx::query(kill)
            .bind(schema)
            .fetch_all(&mut conn)
            .await
            .unwrap();
        assert!(!killed.is_empty());
    }

    /// Another node's handle on the same catalog.
    pub(crate) async fn open(&self) -> Catalog {
        Catalog::open(&self.url).await.unwrap()
    }

    /// Runs statements behind the catalog's back; the one for the database it is.
    pub(crate) async fn execute(&self, sqlite: &'static str, postgres: &'static str) {
        match &self.place {
            Place::Sqlite { .. } => {
                let mut conn = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
                sqlx::raw_sql(sqlite).execute(&mut conn).await.unwrap();
                conn.close().await.unwrap();
            }
            Place::Postgres { .. } => {
                let mut conn = sqlx::PgConnection::connect(&self.url).await.unwrap();
                sqlx::raw_sql(postgres).execute(&mut conn).await.unwrap();
                conn.close().await.unwrap();
            }
        }
    }
}

fn run(test: impl AsyncFnOnce(&Database), database: impl AsyncFnOnce() -> Option<Database>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let Some(database) = database().await else {
            return;
        };
        let result = AssertUnwindSafe(test(&database)).catch_unwind().await;
        if let Place::Postgres { server, schema } = &database.place {
            let mut conn = sqlx::PgConnection::connect(server).await.unwrap();
            let drop = sqlx::AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"));
            sqlx::raw_sql(drop).execute(&mut conn).await.unwrap();
        }
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

pub(crate) fn on_sqlite(test: impl AsyncFnOnce(&Database)) {
    run(test, async || {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("catalog.db").display());
        Some(Database {
            url,
            place: Place::Sqlite { _dir: dir },
        })
    });
}

pub(crate) fn on_postgres(test: impl AsyncFnOnce(&Database)) {
    run(test, async || {
        if std::env::var("PACKHOUSE_TEST_SKIP_POSTGRES").is_ok_and(|value| value == "1") {
            return None;
        }
        let server = std::env::var("PACKHOUSE_TEST_POSTGRES").expect(
            "PACKHOUSE_TEST_POSTGRES names no server: run `make test`, which starts one \
             (PACKHOUSE_TEST_SKIP_POSTGRES=1 leaves PostgreSQL out of a quick local run)",
        );
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("catalog_{}_{count}", std::process::id());
        let mut conn = sqlx::PgConnection::connect(&server).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
        sqlx::raw_sql(create).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        let separator = if server.contains('?') { '&' } else { '?' };
        let url =
            format!("{server}{separator}options[search_path]={schema}&application_name={schema}");
        Some(Database {
            url,
            place: Place::Postgres { server, schema },
        })
    });
}

/// Makes a module per test with a `sqlite` and a `postgres` in it.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        $(
            mod $test {
                #[test]
                fn sqlite() {
                    crate::both::on_sqlite(super::$test);
                }

                #[test]
                fn postgres() {
                    crate::both::on_postgres(super::$test);
                }
            }
        )+
    };
}
pub(crate) use on_both;
