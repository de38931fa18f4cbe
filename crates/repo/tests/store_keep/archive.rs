//! Archives out and in: round trips, other programs' archives, and hostile ones.

use std::io::{Cursor, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use packhouse_repo::store::{
    ArchiveFormat, ArchiveIn, ArchiveLimits, FileType, NewContent, NoProgress, Snapshot,
    StoreError, StoreErrorKind, StoreProgress, WriteOptions,
};
use tar::{Builder, EntryType, Header};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::place::{Place, write};

const FORMATS: [ArchiveFormat; 5] = [
    ArchiveFormat::Zip,
    ArchiveFormat::Tar,
    ArchiveFormat::TarGz,
    ArchiveFormat::TarBz2,
    ArchiveFormat::TarXz,
];

fn filled(place: &Place) -> Snapshot {
    let snapshot = write(&place.main(), "plain.txt", "plain\n");
    let snapshot = write(
        &snapshot,
        &format!("deep/{}/file", "long".repeat(50)),
        "long name",
    );
    let snapshot = write(&snapshot, "empty", "");
    let snapshot = write(
        &snapshot,
        "large",
        (0..300_000u32)
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<_>>(),
    );
    let run = WriteOptions {
        mode: Some(FileType::Executable),
        ..WriteOptions::default()
    };
    let snapshot = snapshot.write("bin/run", b"#!/bin/sh\n", &run).unwrap();
    let snapshot = snapshot
        .write_symlink("bin/link", "../plain.txt", &WriteOptions::default())
        .unwrap();
    snapshot
        .write_symlink("far", "/".repeat(150), &WriteOptions::default())
        .unwrap()
}

fn archive(snapshot: &Snapshot, path: &str, format: ArchiveFormat) -> Vec<u8> {
    let mut out = Vec::new();
    let files = snapshot
        .archive_out(path, &mut out, format, &NoProgress)
        .unwrap();
    assert!(files > 0);
    out
}

fn take_with(
    data: &[u8],
    format: ArchiveFormat,
    options: &ArchiveIn,
) -> (Place, Result<Snapshot, StoreError>) {
    let place = Place::new();
    let taken = place
        .main()
        .archive_in(&mut &*data, format, options, &NoProgress);
    (place, taken)
}

pub(super) fn take(data: &[u8], format: ArchiveFormat) -> (Place, Result<Snapshot, StoreError>) {
    take_with(data, format, &ArchiveIn::default())
}

#[test]
fn what_goes_out_comes_back_the_same_in_every_form() {
    let place = Place::new();
    let snapshot = filled(&place);
    for format in FORMATS {
        let data = archive(&snapshot, "", format);
        assert_eq!(
            data,
            archive(&snapshot, "", format),
            "{format:?} is the same every time"
        );
        let (other, taken) = take(&data, format);
        let taken = taken.unwrap();
        assert_eq!(taken.tree(), snapshot.tree(), "{format:?}");
        assert_eq!(taken.parents(), [taken.parent().unwrap().unwrap().commit()]);
        assert!(
            taken.message().to_string().contains("ar"),
            "{}",
            taken.message()
        );
        assert_eq!(taken.changes().unwrap().add.len(), 7);
        other.fsck();
    }
}

#[test]
fn a_folder_goes_out_by_itself_and_an_archive_goes_into_one() {
    let place = Place::new();
    let snapshot = filled(&place);
    let data = archive(&snapshot, "bin/", ArchiveFormat::TarGz);
    let options = ArchiveIn {
        dest: "new/place".into(),
        message: Some("unpacked {add_count}".to_owned()),
        ..ArchiveIn::default()
    };
    let (other, taken) = take_with(&data, ArchiveFormat::TarGz, &options);
    let taken = taken.unwrap();
    assert_eq!(taken.message(), "unpacked 2");
    assert_eq!(taken.readlink("new/place/link").unwrap(), "../plain.txt");
    assert_eq!(
        taken.stat("new/place/run").unwrap().file_type,
        FileType::Executable
    );
    let again = taken
        .archive_in(&mut &*data, ArchiveFormat::TarGz, &options, &NoProgress)
        .unwrap();
    assert_eq!(again.commit(), taken.commit(), "nothing is new");
    other.fsck();
    let nothing = |path: &str| {
        let out = &mut Vec::new();
        snapshot
            .archive_out(path, out, ArchiveFormat::Zip, &NoProgress)
            .unwrap_err()
            .kind()
    };
    assert_eq!(nothing("missing"), StoreErrorKind::NotFound);
    assert_eq!(nothing("plain.txt"), StoreErrorKind::NotADirectory);
}

#[test]
fn other_programs_read_what_goes_out() {
    let place = Place::new();
    let snapshot = filled(&place);
    for (format, option) in [
        (ArchiveFormat::Tar, "-tvf-"),
        (ArchiveFormat::TarGz, "-tzvf-"),
    ] {
        let mut tar = Command::new("tar")
            .arg(option)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let data = archive(&snapshot, "", format);
        let mut stdin = tar.stdin.take().unwrap();
        let writing = std::thread::spawn(move || stdin.write_all(&data).unwrap());
        let out = tar.wait_with_output().unwrap();
        writing.join().unwrap();
        assert!(out.status.success());
        let listed = String::from_utf8(out.stdout).unwrap();
        assert_eq!(listed.lines().count(), 7, "{listed}");
        assert!(
            listed.contains("-rwxr-xr-x 0/0") && listed.contains("bin/link -> ../plain.txt"),
            "{listed}"
        );
        assert!(listed.contains(&"long".repeat(50)), "{listed}");
    }
    let data = archive(&snapshot, "", ArchiveFormat::Zip);
    let mut zip = zip::ZipArchive::new(Cursor::new(data)).unwrap();
    let modes =
        ["plain.txt", "bin/run", "bin/link"].map(|name| zip.by_name(name).unwrap().unix_mode());
    assert_eq!(modes, [Some(0o100644), Some(0o100755), Some(0o120000)]);
    let mut target = String::new();
    zip.by_name("bin/link")
        .unwrap()
        .read_to_string(&mut target)
        .unwrap();
    assert_eq!(target, "../plain.txt");
}

#[test]
fn archives_that_git_and_tar_write_come_in() {
    let place = Place::new();
    let snapshot = filled(&place);
    for (name, format) in [
        ("tar", ArchiveFormat::Tar),
        ("zip", ArchiveFormat::Zip),
        ("tgz", ArchiveFormat::TarGz),
    ] {
        let file = place.folder.path().join(name);
        place.git(&[
            "archive",
            &format!("--format={name}"),
            "-o",
            file.to_str().unwrap(),
            "main",
        ]);
        let (_other, taken) = take(&std::fs::read(&file).unwrap(), format);
        assert_eq!(taken.unwrap().tree(), snapshot.tree(), "{name}");
    }
    let folder = place.folder.path().join("disk");
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    std::fs::write(folder.join("sub/a"), "a").unwrap();
    std::fs::hard_link(folder.join("sub/a"), folder.join("sub/b")).unwrap();
    std::fs::write(folder.join("n".repeat(200)), "long").unwrap();
    for (option, form) in [
        ("--format=gnu", "gnu"),
        ("--format=pax", "pax"),
        ("--format=v7", "v7"),
    ] {
        let file = place.folder.path().join(form);
        let mut tar = Command::new("tar");
        tar.arg(option).arg("-cf").arg(&file).arg("-C").arg(&folder);
        tar.args(if form == "v7" {
            ["./sub", "./sub"]
        } else {
            [".", "./sub"]
        });
        assert!(tar.status().unwrap().success());
        let (_other, taken) = take(&std::fs::read(&file).unwrap(), ArchiveFormat::Tar);
        let taken = taken.unwrap();
        assert_eq!(taken.read("sub/a", 0, None).unwrap(), b"a", "{form}");
        assert_eq!(taken.read("sub/b", 0, None).unwrap(), b"a", "{form}");
        if form != "v7" {
            assert_eq!(
                taken.read("n".repeat(200), 0, None).unwrap(),
                b"long",
                "{form}"
            );
        }
    }
}

/// Name, type, content and target of an entry, as they are.
pub(super) type RawEntry<'a> = (&'a [u8], EntryType, &'a [u8], &'a [u8]);

