//! Several writers at once.

use std::thread;

use packhouse_repo::store::{Store, StoreError, WriteOptions, retry_write};

use super::{World, options};

#[test]
fn writers_that_retry_lose_nothing() {
    let world = World::new();
    let (threads, writes) = (8, 20);
    thread::scope(|scope| {
        for thread in 0..threads {
            let path = world.path();
            scope.spawn(move || {
                // Opened anew, as another process would.
                let store = Store::open(path, options(None)).unwrap();
                for n in 0..writes {
                    let name = format!("{thread}/{n}");
                    let write = WriteOptions::default();
                    retry_write(&store, "main", &name, name.as_bytes(), &write, 0).unwrap();
                }
            });
        }
    });
    let files = world.main().files("").unwrap().count();
    assert_eq!(files, threads * writes);
    let commits = (threads * writes + 1).to_string();
    assert_eq!(world.git(&["rev-list", "--count", "main"]), commits);
    world.fsck();
}

#[test]
fn threads_of_one_store_write_together_and_are_answered_one_by_one() {
    let world = World::new();
    super::put(&world.main(), "same", "same");
    let write_to = |branch: &str, path: &str, data: &[u8]| {
        retry_write(
            &world.store,
            branch,
            path,
            data,
            &WriteOptions::default(),
            0,
        )
    };
    let (write_to, write) = (&write_to, |path: &str, data: &[u8]| {
        write_to("main", path, data)
    });
    let results: Vec<_> = thread::scope(|scope| {
        // Nobody gets on until all are there.
        let turn = world.store.exclusive().unwrap();
        let writers: Vec<_> = (0..12)
            .map(|n| {
                scope.spawn(move || match n {
                    3 => write(".git/config", b""),
                    4 | 9 => write("same", b"same"),
                    5 => write_to("none", "a", b""),
                    n => write(&format!("d/{n}"), &[n]),
                })
            })
            .collect();
        thread::sleep(std::time::Duration::from_millis(300));
        drop(turn);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    for (n, result) in results.iter().enumerate() {
        let path = format!("d/{n}");
        match (n, result) {
            (3, Err(StoreError::BadPath { .. })) => {}
            (5, Err(StoreError::NoSuchBranch { name })) => assert_eq!(name, "none"),
            (4 | 9, Ok(found)) => assert_eq!(found.changes(), None),
            (_, Ok(written)) => {
                assert_eq!(written.read(&path, 0, None).unwrap(), [n as u8]);
                assert_eq!(written.changes().unwrap().add[0].path, path);
                // One commit, on the one before it, that changes this file alone.
                let id = written.commit().to_string();
                let changed = ["diff-tree", "-r", "--name-only", "--no-commit-id", &id];
                assert_eq!(world.git(&changed), path);
            }
            (n, result) => panic!("{n}: {result:?}"),
        }
    }
    assert_eq!(world.git(&["rev-list", "--count", "main"]), "10");
    // The first commit, the file that is the same, and each write.
    let log = world.store.branches().reflog("main").unwrap();
    assert_eq!(
        log.len(),
        10 - usize::from(log[0].message != "branch: created")
    );
    assert!(log.windows(2).all(|lines| lines[0].new == lines[1].old));
    assert_eq!(log.last().unwrap().new, world.main().commit());
    world.fsck();
}

#[test]
fn a_writer_in_its_turn_does_not_wait_for_threads_that_wait_for_it() {
    let world = World::new();
    let write = |path: &str| {
        retry_write(
            &world.store,
            "main",
            path,
            b"1",
            &WriteOptions::default(),
            0,
        )
        .unwrap()
    };
    thread::scope(|scope| {
        let turn = world.store.exclusive().unwrap();
        let other = scope.spawn(|| write("other"));
        thread::sleep(std::time::Duration::from_millis(100));
        let mine = write("mine");
        assert_eq!(world.main().commit(), mine.commit());
        drop(turn);
        assert_eq!(other.join().unwrap().parents(), [mine.commit()]);
    });
    world.fsck();
}

#[test]
fn threads_that_write_together_get_on_beside_git_that_packs_refs() {
    let world = World::new();
    let path = world.path();
    thread::scope(|scope| {
        for thread in 0..4 {
            let store = &world.store;
            scope.spawn(move || {
                for n in 0..40 {
                    let file = format!("{thread}/{n}");
                    let write = WriteOptions::default();
                    retry_write(store, "main", &file, file.as_bytes(), &write, 9).unwrap();
                }
            });
        }
        for _ in 0..8 {
            super::git_in(&path, &["pack-refs", "--all", "--prune"]);
        }
    });
    assert_eq!(world.main().files("").unwrap().count(), 160);
    assert_eq!(world.git(&["rev-list", "--count", "main"]), "161");
    world.fsck();
}

#[test]
fn of_writers_from_one_snapshot_one_wins() {
    let world = World::new();
    let start = world.main();
    let results: Vec<_> = thread::scope(|scope| {
        let start = &start;
        let threads: Vec<_> = (0..8)
            .map(|n: u8| scope.spawn(move || start.write("a", &[n], &WriteOptions::default())))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 1);
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Ok(_) | Err(StoreError::Stale { .. })))
    );
    world.fsck();
}

