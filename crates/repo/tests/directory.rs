//! Bare repositories on disk: `git` reads what we write, writes beside us, and cleans up under us.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use packhouse_object::{ObjectId, PackFileWriter, RefName};
use packhouse_repo::directory::{DirectoryError, DirectoryOptions, OpenError, init, open};
use packhouse_repo::{Change, PublishError, RepoError, Repository, fsck};
use tempfile::TempDir;

use crate::plain_git::{
    assert_sound, branch, commit_on, edit, git, git_ok, id, new_commit, publish, target, try_git,
};

fn main_branch() -> RefName {
    branch("main")
}

fn empty() -> (TempDir, PathBuf, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repository.git");
    init(&path, &main_branch()).unwrap();
    let repository = open(&path, DirectoryOptions::default()).unwrap();
    (folder, path, repository)
}

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

/// The reflog of a branch is one chain from nothing to where the branch is. Returns its length.
async fn assert_chain(repository: &Repository, name: &RefName) -> usize {
    let log = repository
        .reflog(Some(name.as_bytes()), None, u32::MAX)
        .await
        .unwrap();
    let mut at = None;
    for entry in &log {
        assert_eq!(entry.old, at, "{entry:?}");
        at = entry.new;
    }
    assert_eq!(at, target(&repository.view().await.unwrap(), name));
    log.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn git_reads_what_is_written() {
    let (_folder, path, repository) = empty();
    assert_eq!(git(&path, &["rev-parse", "--is-bare-repository"]), "true");
    assert_eq!(git(&path, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    let second = commit_on(&repository, &main_branch(), "two").await.unwrap();
    assert_eq!(
        git(&path, &["log", "--format=%H %s"]),
        format!("{second} two\n{first} one")
    );
    assert_eq!(git(&path, &["show", "main:file"]), "two");
    assert_eq!(
        git(&path, &["reflog", "--format=%H %gn <%ge> %gs", "main"]),
        format!("{second} Ada <ada@example.org> test\n{first} Ada <ada@example.org> test")
    );
    assert_eq!(
        git(&path, &["reflog", "--format=%H", "HEAD"]),
        format!("{second}\n{first}")
    );
    assert_eq!(assert_chain(&repository, &main_branch()).await, 2);
    let view = repository.view().await.unwrap();
    assert_eq!(view.head(), &main_branch());
    assert!(
        Arc::ptr_eq(&view, &repository.view().await.unwrap()),
        "an unchanged repository is not read anew"
    );
    assert!(fsck(&view, &()).unwrap().is_clean());
    assert_sound(&path);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_writes_is_read() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    git(&path, &["tag", "-a", "-m", "a tag", "v1", "main"]);
    git(&path, &["branch", "deep/er/branch", "main"]);
    let check = async |when: &str| {
        let view = repository.view().await.unwrap();
        let listed: Vec<String> = view
            .refs()
            .iter()
            .map(|(name, value)| {
                format!(
                    "{name} {} {}",
                    value.target,
                    value.peeled.map_or(String::new(), |id| id.to_string())
                )
            })
            .collect();
        assert_eq!(
            listed.join("\n"),
            git(
                &path,
                &[
                    "for-each-ref",
                    "--format=%(refname) %(objectname) %(*objectname)"
                ]
            ),
            "{when}"
        );
        assert_eq!(listed.len(), 3);
    };
    check("loose").await;
    git(&path, &["pack-refs", "--all"]);
    check("packed").await;
    git(
        &path,
        &[
            "update-ref",
            "refs/heads/main",
            &commit_with_git(&path, Some(first)),
        ],
    );
    check("packed and moved").await;
    // As a Git of 2007 would have written it.
    let packed = fs::read_to_string(path.join("packed-refs")).unwrap();
    fs::write(
        path.join("packed-refs"),
        packed
            .lines()
            .filter(|line| !line.starts_with(['#', '^']))
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
    .unwrap();
    check("without peeled values").await;
    publish(
        &repository,
        Vec::new(),
        vec![edit(&branch("deep/er/branch"), Some(first), None)],
    )
    .await
    .unwrap();
    assert!(
        fs::read_to_string(path.join("packed-refs"))
            .unwrap()
            .contains(&format!("\n^{first}\n")),
        "peeled values are there again"
    );
    assert_sound(&path);
}

fn commit_with_git(path: &Path, parent: Option<ObjectId>) -> String {
    let tree = git(path, &["mktree"]);
    match parent {
        Some(parent) => git(
            path,
            &[
                "commit-tree",
                &tree,
                "-m",
                "by git",
                "-p",
                &parent.to_string(),
            ],
        ),
        None => git(path, &["commit-tree", &tree, "-m", "by git"]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ref_that_is_elsewhere_is_not_moved() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    let (other, objects) = new_commit(&[], "other");
    for old in [None, Some(other)] {
        let moved = publish(
            &repository,
            objects.clone(),
            vec![edit(&main_branch(), old, Some(other))],
        )
        .await;
        assert!(
            matches!(moved, Err(RepoError::Contended { .. })),
            "{moved:?}"
        );
    }
    let missing = publish(
        &repository,
        Vec::new(),
        vec![edit(&main_branch(), Some(first), Some(id(&"1".repeat(40))))],
    )
    .await;
    assert!(
        matches!(
            missing,
            Err(RepoError::Directory(DirectoryError::NoSuchTarget { .. }))
        ),
        "{missing:?}"
    );
    // Half of a change is right: nothing of it is made.
    let edits = vec![
        edit(&branch("new"), None, Some(other)),
        edit(&main_branch(), Some(other), None),
    ];
    assert!(publish(&repository, objects, edits).await.is_err());
    assert_eq!(
        git(
            &path,
            &["for-each-ref", "--format=%(refname) %(objectname)"]
        ),
        format!("refs/heads/main {first}")
    );
    assert_eq!(assert_chain(&repository, &main_branch()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_refs_move_together() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    let gone = commit_on(&repository, &branch("gone"), "gone")
        .await
        .unwrap();
    git(&path, &["pack-refs", "--all"]);
    let loose = commit_on(&repository, &branch("loose"), "loose")
        .await
        .unwrap();
    let main = commit_on(&repository, &main_branch(), "two").await.unwrap();
    git(&path, &["tag", "-a", "-m", "a tag", "v1", "main"]);
    let tag = id(&git(&path, &["rev-parse", "v1"]));
    let (next, objects) = new_commit(&[main], "three");
    let edits = vec![
        edit(&main_branch(), Some(main), Some(next)),
        edit(&branch("gone"), Some(gone), None),
        edit(&branch("loose"), Some(loose), None),
        edit(&branch("a/new"), None, Some(first)),
        edit(&RefName::parse("refs/tags/v2").unwrap(), None, Some(tag)),
    ];
    publish(&repository, objects, edits).await.unwrap();
    let expected = format!(
        "refs/heads/a/new {first} \nrefs/heads/main {next} \nrefs/tags/v1 {tag} {main}\nrefs/tags/v2 {tag} {main}"
    );
    assert_eq!(
        git(
            &path,
            &[
                "for-each-ref",
                "--format=%(refname) %(objectname) %(*objectname)"
            ]
        ),
        expected
    );
    assert!(!path.join("refs/heads/main").exists() && path.join("refs/heads").is_dir());
    assert!(!path.join("logs/refs/heads/gone").exists());
    assert_eq!(assert_chain(&repository, &main_branch()).await, 3);
    assert_eq!(
        git(&path, &["reflog", "--format=%H", "-n1", "HEAD"]),
        next.to_string()
    );
    assert_eq!(leftovers(&path), BTreeSet::new());
    // And Git goes on from there.
    git(
        &path,
        &[
            "update-ref",
            "refs/heads/main",
            &first.to_string(),
            &next.to_string(),
        ],
    );
    assert_eq!(assert_chain(&repository, &main_branch()).await, 4);
    assert_sound(&path);
}

/// Locks and temporary files, relative to the folder.
fn leftovers(path: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if name.ends_with(".lock")
                || name.contains("tmp")
                || entry
                    .path()
                    .parent()
                    .unwrap()
                    .ends_with("incoming-packhouse")
            {
                found.insert(
                    entry
                        .path()
                        .strip_prefix(path)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn refs_are_deleted_wherever_they_are() {
    let (_folder, path, repository) = empty();
    let name = branch("folder/topic");
    for (packed, loose) in [(false, true), (true, false), (true, true)] {
        let mut at = commit_on(&repository, &name, "one").await.unwrap();
        if packed {
            git(&path, &["pack-refs", "--all"]);
        }
        if packed && loose {
            at = commit_on(&repository, &name, "two").await.unwrap();
        }
        assert_eq!(path.join("refs/heads/folder/topic").exists(), loose);
        publish(&repository, Vec::new(), vec![edit(&name, Some(at), None)])
            .await
            .unwrap();
        assert_eq!(
            git(&path, &["for-each-ref"]),
            "",
            "packed {packed}, loose {loose}"
        );
        assert!(repository.view().await.unwrap().refs().is_empty());
        assert!(
            !path.join("refs/heads/folder").exists()
                && !path.join("logs/refs/heads/folder").exists()
        );
        assert!(path.join("refs/heads").is_dir());
    }
    assert_eq!(leftovers(&path), BTreeSet::new());
    assert_sound(&path);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ref_and_a_folder_of_refs_exclude_each_other() {
    let (_folder, path, repository) = empty();
    let (short, long) = (branch("a"), branch("a/b/c"));
    for packed in [false, true] {
        for (first, second) in [(&short, &long), (&long, &short)] {
            let at = commit_on(&repository, first, "one").await.unwrap();
            if packed {
                git(&path, &["pack-refs", "--all"]);
            }
            let refused = commit_on(&repository, second, "two").await.unwrap_err();
            assert!(
                matches!(
                    refused,
                    RepoError::Directory(DirectoryError::NameConflict { .. })
                ),
                "{refused:?}"
            );
            let both = vec![edit(first, Some(at), None), edit(second, None, Some(at))];
            assert!(publish(&repository, Vec::new(), both).await.is_err());
            publish(&repository, Vec::new(), vec![edit(first, Some(at), None)])
                .await
                .unwrap();
            // Empty folders that another Git left are no obstacle.
            fs::create_dir_all(path.join("refs/heads/a/empty/folder")).unwrap();
            fs::create_dir_all(path.join("logs/refs/heads/a/empty/folder")).unwrap();
            let at = commit_on(&repository, second, "two").await.unwrap();
            publish(&repository, Vec::new(), vec![edit(second, Some(at), None)])
                .await
                .unwrap();
        }
    }
    let (commit, objects) = new_commit(&[], "both");
    let both = vec![
        edit(&short, None, Some(commit)),
        edit(&long, None, Some(commit)),
    ];
    let refused = publish(&repository, objects.clone(), both)
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            RepoError::Directory(DirectoryError::NameConflict { .. })
        ),
        "{refused:?}"
    );
    let top = RefName::parse("refs/heads").unwrap();
    assert!(
        publish(&repository, objects, vec![edit(&top, None, Some(commit))])
            .await
            .is_err()
    );
    assert!(path.join("refs/heads").is_dir());
    assert_eq!(leftovers(&path), BTreeSet::new());
    assert_sound(&path);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_was_left_is_named() {
    let (_folder, path, _) = empty();
    let repository = impatient(&path);
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    for name in ["refs/heads/main.lock", "HEAD.lock", "refs/heads.lock"] {
        let lock = path.join(name);
        fs::write(&lock, "").unwrap();
        let error = commit_on(&repository, &main_branch(), "two")
            .await
            .unwrap_err();
        assert!(
            matches!(&error, RepoError::Directory(DirectoryError::Locked { lock, waited_ms }) if lock.ends_with(name) && *waited_ms >= 200),
            "{error:?}"
        );
        assert!(error.to_string().contains(name), "{error}");
        assert!(lock.exists(), "another's lock is left alone");
        fs::remove_file(&lock).unwrap();
    }
    fs::write(path.join("packed-refs.lock"), "").unwrap();
    let (second, objects) = new_commit(&[first], "two");
    let edits = vec![
        edit(&main_branch(), Some(first), Some(second)),
        edit(&branch("other"), None, Some(first)),
    ];
    let error = publish(&repository, objects, edits).await.unwrap_err();
    assert!(error.to_string().contains("packed-refs.lock"), "{error}");
    fs::remove_file(path.join("packed-refs.lock")).unwrap();
    assert_eq!(leftovers(&path), BTreeSet::new());
    // A lock that is given up in time is waited for.
    let patient = open(&path, DirectoryOptions::default()).unwrap();
    let lock = path.join("refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        fs::remove_file(lock).unwrap();
    });
    commit_on(&patient, &main_branch(), "two").await.unwrap();
    holder.join().unwrap();
    assert_eq!(assert_chain(&patient, &main_branch()).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_of_git_and_writers_here_share_a_branch() {
    const BY_GIT: u32 = 25;
    const HERE: u32 = 25;
    let (_folder, path, repository) = empty();
    commit_on(&repository, &main_branch(), "start")
        .await
        .unwrap();
    git(&path, &["config", "core.filesRefLockTimeout", "5000"]);
    let by_git: Vec<_> = (0..3)
        .map(|writer| {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut done = 0;
                while done < BY_GIT {
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
                    if done % 10 == 0 {
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
async fn many_objects_become_one_pack() {
    let (_folder, path, repository) = empty();
    let mut objects = Vec::new();
    let mut at = None;
    for n in 0..40 {
        let (commit, new) = new_commit(at.as_slice(), &format!("{n}"));
        objects.extend(new);
        at = Some(commit);
    }
    publish(&repository, objects, vec![edit(&main_branch(), None, at)])
        .await
        .unwrap();
    assert_eq!(git(&path, &["count-objects"]), "0 objects, 0 kilobytes");
    assert_eq!(git(&path, &["rev-list", "--count", "main"]), "40");
    assert_eq!(fs::read_dir(path.join("objects/pack")).unwrap().count(), 2);

    // A pack that comes with a write: seen while preparing, kept only if the write is made.
    for wanted in [false, true] {
        let (commit, new) = new_commit(at.as_slice(), "in a pack");
        let mut writer = PackFileWriter::create(repository.quarantine_dir()).unwrap();
        new.iter()
            .for_each(|object| writer.add_new(object).unwrap());
        let finished = writer.finish().unwrap();
        let result = repository.publish("Ada", vec![finished], move |view| {
            assert!(view.database().contains(&commit).unwrap());
            match wanted {
                true => Ok((
                    Change {
                        objects: Vec::new(),
                        edits: vec![edit(&main_branch(), at, Some(commit))],
                    },
                    (),
                )),
                false => Err("no"),
            }
        });
        match result.await {
            Ok(_) => assert!(wanted),
            Err(PublishError::Refused(reason)) => assert!(!wanted && reason == "no"),
            Err(PublishError::Repo(error)) => panic!("{error}"),
        }
        assert_eq!(
            git_ok(&path, &["cat-file", "-e", &commit.to_string()]),
            wanted
        );
        assert_eq!(
            fs::read_dir(repository.quarantine_dir()).unwrap().count(),
            0
        );
    }
    assert_sound(&path);
}

#[tokio::test(flavor = "multi_thread")]
async fn symbolic_refs_are_followed() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    git(
        &path,
        &["symbolic-ref", "refs/heads/alias", "refs/heads/main"],
    );
    git(
        &path,
        &["symbolic-ref", "refs/heads/nowhere", "refs/heads/unborn"],
    );
    let view = repository.view().await.unwrap();
    assert_eq!(
        (
            target(&view, &branch("alias")),
            target(&view, &branch("nowhere"))
        ),
        (Some(first), None)
    );
    let second = commit_on(&repository, &branch("alias"), "two")
        .await
        .unwrap();
    assert_eq!(git(&path, &["rev-parse", "main"]), second.to_string());
    assert_eq!(
        git(&path, &["symbolic-ref", "refs/heads/alias"]),
        "refs/heads/main"
    );
    assert_eq!(
        git(&path, &["reflog", "--format=%H", "-n1", "refs/heads/alias"]),
        second.to_string()
    );
    let twice = vec![
        edit(&branch("alias"), Some(second), Some(first)),
        edit(&main_branch(), Some(second), Some(first)),
    ];
    let error = publish(&repository, Vec::new(), twice).await.unwrap_err();
    assert!(
        matches!(
            error,
            RepoError::Directory(DirectoryError::EditedTwice { .. })
        ),
        "{error:?}"
    );
    git(
        &path,
        &["symbolic-ref", "refs/heads/round", "refs/heads/round2"],
    );
    git(
        &path,
        &["symbolic-ref", "refs/heads/round2", "refs/heads/round"],
    );
    assert!(
        commit_on(&repository, &branch("round"), "round")
            .await
            .is_err()
    );
    assert_eq!(assert_chain(&repository, &main_branch()).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_borrowed_through_alternates() {
    let (folder, path, repository) = empty();
    commit_on(&repository, &main_branch(), "one").await.unwrap();
    for (from, to) in [
        ("repository.git", "second.git"),
        ("second.git", "third.git"),
    ] {
        git(
            folder.path(),
            &["clone", "-q", "--bare", "--shared", from, to],
        );
    }
    let third = folder.path().join("third.git");
    let repository = open(&third, DirectoryOptions::default()).unwrap();
    commit_on(&repository, &main_branch(), "two").await.unwrap();
    assert_eq!(git(&third, &["rev-list", "--count", "main"]), "2");
    let view = repository.view().await.unwrap();
    assert!(fsck(&view, &()).unwrap().is_clean());
    git(&path, &["gc", "--quiet"]);
    assert!(fsck(&view, &()).unwrap().is_clean());
    assert_sound(&third);
}

#[test]
fn other_forms_of_storage_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let refused = |name: &str| open(root.join(name), DirectoryOptions::default()).unwrap_err();
    git(
        root,
        &[
            "init",
            "-q",
            "--bare",
            "--object-format=sha256",
            "sha256.git",
        ],
    );
    assert!(
        matches!(refused("sha256.git"), OpenError::Unsupported { feature, .. } if feature == "object format sha256")
    );
    git(root, &["init", "-q", "working"]);
    assert!(matches!(refused("working"), OpenError::WorkingCopy { .. }));
    assert!(matches!(
        refused("working/.git"),
        OpenError::WorkingCopy { .. }
    ));
    git(root, &["init", "-q", "--bare", "reftable.git"]);
    git(
        &root.join("reftable.git"),
        &["config", "core.repositoryformatversion", "1"],
    );
    fs::write(
        root.join("reftable.git/config"),
        "[core]\nrepositoryformatversion=1\nbare=true\n[extensions]\nrefStorage = reftable\n",
    )
    .unwrap();
    assert!(
        matches!(refused("reftable.git"), OpenError::Unsupported { feature, .. } if feature == "ref storage reftable")
    );
    fs::write(
        root.join("reftable.git/config"),
        "[core]\nrepositoryformatversion=1\nbare=true\n[extensions]\nnewer = 1\n",
    )
    .unwrap();
    assert!(
        matches!(refused("reftable.git"), OpenError::Unsupported { feature, .. } if feature == "extension newer")
    );
    git(root, &["init", "-q", "--bare", "partial.git"]);
    git(
        &root.join("partial.git"),
        &["config", "remote.origin.promisor", "true"],
    );
    assert!(
        matches!(refused("partial.git"), OpenError::Unsupported { feature, .. } if feature.starts_with("partial clone"))
    );
    fs::write(root.join("file"), "").unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    assert!(matches!(refused("folder"), OpenError::NoRepository { .. }));
    assert!(matches!(refused("file"), OpenError::NoRepository { .. }));
    assert!(matches!(refused("missing"), OpenError::Io { .. }));
    assert!(matches!(
        init(root.join("working"), &main_branch()),
        Err(OpenError::NotEmpty { .. })
    ));
    assert!(matches!(
        init(root.join("file"), &main_branch()),
        Err(OpenError::NotEmpty { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_can_be_read() {
    let (folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    let second = commit_on(&repository, &main_branch(), "two").await.unwrap();
    let url = format!("file://{}", path.display());
    git(
        folder.path(),
        &["clone", "-q", "--bare", "--depth=1", &url, "shallow.git"],
    );
    let shallow = open(
        folder.path().join("shallow.git"),
        DirectoryOptions::default(),
    )
    .unwrap();
    assert_eq!(
        target(&shallow.view().await.unwrap(), &main_branch()),
        Some(second)
    );
    let read_only = open(
        &path,
        DirectoryOptions {
            read_only: true,
            ..DirectoryOptions::default()
        },
    )
    .unwrap();
    for repository in [shallow, read_only] {
        let error = commit_on(&repository, &main_branch(), "three")
            .await
            .unwrap_err();
        assert!(
            matches!(error, RepoError::Directory(DirectoryError::ReadOnly { .. })),
            "{error:?}"
        );
    }
    git(
        &path,
        &["update-ref", "--no-deref", "HEAD", &first.to_string()],
    );
    let error = repository.view().await.unwrap_err();
    assert!(
        matches!(
            error,
            RepoError::Directory(DirectoryError::DetachedHead { .. })
        ),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_refs_do_not_hide_the_others() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    fs::write(path.join("refs/heads/broken"), "").unwrap();
    fs::write(path.join("refs/heads/not valid"), format!("{first}\n")).unwrap();
    fs::write(
        path.join("refs/heads/dangling"),
        format!("{}\n", "1".repeat(40)),
    )
    .unwrap();
    let view = repository.view().await.unwrap();
    let names: Vec<_> = view
        .refs()
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["refs/heads/dangling", "refs/heads/main"]);
    let report = fsck(&view, &()).unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(
        commit_on(&repository, &branch("broken"), "x")
            .await
            .is_err()
    );
    commit_on(&repository, &main_branch(), "two").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reflog_says_who_and_why() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    let second = id(&commit_with_git(&path, Some(first)));
    git(
        &path,
        &[
            "update-ref",
            "-m",
            "by git",
            "refs/heads/main",
            &second.to_string(),
        ],
    );
    let (third, objects) = new_commit(&[second], "three");
    let change = Change {
        objects,
        edits: vec![edit(&main_branch(), Some(second), Some(third))],
    };
    repository
        .publish("token 7", Vec::new(), move |_| {
            Ok::<_, ()>((change.clone(), ()))
        })
        .await
        .unwrap();
    commit_on(&repository, &branch("other"), "other")
        .await
        .unwrap();
    let log = repository
        .reflog(Some(b"refs/heads/main"), None, 10)
        .await
        .unwrap();
    let told: Vec<_> = log
        .iter()
        .map(|entry| (entry.who.as_str(), entry.message.as_str(), entry.new))
        .collect();
    assert_eq!(
        told,
        [
            ("Ada <ada@example.org>", "test", Some(first)),
            ("Git <git@example.org>", "by git", Some(second)),
            ("token 7", "test", Some(third))
        ]
    );
    let page = repository
        .reflog(Some(b"refs/heads/main"), Some(log[0].page), 1)
        .await
        .unwrap();
    assert_eq!(page, log[1..2]);
    let mut all = Vec::new();
    while let Some(entry) = repository
        .reflog(
            None,
            all.last()
                .map(|entry: &packhouse_repo::ReflogEntry| entry.page),
            1,
        )
        .await
        .unwrap()
        .pop()
    {
        all.push(entry);
    }
    assert_eq!(all.len(), 4);
    assert!(
        repository
            .reflog(Some(b"../../etc/passwd"), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
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
                "directory::writer_to_be_killed",
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
        acknowledged.extend(commits.next());
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
