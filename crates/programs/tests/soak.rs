//! Pushes and clones beside everything that tidies a repository up, for a few seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::doors::World;
use crate::git::Git;

const SOAK: Duration = Duration::from_secs(5);

/// How often a push of the two may find a ref of its own locked: `git pack-refs` holds the lock of a ref that it removes the
/// file of, and git's own pushes end as these do then.
const PATIENCE: usize = 3;

fn is_locked_out(stderr: &str) -> bool {
    stderr.contains("cannot lock ref") || stderr.contains("another program holds this lock")
}

fn push_on(world: &World, number: usize, until: Instant) {
    let folder = format!("work{number}");
    world
        .root()
        .run(&["clone", "-q", &world.url("ours"), &folder]);
    let work = Git::at(world.path(&folder));
    let branch = format!("main:refs/heads/b{number}");
    let mut pushes = 0;
    // However slow the machine is, there is one.
    while pushes == 0 || Instant::now() < until {
        pushes += 1;
        work.commit_file(&format!("x{number}"), &format!("{pushes}\n"));
        let topic = format!("main:refs/heads/t{number}/{pushes}");
        for attempt in 0.. {
            let pushed = work.try_run(&["push", "-q", &world.url("ours"), &branch, &topic]);
            if pushed.ok {
                break;
            }
            let may_be = attempt < PATIENCE && is_locked_out(&pushed.stderr);
            assert!(may_be, "push {pushes} of {number}: {}", pushed.stderr);
        }
    }
    let found = world
        .inside("ours")
        .run(&["rev-parse", &format!("b{number}")]);
    assert_eq!(found, work.run(&["rev-parse", "main"]));
}

fn clone_on(world: &World, until: Instant) {
    let mut clones = 0;
    while clones == 0 || Instant::now() < until {
        clones += 1;
        let to = format!("clone{clones}");
        let version = format!("protocol.version={}", clones % 2 * 2);
        let args = [
            "-c",
            &version,
            "clone",
            "-q",
            "--bare",
            &world.url("ours"),
            &to,
        ];
        let cloned = world.root().try_run(&args);
        assert!(cloned.ok, "clone {clones}: {}", cloned.stderr);
        Git::at(world.path(&to)).fsck();
        std::fs::remove_dir_all(world.path(&to)).unwrap();
    }
}

#[test]
fn pushes_and_clones_go_well_beside_gc() {
    let world = World::new();
    let work = world.work();
    for number in 0..20 {
        work.commit_file(&format!("f{number}"), &format!("{number}\n"));
    }
    world.push(&work, &["URL", "main"]);
    let inside = world.inside("ours");
    inside.run(&["config", "gc.auto", "0"]);
    inside.run(&["config", "receive.autogc", "false"]);
    let until = Instant::now() + SOAK;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let tidy: [&[&str]; 5] = [
                &["repack", "-adbq"],
                &["pack-refs", "--all", "--prune"],
                &["gc", "-q", "--prune=1.minute.ago"],
                &["prune-packed", "-q"],
                &["multi-pack-index", "write", "--bitmap"],
            ];
            for args in tidy.iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                // Each may meet what another changes.
                world.inside("ours").try_run(args);
            }
        });
        let world = &world;
        let pushers = [1, 2].map(|number| scope.spawn(move || push_on(world, number, until)));
        let cloner = scope.spawn(move || clone_on(world, until));
        let ended = pushers.into_iter().chain([cloner]);
        let ended: Vec<_> = ended.map(|thread| thread.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    inside.fsck();
    let left = std::fs::read_dir(world.path("ours/objects")).unwrap();
    let left = left
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"tmp_"));
    assert_eq!(left.count(), 0);
}
