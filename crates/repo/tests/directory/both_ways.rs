//! Objects, refs and reflogs: `git` reads what we write, and we read what `git` writes.

use std::fs;
use std::sync::Arc;

use packhouse_object::PackFileWriter;
use packhouse_repo::directory::{DirectoryOptions, open};
use packhouse_repo::{Change, PublishError, fsck};

use crate::bare::{assert_chain, commit_with_git, empty, main_branch};
use crate::plain_git::{
    assert_sound, branch, commit_on, edit, git, git_ok, id, new_commit, publish,
};

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