pub(super) fn tar_of(entries: &[RawEntry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, content, target) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn paths_that_lead_out_are_refused_and_nothing_changes() {
    for name in [
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a/..",
        ".git/config",
        "a/.GIT/hooks/x",
        "a\0b",
    ] {
        let mut archives = vec![(ArchiveFormat::Zip, zip_of(&[("fine", b"x"), (name, b"x")]))];
        if !name.contains('\0') {
            let file = EntryType::Regular;
            let tar = tar_of(&[
                (b"fine", file, b"x", b""),
                (name.as_bytes(), file, b"x", b""),
            ]);
            archives.push((ArchiveFormat::Tar, tar));
        }
        for (format, data) in archives {
            let (place, taken) = take(&data, format);
            let error = taken.unwrap_err();
            assert_eq!(
                error.kind(),
                StoreErrorKind::Value,
                "{name:?} {format:?}: {error}"
            );
            assert_eq!(place.main().ls("").unwrap().len(), 0);
        }
    }
}

#[test]
fn a_file_with_files_in_it_is_refused_and_nothing_changes() {
    let (file, link, hard) = (EntryType::Regular, EntryType::Symlink, EntryType::Link);
    let conflicts: [&[RawEntry<'_>]; 6] = [
        &[(b"a", file, b"1", b""), (b"a/b", file, b"2", b"")],
        &[(b"a/b", file, b"2", b""), (b"a", file, b"1", b"")],
        &[
            (b"a/b/c/d", file, b"2", b""),
            (b"a.x", file, b"", b""),
            (b"./a", file, b"1", b""),
        ],
        &[(b"a", link, b"", b"elsewhere"), (b"a/b", file, b"2", b"")],
        &[
            (b"x", file, b"1", b""),
            (b"a", hard, b"", b"x"),
            (b"a/b", file, b"2", b""),
        ],
        &[
            (b"a", file, b"1", b""),
            (b"a/", EntryType::Directory, b"", b""),
            (b"a//b", file, b"2", b""),
        ],
    ];
    for entries in conflicts {
        let mut archives = vec![(ArchiveFormat::Tar, tar_of(entries))];
        if entries.iter().all(|entry| entry.1 == file) {
            let named: Vec<(&str, &[u8])> = entries
                .iter()
                .map(|entry| (std::str::from_utf8(entry.0).unwrap(), entry.2))
                .collect();
            archives.push((ArchiveFormat::Zip, zip_of(&named)));
        }
        for (format, data) in archives {
            for dest in ["", "in/a"] {
                let options = ArchiveIn {
                    dest: dest.into(),
                    ..ArchiveIn::default()
                };
                let (place, taken) = take_with(&data, format, &options);
                let error = taken.unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Value);
                let file = if dest.is_empty() { "a" } else { "in/a/a" };
                let said = error.to_string();
                assert!(said.contains(&format!("'{file}' as a file")), "{said}");
                assert_eq!(place.main().ls("").unwrap().len(), 0);
            }
        }
    }
}

#[test]
fn odd_entries_are_taken_for_what_they_are() {
    let (file, link, hard) = (EntryType::Regular, EntryType::Symlink, EntryType::Link);
    let data = tar_of(&[
        (b"./twice", file, b"one", b""),
        (b"././sub//file", file, b"x", b""),
        (b"twice", file, b"two", b""),
        (b"escape", link, b"", b"../../../etc/passwd"),
        (b"same", hard, b"", b"./twice"),
        (b"lost", hard, b"", b"not/there"),
        (b"device", EntryType::Char, b"", b""),
        (b"pipe", EntryType::Fifo, b"", b""),
        (b"folder/", EntryType::Directory, b"", b""),
        (b"bytes\xff", file, b"y", b""),
    ]);
    let (place, taken) = take(&data, ArchiveFormat::Tar);
    let taken = taken.unwrap();
    assert_eq!(taken.read("twice", 0, None).unwrap(), b"two");
    assert_eq!(taken.read("same", 0, None).unwrap(), b"two");
    assert_eq!(taken.read("sub/file", 0, None).unwrap(), b"x");
    assert_eq!(taken.readlink("escape").unwrap(), "../../../etc/passwd");
    assert_eq!(taken.read(b"bytes\xff", 0, None).unwrap(), b"y");
    assert_eq!(taken.files("").unwrap().count(), 5);
    let warned: Vec<_> = taken
        .changes()
        .unwrap()
        .warnings
        .iter()
        .map(|warning| warning.path.to_string())
        .collect();
    assert_eq!(warned, ["lost", "device", "pipe"]);
    place.fsck();
}

#[test]
fn archives_without_files_and_damaged_ones_are_refused() {
    let empty = tar_of(&[(b"folder/", EntryType::Directory, b"", b"")]);
    let (_place, taken) = take(&empty, ArchiveFormat::Tar);
    assert_eq!(taken.unwrap_err().kind(), StoreErrorKind::Value);
    let (_place, taken) = take(&zip_of(&[]), ArchiveFormat::Zip);
    assert_eq!(taken.unwrap_err().kind(), StoreErrorKind::Value);

    let place = Place::new();
    let snapshot = filled(&place);
    for format in FORMATS {
        let whole = archive(&snapshot, "", format);
        for cut in [1, 20, whole.len() / 3, whole.len() / 2, whole.len() - 1500] {
            let (other, taken) = take(&whole[..cut], format);
            assert!(taken.is_err(), "{format:?} cut at {cut} of {}", whole.len());
            assert_eq!(other.main().ls("").unwrap().len(), 0);
        }
        let (_other, taken) = take(
            b"this is no archive at all, whatever its name says"
                .repeat(30)
                .as_slice(),
            format,
        );
        assert_eq!(taken.unwrap_err().kind(), StoreErrorKind::Os, "{format:?}");
    }
    // A byte in the middle of a deflated file.
    let mut damaged = archive(&snapshot, "", ArchiveFormat::TarGz);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let (_other, taken) = take(&damaged, ArchiveFormat::TarGz);
    assert!(taken.is_err());
}

#[test]
fn archives_that_unfold_too_far_are_stopped() {
    let place = Place::new();
    let zeros = write(&place.main(), "zeros", vec![0; 20 << 20]);
    let few = ArchiveIn {
        limits: ArchiveLimits {
            bytes: 1 << 20,
            ..ArchiveLimits::default()
        },
        ..ArchiveIn::default()
    };
    for format in FORMATS {
        let (other, taken) = take_with(&archive(&zeros, "", format), format, &few);
        let error = taken.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Runtime, "{format:?}: {error}");
        assert_eq!(other.main().ls("").unwrap().len(), 0);
    }
    let many: Vec<String> = (0..50).map(|number| format!("f{number}")).collect();
    let entries: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let few = ArchiveIn {
        limits: ArchiveLimits {
            entries: 10,
            ..ArchiveLimits::default()
        },
        ..ArchiveIn::default()
    };
    let (_other, taken) = take_with(&zip_of(&entries), ArchiveFormat::Zip, &few);
    assert_eq!(taken.unwrap_err().kind(), StoreErrorKind::Runtime);
}

