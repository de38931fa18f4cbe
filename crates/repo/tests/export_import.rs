//! Repositories that come from `git` and go back to it, whole; and checks that find what is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use packhouse_object::{ObjectId, ObjectKind, RefName};
use packhouse_repo::directory::{DirectoryOptions, OpenError, init, open};
use packhouse_repo::{
    CopyError, ExportError, FsckProblem, FsckReport, Hosted, HostedOptions, ImportError,
    ImportReport, Repository, export, fsck, import,
};
use packhouse_testkit::history::{self, HistoryOptions};
use tempfile::TempDir;

use crate::plain_git::{assert_sound, branch, commit_on, edit, git, id, publish, target};

fn new_repository(folder: &Path, name: &str) -> Repository {
    let path = folder.join(name);
    init(&path, &branch("main")).unwrap();
    open(path, DirectoryOptions::default()).unwrap()
}

async fn import_into(target: &Repository, source: &Path) -> Result<ImportReport, ImportError> {
    import(source, target, "Ada", Arc::new(())).await
}

async fn export_from(
    repository: &Repository,
    to: &Path,
) -> Result<packhouse_repo::ExportReport, ExportError> {
    let (view, to) = (repository.view().await.unwrap(), to.to_owned());
    tokio::task::spawn_blocking(move || export(&view, &to, &()))
        .await
        .unwrap()
}

/// All refs and all objects they reach.
fn content(path: &Path) -> (String, Vec<String>) {
    let refs = git(
        path,
        &[
            "for-each-ref",
            "--format=%(refname) %(objectname) %(*objectname)",
        ],
    );
    let mut objects: Vec<String> = git(
        path,
        &["rev-list", "--all", "--objects", "--no-object-names"],
    )
    .lines()
    .map(str::to_owned)
    .collect();
    objects.sort_unstable();
    (refs, objects)
}

