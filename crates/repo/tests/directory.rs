//! Bare repositories on disk: `git` reads what we write, and we read what `git` writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use packhouse_object::{PackFileWriter, RefName};
use packhouse_repo::directory::{DirectoryError, DirectoryOptions, OpenError, init, open};
use packhouse_repo::{Change, PublishError, RepoError, Repository, fsck};

use crate::bare::{assert_chain, commit_with_git, empty, leftovers, main_branch};
use crate::plain_git::{
    assert_sound, branch, commit_on, edit, git, git_ok, id, new_commit, publish, target,
};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_symbolic_ref_is_deleted_alone() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    for packed in [false, true] {
        let symbolic = ["alias", "again"].map(|name| {
            let full = branch(name);
            git(
                &path,
                &["symbolic-ref", &full.to_string(), "refs/heads/main"],
            );
            full
        });
        if packed {
            git(&path, &["pack-refs", "--all"]);
        }
        let alone = vec![edit(&symbolic[0], Some(first), None)];
        publish(&repository, Vec::new(), alone).await.unwrap();
        assert_eq!(git(&path, &["rev-parse", "main"]), first.to_string());
        assert!(!path.join("refs/heads/alias").exists());
        let view = repository.view().await.unwrap();
        assert_eq!(target(&view, &branch("alias")), None);

        // Beside what it leads to.
        git(&path, &["branch", "keep", "main"]);
        let both = vec![
            edit(&main_branch(), Some(first), None),
            edit(&symbolic[1], Some(first), None),
        ];
        publish(&repository, Vec::new(), both).await.unwrap();
        assert_eq!(
            git(&path, &["for-each-ref", "--format=%(refname)"]),
            "refs/heads/keep"
        );
        assert!(!path.join("refs/heads/again").exists());
        git(&path, &["branch", "-m", "keep", "main"]);
    }
    assert_sound(&path);
}
