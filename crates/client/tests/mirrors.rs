//! What backups and restores do to refs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use packhouse_client::{MirrorOptions, RefSelection, backup, restore};
use packhouse_repo::store::{Store, StoreErrorKind, StoreOptions, StoreProgress};

use crate::git::Git;
use crate::world::{WAYS, Way, World, assert_no_leftovers, clone_shallow, git_of, write_program};

fn filled(world: &World) -> (Store, Git) {
    let source = world.with_history("source");
    let store = world.store("store");
    let url = source.dir.display().to_string();
    restore(&store, &url, &MirrorOptions::default()).unwrap();
    (store, source)
}

#[test]
fn a_missing_local_target_becomes_a_bare_repository_but_not_in_a_dry_run() {
    let world = World::new();
    let (store, source) = filled(&world);
    let target = world.path("new/target.git");
    let url = target.display().to_string();
    let dry = MirrorOptions {
        dry_run: true,
        ..MirrorOptions::default()
    };
    let planned = backup(&store, &url, &dry).unwrap();
    assert_eq!(planned.add.len(), 5);
    assert!(!target.parent().unwrap().exists());
    let made = backup(&store, &url, &MirrorOptions::default()).unwrap();
    assert_eq!(made, planned);
    let target = Git::at(target);
    assert_eq!(target.refs(), source.refs());
    assert_eq!(target.run(&["rev-parse", "--is-bare-repository"]), "true");
    target.fsck();
}

#[test]
fn local_paths_are_any_bytes() {
    let world = World::new();
    let (store, source) = filled(&world);
    for name in [&b"\xff/target-\xfe.git"[..], b"target-\xff.bundle"] {
        let target = world.path("odd").join(OsStr::from_bytes(name));
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        let options = MirrorOptions::default();
        assert_eq!(backup(&store, &target, &options).unwrap().add.len(), 5);
        assert!(target.exists());
        let url = [b"file://", target.as_os_str().as_bytes()].concat();
        for from in [target.as_os_str(), OsStr::from_bytes(&url)] {
            let copy = world.store(&format!("copy-{}-{}", name.len(), from.len()));
            restore(&copy, from, &options).unwrap();
            assert_eq!(git_of(&copy).refs(), source.refs());
            git_of(&copy).fsck();
        }
    }
}

/// The target may have the last good copy of it.
#[test]
fn a_ref_that_cannot_be_read_is_not_deleted_at_the_target() {
    let world = World::new();
    let (store, _) = filled(&world);
    let url = world.path("target.git").display().to_string();
    let branch = store.branches().names().unwrap().remove(0);
    git_of(&store).run(&["branch", "kept", &branch]);
    backup(&store, &url, &MirrorOptions::default()).unwrap();
    std::fs::write(store.path().join("refs/heads/kept"), "").unwrap();
    let refused = backup(&store, &url, &MirrorOptions::default()).unwrap_err();
    assert!(
        refused.to_string().contains("refs/heads/kept` is damaged"),
        "{refused}"
    );
    assert!(
        Git::at(world.path("target.git"))
            .refs()
            .contains("refs/heads/kept")
    );
}

/// Git lists it with a null id.
#[test]
fn a_ref_that_cannot_be_read_at_a_server_is_not_deleted_here() {
    let mut world = World::new();
    let (store, source) = filled(&world);
    let git = git_of(&store);
    let before = git.refs();
    std::fs::write(source.dir.join("refs/heads/side"), "").unwrap();
    for way in WAYS {
        let url = world.url("source", way);
        let refused = restore(&store, &url, &world.options(way)).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("`refs/heads/side`"), "{way:?}: {refused}");
        assert_eq!(git.refs(), before, "{way:?}");
    }
}

