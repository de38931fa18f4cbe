//! Archives that are made as few programs make them, and trees of which no archive can be made.

use std::io::Write;
use std::process::Command;

use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use packhouse_repo::store::{
    ArchiveFormat, FileType, NoProgress, Snapshot, StoreErrorKind, WriteOptions,
};
use tar::EntryType;

use super::archive::{take, tar_of, zip_of};
use super::place::Place;

/// A zip whose members have these modes, with the type in them.
fn zip_of_modes(members: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let named: Vec<(&str, &[u8])> = members
        .iter()
        .map(|(name, data, _)| (*name, *data))
        .collect();
    let mut zip = zip_of(&named);
    let mut at = 0;
    for (_, _, mode) in members {
        let found = zip[at..].windows(4).position(|four| four == b"PK\x01\x02");
        at += found.unwrap();
        // Made on Unix.
        zip[at + 5] = 3;
        zip[at + 38..at + 42].copy_from_slice(&(mode << 16).to_le_bytes());
        at += 4;
    }
    zip
}

fn warnings(taken: &Snapshot) -> Vec<String> {
    let warnings = taken.changes().unwrap().warnings.iter();
    warnings
        .map(|warning| format!("{}: {}", warning.path, warning.error))
        .collect()
}

#[test]
fn links_that_no_disk_could_hold_are_refused_by_name() {
    let pax = |target: &[u8]| {
        // A record counts its own length: two digits, a blank, the key, `=` and a line's end.
        let record = [
            format!("{} linkpath=", target.len() + 13).as_bytes(),
            target,
            b"\n",
        ]
        .concat();
        tar_of(&[
            (b"PaxHeader", EntryType::XHeader, &record, b""),
            (b"sub/link", EntryType::Symlink, b"", b"short"),
        ])
    };
    let link = |target: &[u8]| zip_of_modes(&[("sub/link", target, 0o120_777)]);
    let archives = [
        (ArchiveFormat::Zip, link(b"")),
        (ArchiveFormat::Zip, link(b"a\0b")),
        (ArchiveFormat::Tar, pax(b"a\0b")),
        (
            ArchiveFormat::Tar,
            tar_of(&[(b"sub/link", EntryType::Symlink, b"", b"")]),
        ),
    ];
    for (format, data) in archives {
        let (place, taken) = take(&data, format);
        let error = taken.unwrap_err();
        let own = place
            .main()
            .write_symlink("link", "", &WriteOptions::default());
        assert_eq!(error.kind(), own.as_ref().unwrap_err().kind());
        let said = error.to_string();
        assert!(said.contains("'sub/link'"), "{said}");
        assert!(said.ends_with(&own.unwrap_err().to_string()), "{said}");
        assert_eq!(place.main().ls("").unwrap().len(), 0);
    }
    let (_place, taken) = take(&pax(b"a:b"), ArchiveFormat::Tar);
    assert_eq!(taken.unwrap().readlink("sub/link").unwrap(), "a:b");
}

#[test]
fn labels_and_folders_of_gnu_archives_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::create_dir_all(at.join("in/sub")).unwrap();
    std::fs::write(at.join("in/sub/a"), "a").unwrap();
    let made: [&[&str]; 3] = [
        &["--label=My label"],
        &["--listed-incremental=seen"],
        &[
            "--label=/abs/../label",
            "--listed-incremental=seen too",
            "--format=gnu",
        ],
    ];
    for options in made {
        let tar = Command::new("tar")
            .args(options)
            .args(["-cf", "x.tar", "in"])
            .current_dir(at)
            .output()
            .unwrap();
        assert!(tar.status.success(), "{tar:?}");
        let (place, taken) = take(
            &std::fs::read(at.join("x.tar")).unwrap(),
            ArchiveFormat::Tar,
        );
        let taken = taken.unwrap();
        assert_eq!(
            taken.read("in/sub/a", 0, None).unwrap(),
            b"a",
            "{options:?}"
        );
        assert_eq!(taken.files("").unwrap().count(), 1);
        assert_eq!(warnings(&taken), [""; 0], "{options:?}");
        place.fsck();
    }
}

#[test]
fn members_of_a_zip_are_what_their_modes_say() {
    let zip = zip_of_modes(&[
        ("pipe", b"", 0o010_644),
        ("socket", b"", 0o140_755),
        ("device", b"", 0o060_660),
        ("terminal", b"", 0o020_620),
        ("folder", b"", 0o040_755),
        ("folder/file", b"1", 0o100_644),
        ("full", b"x", 0o040_755),
        ("run", b"2", 0o100_001),
        ("old", b"3", 0o000_644),
        ("link", b"run", 0o120_777),
    ]);
    let (place, taken) = take(&zip, ArchiveFormat::Zip);
    let taken = taken.unwrap();
    assert_eq!(
        warnings(&taken),
        [
            "pipe: skipped: a pipe",
            "socket: skipped: a socket",
            "device: skipped: a device",
            "terminal: skipped: a device",
            "full: skipped: a folder with content of its own",
        ]
    );
    let types =
        ["folder/file", "run", "old", "link"].map(|path| taken.stat(path).unwrap().file_type);
    let (blob, run, link) = (FileType::Blob, FileType::Executable, FileType::Link);
    assert_eq!(types, [blob, run, blob, link]);
    assert_eq!(taken.files("").unwrap().count(), 4);
    place.fsck();
}

