//! History: log, undo and redo, reflogs, branches and tags that are set.

use packhouse_object::{ObjectId, RefName};
use packhouse_repo::store::{
    Durability, LogFilter, Snapshot, StoreErrorKind, StoreOptions, WriteOptions,
};
use packhouse_repo::{Change, RefEdit};

use super::{World, options, put};

fn messages(at: &Snapshot, filter: LogFilter) -> Vec<String> {
    at.log(filter)
        .unwrap()
        .map(|found| found.unwrap().message().to_string())
        .collect()
}

#[test]
fn undo_and_redo_move_the_branch() {
    let world = World::new();
    let start = world.main();
    let first = put(&start, "a", "1");
    let second = put(&first, "a", "2");
    let undone = second.undo(2).unwrap();
    assert_eq!(undone.commit(), start.commit());
    assert_eq!(world.main().commit(), start.commit());
    let redone = undone.redo(1).unwrap();
    assert_eq!(redone.commit(), second.commit());
    let text = |error: packhouse_repo::store::StoreError| (error.kind(), error.to_string());
    let (kind, error) = text(redone.undo(9).unwrap_err());
    assert_eq!(kind, StoreErrorKind::Value);
    assert_eq!(error, "Cannot undo 9 steps - only 2 in the history");
    assert_eq!(text(redone.undo(0).unwrap_err()).1, "steps must be >= 1");
    assert_eq!(text(redone.redo(0).unwrap_err()).1, "steps must be >= 1");
    assert_eq!(second.with_changes(None), redone);
    assert_eq!(start.undo(1).unwrap_err().kind(), StoreErrorKind::Value);
    put(&redone, "b", "3");
    assert_eq!(redone.undo(1).unwrap_err().kind(), StoreErrorKind::Stale);
    assert_eq!(redone.redo(1).unwrap_err().kind(), StoreErrorKind::Stale);
    let detached = redone.detached();
    assert_eq!(
        text(detached.undo(1).unwrap_err()).1,
        "Cannot undo on read-only snapshot"
    );
    let log = world.store.branches().reflog("main").unwrap();
    let lines: Vec<_> = log.iter().map(|line| line.message.to_string()).collect();
    let expected = [
        "commit: + a",
        "commit: ~ a",
        "undo: move back",
        "redo: move forward",
        "commit: + b",
    ];
    assert_eq!(lines, expected);
    assert_eq!(log[2].old, second.commit());
    assert_eq!(log[0].committer, "gitstore <gitstore@localhost>");
    assert_eq!(log[0].timestamp, first.seconds());
    world.fsck();
}

#[test]
fn redo_after_a_plain_write_goes_to_the_position_before() {
    let world = World::new();
    let start = world.main();
    let first = put(&start, "a", "1");
    let error = first.redo(2).unwrap_err();
    assert!(
        error.to_string().starts_with("Cannot redo 2 steps"),
        "{error}"
    );
    assert_eq!(first.redo(1).unwrap().commit(), start.commit());
}

#[test]
fn redo_stops_where_the_branch_was_made() {
    let world = World::new();
    let made = world.store.branches().set("side", &world.main()).unwrap();
    let error = made.redo(1).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Value);
    assert!(error.to_string().contains("branch creation"), "{error}");
}