/// The store may have the last good copy of it.
#[test]
fn a_ref_that_cannot_be_read_at_the_source_is_not_deleted_here() {
    let world = World::new();
    let (store, source) = filled(&world);
    let file = source.dir.join("refs/heads/side");
    let git = git_of(&store);
    git.run(&["branch", "ours", "main"]);
    let before = git.refs();
    for way in [Way::Path, Way::FileUrl] {
        for text in ["garbage\n", "", "\0\0\0\0", "ref:\n", "ref: a b\n"] {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            let url = match way {
                Way::FileUrl => format!("file://{}", path_of(&source)),
                _ => path_of(&source),
            };
            for (dry_run, additive) in [(false, false), (true, false), (false, true)] {
                let options = MirrorOptions {
                    dry_run,
                    additive,
                    ..MirrorOptions::default()
                };
                let refused = restore(&store, &url, &options).unwrap_err();
                assert_eq!(refused.kind(), StoreErrorKind::Git);
                let refused = refused.to_string();
                assert!(refused.contains("`refs/heads/side`"), "{refused}");
                assert!(refused.contains(&url), "{refused}");
                assert_eq!(git.refs(), before);
            }
            let chosen = |name: &str| MirrorOptions {
                refs: RefSelection::names([name]),
                ..MirrorOptions::default()
            };
            restore(&store, &url, &chosen("side")).unwrap_err();
            // The others can be had meanwhile.
            let other = world.store(&format!("{way:?}-{}-{}", text.len(), text.trim().len()));
            restore(&other, &url, &chosen("main")).unwrap();
            assert_eq!(other.branches().names().unwrap(), ["main"]);
        }
    }
    // One that is gone is gone.
    std::fs::remove_file(&file).unwrap();
    let diff = restore(&store, path_of(&source), &MirrorOptions::default()).unwrap();
    assert!(
        diff.delete
            .iter()
            .any(|gone| gone.name == "refs/heads/ours")
    );
    assert_eq!(git.refs(), source.refs());
}

#[test]
fn a_dry_run_tells_the_truth_and_changes_nothing() {
    let mut world = World::new();
    let (store, _) = filled(&world);
    for way in [Way::Path, Way::Http] {
        let target = world.bare(&format!("target-{way:?}"));
        let url = world.url(&format!("target-{way:?}"), way);
        let dry = MirrorOptions {
            dry_run: true,
            ..world.options(way)
        };
        assert_eq!(backup(&store, &url, &dry).unwrap().add.len(), 5);
        assert_eq!(target.refs(), "");
        let empty = world.store(&format!("empty-{way:?}"));
        let url = world.url("source", way);
        assert_eq!(restore(&empty, &url, &dry).unwrap().add.len(), 5);
        assert_eq!(git_of(&empty).refs(), "");
    }
}

#[test]
fn a_restore_deletes_what_only_the_store_has_unless_it_is_additive() {
    let world = World::new();
    let (store, source) = filled(&world);
    let main = store.branches().get("main").unwrap();
    store.branches().set("ours", &main).unwrap();
    let url = source.dir.display().to_string();
    let additive = MirrorOptions {
        additive: true,
        ..MirrorOptions::default()
    };
    assert!(restore(&store, &url, &additive).unwrap().in_sync());
    assert!(store.branches().contains("ours").unwrap());
    let diff = restore(&store, &url, &MirrorOptions::default()).unwrap();
    assert_eq!(diff.delete[0].name, "refs/heads/ours");
    assert!(!store.branches().contains("ours").unwrap());
    assert_eq!(git_of(&store).refs(), source.refs());
}

#[test]
fn chosen_refs_go_alone_and_may_get_other_names() {
    let mut world = World::new();
    let (store, _) = filled(&world);
    for way in [Way::Path, Way::Http] {
        let name = format!("chosen-{way:?}");
        let target = world.bare(&name);
        target.run(&[
            "commit-tree",
            "-m",
            "x",
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        ]);
        let url = world.url(&name, way);
        let mut options = world.options(way);
        options.refs = RefSelection::Names(vec![
            ("main".to_owned(), Some("copy".to_owned())),
            ("heavy".to_owned(), None),
        ]);
        assert_eq!(backup(&store, &url, &options).unwrap().add.len(), 2);
        let names = target.run(&["for-each-ref", "--format=%(refname)"]);
        assert_eq!(names, "refs/heads/copy\nrefs/tags/heavy");
        target.fsck();

        options.refs = RefSelection::Names(vec![("copy".to_owned(), Some("back".to_owned()))]);
        let diff = restore(&store, &url, &options).unwrap();
        assert_eq!((diff.total(), diff.delete.len()), (1, 0));
        assert!(store.branches().contains("back").unwrap());

        options.refs = RefSelection::names(["nope"]);
        for error in [
            backup(&store, &url, &options).unwrap_err(),
            restore(&store, &url, &options).unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Key);
            assert!(error.to_string().contains("nope"));
        }
        store.branches().delete("back").unwrap();
    }
}