#[test]
fn sizes_that_are_only_claimed_cost_nothing() {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..4].copy_from_slice(b"huge");
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    for size in [1 << 39, 1 << 50, u64::MAX / 2] {
        header.set_size(size);
        header.set_cksum();
        let (_place, taken) = take(
            &[header.as_bytes().as_slice(), &[7; 4096]].concat(),
            ArchiveFormat::Tar,
        );
        assert!(taken.is_err(), "{size}");
    }
    for kind in [EntryType::GNULongName, EntryType::XHeader] {
        header.set_entry_type(kind);
        header.set_size(1 << 40);
        header.set_cksum();
        let (_place, taken) = take(header.as_bytes(), ArchiveFormat::Tar);
        let error = taken.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Os, "{error}");
    }
}

#[test]
fn names_that_are_no_text_go_into_a_tar_and_not_into_a_zip() {
    let place = Place::new();
    let odd = place
        .main()
        .write(b"odd\xff", b"x", &WriteOptions::default())
        .unwrap();
    let out = |snapshot: &Snapshot, format| {
        snapshot.archive_out("", &mut Vec::new(), format, &NoProgress)
    };
    assert_eq!(out(&odd, ArchiveFormat::Tar).unwrap(), 1);
    assert_eq!(
        out(&odd, ArchiveFormat::Zip).unwrap_err().kind(),
        StoreErrorKind::Value
    );
    let writes = [(
        "link",
        NewContent::Symlink(b"to\xff".as_slice().into()),
        None,
    )];
    let link = odd.apply(writes, ["odd"], Default::default()).unwrap();
    let error = out(&link, ArchiveFormat::Tar).unwrap_err();
    assert!(error.to_string().ends_with("is not valid UTF-8"), "{error}");
}