#[test]
fn branches_and_tags_are_set_and_deleted() {
    let world = World::new();
    let (branches, tags) = (world.store.branches(), world.store.tags());
    let main = put(&world.main(), "a", "1");
    let side = branches.set("side/x", &main).unwrap();
    assert_eq!((side.ref_name(), side.writable()), (Some("side/x"), true));
    let side = put(&side, "b", "2");
    assert_eq!(world.main().commit(), main.commit());
    // Moved wherever it was.
    branches.set("side/x", &main).unwrap();
    let log = branches.reflog("side/x").unwrap();
    let lines: Vec<_> = log.iter().map(|line| line.message.to_string()).collect();
    assert_eq!(
        lines,
        [
            "branch: Created from + a",
            "commit: + b",
            "branch: set to + a"
        ]
    );
    assert!(log[0].old.is_null());
    let tagged = tags.set("v1", &side).unwrap();
    assert_eq!((tagged.ref_name(), tagged.writable()), (Some("v1"), false));
    let error = tags.set("v1", &main).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (StoreErrorKind::Key, "Tag 'v1' already exists".to_owned())
    );
    assert_eq!(
        tags.reflog("v1").unwrap_err().to_string(),
        "Tags do not have reflog"
    );
    assert_eq!(
        branches.reflog("none").unwrap_err().kind(),
        StoreErrorKind::Key
    );
    branches.delete("side/x").unwrap();
    assert_eq!(
        branches.delete("side/x").unwrap_err().kind(),
        StoreErrorKind::Key
    );
    assert_eq!(branches.names().unwrap(), ["main"]);
    tags.delete("v1").unwrap();
    assert!(tags.is_empty().unwrap());
    assert_eq!(
        branches.set_current("none").unwrap_err().kind(),
        StoreErrorKind::Key
    );

    let other = World::with(options(Some("main")));
    let error = branches.set("theirs", &other.main()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Value);
    let again = packhouse_repo::store::Store::open(world.path(), options(None)).unwrap();
    branches
        .set("ours", &again.branches().get("main").unwrap())
        .unwrap();
    world.fsck();
}

#[test]
fn ref_names_follow_git_and_have_no_colon() {
    let world = World::new();
    let (branches, main) = (world.store.branches(), world.main());
    for good in ["@", "-a", "feature/x.y", "ü", "HEAD"] {
        branches.set(good, &main).unwrap();
        assert!(branches.contains(good).unwrap());
    }
    let bad = [
        "", " ", "a b", "a\tb", "a\n", "a..b", "x.lock", "/a", "a/", "a//b", ".a", "a/.b", "a~",
        "a^", "a?", "a*", "a[", "a\\", "a@{b",
    ];
    for bad in bad {
        let error = branches.set(bad, &main).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Value, "{bad:?}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("Invalid ref name: '{bad}'")),
            "{error}"
        );
        assert!(!branches.contains(bad).unwrap());
    }
    let error = branches.set("a:b", &main).unwrap_err();
    assert!(error.to_string().contains("contains colon"), "{error}");
}

#[test]
fn logs_are_filtered_by_path_message_and_time() {
    let world = World::new();
    let mut at = world.main();
    for n in 0..6 {
        at = put(
            &at,
            if n % 2 == 0 { "d/even" } else { "odd" },
            &n.to_string(),
        );
    }
    let runs = WriteOptions {
        mode: Some(packhouse_repo::store::FileType::Executable),
        ..WriteOptions::default()
    };
    at = at.write("odd", b"5", &runs).unwrap();
    let by_path = |path: &str| LogFilter {
        path: Some(path.into()),
        ..LogFilter::default()
    };
    assert_eq!(messages(&at, LogFilter::default()).len(), 8);
    let even = ["~ d/even", "~ d/even", "+ d/even"];
    assert_eq!(messages(&at, by_path("d/even")), even);
    assert_eq!(messages(&at, by_path("d")), even);
    let odd = ["~ odd (executable)", "~ odd", "~ odd", "+ odd"];
    assert_eq!(messages(&at, by_path("odd")), odd);
    assert_eq!(messages(&at, by_path("none/at/all")), Vec::<String>::new());
    let matching = LogFilter {
        matching: Some("+ *".to_owned()),
        ..LogFilter::default()
    };
    assert_eq!(messages(&at, matching), ["+ odd", "+ d/even"]);
    let both = LogFilter {
        matching: Some("+*".to_owned()),
        ..by_path("odd")
    };
    assert_eq!(messages(&at, both), ["+ odd"]);
    let until = |before| LogFilter {
        before: Some(before),
        ..LogFilter::default()
    };
    assert_eq!(messages(&at, until(at.seconds())).len(), 8);
    assert_eq!(messages(&at, until(0)).len(), 0);
    let last = at
        .log(LogFilter::default())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!((last.ref_name(), last.writable()), (Some("main"), true));
    let git = world.git(&["log", "--format=%s", "--", "d/even"]);
    assert_eq!(git, even.join("\n"));
}

