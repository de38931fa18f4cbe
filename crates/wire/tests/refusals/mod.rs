//! Requests that no well-meaning client makes.

mod fetches;
mod pushes;

use crate::backends::{OURS, World};
use crate::git::{Git, init};
use crate::raw::ours;

const NONE: &str = "1111111111111111111111111111111111111111";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn published(world: &World) -> (Git, String) {
    let work = init(&world.path("work"));
    let commit = work.commit_file("a", "one\n");
    for remote in ["stock", "directory", "hosted"] {
        work.run(&["push", "-q", &world.url(remote), "main", "main:feat"]);
    }
    (work, commit)
}

#[test]
fn requests_that_ask_for_nothing_get_nothing() {
    let world = World::new();
    published(&world);
    for (service, version, body) in [
        ("git-upload-pack", 0, &b"0000"[..]),
        ("git-upload-pack", 1, b"0000"),
        ("git-upload-pack", 2, b"0000"),
        ("git-upload-pack", 2, b""),
        ("git-upload-pack", 2, b"0012command=fetch\n0000"),
        ("git-receive-pack", 0, b"0000"),
    ] {
        for remote in OURS {
            assert_eq!(
                ours(
                    &world,
                    &format!("{remote}.git/{service}"),
                    version,
                    Some(body)
                ),
                b"",
                "{service} {version}"
            );
        }
    }
    assert!(world.site.errors.lock().unwrap().is_empty());
}