/// Takes a history through a repository and back to `git`.
async fn assert_whole(source: &Path, repository: &Repository, folder: &TempDir) {
    let report = import_into(repository, source).await.unwrap();
    let expected = content(source);
    assert_eq!(
        (report.refs, report.objects),
        (expected.0.lines().count() as u64, expected.1.len() as u64)
    );
    assert!(
        report.skipped.is_empty() && !report.default_branch_differs(),
        "{report:?}"
    );
    let view = repository.view().await.unwrap();
    let checked = tokio::task::spawn_blocking(move || fsck(&view, &()).unwrap())
        .await
        .unwrap();
    assert!(checked.is_clean(), "{:?}", checked.problems);
    assert_eq!(checked.reachable, report.objects);

    let exported = folder.path().join("exported.git");
    let written = export_from(repository, &exported).await.unwrap();
    assert_eq!(
        (written.refs, written.objects),
        (report.refs, report.objects)
    );
    assert_eq!(
        fs::read_dir(exported.join("objects/pack")).unwrap().count(),
        2,
        "one pack and its index"
    );
    assert_eq!(
        fs::metadata(&exported).unwrap().permissions().mode() & 0o500,
        0o500
    );
    assert_eq!(content(&exported), expected);
    assert_sound(&exported);
    git(
        folder.path(),
        &["clone", "-q", "--mirror", "exported.git", "cloned.git"],
    );
    assert_eq!(content(&folder.path().join("cloned.git")), expected);
    assert_eq!(
        fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_str().unwrap().starts_with('.'))
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_come_back_whole() {
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source.git");
        fs::create_dir(&source).unwrap();
        history::create(&source, &HistoryOptions::small(seed)).unwrap();
        assert_whole(
            &source,
            &new_repository(folder.path(), "target.git"),
            &folder,
        )
        .await;
        assert_sound(&folder.path().join("target.git"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_history_comes_back_whole_from_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.git");
    fs::create_dir(&source).unwrap();
    history::create(
        &source,
        &HistoryOptions {
            commits: 600,
            first_files: 100,
            ..HistoryOptions::small(1)
        },
    )
    .unwrap();
    git(&source, &["repack", "-q", "-a", "-d", "-f"]);
    let (_hosted, repository) = hosted(&folder).await;
    assert_whole(&source, &repository, &folder).await;
}

async fn hosted(folder: &TempDir) -> (Arc<Hosted>, Repository) {
    let catalog = packhouse_catalog::Catalog::open(&format!(
        "sqlite:{}",
        folder.path().join("catalog.db").display()
    ))
    .await
    .unwrap();
    let bucket = packhouse_bucket::open(&format!(
        "file://{}",
        folder.path().join("bucket").display()
    ))
    .unwrap();
    let org = catalog.create_org("o").await.unwrap();
    catalog.create_repo(org.id, "r", "main").await.unwrap();
    let options = HostedOptions::new(
        catalog,
        bucket,
        folder.path().join("cache"),
        folder.path().join("temp"),
    );
    let hosted = Hosted::open(options).unwrap();
    let repository = hosted.repository(org.id, "r").await.unwrap().unwrap();
    (hosted, repository)
}

#[tokio::test(flavor = "multi_thread")]
async fn ephemeral_refs_are_exported_under_their_full_names() {
    let folder = tempfile::tempdir().unwrap();
    let repository = new_repository(folder.path(), "r.git");
    let kept = commit_on(&repository, &branch("trunk"), "one")
        .await
        .unwrap();
    let name = RefName::ephemeral_branch("try").unwrap();
    let tried = commit_on(&repository, &name, "two").await.unwrap();
    let exported = folder.path().join("deep/er/exported.git");
    assert_eq!(export_from(&repository, &exported).await.unwrap().refs, 2);
    assert_eq!(
        git(
            &exported,
            &["for-each-ref", "--format=%(refname) %(objectname)"]
        ),
        format!("refs/heads/trunk {kept}\n{name} {tried}")
    );
    assert_eq!(git(&exported, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_sound(&exported);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_takes_only_an_empty_place() {
    let folder = tempfile::tempdir().unwrap();
    let repository = new_repository(folder.path(), "r.git");
    for name in ["empty", "missing"] {
        let path = folder.path().join(name);
        if name == "empty" {
            fs::create_dir(&path).unwrap();
        }
        assert_eq!(export_from(&repository, &path).await.unwrap().objects, 0);
        assert_eq!(git(&path, &["for-each-ref"]), "");
        assert_sound(&path);
    }
    let occupied = folder.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("file"), "mine").unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    for path in [
        &occupied,
        &folder.path().join("file"),
        &folder.path().join("missing"),
    ] {
        let refused = export_from(&repository, path).await.unwrap_err();
        assert!(
            matches!(refused, ExportError::NotEmpty { .. }),
            "{refused:?}"
        );
    }
    assert_eq!(fs::read(occupied.join("file")).unwrap(), b"mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let repository = new_repository(folder.path(), "r.git");
    commit_on(&repository, &branch("main"), "one")
        .await
        .unwrap();
    fs::remove_file(loose(&folder.path().join("r.git"), "main:file")).unwrap();
    let before = fs::read_dir(folder.path()).unwrap().count();
    let failed = export_from(&repository, &folder.path().join("out.git"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            failed,
            ExportError::Copy(CopyError::Read(_) | CopyError::Write(_))
        ),
        "{failed:?}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before);
}

/// The file of a loose object.
fn loose(path: &Path, revision: &str) -> PathBuf {
    let hex = git(path, &["rev-parse", revision]);
    path.join("objects").join(&hex[..2]).join(&hex[2..])
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_loose_objects_and_alternates_are_imported_together() {
    let folder = tempfile::tempdir().unwrap();
    let lender = folder.path().join("lender.git");
    fs::create_dir(&lender).unwrap();
    history::create(&lender, &HistoryOptions::small(7)).unwrap();
    git(
        folder.path(),
        &[
            "clone",
            "-q",
            "--bare",
            "--shared",
            "lender.git",
            "source.git",
        ],
    );
    let source = folder.path().join("source.git");
    let repository = open(&source, DirectoryOptions::default()).unwrap();
    commit_on(&repository, &branch("main"), "packed")
        .await
        .unwrap();
    git(&source, &["repack", "-q", "-d", "-l"]);
    commit_on(&repository, &branch("loose/branch"), "loose")
        .await
        .unwrap();
    git(
        &source,
        &["symbolic-ref", "refs/heads/alias", "refs/heads/main"],
    );
    git(
        &source,
        &["symbolic-ref", "refs/heads/lost", "refs/heads/nowhere"],
    );
    git(
        &source,
        &["symbolic-ref", "HEAD", "refs/heads/loose/branch"],
    );
    fs::write(source.join("refs/heads/bad name"), "x").unwrap();

    let target = new_repository(folder.path(), "target.git");
    let report = import_into(&target, &source).await.unwrap();
    let mut skipped: Vec<_> = report
        .skipped
        .iter()
        .map(|skipped| skipped.name.to_string())
        .collect();
    skipped.sort_unstable();
    assert_eq!(
        skipped,
        ["refs/heads/alias", "refs/heads/bad name", "refs/heads/lost"]
    );
    assert!(report.default_branch_differs());
    assert_eq!(
        (report.source_head, report.default_branch),
        (Some(branch("loose/branch")), branch("main"))
    );
    for name in ["alias", "lost"] {
        git(
            &source,
            &["symbolic-ref", "-d", &format!("refs/heads/{name}")],
        );
    }
    fs::remove_file(source.join("refs/heads/bad name")).unwrap();
    let path = folder.path().join("target.git");
    assert_eq!(content(&path), content(&source));
    assert!(!path.join("objects/info/alternates").exists());
    assert_sound(&path);
}

#[tokio::test(flavor = "multi_thread")]
async fn working_copies_can_be_imported() {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q", "-b", "main", "copy"]);
    let copy = folder.path().join("copy");
    git(&copy, &["commit", "-q", "--allow-empty", "-m", "one"]);
    git(&copy, &["checkout", "-q", "--detach"]);
    git(&copy, &["commit", "-q", "--allow-empty", "-m", "two"]);
    for (source, name) in [(copy.clone(), "a.git"), (copy.join(".git"), "b.git")] {
        let before = git(&copy, &["status", "--porcelain=v2", "--branch"]);
        let report = import_into(&new_repository(folder.path(), name), &source)
            .await
            .unwrap();
        assert_eq!((report.refs, report.source_head), (1, None));
        assert_eq!(
            git(&folder.path().join(name), &["log", "--format=%s", "main"]),
            "one"
        );
        assert_eq!(
            git(&copy, &["status", "--porcelain=v2", "--branch"]),
            before
        );
    }
    git(&copy, &["worktree", "add", "-q", "../linked"]);
    let refused = import_into(
        &new_repository(folder.path(), "c.git"),
        &folder.path().join("linked"),
    )
    .await
    .unwrap_err();
    assert!(
        matches!(refused, ImportError::Open(OpenError::Unsupported { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_cannot_be_whole_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = new_repository(folder.path(), "source.git");
    let target_repository = new_repository(folder.path(), "target.git");
    let at = |name: &str| folder.path().join(name);
    assert_eq!(
        import_into(&target_repository, &at("source.git"))
            .await
            .unwrap()
            .refs,
        0
    );
    let missing = import_into(&target_repository, &at("nothing.git"))
        .await
        .unwrap_err();
    assert!(matches!(missing, ImportError::Open(_)), "{missing:?}");

    commit_on(&source, &branch("main"), "one").await.unwrap();
    let tip = commit_on(&source, &branch("main"), "two").await.unwrap();
    git(
        folder.path(),
        &[
            "clone",
            "-q",
            "--bare",
            "--depth=1",
            &format!("file://{}", at("source.git").display()),
            "shallow.git",
        ],
    );
    let shallow = import_into(&target_repository, &at("shallow.git"))
        .await
        .unwrap_err();
    assert!(
        matches!(shallow, ImportError::Shallow { .. }),
        "{shallow:?}"
    );

    fs::write(
        at("source.git").join("refs/heads/dangling"),
        format!("{}\n", "1".repeat(40)),
    )
    .unwrap();
    let broken = import_into(&target_repository, &at("source.git"))
        .await
        .unwrap_err();
    assert!(matches!(broken, ImportError::Broken { name, .. } if name == branch("dangling")));
    publish(
        &source,
        Vec::new(),
        vec![edit(&branch("dangling"), Some(id(&"1".repeat(40))), None)],
    )
    .await
    .unwrap();

    let blob = loose(&at("source.git"), "main~:file");
    fs::rename(&blob, at("blob")).unwrap();
    let incomplete = import_into(&target_repository, &at("source.git"))
        .await
        .unwrap_err();
    assert!(matches!(incomplete, ImportError::Copy(_)), "{incomplete:?}");
    assert_eq!(
        git(&at("target.git"), &["count-objects", "-v"])
            .lines()
            .next(),
        Some("count: 0")
    );
    assert_eq!(
        fs::read_dir(target_repository.quarantine_dir())
            .unwrap()
            .count(),
        0
    );
    fs::rename(at("blob"), blob).unwrap();

    import_into(&target_repository, &at("source.git"))
        .await
        .unwrap();
    assert_eq!(
        target(&target_repository.view().await.unwrap(), &branch("main")),
        Some(tip)
    );
    let again = import_into(&target_repository, &at("source.git"))
        .await
        .unwrap_err();
    assert!(matches!(again, ImportError::NotEmpty { .. }), "{again:?}");
}

async fn check(repository: &Repository) -> FsckReport {
    let view = repository.view().await.unwrap();
    tokio::task::spawn_blocking(move || fsck(&view, &()).unwrap())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.git");
    let repository = new_repository(folder.path(), "r.git");
    commit_on(&repository, &branch("main"), "one")
        .await
        .unwrap();
    commit_on(&repository, &branch("main"), "two")
        .await
        .unwrap();
    let report = check(&repository).await;
    assert!(report.is_clean());
    assert_eq!((report.objects, report.reachable, report.refs), (6, 6, 1));

    let at = |revision: &str| id(&git(&path, &["rev-parse", revision]));
    let problems = async || {
        check(&open(&path, DirectoryOptions::default()).unwrap())
            .await
            .problems
    };
    let (one, two) = (loose(&path, "main~:file"), loose(&path, "main:file"));
    let (blob, tree) = (at("main~:file"), at("main~^{tree}"));
    let saved = fs::read(&one).unwrap();
    let spoil = |content: &[u8]| {
        let _ = fs::remove_file(&one);
        fs::write(&one, content).unwrap();
    };

    fs::remove_file(&one).unwrap();
    assert_eq!(
        problems().await,
        [FsckProblem::Missing {
            id: blob,
            named_by: Some(tree),
            reference: branch("main")
        }]
    );
    assert!(problems().await[0].to_string().ends_with(&format!(
        "is missing: {tree} names it (ref `refs/heads/main`)"
    )));
    spoil(&fs::read(&two).unwrap());
    assert_eq!(
        problems().await,
        [FsckProblem::WrongContent {
            id: blob,
            found: at("main:file")
        }]
    );
    spoil(&saved[..saved.len() / 2]);
    assert!(matches!(&problems().await[..], [FsckProblem::Unreadable { id, .. }] if *id == blob));
    spoil(&saved);
    assert_eq!(problems().await, []);

    fs::write(folder.path().join("bad"), b"tree nonsense\n").unwrap();
    let bad = git(
        &path,
        &[
            "hash-object",
            "-t",
            "commit",
            "--literally",
            "-w",
            folder.path().join("bad").to_str().unwrap(),
        ],
    );
    assert!(
        matches!(&problems().await[..], [FsckProblem::Malformed { id: found, kind: ObjectKind::Commit, .. }] if *found == id(&bad))
    );
    fs::remove_file(path.join("objects").join(&bad[..2]).join(&bad[2..])).unwrap();

    let gone: ObjectId = id(&"1".repeat(40));
    fs::write(path.join("refs/heads/gone"), format!("{gone}\n")).unwrap();
    fs::write(path.join("refs/heads/tree"), format!("{tree}\n")).unwrap();
    let expected = [
        FsckProblem::Missing {
            id: gone,
            named_by: None,
            reference: branch("gone"),
        },
        FsckProblem::WrongKind {
            id: tree,
            found: ObjectKind::Tree,
            expected: ObjectKind::Commit,
            named_by: None,
            reference: branch("tree"),
        },
    ];
    assert_eq!(problems().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reads_packs_to_the_last_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.git");
    fs::create_dir(&path).unwrap();
    history::create(&path, &HistoryOptions::small(3)).unwrap();
    git(&path, &["repack", "-q", "-a", "-d", "-f"]);
    let pack = fs::read_dir(path.join("objects/pack"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().unwrap() == "pack")
        .unwrap();
    let whole = fs::read(&pack).unwrap();
    let report = check(&open(&path, DirectoryOptions::default()).unwrap()).await;
    assert!(report.is_clean(), "{:?}", report.problems);
    let objects = report.objects;
    // Within the entries, so that it is an object that is damaged.
    for at in (12..whole.len() - 20).step_by(whole.len() / 40) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let _ = fs::remove_file(&pack);
        fs::write(&pack, damaged).unwrap();
        let report = check(&open(&path, DirectoryOptions::default()).unwrap()).await;
        assert!(
            !report.is_clean(),
            "byte {at} of {} was changed",
            whole.len()
        );
        assert_eq!(report.objects, objects);
    }
}
