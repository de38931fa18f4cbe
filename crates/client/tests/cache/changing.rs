//! Sources that change while they are copied: a copy is one of them at one time, or none.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use packhouse_client::cache::{Cache, CacheError, CacheStatus, CacheStep, CallOptions, Entry};

use super::{check_tree, files, open};
use crate::git::{Git, init};
use crate::world::World;

/// Adds a source, and does something before the last two files are copied, the first `times` that it comes to this.
fn add_while(
    cache: &Cache,
    source: &Path,
    times: usize,
    change: impl Fn(usize) + Sync,
) -> Result<Entry, CacheError> {
    let done = AtomicUsize::new(0);
    let meddle = |step, at, total: Option<u64>| {
        if step == CacheStep::Copying && total == Some(at + 2) {
            let number = done.fetch_add(1, Ordering::SeqCst);
            if number < times {
                change(number);
            }
        }
    };
    let call = CallOptions {
        cancel: None,
        progress: Some(&meddle),
    };
    let entry = cache.add(source.to_str().unwrap(), None, &call);
    let tries = done.load(Ordering::SeqCst);
    match &entry {
        Ok(_) => assert_eq!(tries, times + 1, "it is copied until it stands still"),
        Err(_) => assert_eq!(tries, 3),
    }
    entry
}

/// Six files that say whose they are.
fn fill(folder: &Path, whose: &str) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..6 {
        fs::write(
            folder.join(format!("f{number}")),
            format!("{whose} {number}"),
        )
        .unwrap();
    }
}

/// A working copy at `main`, with a branch `side` that has other files.
fn two_branches(world: &World) -> Git {
    let work = init(&world.path("work"));
    for branch in ["side", "main"] {
        work.run(&["checkout", "-q", "--orphan", branch]);
        fill(&work.dir, branch);
        fs::write(work.dir.join(format!("only-{branch}")), "").unwrap();
        work.run(&["add", "."]);
        work.run(&["commit", "-q", "-m", branch]);
        if branch == "side" {
            work.run(&["rm", "-q", "-r", "."]);
        }
    }
    work
}

#[test]
fn a_working_copy_that_is_switched_while_it_is_copied_is_copied_again() {
    let world = World::new();
    let work = two_branches(&world);
    let cache = open(&world);
    for (to, times) in [("side", 1), ("main", 1), ("side", 2)] {
        let other = if to == "side" { "main" } else { "side" };
        let entry = add_while(&cache, &work.dir, times, |number| {
            let is_last = number + 1 == times;
            work.run(&["checkout", "-q", if is_last { to } else { other }]);
            if !is_last {
                fs::write(work.dir.join("f0"), "mine").unwrap();
                work.run(&["checkout", "-q", "--", "f0"]);
            }
        });
        let entry = entry.unwrap();
        assert_eq!(entry.status, CacheStatus::Fresh);
        assert_eq!(entry.local_branch.as_deref(), Some(to));
        assert_eq!(files(&entry.cache_path), files(&work.dir));
        check_tree(&entry.cache_path);
    }
}

#[test]
fn a_working_copy_that_does_not_come_to_rest_keeps_the_copy_before() {
    let world = World::new();
    let work = two_branches(&world);
    let cache = open(&world);
    let before = add_while(&cache, &work.dir, 0, |_| {}).unwrap();
    let copied = files(&before.cache_path);
    work.commit_file("f0", "newer");
    let failed = add_while(&cache, &work.dir, usize::MAX, |number| {
        let branch = ["side", "main"][number % 2];
        work.run(&["checkout", "-q", branch]);
    });
    let failed = failed.unwrap_err();
    assert!(matches!(failed, CacheError::Changing { .. }), "{failed}");
    let told = failed.to_string();
    assert!(told.ends_with("it changes while it is copied"), "{told}");
    let kept = cache.get("work").unwrap();
    assert_eq!(kept.status, CacheStatus::Error);
    assert_eq!(kept.error_message, Some(told));
    assert_eq!(files(&kept.cache_path), copied);
    check_tree(&kept.cache_path);
    assert_eq!(kept.local_commit_hash, before.local_commit_hash);
    let staging = fs::read_dir(cache.root().join(".packhouse/staging")).unwrap();
    assert_eq!(staging.count(), 0);
}

/// The files are the same.
#[test]
fn a_commit_while_a_working_copy_is_copied_is_part_of_the_copy() {
    let world = World::new();
    let work = two_branches(&world);
    let cache = open(&world);
    let entry = add_while(&cache, &work.dir, 1, |_| {
        work.run(&["commit", "-q", "--allow-empty", "-m", "meanwhile"]);
    });
    let head = work.run(&["rev-parse", "HEAD"]);
    let copied = entry.unwrap().local_commit_hash;
    assert_eq!(copied.as_deref(), Some(head.trim()));
}

