//! Reading: files, folders, ranges, walks.

use std::io::{Read, Seek, SeekFrom};

use packhouse_repo::store::{FileType, StoreErrorKind, WriteOptions};

use super::{World, put};

fn world() -> World {
    let world = World::new();
    let mut at = put(&world.main(), "a.b", "1");
    at = put(&at, "a/x", "22");
    at = put(&at, "a/sub/y", "333");
    at = put(&at, "top", "0123456789");
    at.write_symlink("l", "a", &WriteOptions::default())
        .unwrap();
    world
}

#[test]
fn folders_list_in_the_order_of_git() {
    let world = world();
    let main = world.main();
    let names: Vec<_> = main
        .ls("")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name.to_string())
        .collect();
    assert_eq!(names, ["a.b", "a", "l", "top"]);
    assert_eq!(
        names.join("\n"),
        world.git(&["ls-tree", "--name-only", "main"])
    );
    assert_eq!(main.ls("/a/").unwrap().len(), 2);
    let kind = |path: &str| main.ls(path).unwrap_err().kind();
    assert_eq!(kind("top"), StoreErrorKind::NotADirectory);
    assert_eq!(kind("nope"), StoreErrorKind::NotFound);
    assert_eq!(kind("l"), StoreErrorKind::NotADirectory);
    assert_eq!(kind("l/x"), StoreErrorKind::NotADirectory);
    assert_eq!(kind("a//x"), StoreErrorKind::Value);
}

#[test]
fn ranges_are_slices() {
    let world = world();
    let main = world.main();
    let read = |offset, size| main.read("top", offset, size).unwrap();
    assert_eq!(read(3, None), b"3456789");
    assert_eq!(read(3, Some(2)), b"34");
    assert_eq!(read(8, Some(10)), b"89");
    assert_eq!(read(10, None), b"");
    assert_eq!(read(100, Some(1)), b"");
    assert_eq!(main.read("l", 0, None).unwrap(), b"a");
    let kind = |path: &str| main.read(path, 0, None).unwrap_err().kind();
    assert_eq!(kind("a"), StoreErrorKind::IsADirectory);
    assert_eq!(kind("nope"), StoreErrorKind::NotFound);
    assert_eq!(kind("top/x"), StoreErrorKind::NotADirectory);
    assert_eq!(kind(""), StoreErrorKind::Value);
    let mut reader = main.reader("top").unwrap();
    assert_eq!(reader.size(), 10);
    reader.seek(SeekFrom::End(-3)).unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "789");
    reader.seek(SeekFrom::Start(1)).unwrap();
    assert!(reader.seek(SeekFrom::Current(-2)).is_err());
    let id = main.entry("top").unwrap().unwrap().id;
    assert_eq!(world.store.read_blob(&id, 1, Some(2)).unwrap(), b"12");
    assert!(world.store.has_blob(&id).unwrap());
    assert!(!world.store.has_blob(&main.commit()).unwrap());
    let error = world.store.read_blob(&main.commit(), 0, None).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Key);
}

#[test]
fn stats_tell_sizes_and_links() {
    let world = world();
    let main = world.main();
    let stat = main.stat("a").unwrap();
    assert_eq!(
        (stat.file_type, stat.size, stat.nlink),
        (FileType::Tree, 0, 3)
    );
    let stat = main.stat("a/sub/y").unwrap();
    assert_eq!(
        (stat.file_type, stat.size, stat.nlink, stat.mtime),
        (FileType::Blob, 3, 1, main.seconds())
    );
    assert_eq!(main.stat("").unwrap().nlink, 3);
    assert_eq!(main.stat("l").unwrap().size, 1);
    assert_eq!(
        main.stat("top/x").unwrap_err().kind(),
        StoreErrorKind::NotFound
    );
    assert!(main.exists("a.b/").unwrap() && !main.exists("top/x").unwrap());
    assert!(!main.is_dir("l").unwrap() && main.is_dir("").unwrap());
}

#[test]
fn walks_are_lazy_and_go_downwards() {
    let world = world();
    let main = world.main();
    let walked: Vec<_> = main
        .walk("")
        .unwrap()
        .map(|step| {
            let step = step.unwrap();
            let files: Vec<_> = step
                .files
                .iter()
                .map(|entry| entry.name.to_string())
                .collect();
            (step.path.to_string(), step.dirs.len(), files.join(" "))
        })
        .collect();
    let expected = [("", 1, "a.b l top"), ("a", 1, "x"), ("a/sub", 0, "y")];
    let expected: Vec<_> = expected
        .map(|(path, dirs, files)| (path.to_owned(), dirs, files.to_owned()))
        .into();
    assert_eq!(walked, expected);
    let files: Vec<_> = main
        .files("")
        .unwrap()
        .map(|file| file.unwrap().0.to_string())
        .collect();
    assert_eq!(
        files.join("\n"),
        world.git(&["ls-tree", "-r", "--name-only", "main"])
    );
    let below: Vec<_> = main
        .files("a")
        .unwrap()
        .map(|file| file.unwrap().0.to_string())
        .collect();
    assert_eq!(below, ["a/sub/y", "a/x"]);
    let mut bad = main.walk("top").unwrap();
    assert_eq!(
        bad.next().unwrap().unwrap_err().kind(),
        StoreErrorKind::NotADirectory
    );
    assert!(bad.next().is_none());
    assert_eq!(
        main.files("nope")
            .unwrap()
            .next()
            .unwrap()
            .unwrap_err()
            .kind(),
        StoreErrorKind::NotFound
    );
}

#[test]
fn large_folders_are_looked_into_by_name() {
    let world = World::new();
    let mut edits = packhouse_repo::store::Edits::new(&world.store);
    let id = edits.sink.add(b"x").unwrap();
    for n in 0..3000 {
        edits.set(format!("d/f{n}"), FileType::Blob, id).unwrap();
    }
    // Folders stand elsewhere than files of the same name would.
    for name in ["d/f1.d/x", "d/f1-", "d/f10.", "d/f10/y"] {
        edits.remove("d/f10").unwrap();
        edits.set(name, FileType::Blob, id).unwrap();
    }
    let at = world
        .main()
        .commit_edits(edits, Default::default())
        .unwrap();
    for n in (0..3000).filter(|n| *n != 10) {
        assert!(at.exists(format!("d/f{n}")).unwrap());
        assert!(!at.exists(format!("d/f{n}x")).unwrap());
    }
    for name in ["d/f1.d/x", "d/f1-", "d/f10.", "d/f10/y"] {
        assert_eq!(at.read(name, 0, None).unwrap(), b"x");
    }
    let names: Vec<_> = at
        .ls("d")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name.to_string())
        .collect();
    assert_eq!(
        names.join("\n"),
        world.git(&["ls-tree", "--name-only", "main:d"])
    );
    world.fsck();
}