#[test]
fn refs_that_take_the_place_of_folders_and_back() {
    let mut world = World::new();
    for way in [Way::Path, Way::Http, Way::OurHttp, Way::Daemon] {
        let name = format!("swap-{way:?}");
        let target = world.bare(&name);
        let url = world.url(&name, way);
        let options = world.options(way);
        let one = world.store(&format!("one-{way:?}"));
        let work = crate::git::init(&world.path(&format!("work-{way:?}")));
        work.commit_file("a", "a");
        let git = git_of(&one).dir.display().to_string();
        work.run(&[
            "push",
            "-q",
            &git,
            "HEAD:refs/heads/a",
            "HEAD:refs/heads/b/c",
        ]);
        backup(&one, &url, &options).unwrap();
        assert_eq!(target.refs(), git_of(&one).refs(), "{way:?}");

        work.run(&["push", "-q", &git, ":refs/heads/a", ":refs/heads/b/c"]);
        work.run(&[
            "push",
            "-q",
            &git,
            "HEAD:refs/heads/a/x",
            "HEAD:refs/heads/b",
        ]);
        let two = world.store(&format!("two-{way:?}"));
        restore(&two, &url, &options).unwrap();
        let diff = backup(&one, &url, &options).unwrap();
        assert_eq!((diff.add.len(), diff.delete.len()), (2, 2));
        assert_eq!(target.refs(), git_of(&one).refs(), "{way:?}");
        restore(&two, &url, &options).unwrap();
        assert_eq!(git_of(&two).refs(), target.refs(), "{way:?}");
        target.fsck();
    }
}

#[test]
fn a_ref_that_the_remote_refuses_keeps_all_where_they_are() {
    let mut world = World::new();
    let (store, _) = filled(&world);
    for way in [Way::Http, Way::Ssh, Way::Daemon] {
        let name = format!("picky-{way:?}");
        let target = world.bare(&name);
        write_program(
            &target.dir.join("hooks/update"),
            "#!/bin/sh\ntest \"$1\" != refs/heads/side\n",
        );
        let url = world.url(&name, way);
        let error = backup(&store, &url, &world.options(way)).unwrap_err();
        assert!(error.to_string().contains("refs/heads/side"), "{error}");
        assert_eq!(error.kind(), StoreErrorKind::Git);
        assert_eq!(target.refs(), "", "{way:?}");
    }
}

