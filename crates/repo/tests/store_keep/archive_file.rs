//! Archives as local files: what is there stays whole, or stays what it is; and no name leads out of an archive.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use packhouse_repo::store::{ArchiveFormat, NoProgress, Snapshot, StoreError, StoreErrorKind};
use rustix::fs::{CWD, Mode};

use super::place::{Place, write};
use crate::somebody::is_somebody;

fn pack(snapshot: &Snapshot, file: &Path) -> Result<u64, StoreError> {
    snapshot.archive_to_file("", file, ArchiveFormat::Tar, &NoProgress)
}

fn bytes(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    snapshot
        .archive_out("", &mut out, ArchiveFormat::Tar, &NoProgress)
        .unwrap();
    out
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_made_as_any_program_makes_one_and_keeps_its_permissions() {
    let place = Place::new();
    let snapshot = write(&place.main(), "a", "a");
    let file = place.folder.path().join("o.tar");
    let other = place.folder.path().join("o.tar.partial");
    fs::write(&other, "mine").unwrap();
    assert_eq!(pack(&snapshot, &file).unwrap(), 1);
    assert_eq!(fs::read(&file).unwrap(), bytes(&snapshot));
    assert_eq!(mode(&file), mode(&other));
    assert_eq!(fs::read(&other).unwrap(), b"mine");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    pack(&write(&snapshot, "b", "b"), &file).unwrap();
    assert_eq!(mode(&file), 0o640);
    assert_ne!(fs::read(&file).unwrap(), bytes(&snapshot));
}

#[test]
fn a_link_is_followed_and_stays() {
    let place = Place::new();
    let snapshot = write(&place.main(), "a", "a");
    let folder = place.folder.path().join("out");
    fs::create_dir_all(folder.join("far")).unwrap();
    symlink("far/there.tar", folder.join("s.tar")).unwrap();
    for _ in ["missing", "there"] {
        pack(&snapshot, &folder.join("s.tar")).unwrap();
        assert!(folder.join("s.tar").is_symlink());
        assert_eq!(
            fs::read(folder.join("far/there.tar")).unwrap(),
            bytes(&snapshot)
        );
    }
    symlink("loop", folder.join("loop")).unwrap();
    pack(&snapshot, &folder.join("loop")).unwrap_err();
    let error = pack(&snapshot, &folder.join("far")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::IsADirectory);
    assert_eq!(names(&folder.join("far")).len(), 1);
}

#[test]
fn a_pipe_is_written_into() {
    let place = Place::new();
    let snapshot = write(&place.main(), "a", "a");
    let pipe = place.folder.path().join("pipe");
    rustix::fs::mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
    symlink("pipe", place.folder.path().join("link")).unwrap();
    for name in ["pipe", "link"] {
        let from = pipe.clone();
        let reader = thread::spawn(move || {
            let mut read = Vec::new();
            fs::File::open(from)
                .unwrap()
                .read_to_end(&mut read)
                .unwrap();
            read
        });
        pack(&snapshot, &place.folder.path().join(name)).unwrap();
        assert_eq!(reader.join().unwrap(), bytes(&snapshot));
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    }
}

#[test]
fn a_folder_for_archives_may_be_one_that_cannot_be_read() {
    if !is_somebody("a_folder_for_archives_may_be_one_that_cannot_be_read") {
        return;
    }
    let place = Place::new();
    let snapshot = write(&place.main(), "a", "a");
    let folder = place.folder.path().join("out");
    fs::create_dir(&folder).unwrap();
    let set_mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    let file = folder.join("o.tar");
    for snapshot in [&snapshot, &write(&snapshot, "b", "b")] {
        set_mode(0o300);
        pack(snapshot, &file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), bytes(snapshot));
        set_mode(0o700);
        assert_eq!(names(&folder), [file.as_path()]);
    }
    // Where nothing may be written, nothing is.
    set_mode(0o100);
    let error = pack(&snapshot, &file).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Permission);
    assert_ne!(fs::read(&file).unwrap(), bytes(&snapshot));
    set_mode(0o700);
}

/// A snapshot whose root has one entry, whatever its name.
fn evil(place: &Place, mode: &str, name: &[u8], id: &str) -> Snapshot {
    let mut tree = format!("{mode} ").into_bytes();
    tree.extend_from_slice(name);
    tree.push(0);
    let digits = id
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    tree.extend(digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()));
    let file = place.folder.path().join("tree");
    fs::write(&file, tree).unwrap();
    let file = file.to_str().unwrap();
    let tree = place.git(&["hash-object", "-t", "tree", "-w", "--literally", file]);
    let commit = place.git(&["commit-tree", "-m", "evil", &tree]);
    place.git(&["update-ref", "refs/heads/evil", &commit]);
    place.store.branches().get("evil").unwrap()
}

#[test]
fn names_that_lead_out_or_are_a_repositorys_are_in_no_archive() {
    let place = Place::new();
    let snapshot = write(&place.main(), "file", "data");
    let blob = snapshot.entry("file").unwrap().unwrap().id.to_string();
    let tree = place.git(&["rev-parse", "main^{tree}"]);
    let file = place.folder.path().join("e.zip");
    fs::write(&file, "old").unwrap();
    let cases: [(&str, &[u8], &str); 8] = [
        ("40000", b"..", &tree),
        ("40000", b".", &tree),
        ("40000", b".git", &tree),
        ("40000", b".GIT", &tree),
        ("100644", b"../evil", &blob),
        ("100644", b"/evil", &blob),
        ("100644", b"a/../../evil", &blob),
        ("120000", b".gitmodules", &blob),
    ];
    for (mode, name, id) in cases {
        let evil = evil(&place, mode, name, id);
        for format in [ArchiveFormat::Zip, ArchiveFormat::Tar] {
            let error = evil
                .archive_to_file("", &file, format, &NoProgress)
                .unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Value, "{error}");
            let said = error.to_string();
            assert!(said.contains("cannot be written to disk"), "{said}");
            assert_eq!(fs::read(&file).unwrap(), b"old");
        }
    }
    assert!(
        names(place.folder.path())
            .iter()
            .all(|path| !path.display().to_string().contains("-archive-"))
    );
}
