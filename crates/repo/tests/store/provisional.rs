//! Stores that are made for work that then fails.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use packhouse_repo::given_up::for_caller;
use packhouse_repo::store::{Create, Provisional, Store, StoreOptions, WriteOptions};
use packhouse_testkit::locks::let_go_when_waited_for;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(path: &Path, branch: Option<&str>) -> (Store, Provisional) {
    let options = StoreOptions {
        create: Create::IfMissing {
            branch: branch.map(str::to_owned),
        },
        ..StoreOptions::default()
    };
    Store::open_provisionally(path, options).unwrap()
}

/// Everything in a folder.
fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

#[test]
fn what_was_made_goes_again_with_the_folders_above_it() {
    let folder = folder();
    for branch in [None, Some("main")] {
        for path in ["data.git", "a/b/data.git"] {
            let (store, made) = open(&folder.path().join(path), branch);
            assert!(made.is_new() && store.path().exists());
            assert!(made.take_back().unwrap());
            assert_eq!(names(folder.path()), [] as [PathBuf; 0], "{path}");
        }
    }
    // Also without being asked to.
    drop(open(&folder.path().join("data.git"), Some("main")));
    assert_eq!(names(folder.path()), [] as [PathBuf; 0]);
    // A branch that cannot be made leaves no folders either.
    let options = StoreOptions {
        create: Create::New {
            branch: Some("a..b".to_owned()),
        },
        ..StoreOptions::default()
    };
    assert!(Store::open(folder.path().join("c/d"), options).is_err());
    assert_eq!(names(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn what_is_kept_or_was_there_stays() {
    let folder = folder();
    let path = folder.path().join("a/data.git");
    let (_, made) = open(&path, Some("main"));
    made.keep();
    assert!(path.join("HEAD").exists());
    let (_, made) = open(&path, Some("main"));
    assert!(!made.is_new());
    assert!(!made.take_back().unwrap());
    assert!(path.join("HEAD").exists());
    // What others have put beside it is theirs.
    let beside = folder.path().join("b/c");
    let (_, made) = open(&beside.join("data.git"), Some("main"));
    fs::write(folder.path().join("b/file"), "x").unwrap();
    assert!(made.take_back().unwrap());
    assert_eq!(
        names(&folder.path().join("b")),
        [folder.path().join("b/file")]
    );
}

#[test]
fn an_empty_folder_is_one_again() {
    let folder = folder();
    let (path, link) = (folder.path().join("data.git"), folder.path().join("link"));
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    symlink("data.git", &link).unwrap();
    for name in [&path, &link] {
        let (store, made) = open(name, Some("main"));
        assert!(made.is_new());
        assert!(store.branches().contains("main").unwrap());
        assert!(made.take_back().unwrap());
        assert_eq!(names(&path), [] as [PathBuf; 0]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750);
        assert_eq!(names(folder.path()), [path.clone(), link.clone()]);
    }
}

#[test]
fn what_somebody_has_written_is_never_taken_back() {
    let folder = folder();
    let path = folder.path().join("data.git");
    let main = |store: &Store| store.branches().get("main").unwrap();
    type Meanwhile = fn(&Store);
    let written: [Meanwhile; 4] = [
        |store| {
            let main = store.branches().get("main").unwrap();
            main.write("a", b"mine", &WriteOptions::default()).unwrap();
        },
        // It can be had back from the reflog.
        |store| {
            let main = store.branches().get("main").unwrap();
            let next = main.write("a", b"mine", &WriteOptions::default()).unwrap();
            next.undo(1).unwrap();
        },
        |store| {
            let main = store.branches().get("main").unwrap();
            store.tags().set("v1", &main).unwrap();
        },
        |store| {
            let main = store.branches().get("main").unwrap();
            store.branches().set("other", &main).unwrap();
        },
    ];
    for meanwhile in written {
        let (store, made) = open(&path, Some("main"));
        meanwhile(&Store::open(&path, StoreOptions::default()).unwrap());
        let tip = main(&store);
        assert!(!made.take_back().unwrap());
        assert_eq!(
            main(&Store::open(&path, StoreOptions::default()).unwrap()),
            tip
        );
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn a_writer_that_comes_too_late_is_told_and_writes_nowhere() {
    let folder = folder();
    let path = folder.path().join("data.git");
    let (store, made) = open(&path, Some("main"));
    let main = store.branches().get("main").unwrap();
    assert!(made.take_back().unwrap());
    assert!(main.write("a", b"x", &WriteOptions::default()).is_err());
    assert!(!path.exists());
}

#[test]
fn what_somebody_has_put_into_the_folder_is_never_taken_back() {
    let folder = folder();
    let path = folder.path().join("data.git");
    type Put = fn(&Path);
    let put: [Put; 7] = [
        |path| {
            let config = path.join("config");
            let text = fs::read_to_string(&config).unwrap();
            fs::write(
                &config,
                text + "[remote \"a\"]\n\turl = https://example.com/a\n",
            )
            .unwrap();
        },
        |path| {
            fs::create_dir(path.join("hooks")).unwrap();
            fs::write(path.join("hooks/update"), "#!/bin/sh\n").unwrap();
        },
        |path| fs::write(path.join("precious"), "mine").unwrap(),
        |path| symlink("elsewhere", path.join("link")).unwrap(),
        |path| {
            fs::create_dir_all(path.join("objects/ab")).unwrap();
            fs::write(path.join("objects/ab").join("c".repeat(38)), "blob").unwrap();
        },
        |path| fs::write(path.join("HEAD"), "ref: refs/heads/trunk\n").unwrap(),
        |path| fs::remove_file(path.join("refs/heads/main")).unwrap(),
    ];
    for (number, put) in put.into_iter().enumerate() {
        let (_, made) = open(&path, Some("main"));
        put(&path);
        assert!(!made.take_back().unwrap(), "{number}");
        assert!(path.join("config").exists(), "{number}");
        assert_eq!(names(folder.path()), std::slice::from_ref(&path));
        fs::remove_dir_all(&path).unwrap();
    }
    // What options set was not set by somebody.
    let options = StoreOptions {
        create: Create::IfMissing { branch: None },
        compression: Some(1),
        big_file_threshold: Some(1 << 20),
        ..StoreOptions::default()
    };
    let (_, made) = Store::open_provisionally(&path, options).unwrap();
    let config = fs::read_to_string(path.join("config")).unwrap();
    assert!(
        config.contains("compression = 1\n") && config.contains("bigFileThreshold = 1048576\n")
    );
    assert!(made.take_back().unwrap());
}

#[test]
fn a_writer_that_comes_too_late_leaves_an_empty_folder_empty() {
    let folder = folder();
    let path = folder.path().join("data.git");
    fs::create_dir(&path).unwrap();
    let (_, made) = open(&path, Some("main"));
    let late = Store::open(&path, StoreOptions::default()).unwrap();
    let main = late.branches().get("main").unwrap();
    assert!(made.take_back().unwrap());
    let refused = main.write("a", b"x", &WriteOptions::default()).unwrap_err();
    let refused = causes(&refused);
    assert!(refused.contains("no Git repository any more"), "{refused}");
    assert_eq!(names(&path), [] as [PathBuf; 0]);
    let (_, made) = open(&path, Some("main"));
    assert!(made.is_new());
}

/// A repository without branches, whose `HEAD` waits for `trunk`.
fn without_branches(folder: &Path) -> Store {
    let create = Create::New { branch: None };
    let options = StoreOptions {
        create,
        ..StoreOptions::default()
    };
    let store = Store::open(folder.join("data.git"), options).unwrap();
    fs::write(store.path().join("HEAD"), "ref: refs/heads/trunk\n").unwrap();
    store
}

#[test]
fn a_first_branch_goes_again_unless_it_is_kept_or_written_to() {
    let folder = folder();
    let store = without_branches(folder.path());
    let branches = store.branches();
    let head = || fs::read_to_string(store.path().join("HEAD")).unwrap();
    for name in ["trunk", "other"] {
        let first = store.begin(name).unwrap().unwrap();
        assert_eq!(branches.current_name().unwrap().as_deref(), Some(name));
        assert!(first.take_back().unwrap());
        drop(store.begin(name).unwrap());
        assert!(branches.is_empty().unwrap());
        assert!(!store.path().join("logs/refs/heads").join(name).exists());
        assert_eq!(head(), "ref: refs/heads/trunk\n");
    }
    // Somebody has written to it, be it that there is nothing left of it.
    let first = store.begin("other").unwrap().unwrap();
    let options = WriteOptions::default();
    let written = branches.get("other").unwrap().write("a", b"a", &options);
    written.unwrap().undo(1).unwrap();
    assert!(!first.take_back().unwrap());
    assert_eq!(branches.names().unwrap(), ["other"]);
    assert_eq!(head(), "ref: refs/heads/other\n");
    branches.delete("other").unwrap();
    store.begin("kept").unwrap().unwrap().keep();
    // Whoever looked before comes too late, and loses nothing of it.
    let kept = branches.get("kept").unwrap();
    kept.write("a", b"a", &WriteOptions::default()).unwrap();
    for name in ["kept", "late"] {
        assert!(store.begin(name).unwrap().is_none());
    }
    assert_eq!(branches.names().unwrap(), ["kept"]);
    assert!(branches.get("kept").unwrap().exists("a").unwrap());
    assert_eq!(head(), "ref: refs/heads/kept\n");
}

#[test]
fn a_detached_head_stays_when_there_is_a_first_branch() {
    let folder = folder();
    let store = without_branches(folder.path());
    let commit = format!("{}\n", "1".repeat(40));
    fs::write(store.path().join("HEAD"), &commit).unwrap();
    let first = store.begin("main").unwrap().unwrap();
    assert_eq!(
        fs::read_to_string(store.path().join("HEAD")).unwrap(),
        commit
    );
    assert!(first.take_back().unwrap());
    assert_eq!(
        fs::read_to_string(store.path().join("HEAD")).unwrap(),
        commit
    );
}

#[test]
fn what_was_made_goes_again_though_the_caller_has_given_up() {
    let folder = folder();
    let store = without_branches(folder.path());
    let first = store.begin("other").unwrap().unwrap();
    fs::write(store.path().join("HEAD.lock"), "").unwrap();
    let_go_when_waited_for(store.path(), "HEAD.lock", || {
        for_caller(Arc::new(|| true), || drop(first));
    });
    assert!(store.branches().is_empty().unwrap());

    let path = folder.path().join("new.git");
    let (store, made) = open(&path, Some("main"));
    let (asked, is_asked) = mpsc::channel();
    let turn = store.exclusive().unwrap();
    let (tell, is_told) = mpsc::channel();
    thread::spawn(move || {
        let ask = Arc::new(move || asked.send(()).is_ok());
        for_caller(ask, || drop(made));
        tell.send(()).unwrap();
    });
    // It waits for its turn, and nobody is asked whether it is to.
    let long = Duration::from_millis(500);
    is_asked.recv_timeout(long).unwrap_err();
    is_told.try_recv().unwrap_err();
    drop(turn);
    is_told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(!path.exists());
}

fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
