//! Moving, making and deleting refs beside others who do so.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use packhouse_object::RefName;
use packhouse_repo::RepoError;
use packhouse_repo::directory::{DirectoryError, DirectoryOptions, open};

use super::impatient;
use crate::bare::{assert_chain, empty, leftovers, main_branch};
use crate::plain_git::{assert_sound, branch, commit_on, edit, git, id, new_commit, publish};

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
