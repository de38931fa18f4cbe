//! `.gitmodules` and `.gitattributes` that came in by other ways.

use std::sync::Arc;

use packhouse_object::{
    Database, EditTreeError, EntryMode, NewObject, ObjectCache, ObjectId, ObjectKind, ReceiveError,
    SpecialFileError, Tree, TreeEntry,
};
use packhouse_repo::directory::{DirectoryOptions, init, open};
use packhouse_repo::merge::{MergeError, TreeMergeOptions, merge_trees};
use packhouse_repo::{CopyError, FsckProblem, ImportError, fsck, import};
use tempfile::TempDir;

use crate::plain_git::{branch, git};

const BAD_MODULES: &str = "[submodule \"x\"]\n\tpath = a\n\turl = -u./x\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reports_them_and_an_import_refuses_them() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("source.git");
    init(&source, &branch("main")).unwrap();
    let blob = |content: &str| {
        std::fs::write(folder.path().join("content"), content).unwrap();
        git(&source, &["hash-object", "-w", "../content"])
    };
    let (modules, attributes) = (blob(BAD_MODULES), blob(&"a".repeat(3000)));
    let commit = |names: [&str; 2]| {
        git(&source, &["read-tree", "--empty"]);
        for (name, id) in names.into_iter().zip([&modules, &attributes]) {
            let entry = format!("100644,{id},{name}");
            git(&source, &["update-index", "--add", "--cacheinfo", &entry]);
        }
        let tree = git(&source, &["write-tree"]);
        let commit = git(&source, &["commit-tree", "-m", "x", &tree]);
        git(&source, &["update-ref", "refs/heads/main", &commit]);
    };
    let repository = open(source.clone(), DirectoryOptions::default()).unwrap();

    commit([".GITMODULES", ".gitattributes"]);
    let view = repository.view().await.unwrap();
    let report = tokio::task::spawn_blocking(move || fsck(&view, &()).unwrap());
    let mut found: Vec<String> = report
        .await
        .unwrap()
        .problems
        .into_iter()
        .map(|problem| match problem {
            FsckProblem::Malformed { id, reason, .. } => format!("{id} {reason}"),
            other => panic!("{other}"),
        })
        .collect();
    found.sort();
    let mut expected = [
        format!(
            "{modules} as `.gitmodules`, gitmodulesUrl: line 3 has a URL that may not stand there"
        ),
        format!(
            "{attributes} as `.gitattributes`, gitattributesLineLength: line 1 is over the limit of 2047 bytes"
        ),
    ];
    expected.sort();
    assert_eq!(found, expected);

    let target = folder.path().join("target.git");
    init(&target, &branch("main")).unwrap();
    let target = open(target, DirectoryOptions::default()).unwrap();
    let refused = import(&source, &target, "Ada", Arc::new(())).await;
    assert!(
        matches!(
            refused,
            Err(ImportError::Copy(CopyError::Receive(
                ReceiveError::BadSpecialFile { .. }
            )))
        ),
        "{refused:?}"
    );
    assert!(target.view().await.unwrap().refs().is_empty());

    // Where no tree that is copied names the blobs so, they are blobs like any other.
    commit(["modules", "attributes"]);
    import(&source, &target, "Ada", Arc::new(())).await.unwrap();
    let view = target.view().await.unwrap();
    let report = tokio::task::spawn_blocking(move || fsck(&view, &()).unwrap());
    assert!(report.await.unwrap().is_clean());
}

#[test]
fn a_merged_file_is_judged() {
    let mut objects = Vec::new();
    let mut with_modules = |text: &str| -> ObjectId {
        let blob = NewObject::new(ObjectKind::Blob, text.as_bytes().to_vec()).unwrap();
        let (mode, name, id) = (EntryMode::Blob, ".gitmodules".into(), blob.id);
        let entries = vec![TreeEntry { mode, name, id }];
        let tree = NewObject::new(ObjectKind::Tree, Tree { entries }.encode()).unwrap();
        let id = tree.id;
        objects.extend([blob, tree]);
        id
    };
    // No setting is a submodule's, but in the last: there the header of one side is over that of the other.
    let base = with_modules("[a]\nx\ny\nz\nu\nv\n");
    let good = with_modules("[a]\nx\ny\nz\nu\nv\nurl = -x\n");
    let other = with_modules("[b]\nx\ny\nz\nu\nv\n");
    let header = with_modules("[submodule \"x\"]\nx\ny\nz\nu\nv\n");
    let database = Database::new(ObjectCache::new(1 << 20).into(), 0).with_objects(objects);
    let options = TreeMergeOptions::default();
    let merged = merge_trees(&database, Some(base), good, other, &options).unwrap();
    assert!(merged.is_clean());
    let refused = merge_trees(&database, Some(base), good, header, &options);
    let reason = SpecialFileError::ModulesUrl { line: 7 };
    assert!(
        matches!(
            refused,
            Err(MergeError::Edit(EditTreeError::SpecialFile { source, .. })) if source == reason
        ),
        "{refused:?}"
    );
}
