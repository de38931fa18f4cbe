//! Pushes of `.gitmodules` and `.gitattributes` that `git fsck` would complain of.

use crate::backends::{OURS, World};
use crate::git::{Git, init};

const BAD_MODULES: &str = "[submodule \"x\"]\n\tpath = a\n\turl = -u./x\n";

/// Pushes what is refused, for this reason; the remote is as it was.
#[track_caller]
fn refused(work: &Git, url: &str, why: &str) {
    let before = work.run(&["ls-remote", url]);
    let outcome = work.try_run(&["push", "--porcelain", url, "main"]);
    let told = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(!outcome.ok && told.contains(why), "{told}");
    assert_eq!(work.run(&["ls-remote", url]), before);
}

#[test]
fn a_file_that_git_reads_is_refused_for_its_content() {
    let world = World::new();
    for remote in OURS {
        let (url, work) = (
            world.url(remote),
            init(&world.path(&format!("of-{remote}"))),
        );
        work.commit_file(
            ".gitmodules",
            "[submodule \"x\"]\n\tpath = a\n\turl = ../x\n",
        );
        work.commit_file(".gitattributes", &format!("*.{} text\n", "x".repeat(2000)));
        work.run(&["push", "-q", &url, "main"]);

        work.commit_file(".gitmodules", BAD_MODULES);
        refused(&work, &url, "gitmodulesUrl");
        work.run(&["reset", "-q", "--hard", "HEAD^"]);
        work.commit_file(".gitattributes", &format!("*.{} text\n", "x".repeat(2048)));
        refused(&work, &url, "gitattributesLineLength");
    }
}

#[test]
fn a_blob_that_is_here_already_is_refused_under_its_new_name() {
    let world = World::new();
    for remote in OURS {
        let (url, work) = (
            world.url(remote),
            init(&world.path(&format!("of-{remote}"))),
        );
        work.commit_file("harmless", BAD_MODULES);
        work.run(&["push", "-q", &url, "main"]);
        work.commit_file(".gitmodules", BAD_MODULES);
        refused(&work, &url, "gitmodulesUrl");
        // A good one, later, with the bad one in the history.
        work.commit_file(".gitmodules", "");
        refused(&work, &url, "gitmodulesUrl");
    }
    for name in OURS.iter().filter(|name| **name == "directory") {
        world.bare(name).fsck();
    }
}
