//! A copy out of a store stays within its destination, and off the store.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use packhouse_repo::store::{CopyOut, StoreErrorKind};

use super::{out, some};
use crate::store_bulk::{Place, disk};

#[test]
fn links_in_the_destination_are_never_followed() {
    for delete in [false, true] {
        let place = Place::new();
        let snapshot = place.stored(&["d/x/file", "d/y", "d/z/deep/er"]);
        place.make(&["outside/file", "outside/keep", "outside/deep/er", "y"]);
        fs::create_dir_all(place.local("o/more")).unwrap();
        symlink(place.local("outside"), place.local("o/x")).unwrap();
        symlink(place.local("y"), place.local("o/y")).unwrap();
        symlink("../outside", place.local("o/z")).unwrap();
        symlink(place.local("outside"), place.local("o/more/link")).unwrap();
        let outside = disk(&place.local("outside"));
        let options = CopyOut {
            delete,
            ..out(&place, &["d/"], "o")
        };
        snapshot.copy_out(&options).unwrap();
        assert_eq!(disk(&place.local("outside")), outside);
        assert_eq!(fs::read(place.local("y")).unwrap(), b"y");
        assert!(
            place
                .local("o/x/file")
                .symlink_metadata()
                .unwrap()
                .is_file()
        );
        assert!(place.local("o/y").symlink_metadata().unwrap().is_file());
        assert!(place.local("o/z").symlink_metadata().unwrap().is_dir());
        assert_eq!(place.local("o/more/link").is_symlink(), !delete);
    }
}

#[test]
fn the_destination_itself_may_be_reached_through_links() {
    let place = Place::new();
    let snapshot = place.stored(&["a"]);
    fs::create_dir(place.local("real")).unwrap();
    symlink("real", place.local("alias")).unwrap();
    snapshot.copy_out(&out(&place, &[""], "alias")).unwrap();
    snapshot
        .copy_out(&out(&place, &[""], "alias/new/er"))
        .unwrap();
    assert_eq!(
        disk(&place.local("real")),
        ["a: a", "new/", "new/er/", "new/er/a: a"]
    );
    place.make(&["file"]);
    let error = snapshot.copy_out(&out(&place, &[""], "file")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotADirectory);
}

#[test]
fn a_hostile_tree_cannot_leave_the_destination() {
    let place = Place::new();
    let blob = place.git(&["hash-object", "-w", "--stdin"]);
    let blob = blob.trim();
    let tree = |listing: String| {
        let path = place.local("listing");
        fs::write(&path, listing).unwrap();
        let mut git = Command::new("git");
        git.args(["mktree", "--missing"])
            .current_dir(place.store.path());
        let output = git.stdin(fs::File::open(path).unwrap()).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let inner = tree(format!("100644 blob {blob}\tescaped\n"));
    for name in ["..", ".git", "."] {
        let root = tree(format!(
            "040000 tree {inner}\t{name}\n100644 blob {blob}\tgood\n"
        ));
        let commit = place.git(&["commit-tree", "-m", "hostile", &root]);
        place.git(&["update-ref", "refs/heads/hostile", commit.trim()]);
        let snapshot = place.store.branches().get("hostile").unwrap();
        let options = out(&place, &[""], "o/in");
        let error = snapshot.copy_out(&options).unwrap_err();
        assert!(
            error.to_string().contains("cannot be written to disk"),
            "{error}"
        );
        let partly = CopyOut {
            ignore_errors: true,
            ..options
        };
        let copied = snapshot.copy_out(&partly).unwrap();
        assert_eq!(copied.changes().unwrap().errors.len(), 1);
        assert_eq!(disk(&place.local("o")), ["in/", "in/good: "]);
    }
}

#[test]
fn a_tree_that_has_a_name_twice_has_no_winner() {
    let place = Place::new();
    let put = |kind: &str, data: &[u8]| {
        let path = place.local("object");
        fs::write(&path, data).unwrap();
        let path = path.to_str().unwrap();
        let id = place.git(&["hash-object", "-w", "-t", kind, "--literally", path]);
        id.trim().to_owned()
    };
    let tree_of = |entries: &[(&str, &str, &str)]| {
        let mut tree = Vec::new();
        for (mode, name, id) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            let id = packhouse_object::ObjectId::from_hex(id.as_bytes()).unwrap();
            tree.extend_from_slice(id.as_slice());
        }
        put("tree", &tree)
    };
    let (file, link) = (put("blob", b"x"), put("blob", b"/elsewhere"));
    let folder = tree_of(&[("100644", "f", &file)]);
    let a_link = ("120000", "a", link.as_str());
    let a_file = ("100644", "a", file.as_str());
    let a_folder = ("40000", "a", folder.as_str());
    let slashed = ("100644", "a/f", file.as_str());
    for (entries, reason) in [
        ([a_link, a_folder], "'in/a' is there twice"),
        ([a_file, a_link], "'in/a' is there twice"),
        ([a_link, slashed], "'in/a/f' cannot be written to disk"),
    ] {
        let inner = tree_of(&entries);
        let root = tree_of(&[("40000", "fine", &folder), ("40000", "in", &inner)]);
        let commit = place.git(&["commit-tree", "-m", "forged", &root]);
        place.git(&["update-ref", "refs/heads/forged", commit.trim()]);
        let snapshot = place.store.branches().get("forged").unwrap();
        for delete in [false, true] {
            let _ = fs::remove_dir_all(place.local("o"));
            place.make(&["o/old"]);
            let whole = CopyOut {
                delete,
                ..out(&place, &[""], "o")
            };
            for dry_run in [true, false] {
                let options = CopyOut {
                    dry_run,
                    ..whole.clone()
                };
                let error = snapshot.copy_out(&options).unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Value);
                assert!(error.to_string().starts_with(reason), "{error}");
            }
            // One problem, whatever else is in order, and nothing is deleted.
            let partly = CopyOut {
                ignore_errors: true,
                ..whole.clone()
            };
            let error = snapshot.copy_out(&partly).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(disk(&place.local("o")), ["old: o/old"]);
            let partly = CopyOut {
                sources: vec!["in".into(), "fine".into()],
                ..partly
            };
            let copied = snapshot.copy_out(&partly).unwrap();
            let report = copied.changes().unwrap();
            assert_eq!((report.errors.len(), report.delete.len()), (1, 0));
            assert_eq!(
                disk(&place.local("o")),
                ["fine/", "fine/f: x", "old: o/old"]
            );
        }
    }
}

