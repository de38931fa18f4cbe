//! How long the locks of others are waited for: `core.filesRefLockTimeout` and `core.packedRefsTimeout`.

use std::fs;
use std::time::{Duration, Instant};

use crate::doors::{BOTH, World, told};
use crate::git::Git;

/// What is waited where nothing is set; git waits for less.
const UNSET: Duration = Duration::from_secs(5);

/// Pushes to both while `lock` is held: whether the client is told the same, and how long each took.
fn locked_out(world: &World, work: &Git, lock: &str, refspec: &str) -> [Duration; 2] {
    let mut answers = Vec::new();
    let took = BOTH.map(|name| {
        let lock = world.path(name).join(lock);
        fs::write(&lock, "").unwrap();
        let url = world.url(name);
        let began = Instant::now();
        let outcome = work.try_run(&["push", "--porcelain", &url, refspec]);
        let took = began.elapsed();
        fs::remove_file(lock).unwrap();
        let (ok, stdout, stderr) = told(&outcome, &url);
        let folder = world.path(name).canonicalize().unwrap();
        let plain = |line: &String| {
            line.replace(folder.to_str().unwrap(), "DIR")
                .replace("/./", "/")
        };
        answers.push((ok, stdout, stderr.iter().map(plain).collect::<Vec<_>>()));
        took
    });
    assert!(!answers[0].0);
    assert_eq!(answers[0], answers[1]);
    took
}

#[test]
fn a_ref_that_is_locked_is_waited_for_as_long_as_is_set() {
    let world = World::new();
    let work = world.work();
    world.push(&work, &["URL", "main~1:refs/heads/main"]);
    let lock = "refs/heads/main.lock";
    world.set("core.filesRefLockTimeout", "0");
    for took in locked_out(&world, &work, lock, "main") {
        assert!(took < UNSET / 2, "{took:?}");
    }
    world.unset("core.filesRefLockTimeout");
    world.set("core.filesRefLockTimeout", "1500");
    for took in locked_out(&world, &work, lock, "main") {
        assert!((UNSET / 4..UNSET).contains(&took), "{took:?}");
    }
    world.unset("core.filesRefLockTimeout");
    world.set("core.filesRefLockTimeout", "soon");
    for name in BOTH {
        let url = world.url(name);
        assert!(!work.try_run(&["push", &url, "main"]).ok, "{name}");
        // Whoever fetches takes no lock.
        work.run(&["ls-remote", &url]);
    }
}

#[test]
fn locks_that_others_hold_are_told_in_gits_words() {
    let world = World::new();
    let work = world.work();
    world.set("core.filesRefLockTimeout", "0");
    world.push(
        &work,
        &["URL", "main:refs/heads/topic", "main~1:refs/heads/main"],
    );
    for (lock, refspec) in [
        ("refs/heads/side.lock", "main:side"),
        ("refs/heads/topic.lock", "+other:topic"),
        ("refs/heads/topic.lock", ":topic"),
        ("refs/heads/main.lock", "main"),
        ("HEAD.lock", "main"),
    ] {
        locked_out(&world, &work, lock, refspec);
    }
}

#[test]
fn packed_refs_are_waited_for_as_long_as_is_set() {
    let world = World::new();
    let work = world.work();
    world.push(&work, &["URL", "main", "main:other"]);
    for name in BOTH {
        world.inside(name).run(&["pack-refs", "--all"]);
    }
    world.set("core.packedRefsTimeout", "0");
    for took in locked_out(&world, &work, "packed-refs.lock", ":other") {
        assert!(took < UNSET / 2, "{took:?}");
    }
}

/// A number below 0 is for ever.
#[test]
fn a_lock_is_waited_for_until_it_is_free() {
    let world = World::new();
    let work = world.work();
    world.push(&work, &["URL", "main~1:refs/heads/main"]);
    world.set("core.filesRefLockTimeout", "-1");
    let lock = world.path("ours").join("refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let freed = std::thread::spawn(move || {
        std::thread::sleep(UNSET + UNSET / 5);
        fs::remove_file(lock).unwrap();
    });
    world.push(&work, &["URL", "main"]);
    freed.join().unwrap();
}
