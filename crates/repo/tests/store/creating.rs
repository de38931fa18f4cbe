//! Making and opening stores.

use packhouse_repo::store::{Create, Identity, Store, StoreErrorKind, StoreOptions};

use super::{World, git_in, options, put};

#[test]
fn a_new_store_has_an_empty_first_commit_without_a_reflog_line() {
    let world = World::new();
    let main = world.main();
    assert_eq!(main.message(), "Initialize main");
    assert_eq!(main.ls("").unwrap(), []);
    assert_eq!(main.parent().unwrap(), None);
    assert_eq!(world.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(world.git(&["config", "core.logAllRefUpdates"]), "true");
    assert_eq!(world.git(&["config", "core.bare"]), "true");
    assert_eq!(world.git(&["reflog", "show", "main"]), "");
    let text = world.git(&["cat-file", "-p", "main"]);
    let expected = format!(
        "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor gitstore <gitstore@localhost> {0} +0000\ncommitter gitstore <gitstore@localhost> {0} +0000\nencoding UTF-8\n\nInitialize main",
        main.seconds()
    );
    assert_eq!(text, expected);
    world.fsck();
}

#[test]
fn a_level_that_git_would_die_of_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.git");
    let open = |level| {
        Store::open(
            &path,
            StoreOptions {
                compression: Some(level),
                ..options(Some("main"))
            },
        )
    };
    for level in [-2, 10, i32::MAX] {
        assert_eq!(open(level).unwrap_err().kind(), StoreErrorKind::Value);
        assert!(!path.exists());
    }
    let store = open(-1).unwrap();
    put(
        &store.branches().get("main").unwrap(),
        "a",
        &"b".repeat(5000),
    );
    assert_eq!(git_in(&path, &["config", "core.compression"]), "-1");
    git_in(&path, &["fsck", "--strict"]);
}

#[test]
fn a_name_is_the_same_in_the_commit_the_snapshot_and_the_reflog() {
    let world = World::with(StoreOptions {
        identity: Identity {
            name: ".J, <x>\n".to_owned(),
            email: "<j@example.org>".to_owned(),
        },
        ..options(Some("main"))
    });
    let written = put(&world.main(), "a", "b");
    assert_eq!(written.author_name(), "J, x");
    assert_eq!(
        world.git(&["log", "-1", "--format=%an <%ae>"]),
        "J, x <j@example.org>"
    );
    let line = world.git(&["reflog", "-1", "--format=%gn <%ge>", "main"]);
    assert_eq!(line, "J, x <j@example.org>");
}

#[test]
fn a_store_without_branch_has_a_head_that_names_nothing() {
    let world = World::with(options(None));
    assert!(world.store.branches().is_empty().unwrap());
    assert_eq!(world.store.branches().current_name().unwrap(), None);
    assert_eq!(world.store.branches().current().unwrap(), None);
    assert_eq!(world.git(&["symbolic-ref", "HEAD"]), "refs/heads/master");
}

#[test]
fn opening_and_creating_tell_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/s.git");
    let open = |create| {
        Store::open(
            &path,
            StoreOptions {
                create,
                ..StoreOptions::default()
            },
        )
        .map_err(|error| error.kind())
    };
    let main = || Some("main".to_owned());
    assert_eq!(open(Create::Never).unwrap_err(), StoreErrorKind::NotFound);
    let bad = Some("a..b".to_owned());
    assert_eq!(
        open(Create::New { branch: bad }).unwrap_err(),
        StoreErrorKind::Value
    );
    assert!(!path.exists());
    open(Create::New { branch: main() }).unwrap();
    let again = open(Create::New { branch: main() });
    assert_eq!(again.unwrap_err(), StoreErrorKind::Exists);
    open(Create::Never).unwrap();
    let other = Some("other".to_owned());
    let store = open(Create::IfMissing { branch: other }).unwrap();
    assert_eq!(store.branches().names().unwrap(), ["main"]);
    // Nothing but the repository was left.
    let names = std::fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(names.count(), 1);

    let no_repository = folder.path().join("deep");
    let error = Store::open(no_repository, options(Some("main"))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Git);
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    Store::open(&empty, options(Some("main"))).unwrap();
    git_in(&empty, &["rev-parse", "main"]);
}

#[test]
fn settings_are_kept_in_the_repository() {
    let world = World::with(StoreOptions {
        compression: Some(9),
        big_file_threshold: Some(1 << 20),
        identity: Identity {
            name: "Grace".to_owned(),
            email: "grace@example.org".to_owned(),
        },
        ..options(Some("main"))
    });
    assert_eq!(world.git(&["config", "core.compression"]), "9");
    assert_eq!(world.git(&["config", "core.bigFileThreshold"]), "1048576");
    let written = put(&world.main(), "a", "b");
    assert_eq!(written.author_name(), "Grace");
    assert_eq!(written.author_email(), "grace@example.org");
    let before = std::fs::read(world.path().join("config")).unwrap();
    Store::open(
        world.path(),
        StoreOptions {
            compression: Some(9),
            ..StoreOptions::default()
        },
    )
    .unwrap();
    assert_eq!(std::fs::read(world.path().join("config")).unwrap(), before);
    world.fsck();
}

#[test]
fn creators_that_race_open_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.git");
    let stores: Vec<Store> = std::thread::scope(|scope| {
        let open = || Store::open(&path, options(Some("main"))).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads
            .into_iter()
            .map(|open| open.join().unwrap())
            .collect()
    });
    let tips: Vec<_> = stores
        .iter()
        .map(|store| store.branches().get("main").unwrap().commit())
        .collect();
    assert!(tips.iter().all(|tip| *tip == tips[0]));
    assert!(stores[0].same_repository(&stores[7]));
}

#[test]
fn a_store_that_is_opened_for_reading_is_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.git");
    let branch = || Some("main".to_owned());
    for create in [
        Create::New { branch: branch() },
        Create::IfMissing { branch: branch() },
    ] {
        let read_only = StoreOptions {
            create,
            read_only: true,
            ..options(None)
        };
        let error = Store::open(&path, read_only).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Value);
        assert!(error.to_string().contains("s.git"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    Store::open(&path, options(Some("main"))).unwrap();
    let read_only = StoreOptions {
        read_only: true,
        ..options(Some("main"))
    };
    let store = Store::open(&path, read_only).unwrap();
    assert_eq!(store.branches().names().unwrap(), ["main"]);
}
