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
        let server = postgres_server()?;
        let schema = format!("server_{}", uuid::Uuid::new_v4().simple());
        let created = psql(&server, &format!("CREATE SCHEMA {schema}"));
        assert!(created, "psql could not create the schema {schema}");
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
            // A server that the test did not stop may be in the middle of a transaction, which does not go on while this
            // thread waits here. Its schema then stays for as long as PostgreSQL does.
            psql(server, &format!("DROP SCHEMA {schema} CASCADE"));
        }
    }
}

/// The URL of the test run's PostgreSQL; `None` if that is to be left out.
pub(super) fn postgres_server() -> Option<String> {
    if std::env::var("PACKHOUSE_TEST_SKIP_POSTGRES").is_ok_and(|value| value == "1") {
        return None;
    }
    let server = std::env::var("PACKHOUSE_TEST_POSTGRES").expect(
        "PACKHOUSE_TEST_POSTGRES names no server: run `make test`, which starts one \
         (PACKHOUSE_TEST_SKIP_POSTGRES=1 leaves PostgreSQL out of a quick local run)",
    );
    Some(server)
}

/// Whether it is done, which it is not where somebody else has the locks for it.
fn psql(server: &str, statement: &str) -> bool {
    std::process::Command::new("psql")
        .env(
            "PGOPTIONS",
            "-c client_min_messages=warning -c lock_timeout=2s",
        )
        .args([server, "-qc", statement])
        .status()
        .is_ok_and(|status| status.success())
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