#[test]
fn urls_that_cannot_be_used_are_refused_before_anything_happens() {
    let world = World::new();
    let store = world.store("store");
    for url in ["host:path", "git@example.com:me/x.git"] {
        for error in [
            backup(&store, url, &MirrorOptions::default()).unwrap_err(),
            restore(&store, url, &MirrorOptions::default()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Value);
            let text = error.to_string();
            assert!(text.contains("scp-style URL not supported") && text.contains("ssh://"));
        }
    }
    let nothing = world.path("nothing").display().to_string();
    let error = restore(&store, &nothing, &MirrorOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("not a git repository"),
        "{error}"
    );
    let folder = world.path("folder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("file"), "x").unwrap();
    let file = folder.join("file").display().to_string();
    let error = backup(&store, &file, &MirrorOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("not a git repository"),
        "{error}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"x");
    let folder = folder.display().to_string();
    for error in [
        backup(&store, &folder, &MirrorOptions::default()).unwrap_err(),
        restore(&store, &folder, &MirrorOptions::default()).unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("not a git repository"),
            "{error}"
        );
    }
}

#[test]
fn repositories_of_another_object_format_are_refused_and_stay_as_they_are() {
    let mut world = World::new();
    let (store, source) = filled(&world);
    let before = git_of(&store).refs();
    for way in WAYS {
        if way == Way::OurHttp {
            // Does not serve such a repository.
            continue;
        }
        let name = format!("other-{way:?}");
        let path = world.path(&format!("{name}.git"));
        let folder = path.display().to_string();
        source.run(&["init", "-q", "--bare", "--object-format=sha256", &folder]);
        let other = Git::at(path);
        let tree = other.run(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
        let commit = other.run(&["commit-tree", "-m", "theirs", &tree]);
        other.run(&["update-ref", "refs/heads/main", &commit]);
        let objects = other.run(&["count-objects"]);
        let theirs = other.refs();
        let (url, options) = (world.url(&name, way), world.options(way));
        for error in [
            restore(&store, &url, &options).unwrap_err(),
            backup(&store, &url, &options).unwrap_err(),
        ] {
            let text = format!("{error:?}");
            assert!(text.contains("sha256"), "{way:?}: {text}");
            assert_eq!(error.kind(), StoreErrorKind::Git, "{way:?}");
        }
        assert_eq!(git_of(&store).refs(), before, "{way:?}");
        assert_eq!(other.refs(), theirs, "{way:?}");
        assert_eq!(other.run(&["count-objects"]), objects, "{way:?}");
    }
    assert_no_leftovers(&store);
    git_of(&store).fsck();
}
#[test]
fn a_shallow_clone_is_no_source() {
    let mut world = World::new();
    let source = world.with_history("source");
    clone_shallow(&source, 2, "../shallow.git");
    for way in [Way::Path, Way::Http, Way::OldHttp, Way::Ssh, Way::OldSsh] {
        let store = world.store(&format!("store-{way:?}"));
        let url = world.url("shallow", way);
        let error = restore(&store, &url, &world.options(way)).unwrap_err();
        assert_eq!(git_of(&store).refs(), "", "{way:?}: {error}");
        assert!(error.to_string().contains("shallow"), "{way:?}: {error}");
    }
}

#[test]
fn a_backup_of_a_shallow_clone_is_refused_and_makes_nothing() {
    let world = World::new();
    let source = world.with_history("source");
    clone_shallow(&source, 2, "../shallow.git");
    let store = Store::open(world.path("shallow.git"), StoreOptions::default()).unwrap();
    for (name, dry_run) in [("new.git", true), ("new.git", false), ("new.bundle", false)] {
        let target = world.path(name);
        let options = MirrorOptions {
            dry_run,
            ..MirrorOptions::default()
        };
        let error = backup(&store, target.display().to_string(), &options).unwrap_err();
        assert!(error.to_string().contains("shallow"), "{name}: {error}");
        assert!(!target.exists());
    }
}

#[test]
fn a_dry_run_of_a_backup_is_refused_where_the_backup_is() {
    let world = World::new();
    let source = world.with_history("source");
    let store = world.store("store");
    let url = source.dir.display().to_string();
    restore(&store, &url, &MirrorOptions::default()).unwrap();
    let url = format!("file://{url}");
    source.run(&["clone", "-q", &url, "../work"]);
    clone_shallow(&source, 1, "../shallow.git");
    for (name, refs, reason) in [
        ("work", "work/.git", "working copy"),
        ("work/.git", "work/.git", "working copy"),
        ("shallow.git", "shallow.git", "shallow"),
    ] {
        let target = world.path(name);
        let git = Git::at(world.path(refs));
        let before = git.refs();
        let told = [true, false].map(|dry_run| {
            let options = MirrorOptions {
                dry_run,
                ..MirrorOptions::default()
            };
            let error = backup(&store, target.display().to_string(), &options).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Permission, "{name}: {error}");
            error.to_string()
        });
        assert!(told[0].contains(reason), "{name}: {}", told[0]);
        assert_eq!(told[0], told[1], "{name}");
        assert_eq!(git.refs(), before, "{name}");
    }
}

#[test]
fn a_dry_run_of_a_restore_is_refused_where_the_restore_is() {
    let world = World::new();
    let source = world.with_history("source");
    let url = source.dir.display().to_string();
    let bundle = world.path("x.bundle").display().to_string();
    source.run(&["bundle", "create", "-q", &bundle, "--all"]);
    source.run(&["clone", "-q", &format!("file://{url}"), "../work"]);
    clone_shallow(&source, 1, "../shallow.git");
    world.store("store");
    let for_reading = StoreOptions {
        read_only: true,
        ..StoreOptions::default()
    };
    for (name, options, reason) in [
        ("shallow.git", StoreOptions::default(), "shallow"),
        ("work", StoreOptions::default(), "working copy"),
        ("store", for_reading, "opened for reading"),
    ] {
        let store = Store::open(world.path(name), options).unwrap();
        let before = git_of(&store).refs();
        for (from, squash) in [(&url, false), (&bundle, false), (&bundle, true)] {
            let told = [true, false].map(|dry_run| {
                let options = MirrorOptions {
                    dry_run,
                    squash,
                    ..MirrorOptions::default()
                };
                let error = restore(&store, from, &options).unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Permission, "{name}: {error}");
                error.to_string()
            });
            assert!(told[0].contains(reason), "{name}: {}", told[0]);
            assert_eq!(told[0], told[1], "{name}");
        }
        assert_eq!(git_of(&store).refs(), before, "{name}");
    }
}

