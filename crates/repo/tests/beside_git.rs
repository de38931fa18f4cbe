//! Bare repositories on disk while other processes are at work on them, and after some were killed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use packhouse_object::{ObjectId, RefName};
use packhouse_repo::directory::{DirectoryOptions, open};
use packhouse_repo::{Change, fsck};

use crate::bare::{assert_chain, commit_with_git, empty, leftovers, main_branch};
use crate::plain_git::{
    assert_sound, branch, commit_on, edit, git, git_ok, id, new_commit, publish, target, try_git,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_of_git_and_writers_here_share_a_branch() {
    const BY_GIT: u32 = 25;
    const HERE: u32 = 25;
    let (_folder, path, repository) = empty();
    commit_on(&repository, &main_branch(), "start")
        .await
        .unwrap();
    git(&path, &["config", "core.filesRefLockTimeout", "5000"]);
    // Git 2.39 alone loses writes where refs are packed in the middle of `update-ref`: it may take a new `packed-refs` for
    // the one that it has read. So its own processes do one or the other.
    let packing = Arc::new(RwLock::new(()));
    let by_git: Vec<_> = (0..3)
        .map(|writer| {
            let (path, packing) = (path.clone(), packing.clone());
            std::thread::spawn(move || {
                let mut done = 0;
                while done < BY_GIT {
                    let unpacked = packing.read().unwrap();
                    let old = git(&path, &["rev-parse", "main"]);
                    let new = commit_with_git(&path, Some(id(&old)));
                    done += u32::from(git_ok(
                        &path,
                        &[
                            "update-ref",
                            "-m",
                            &format!("git {writer}"),
                            "refs/heads/main",
                            &new,
                            &old,
                        ],
                    ));
                    drop(unpacked);
                    if done % 10 == 0 {
                        let _alone = packing.write().unwrap();
                        git_ok(&path, &["pack-refs", "--all", "--prune"]);
                    }
                }
            })
        })
        .collect();
    // Two that know of each other, and one that does not, like another process.
    let other = open(&path, DirectoryOptions::default()).unwrap();
    let here: Vec<_> = [repository.clone(), repository.clone(), other]
        .into_iter()
        .enumerate()
        .map(|(writer, repository)| {
            tokio::spawn(async move {
                for n in 0..HERE {
                    commit_on(&repository, &main_branch(), &format!("{writer} {n}"))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for writer in here {
        writer.await.unwrap();
    }
    by_git.into_iter().for_each(|writer| writer.join().unwrap());
    let expected = 1 + 3 * BY_GIT + 3 * HERE;
    assert_eq!(
        git(&path, &["rev-list", "--count", "main"]),
        expected.to_string(),
        "no write is lost"
    );
    assert_eq!(
        assert_chain(&repository, &main_branch()).await,
        expected as usize
    );
    assert_eq!(
        git(&path, &["reflog", "--format=%H", "main"])
            .lines()
            .count(),
        expected as usize
    );
    assert_eq!(leftovers(&path), BTreeSet::new());
    assert_sound(&path);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_sees_half_of_a_change() {
    const REFS: usize = 8;
    let (_folder, path, writer) = empty();
    let names: Vec<RefName> = (0..REFS).map(|n| branch(&format!("b{n}"))).collect();
    // Not the same instance, so nothing is shared but the files.
    let reader = open(&path, DirectoryOptions::default()).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let (names, done) = (names.clone(), done.clone());
        async move {
            let mut states = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let view = reader.view().await.unwrap();
                let seen: BTreeSet<_> = names.iter().map(|name| target(&view, name)).collect();
                assert_eq!(seen.len(), 1, "all refs are at one commit");
                states.extend(seen);
            }
            states.len()
        }
    });
    let mut at = None;
    for round in 0..60 {
        if round % 5 == 4 {
            git(&path, &["pack-refs", "--all"]);
        }
        if round % 7 == 6 {
            // Loose files for some of them, so that both places are in play.
            let value = at.map(|id: ObjectId| id.to_string()).unwrap();
            for name in ["refs/heads/b1", "refs/heads/b5"] {
                fs::write(path.join("new-ref"), format!("{value}\n")).unwrap();
                fs::rename(path.join("new-ref"), path.join(name)).unwrap();
            }
        }
        let (next, objects) = new_commit(at.as_slice(), &format!("{round}"));
        let edits = names
            .iter()
            .map(|name| edit(name, at, Some(next)))
            .collect();
        publish(&writer, objects, edits).await.unwrap();
        at = Some(next);
    }
    done.store(true, Ordering::Relaxed);
    assert!(reading.await.unwrap() > 3, "the reader saw it happen");
    assert_sound(&path);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn git_gc_takes_nothing_away() {
    let (_folder, path, repository) = empty();
    let done = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU32::new(0));
    let collector = std::thread::spawn({
        let (path, done, rounds) = (path.clone(), done.clone(), rounds.clone());
        move || {
            while !done.load(Ordering::Relaxed) {
                for command in [
                    &["gc", "--quiet"][..],
                    &["repack", "-q", "-d"],
                    &["pack-refs", "--all"],
                    &["repack", "-q", "-a", "-d"],
                ] {
                    let output = try_git(&path, command);
                    // Git gives up on a ref that moves while it packs it; that is its business.
                    let text = String::from_utf8_lossy(&output.stderr).into_owned();
                    assert!(
                        output.status.success() || text.contains("lock"),
                        "{command:?}: {text}"
                    );
                }
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let reader = tokio::spawn({
        let (path, done) = (path.clone(), done.clone());
        async move {
            let repository = open(&path, DirectoryOptions::default()).unwrap();
            while !done.load(Ordering::Relaxed) {
                let view = repository.view().await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                let report = tokio::task::spawn_blocking(move || fsck(&view, &()).unwrap())
                    .await
                    .unwrap();
                assert!(report.is_clean(), "{:?}", report.problems);
            }
        }
    });
    let mut commits = 0;
    while rounds.load(Ordering::Relaxed) < 4 || commits < 150 {
        commit_on(&repository, &main_branch(), &format!("{commits}"))
            .await
            .unwrap();
        commits += 1;
    }
    done.store(true, Ordering::Relaxed);
    collector.join().unwrap();
    reader.await.unwrap();
    assert_eq!(
        git(&path, &["rev-list", "--count", "main"]),
        commits.to_string()
    );
    assert_eq!(assert_chain(&repository, &main_branch()).await, commits);
    assert_sound(&path);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_view_survives_a_repack() {
    let (_folder, path, repository) = empty();
    for n in 0..5 {
        commit_on(&repository, &main_branch(), &format!("{n}"))
            .await
            .unwrap();
    }
    git(&path, &["repack", "-q", "-d"]);
    let at = commit_on(&repository, &main_branch(), "loose")
        .await
        .unwrap();
    // A cache of nothing: each read goes to the disk.
    let options = DirectoryOptions {
        cache: Arc::new(packhouse_object::ObjectCache::new(0)),
        ..DirectoryOptions::default()
    };
    let view = open(&path, options).unwrap().view().await.unwrap();
    assert!(view.database().contains(&at).unwrap());
    git(&path, &["gc", "--quiet"]);
    assert_eq!(git(&path, &["count-objects"]), "0 objects, 0 kilobytes");
    let database = view.database();
    assert!(database.contains(&at).unwrap() && database.header(&at).unwrap().is_some());
    assert!(database.read(&at).unwrap().is_some() && database.stream(&at).unwrap().is_some());
    assert!(!database.contains(&id(&"1".repeat(40))).unwrap());
    assert!(fsck(&view, &()).unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_list_of_refs_that_a_killed_writer_left_is_in_nobodys_way() {
    let (_folder, path, repository) = empty();
    let old = commit_with_git(&path, None);
    for name in ["refs/heads/a", "refs/heads/b"] {
        git(&path, &["update-ref", name, &old]);
    }
    fs::write(path.join("packed-refs.tmp"), "# pack-refs with: peeled").unwrap();
    let (new, objects) = new_commit(&[id(&old)], "both");
    let edits = ["a", "b"].map(|name| edit(&branch(name), Some(id(&old)), Some(new)));
    publish(&repository, objects, edits.into()).await.unwrap();
    assert_eq!(git(&path, &["rev-parse", "a"]), new.to_string());
    assert_eq!(leftovers(&path), BTreeSet::new());
    assert_sound(&path);
}

/// Writes until it is killed, printing each commit when it is acknowledged. Every third write moves two refs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as a process of its own, to be killed"]
async fn writer_to_be_killed() {
    let Some(path) = std::env::var_os("PACKHOUSE_TEST_WRITES_TO") else {
        return;
    };
    let repository = open(PathBuf::from(path), DirectoryOptions::default()).unwrap();
    for n in 0.. {
        let both = n % 3 == 0;
        let published = repository.publish("Ada", Vec::new(), move |view| {
            let old = target(view, &main_branch());
            let (commit, objects) = new_commit(old.as_slice(), &format!("{n}"));
            let mut edits = vec![edit(&main_branch(), old, Some(commit))];
            if both {
                edits.push(edit(
                    &branch("second"),
                    target(view, &branch("second")),
                    Some(commit),
                ));
            }
            Ok::<_, ()>((Change { objects, edits }, commit))
        });
        let (commit, _) = published.await.unwrap();
        // Through a raw descriptor: the test harness keeps what is printed.
        use std::io::Write;
        writeln!(
            fs::OpenOptions::new()
                .write(true)
                .open("/proc/self/fd/1")
                .unwrap(),
            "acknowledged {commit}"
        )
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_writers_lose_nothing_acknowledged() {
    let (_folder, path, repository) = empty();
    let mut acknowledged = Vec::new();
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "beside_git::writer_to_be_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("PACKHOUSE_TEST_WRITES_TO", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut commits = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("acknowledged ").map(id));
        // At least one of each kind of write in some rounds, however slow the disk is.
        acknowledged.extend(commits.by_ref().take(1 + round as usize % 4));
        // Random in effect: how far it gets depends on the disk.
        std::thread::sleep(Duration::from_micros(round * 7_919 % 50_000));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(commits);
        // What a person does who is told of the lock.
        for lock in leftovers(&path)
            .iter()
            .filter(|name| name.ends_with(".lock"))
        {
            fs::remove_file(path.join(lock)).unwrap();
        }
        assert_sound(&path);
        let history = git(&path, &["rev-list", "main"]);
        let history: BTreeSet<&str> = history.lines().collect();
        for commit in &acknowledged {
            assert!(
                history.contains(commit.to_string().as_str()),
                "{commit} was acknowledged in round {round} or before"
            );
        }
        let second = git(&path, &["log", "-1", "--format=%s", "second"]);
        assert_eq!(
            second.parse::<u32>().unwrap() % 3,
            0,
            "only whole changes are there"
        );
        let view = repository.view().await.unwrap();
        assert!(fsck(&view, &()).unwrap().is_clean());
    }
    assert!(acknowledged.len() > 12, "the writers got somewhere");
    commit_on(&repository, &main_branch(), "the end")
        .await
        .unwrap();
    assert_chain(&repository, &main_branch()).await;
}