#[test]
fn a_squash_keeps_the_files_and_loses_the_history() {
    let world = World::new();
    let first = put(&world.main(), "a", "1");
    let second = put(&first, "b", "2");
    let squashed = second.squash(None, Some("All of it")).unwrap();
    assert_eq!(squashed.tree(), second.tree());
    assert_eq!((squashed.parents(), squashed.ref_name()), (&[][..], None));
    let upon = second
        .squash(Some(&world.main().back(2).unwrap()), None)
        .unwrap();
    assert_eq!(upon.parents().len(), 1);
    assert_eq!(upon.message(), second.message());
    world.store.branches().set("short", &squashed).unwrap();
    assert_eq!(world.git(&["rev-list", "--count", "short"]), "1");
    world.fsck();
}

#[test]
fn a_long_log_of_a_path_is_what_git_says() {
    let world = World::new();
    let mut at = world.main();
    for n in 0..150 {
        let path = ["a/b/c", "a/b", "a/x", "top"][n * n % 7 % 4];
        at = put(&at, path, &n.to_string());
    }
    for path in ["a", "a/b", "a/b/c", "a/x", "top"] {
        let filter = LogFilter {
            path: Some(path.into()),
            ..LogFilter::default()
        };
        let found: Vec<String> = at
            .log(filter)
            .unwrap()
            .map(|found| found.unwrap().commit().to_string())
            .collect();
        let git = world.git(&["log", "--format=%H", "main", "--", path]);
        assert_eq!(found.join("\n"), git, "{path}");
    }
}

#[test]
fn many_refs_move_at_once_with_their_reflogs() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let world = World::with(StoreOptions {
            durability,
            ..options(Some("main"))
        });
        let target = put(&world.main(), "a", "1").commit();
        let name = |n: usize| RefName::branch(&format!("team-{}/{n}", n % 3)).unwrap();
        let move_all = |old: Option<ObjectId>, new: Option<ObjectId>| {
            let edit = |n| RefEdit {
                name: name(n),
                old,
                new,
                message: format!("restore {n}"),
            };
            let change = || Change {
                objects: Vec::new(),
                edits: (0..80).map(edit).collect(),
            };
            world
                .store
                .publish(Vec::new(), |_| Ok((change(), ())))
                .unwrap();
        };
        move_all(None, Some(target));
        assert_eq!(world.git(&["rev-parse", "team-2/77"]), target.to_string());
        assert_eq!(world.store.branches().len().unwrap(), 81);
        for n in [0, 41, 79] {
            let short = format!("team-{}/{n}", n % 3);
            let log = world.store.branches().reflog(&short).unwrap();
            assert_eq!(log.len(), 1);
            assert_eq!(log[0].message, format!("restore {n}"));
            let shown = world.git(&["reflog", "show", "--format=%gs", &short]);
            assert_eq!(shown, format!("restore {n}"));
        }
        // One alone is a file again, and can be deleted.
        let main = world.main();
        let branches = world.store.branches();
        branches
            .set("team-0/0", &main.parent().unwrap().unwrap())
            .unwrap();
        branches.set("team-0/0", &main).unwrap();
        assert_eq!(branches.reflog("team-0/0").unwrap().len(), 3);
        branches.delete("team-0/0").unwrap();
        branches.set("team-0/0", &main).unwrap();
        move_all(Some(target), None);
        assert_eq!(branches.names().unwrap(), ["main"]);
        world.fsck();
    }
}