#[test]
fn a_restore_to_where_nothing_can_be_written_is_fine_if_nothing_has_to_be() {
    let world = World::new();
    let source = world.with_history("source");
    clone_shallow(&source, 1, "../shallow.git");
    let store = Store::open(world.path("shallow.git"), StoreOptions::default()).unwrap();
    for dry_run in [true, false] {
        let options = MirrorOptions {
            dry_run,
            refs: RefSelection::names(["main"]),
            ..MirrorOptions::default()
        };
        let diff = restore(&store, source.dir.display().to_string(), &options).unwrap();
        assert!(diff.in_sync());
    }
}

#[test]
fn a_backup_to_where_nothing_can_be_written_is_fine_if_nothing_has_to_be() {
    let world = World::new();
    let source = world.with_history("source");
    clone_shallow(&source, 1, "../shallow.git");
    let shallow = world.path("shallow.git");
    let refs = RefSelection::names(["main"]);
    let store = world.store("store");
    restore(
        &store,
        source.dir.display().to_string(),
        &MirrorOptions::default(),
    )
    .unwrap();
    for dry_run in [true, false] {
        let options = MirrorOptions {
            dry_run,
            refs: refs.clone(),
            ..MirrorOptions::default()
        };
        let diff = backup(&store, shallow.display().to_string(), &options).unwrap();
        assert!(diff.in_sync());
    }
}

/// Gives up when told of the first step.
struct GiveUp;

impl StoreProgress for GiveUp {
    fn cancelled(&self) -> bool {
        true
    }
}

