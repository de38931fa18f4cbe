//! Commits made from patches, alone and while others write.

use std::sync::Arc;

use bytes::Bytes;
use packhouse_object::{NewObject, ObjectId, ObjectKind, RepoPath, Signature, find_path};
use packhouse_repo::patch::{PatchOutcome, PatchRequest, PatchText};
use packhouse_repo::{CommitError, CommitOnto, CommitRequest, Repository};

use crate::bare::{empty, main_branch};

fn onto(expected_head: Option<ObjectId>) -> CommitOnto {
    let signature = Signature {
        name: "A".into(),
        email: "a@example.com".into(),
        seconds: 1,
        offset_minutes: 0,
    };
    CommitOnto {
        target: main_branch(),
        base: None,
        expected_head,
        message: "patched\n".into(),
        author: signature.clone(),
        committer: signature,
        who: "tests".to_owned(),
    }
}

async fn patch_with(
    repository: &Repository,
    patch: String,
    expected_head: Option<ObjectId>,
    memory_bytes: usize,
) -> Result<PatchOutcome, CommitError> {
    let request = PatchRequest {
        onto: onto(expected_head),
        text: PatchText::memory(patch.into()),
        memory_bytes,
        file_bytes: u64::MAX,
    };
    repository.commit_patch(request).await
}

async fn put(repository: &Repository, files: &[(&str, String)]) -> ObjectId {
    use packhouse_object::{EntryMode, PathEdit};
    let onto = onto(None);
    let (mut edits, mut blobs) = (Vec::new(), Vec::new());
    for (path, content) in files {
        let blob = NewObject::new(ObjectKind::Blob, Bytes::from(content.clone())).unwrap();
        let (path, mode, id) = (RepoPath::parse(path).unwrap(), EntryMode::Blob, blob.id);
        edits.push(PathEdit::Upsert { path, mode, id });
        blobs.push(blob);
    }
    let request = CommitRequest {
        target: onto.target,
        base: None,
        expected_head: None,
        edits,
        blobs,
        packs: Vec::new(),
        message: onto.message,
        author: onto.author,
        committer: onto.committer,
        who: onto.who,
    };
    repository.commit(request).await.unwrap().commit
}

async fn read(repository: &Repository, path: &str) -> String {
    let view = repository.view().await.unwrap();
    let head = view.refs().get(&main_branch()).unwrap().target;
    let tree = view.database().commit(head).unwrap().tree;
    let entry = find_path(view.database(), tree, &RepoPath::parse(path).unwrap())
        .unwrap()
        .unwrap();
    let data = view
        .database()
        .bytes_of(entry.id, ObjectKind::Blob)
        .unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}

/// Changes line `number` of a file in which each line is its number.
fn change(path: &str, number: usize) -> String {
    format!(
        "--- a/{path}\n+++ b/{path}\n@@ -{},3 +{},3 @@\n {}\n-{number}\n+{number} changed\n {}\n",
        number - 1,
        number - 1,
        number - 1,
        number + 1
    )
}

fn numbered(lines: usize) -> String {
    (1..=lines).map(|number| format!("{number}\n")).collect()
}

#[tokio::test]
async fn a_patch_becomes_a_commit_or_nothing() {
    let (_folder, _, repository) = empty();
    let first = "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+x\n".to_owned();
    let made = patch_with(&repository, first, None, 1 << 20).await.unwrap();
    assert_eq!((made.files, made.commit.old), (1, None));
    assert_eq!(read(&repository, "a").await, "x\n");
    let head = Some(made.commit.commit);
    let other = Some(made.commit.tree);
    let good = "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n+y\n".to_owned();
    let moved = patch_with(&repository, good.clone(), other, 1 << 20)
        .await
        .unwrap_err();
    assert!(matches!(moved, CommitError::HeadMoved { .. }), "{moved}");
    let bad = format!("{good}--- a/b\n+++ b/b\n@@ -1 +1 @@\n-x\n+y\n");
    let refused = patch_with(&repository, bad, head, 1 << 20)
        .await
        .unwrap_err();
    assert!(refused.to_string().starts_with("`b`"), "{refused}");
    assert_eq!(read(&repository, "a").await, "x\n");
    patch_with(&repository, good, head, 1 << 20).await.unwrap();
    assert_eq!(read(&repository, "a").await, "y\n");
}

#[tokio::test]
async fn results_too_large_for_memory_go_to_a_pack() {
    let (_folder, path, repository) = empty();
    let files: Vec<_> = (0..20)
        .map(|at| (format!("f{at}"), numbered(2000 + at)))
        .collect();
    let files: Vec<(&str, String)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.clone()))
        .collect();
    put(&repository, &files).await;
    let patch: String = (0..20).map(|at| change(&format!("f{at}"), 1000)).collect();
    let made = patch_with(&repository, patch, None, 4096).await.unwrap();
    assert_eq!(made.files, 20);
    let packs = std::fs::read_dir(path.join("objects/pack")).unwrap();
    assert!(packs.count() > 0);
    assert!(read(&repository, "f19").await.contains("\n1000 changed\n"));
    crate::plain_git::git(&path, &["fsck", "--full", "--strict"]);
}

/// Each changes another line of the same file, and none of the changes is lost: what is prepared on an older state is
/// prepared again, small patches in their turn and large ones before another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn patches_of_one_file_by_many_are_all_applied() {
    for padding in [0, 300 << 10] {
        let (_folder, _, repository) = empty();
        put(&repository, &[("f", numbered(200))]).await;
        let repository = Arc::new(repository);
        let writers = if padding == 0 { 24 } else { 4 };
        let tasks: Vec<_> = (1..=writers)
            .map(|number| {
                let repository = repository.clone();
                let patch = format!("{}\n{}", "#".repeat(padding), change("f", number * 6));
                tokio::spawn(async move { patch_with(&repository, patch, None, 1 << 20).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let text = read(&repository, "f").await;
        assert_eq!(text.matches("changed").count(), writers, "{text}");
        let log = repository.reflog(None, None, u32::MAX).await.unwrap();
        assert_eq!(log.len(), writers + 1);
    }
}