/// Git writes files first, then the index, and moves `HEAD` last: in between nothing but the lock tells of it.
#[test]
fn where_git_is_at_work_nothing_is_copied() {
    let world = World::new();
    let work = two_branches(&world);
    let cache = open(&world);
    let before = add_while(&cache, &work.dir, 0, |_| {}).unwrap();
    let copied = files(&before.cache_path);
    let lock = work.dir.join(".git/index.lock");
    fs::write(work.dir.join("f0"), "other").unwrap();
    let failed = add_while(&cache, &work.dir, 1, |_| fs::write(&lock, "").unwrap());
    let told = failed.unwrap_err().to_string();
    assert!(told.contains("index.lock: it is there"), "{told}");
    assert_eq!(files(&before.cache_path), copied);
    // A Git that was killed does not come to an end.
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let file = fs::File::options().write(true).open(&lock).unwrap();
    file.set_modified(an_hour_ago).unwrap();
    let entry = add_while(&cache, &work.dir, 0, |_| {}).unwrap();
    assert!(
        entry.notes[0].contains("index.lock' is there"),
        "{:?}",
        entry.notes
    );
    assert_eq!(files(&entry.cache_path), files(&work.dir));
    fs::remove_file(&lock).unwrap();
    fs::write(work.dir.join("f0"), "another").unwrap();
    let entry = add_while(&cache, &work.dir, 0, |_| {}).unwrap();
    assert_eq!(entry.notes, [""; 0]);
}

#[test]
fn a_directory_that_changes_while_it_is_copied_is_copied_again() {
    let world = World::new();
    let source = world.path("project");
    fill(&source.join("sub"), "old");
    symlink("old", source.join("sub/link")).unwrap();
    let cache = open(&world);
    let sub = source.join("sub");
    let (next, before) = (world.path("next"), world.path("before"));
    let by_rename = |_: usize| {
        fill(&next, "new");
        symlink("new", next.join("link")).unwrap();
        fs::rename(&sub, &before).unwrap();
        fs::rename(&next, &sub).unwrap();
    };
    let changes: [(&str, &(dyn Fn(usize) + Sync)); 7] = [
        ("another folder", &by_rename),
        ("a new file", &|_| fs::write(sub.join("a"), "new").unwrap()),
        ("a new folder", &|_| {
            fs::create_dir(source.join("z")).unwrap()
        }),
        ("gone before it was copied", &|_| {
            fs::remove_file(sub.join("f5")).unwrap()
        }),
        ("gone after it was copied", &|_| {
            fs::remove_file(sub.join("a")).unwrap()
        }),
        ("written after it was copied", &|_| {
            fs::write(sub.join("f0"), "anew").unwrap()
        }),
        ("folder instead of a file", &|_| {
            fs::remove_file(sub.join("f4")).unwrap();
            fill(&sub.join("f4"), "inside");
        }),
    ];
    for (what, change) in changes {
        // Otherwise it is not copied at all.
        fs::write(source.join("other"), what).unwrap();
        let entry = add_while(&cache, &source, 1, change).unwrap();
        assert_eq!(entry.status, CacheStatus::Fresh, "{what}");
        assert_eq!(files(&entry.cache_path), files(&source), "{what}");
        assert_eq!(
            entry.cache_path.join("z").exists(),
            source.join("z").exists()
        );
    }
    let copied = files(&source);
    fs::write(source.join("other"), "at last").unwrap();
    // Files that are as long as those whose place they take.
    let (other, aside) = (world.path("other"), world.path("aside"));
    fill(&other, "own");
    let failed = add_while(&cache, &source, usize::MAX, |_| {
        fs::rename(&sub, &aside).unwrap();
        fs::rename(&other, &sub).unwrap();
        fs::rename(&aside, &other).unwrap();
    });
    assert!(
        matches!(failed, Err(CacheError::Changing { .. })),
        "{failed:?}"
    );
    let kept = cache.get("project").unwrap();
    assert_eq!(kept.status, CacheStatus::Error);
    assert_eq!(files(&kept.cache_path), copied);
}

/// What is left out changed, and nothing else.
#[test]
fn patterns_that_change_while_a_directory_is_copied_count() {
    let world = World::new();
    let work = two_branches(&world);
    fs::write(work.dir.join("built"), "by hand").unwrap();
    let cache = open(&world);
    let entry = add_while(&cache, &work.dir, 1, |_| {
        fs::write(work.dir.join(".gitignore"), "built\n").unwrap();
    });
    let copy = entry.unwrap().cache_path;
    assert!(copy.join(".gitignore").exists() && !copy.join("built").exists());
}