#[test]
fn git_writing_the_same_branch_makes_a_snapshot_stale() {
    let world = World::new();
    let start = world.main();
    let commit = world.git(&["commit-tree", "main^{tree}", "-p", "main", "-m", "by git"]);
    world.git(&["update-ref", "refs/heads/main", &commit]);
    let error = start.write("a", b"", &WriteOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::Stale { .. }));
    assert_eq!(world.main().message(), "by git");
}

#[test]
fn writers_get_on_beside_git_that_packs() {
    let world = World::new();
    let path = world.path();
    thread::scope(|scope| {
        let packing = scope.spawn(|| {
            // The branch is locked most of the time.
            let patient = "--config-env=core.filesRefLockTimeout=PATIENT";
            for _ in 0..6 {
                super::git_in(&path, &[patient, "gc", "--quiet", "--prune=1.hour.ago"]);
                super::git_in(&path, &[patient, "pack-refs", "--all", "--prune"]);
            }
        });
        let mut n = 0;
        while !packing.is_finished() || n < 50 {
            let name = format!("f{}", n % 7);
            retry_write(
                &world.store,
                "main",
                &name,
                format!("{n}").as_bytes(),
                &WriteOptions::default(),
                5,
            )
            .unwrap();
            n += 1;
        }
        packing.join().unwrap();
        assert_eq!(
            world.git(&["rev-list", "--count", "main"]),
            (n + 1).to_string()
        );
    });
    world.fsck();
}

#[test]
fn commits_made_together_have_a_line_each_in_the_reflog_of_a_packed_branch_too() {
    let world = World::new();
    let symbolic = ["symbolic-ref", "refs/heads/alias", "refs/heads/main"];
    world.git(&symbolic);
    for (round, branch) in ["main", "alias"].into_iter().enumerate() {
        world.git(&["pack-refs", "--all"]);
        assert!(!world.path().join("refs/heads/main").exists());
        let before = world.main().commit();
        thread::scope(|scope| {
            // Nobody gets on until all are there.
            let turn = world.store.exclusive().unwrap();
            for n in 0..8 {
                let store = &world.store;
                scope.spawn(move || {
                    let (path, write) = (format!("{round}/{n}"), WriteOptions::default());
                    retry_write(store, branch, &path, b"1", &write, 0).unwrap();
                });
            }
            thread::sleep(std::time::Duration::from_millis(300));
            drop(turn);
        });
        let log = world.store.branches().reflog("main").unwrap();
        let at = log.iter().rposition(|line| line.old == before).unwrap();
        let log = &log[at..];
        assert_eq!(log.len(), 8);
        assert!(log.windows(2).all(|lines| lines[0].new == lines[1].old));
        let newest = world.main();
        assert_eq!(log.last().unwrap().new, newest.commit());
        // What goes one step back comes back by one step.
        let back = newest.undo(1).unwrap();
        assert_eq!(back.commit(), log.last().unwrap().old);
        assert_eq!(back.redo(1).unwrap().commit(), newest.commit());
    }
    world.fsck();
}

#[test]
fn a_git_at_work_keeps_its_locks_when_a_writer_was_killed() {
    use std::io::Write;
    let world = World::new();
    let start = super::put(&world.main(), "before", "1");
    let main = start.commit().to_string();
    // Killed in its turn, without a lock.
    let state = std::fs::read(world.path().join("gitstore.lock")).unwrap();
    let mut killed = state.clone();
    killed[0] = b'w';
    // It has locked the branch, and says so, and takes its time.
    let mut git = std::process::Command::new("git")
        .args(["update-ref", "--stdin"])
        .current_dir(world.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = git.stdin.take().unwrap();
    let tree = start.tree().to_string();
    let commit = world.git(&["commit-tree", "-p", &main, "-m", "by git", &tree]);
    write!(
        stdin,
        "start\nupdate refs/heads/main {commit} {main}\nprepare\n"
    )
    .unwrap();
    stdin.flush().unwrap();
    let lock = world.path().join("refs/heads/main.lock");
    let begun = std::time::Instant::now();
    while !lock.exists() {
        assert!(begun.elapsed().as_secs() < 20);
        thread::sleep(std::time::Duration::from_millis(5));
    }
    std::fs::write(world.path().join("gitstore.lock"), killed).unwrap();
    thread::scope(|scope| {
        let writing = scope.spawn(|| start.write("a", b"1", &WriteOptions::default()));
        // Longer than a lock takes to look old.
        thread::sleep(std::time::Duration::from_millis(1500));
        assert!(lock.exists());
        writeln!(stdin, "commit").unwrap();
        drop(stdin);
        assert!(git.wait().unwrap().success());
        let late = writing.join().unwrap();
        assert!(matches!(late, Err(StoreError::Stale { .. })), "{late:?}");
    });
    assert_eq!(world.main().commit().to_string(), commit);
    world.fsck();
}

#[test]
fn the_lock_of_a_git_that_was_killed_is_named_and_left() {
    let world = World::new();
    let start = world.main();
    let lock = world.path().join("refs/heads/main.lock");
    std::fs::write(&lock, b"").unwrap();
    let refused = start.write("a", b"1", &WriteOptions::default());
    let text = format!("{:#?}", refused.as_ref().unwrap_err());
    assert!(
        text.contains("Locked") && text.contains("refs/heads/main.lock"),
        "{text}"
    );
    assert!(lock.exists());
    std::fs::remove_file(&lock).unwrap();
    super::put(&start, "a", "1");
    world.fsck();
}
