//! Tests that run on SQLite and on PostgreSQL.

use packhouse_server::Config;

/// Where a test server keeps its catalog.
#[derive(Debug)]
pub(crate) enum Database {
    /// In its folder.
    Sqlite,
    /// In a schema of its own.
    Postgres { server: String, schema: String },
}

impl Database {
    /// An empty schema in the PostgreSQL of the test run; `None` if that is to be left out.
    pub(crate) fn postgres() -> Option<Database> {
        if std::env::var("PACKHOUSE_TEST_SKIP_POSTGRES").is_ok_and(|value| value == "1") {
            return None;
        }
        let server = std::env::var("PACKHOUSE_TEST_POSTGRES").expect(
            "PACKHOUSE_TEST_POSTGRES names no server: run `make test`, which starts one \
             (PACKHOUSE_TEST_SKIP_POSTGRES=1 leaves PostgreSQL out of a quick local run)",
        );
        let schema = format!("server_{}", uuid::Uuid::new_v4().simple());
        psql(&server, &format!("CREATE SCHEMA {schema}"));
        Some(Database::Postgres { server, schema })
    }

    /// Has a server use it.
    pub(crate) fn set(&self, config: &mut Config) {
        if let Database::Postgres { server, schema } = self {
            let separator = if server.contains('?') { '&' } else { '?' };
            config.catalog_url = format!("{server}{separator}options[search_path]={schema}");
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Database::Postgres { server, schema } = self {
            psql(server, &format!("DROP SCHEMA {schema} CASCADE"));
        }
    }
}

fn psql(server: &str, statement: &str) {
    let done = std::process::Command::new("psql")
        .env("PGOPTIONS", "-c client_min_messages=warning")
        .args([server, "-qc", statement])
        .status();
    // Also called while a failed test unwinds.
    if !std::thread::panicking() {
        assert!(done.unwrap().success(), "psql: {statement}");
    }
}

/// Makes a module per test with a `sqlite` and a `postgres` in it. A test takes the database it is to use.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        $(
            mod $test {
                use crate::support::Database;

                #[tokio::test]
                async fn sqlite() {
                    super::$test(&Database::Sqlite).await;
                }

                #[tokio::test]
                async fn postgres() {
                    if let Some(database) = Database::postgres() {
                        super::$test(&database).await;
                    }
                }
            }
        )+
    };
}
pub(crate) use on_both;