fn packed(format: ArchiveFormat, tar: &[u8]) -> Vec<u8> {
    match format {
        ArchiveFormat::TarGz => {
            let mut gz = GzEncoder::new(Vec::new(), flate2::Compression::default());
            gz.write_all(tar).unwrap();
            gz.finish().unwrap()
        }
        _ => {
            let mut bz2 = BzEncoder::new(Vec::new(), bzip2::Compression::best());
            bz2.write_all(tar).unwrap();
            bz2.finish().unwrap()
        }
    }
}

#[test]
fn zeros_behind_a_packed_tar_count_for_nothing_and_anything_else_is_refused() {
    let tar = tar_of(&[
        (b"a", EntryType::Regular, b"1", b""),
        (b"b", EntryType::Regular, b"2", b""),
    ]);
    let (one, two) = tar.split_at(700);
    for format in [ArchiveFormat::TarGz, ArchiveFormat::TarBz2] {
        let whole = packed(format, &tar);
        let zeros = |count| vec![0; count];
        for fine in [
            [whole.clone(), zeros(1)].concat(),
            [whole.clone(), zeros(513)].concat(),
            [whole.clone(), zeros(1 << 20)].concat(),
            [packed(format, one), packed(format, two)].concat(),
            [
                packed(format, one),
                zeros(300_000),
                packed(format, two),
                zeros(7),
            ]
            .concat(),
        ] {
            let (_place, taken) = take(&fine, format);
            let taken = taken.unwrap();
            let names: Vec<_> = taken
                .ls("")
                .unwrap()
                .into_iter()
                .map(|entry| entry.name)
                .collect();
            assert_eq!(names, ["a", "b"], "{format:?}");
        }
        let other = |behind: &[u8]| [&whole, behind].concat();
        for bad in [
            other(b"garbage"),
            other(&[zeros(600), b"garbage".to_vec()].concat()),
            other(&whole[..5]),
            other(&whole[..1]),
        ] {
            let (place, taken) = take(&bad, format);
            let error = taken.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Os, "{format:?}: {error}");
            assert_eq!(place.main().ls("").unwrap().len(), 0);
        }
        let (_place, taken) = take(&other(b"garbage"), format);
        let said = format!("{:?}", taken.unwrap_err());
        assert!(said.contains("follows the packed data"), "{said}");
    }
}

/// Mode, name and id of a tree's entry, as they are.
type RawEntry<'a> = (&'a str, &'a str, &'a str);

#[test]
fn no_archive_is_made_of_a_tree_with_a_name_twice() {
    let place = Place::new();
    let put = |data: &[u8], kind: &str| {
        let file = place.folder.path().join("object");
        std::fs::write(&file, data).unwrap();
        let file = file.to_str().unwrap();
        place.git(&["hash-object", "-w", "-t", kind, "--literally", file])
    };
    let tree_of = |entries: &[RawEntry<'_>]| {
        let mut tree = Vec::new();
        for (mode, name, id) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            let id = packhouse_object::ObjectId::from_hex(id.as_bytes()).unwrap();
            tree.extend_from_slice(id.as_slice());
        }
        put(&tree, "tree")
    };
    let (file, link) = (put(b"x", "blob"), put(b"/elsewhere", "blob"));
    let folder = tree_of(&[("100644", "f", &file)]);
    // Between the two other names stand.
    let parted = [
        ("120000", "a", link.as_str()),
        ("100644", "a.x", &file),
        ("40000", "a", &folder),
    ];
    let forged: [(&[RawEntry<'_>], &str); 6] = [
        (&parted, "a' is there twice"),
        (&[parted[2], parted[0]], "a' is there twice"),
        (&[("100644", "a", &file), parted[0]], "a' is there twice"),
        (&[parted[2], parted[2]], "a' is there twice"),
        (
            &[parted[0], ("100644", "a/f", &file)],
            "a/f' cannot be written to disk: the name contains a slash",
        ),
        (
            &[("160000", "a", &"1".repeat(40)), parted[2]],
            "a' is there twice",
        ),
    ];
    for (entries, reason) in forged {
        let inner = tree_of(entries);
        for (tree, above) in [
            (inner.clone(), ""),
            (tree_of(&[("40000", "in", &inner)]), "in/"),
        ] {
            let commit = place.git(&["commit-tree", &tree, "-m", "forged"]);
            place.git(&["update-ref", "refs/heads/main", &commit]);
            for format in [ArchiveFormat::Zip, ArchiveFormat::Tar] {
                let mut out = Vec::new();
                let made = place.main().archive_out("", &mut out, format, &NoProgress);
                let error = made.unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Value);
                let said = error.to_string();
                assert!(said.starts_with(&format!("'{above}{reason}")), "{said}");
            }
        }
    }
}