#[test]
fn a_full_disk_and_a_cancelled_caller_end_it() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    struct Cancelled;
    impl StoreProgress for Cancelled {
        fn cancelled(&self) -> bool {
            true
        }
    }
    let place = Place::new();
    let snapshot = filled(&place);
    for format in FORMATS {
        let error = snapshot
            .archive_out("", &mut Full, format, &NoProgress)
            .unwrap_err();
        assert!(
            matches!(error, StoreError::Output(_)),
            "{format:?}: {error:?}"
        );
        let error = snapshot
            .archive_out("", &mut Vec::new(), format, &Cancelled)
            .unwrap_err();
        assert!(matches!(error, StoreError::Cancelled));
        let data = archive(&snapshot, "", format);
        let error = snapshot
            .archive_in(&mut &*data, format, &ArchiveIn::default(), &Cancelled)
            .unwrap_err();
        assert!(
            matches!(error, StoreError::Cancelled),
            "{format:?}: {error:?}"
        );
    }
}

#[test]
fn a_zip_that_was_given_up_does_not_look_whole() {
    /// Goes on for some files.
    struct AfterSome(AtomicU64);
    impl StoreProgress for AfterSome {
        fn cancelled(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed) > 3
        }
    }
    let place = Place::new();
    let snapshot = filled(&place);
    let mut data = Vec::new();
    let progress = AfterSome(AtomicU64::new(0));
    let error = snapshot
        .archive_out("", &mut data, ArchiveFormat::Zip, &progress)
        .unwrap_err();
    assert!(matches!(error, StoreError::Cancelled));
    assert!(!data.is_empty());
    assert!(zip::ZipArchive::new(Cursor::new(data)).is_err());
}
