//! Bare repositories on disk, next to `git` itself.

mod both_ways;
mod moving;
mod odd;
mod symbolic;

use std::path::Path;
use std::time::Duration;

use packhouse_repo::Repository;
use packhouse_repo::directory::{DirectoryOptions, open};

fn impatient(path: &Path) -> Repository {
    open(
        path,
        DirectoryOptions {
            lock_timeout: Duration::from_millis(200),
            ..DirectoryOptions::default()
        },
    )
    .unwrap()
}