#[test]
fn a_backup_that_fails_leaves_nothing_at_a_new_target() {
    let world = World::new();
    let (store, _) = filled(&world);
    let empty = world.path("targets/empty");
    std::fs::create_dir_all(&empty).unwrap();
    let missing = world.path("targets/missing.git");
    let options = MirrorOptions {
        progress: Some(&GiveUp),
        ..MirrorOptions::default()
    };
    for target in [&missing, &empty] {
        backup(&store, target.display().to_string(), &options).unwrap_err();
    }
    let left: Vec<_> = std::fs::read_dir(world.path("targets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["empty"]);
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);

    // A symbolic link to an empty folder stays one.
    let link = world.path("targets/link");
    std::os::unix::fs::symlink(&empty, &link).unwrap();
    let target = link.display().to_string();
    backup(&store, &target, &MirrorOptions::default()).unwrap();
    assert!(link.is_symlink());
    assert_eq!(Git::at(empty.clone()).refs(), git_of(&store).refs());
    assert_eq!(
        Git::at(empty).run(&["symbolic-ref", "HEAD"]),
        git_of(&store).run(&["symbolic-ref", "HEAD"])
    );
}

#[test]
fn refs_whose_names_are_no_text_go_everywhere() {
    let mut world = World::new();
    let source = world.with_history("source");
    let head = source.run(&["rev-parse", "main"]);
    let odd = std::ffi::OsStr::from_bytes(b"refs/heads/caf\xe9");
    std::fs::write(source.dir.join(odd), head).unwrap();
    let name = r#""refs/heads/caf\351""#;
    for way in [Way::Path, Way::Http, Way::OldHttp] {
        let store = world.store(&format!("store-{way:?}"));
        let url = world.url("source", way);
        let diff = restore(&store, &url, &world.options(way)).unwrap();
        assert!(
            diff.add.iter().any(|change| change.name == name),
            "{diff:?}"
        );
        assert_eq!(git_of(&store).refs(), source.refs());
        let target = world.bare(&format!("target-{way:?}"));
        let url = world.url(&format!("target-{way:?}"), way);
        backup(&store, &url, &world.options(way)).unwrap();
        assert_eq!(target.refs(), source.refs());
        // One alone, by its name.
        let alone = world.bare(&format!("alone-{way:?}"));
        let url = world.url(&format!("alone-{way:?}"), way);
        let options = MirrorOptions {
            refs: RefSelection::names([r#""caf\351""#]),
            ..world.options(way)
        };
        backup(&store, &url, &options).unwrap();
        assert_eq!(alone.refs().lines().count(), 1);
    }
    let store = world.store("bundled");
    let bundle = world.path("all.bundle").display().to_string();
    restore(&store, path_of(&source), &MirrorOptions::default()).unwrap();
    backup(&store, &bundle, &MirrorOptions::default()).unwrap();
    let again = world.store("again");
    restore(&again, &bundle, &MirrorOptions::default()).unwrap();
    assert_eq!(git_of(&again).refs(), source.refs());
}

fn path_of(git: &Git) -> String {
    git.dir.display().to_string()
}

/// Two stores: the second has branches whose names are in the way of those of the first, and the other way round.
fn in_the_way_of_each_other(world: &World) -> (Store, Store) {
    let (store, _) = filled(world);
    let main = store.branches().get("main").unwrap();
    let target = world.store("in-the-way");
    restore(&target, store.path(), &MirrorOptions::default()).unwrap();
    for name in ["a", "b/c", "other"] {
        store.branches().set(name, &main).unwrap();
    }
    let main = target.branches().get("main").unwrap();
    for name in ["a/b", "b"] {
        target.branches().set(name, &main).unwrap();
    }
    (store, target)
}

#[test]
fn what_makes_room_for_other_names_is_reported_as_deleted() {
    let world = World::new();
    let (store, target) = in_the_way_of_each_other(&world);
    let dry_run = MirrorOptions {
        dry_run: true,
        ..MirrorOptions::default()
    };
    let planned = restore(&target, store.path(), &dry_run).unwrap();
    assert_eq!((planned.add.len(), planned.delete.len()), (3, 2));
    let made = restore(&target, store.path(), &MirrorOptions::default()).unwrap();
    assert_eq!(made, planned);
    assert_eq!(git_of(&target).refs(), git_of(&store).refs());
}

#[test]
fn what_makes_room_comes_back_if_the_rest_fails() {
    let world = World::new();
    let (store, target) = in_the_way_of_each_other(&world);
    let before = git_of(&target).refs();
    // Somebody has it, and does not let it go.
    let held = target.path().join("refs/heads/other.lock");
    std::fs::write(&held, "").unwrap();
    restore(&target, store.path(), &MirrorOptions::default()).unwrap_err();
    assert_eq!(git_of(&target).refs(), before);
    std::fs::remove_file(held).unwrap();
    restore(&target, store.path(), &MirrorOptions::default()).unwrap();
    assert_eq!(git_of(&target).refs(), git_of(&store).refs());
}
