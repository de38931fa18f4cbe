//! A PostgreSQL database of its own, for tests about what a whole database does.

use std::os::unix::fs::{MetadataExt, chown};
use std::process::Command;

use packhouse_server::Config;
use packhouse_testkit::small_disk::SmallDisk;

use super::database::postgres_server;

/// A database in the PostgreSQL of the test run. Dropped with this.
pub(crate) struct OwnDatabase {
    server: String,
    name: String,
    /// Its files are there, and in a tablespace of the same name.
    pub(crate) disk: Option<SmallDisk>,
}

impl OwnDatabase {
    /// An empty one; `None` if PostgreSQL is to be left out.
    pub(crate) fn new() -> Option<OwnDatabase> {
        let database = OwnDatabase::named(None)?;
        database.run(&format!("CREATE DATABASE {}", database.name));
        Some(database)
    }

    /// An empty one whose files are on `disk`, and nothing else of PostgreSQL; `None` also where its server has no files
    /// on this machine.
    pub(crate) fn on(disk: SmallDisk) -> Option<OwnDatabase> {
        let database = OwnDatabase::named(Some(disk))?;
        let folder = database.disk.as_ref()?.path().join("space");
        let owner = std::fs::metadata(database.run("SHOW data_directory"));
        let Ok(owner) = owner else {
            eprintln!("skipped: the files of PostgreSQL are not on this machine");
            return None;
        };
        std::fs::create_dir(&folder).unwrap();
        chown(&folder, Some(owner.uid()), Some(owner.gid())).unwrap();
        let (name, folder) = (&database.name, folder.display());
        database.run(&format!("CREATE TABLESPACE {name} LOCATION '{folder}'"));
        database.run(&format!("CREATE DATABASE {name} TABLESPACE {name}"));
        Some(database)
    }

    fn named(disk: Option<SmallDisk>) -> Option<OwnDatabase> {
        Some(OwnDatabase {
            server: postgres_server()?,
            name: format!("own_{}", uuid::Uuid::new_v4().simple()),
            disk,
        })
    }

    /// Has a server use it.
    pub(crate) fn set(&self, config: &mut Config) {
        let (before, rest) = self.server.rsplit_once('/').unwrap();
        let options = rest.split_once('?').map_or("", |(_, options)| options);
        config.catalog_url = format!("{before}/{}?{options}", self.name);
    }

    /// Has it be read only, or no longer; whoever is connected has to connect again.
    pub(crate) fn set_read_only(&self, read_only: bool) {
        let name = &self.name;
        self.run(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = {read_only}"
        ));
        self.run(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ));
    }

    /// Runs a statement, beside the database; returns what it printed.
    fn run(&self, statement: &str) -> String {
        let output = Command::new("psql")
            .args([&self.server, "-qAtc", statement])
            .output()
            .unwrap();
        assert!(output.status.success(), "{statement}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let mut statements = vec![format!("DROP DATABASE IF EXISTS {} (FORCE)", self.name)];
        if self.disk.is_some() {
            statements.push(format!("DROP TABLESPACE IF EXISTS {}", self.name));
        }
        for statement in statements {
            let psql = Command::new("psql")
                .args([&self.server, "-qc", &statement])
                .output();
            drop(psql);
        }
    }
}
