//! Tests of what permissions stop.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Set in the process of an ordinary user.
const AS_SOMEBODY: &str = "PACKHOUSE_TEST_AS_SOMEBODY";

/// Whether this process is stopped by permissions. Root is not, and has an ordinary user run the test.
pub(crate) fn is_somebody(test: &str) -> bool {
    let somebody = 23_456;
    let own = tempfile::tempdir().unwrap();
    if fs::metadata(own.path()).unwrap().uid() != 0 {
        return true;
    }
    assert!(std::env::var_os(AS_SOMEBODY).is_none());
    let run = Command::new(std::env::current_exe().unwrap())
        .arg(test)
        .env(AS_SOMEBODY, "1")
        .env_remove("TMPDIR")
        .current_dir("/")
        .uid(somebody)
        .gid(somebody)
        .output();
    match run {
        Ok(run) => assert!(run.status.success(), "{run:?}"),
        Err(error) => eprintln!("skipped: nobody else can run the test: {error}"),
    }
    false
}