#[test]
fn the_store_is_neither_written_into_nor_deleted() {
    let place = Place::new();
    let snapshot = place.stored(&["store.git/config", "f"]);
    let root = place.local("").parent().unwrap().to_owned();
    let at = |dest: PathBuf| CopyOut {
        dest,
        ..out(&place, &[""], "")
    };
    let config = fs::read(place.store.path().join("config")).unwrap();
    for dest in [
        place.store.path().to_owned(),
        place.store.path().join("new"),
    ] {
        let error = snapshot.copy_out(&at(dest)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Value);
    }
    let error = snapshot.copy_out(&at(root.clone())).unwrap_err();
    assert!(
        error.to_string().contains("the store is in the way"),
        "{error}"
    );
    let mirror = CopyOut {
        delete: true,
        ..at(root.clone())
    };
    let files = CopyOut {
        sources: vec!["f".into()],
        ..mirror
    };
    let copied = snapshot.copy_out(&files).unwrap();
    assert_eq!(copied.changes().unwrap().warnings.len(), 1);
    assert_eq!(fs::read(place.store.path().join("config")).unwrap(), config);
    assert_eq!(place.main().read("f", 0, None).unwrap(), b"f");
    assert!(!place.local("").exists());
}

#[test]
fn a_file_of_the_stores_name_does_not_replace_the_store() {
    let place = Place::new();
    let root = place.local("").parent().unwrap().to_owned();
    // The store is `root/store.git`: neither that nor a folder it is in gives way to a file.
    let above = root.file_name().unwrap().to_str().unwrap().to_owned();
    let snapshot = place.stored(&["store.git", &above]);
    for (source, dest) in [
        ("store.git", root.clone()),
        (&above, root.parent().unwrap().into()),
    ] {
        for delete in [false, true] {
            for dry_run in [true, false] {
                // Nothing but a copy of one file is safe to try above the folder.
                if delete && dest != root {
                    continue;
                }
                let options = CopyOut {
                    dest: dest.clone(),
                    delete,
                    dry_run,
                    ..out(&place, &[source], "")
                };
                let error = snapshot.copy_out(&options).unwrap_err();
                assert!(
                    error.to_string().contains("the store is in the way"),
                    "{error}"
                );
                assert_eq!(place.main(), snapshot);
            }
        }
    }
    place.git(&["fsck", "--full", "--strict"]);
}

#[test]
fn a_dangling_link_is_no_folder_to_copy_into() {
    let place = Place::new();
    place.make(&["link -> nowhere", "file"]);
    let snapshot = some(&place);
    for dest in ["link", "link/below", "file", "file/below"] {
        for dry_run in [true, false] {
            let options = CopyOut {
                dry_run,
                ..out(&place, &["d"], dest)
            };
            let error = snapshot.copy_out(&options).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::NotADirectory, "{dest}");
        }
    }
}
