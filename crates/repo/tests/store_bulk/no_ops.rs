//! A write that changes nothing is a write: it makes no commit and gives the same snapshot back, but only on the newest
//! state of a branch. Every method keeps to that.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;

use packhouse_repo::store::{
    ArchiveFormat, ArchiveIn, CommitOptions, CopyBetween, CopyIn, Edits, FileType, NewContent,
    NoProgress, Snapshot, StoreError, StoreErrorKind, SyncIn, WriteOptions,
};
use proptest::prelude::*;

use super::Place;
use super::roundtrip::{Files, Node, files, lay_out};

type Written = Result<Snapshot, StoreError>;
type NoOp<'a> = (&'static str, Box<dyn Fn(&Snapshot) -> Written + 'a>);

const NOTHING: [(&str, NewContent, Option<FileType>); 0] = [];

/// Writes that leave everything as it is, where the store holds `files` and so does the folder `same`.
fn no_ops<'a>(place: &'a Place, files: &'a Files, archive: &'a [u8]) -> Vec<NoOp<'a>> {
    let mut all: Vec<NoOp<'a>> = Vec::new();
    let mut add = |name: &'static str, run: Box<dyn Fn(&Snapshot) -> Written + 'a>| {
        all.push((name, run));
    };
    for (path, node) in files {
        match node {
            Node::Link(target) => add(
                "write_symlink",
                Box::new(move |at| at.write_symlink(path, target, &WriteOptions::default())),
            ),
            Node::File(data, run) => {
                let mode = if *run {
                    FileType::Executable
                } else {
                    FileType::Blob
                };
                let options = move || WriteOptions {
                    mode: Some(mode),
                    ..WriteOptions::default()
                };
                add(
                    "write",
                    Box::new(move |at| at.write(path, data, &options())),
                );
                add(
                    "write_reader",
                    Box::new(move |at| at.write_reader(path, &mut &data[..], &options())),
                );
                add(
                    "writer",
                    Box::new(move |at| {
                        let mut writer = at.writer(path, options())?;
                        writer.write_all(data).unwrap();
                        writer.finish()
                    }),
                );
                add(
                    "write_from_file",
                    Box::new(move |at| {
                        let local = place.local("same").join(OsStr::from_bytes(path));
                        at.write_from_file(path, local, &WriteOptions::default())
                    }),
                );
                add(
                    "apply",
                    Box::new(move |at| {
                        let content = NewContent::Bytes(data.clone());
                        let removes = ["not there"];
                        let options = CommitOptions::default();
                        at.apply([(path, content, Some(mode))], removes, options)
                    }),
                );
                add(
                    "batch",
                    Box::new(move |at| {
                        let mut batch = at.batch(CommitOptions::default())?;
                        batch.write(path, data, Some(mode))?;
                        batch.commit()
                    }),
                );
            }
        }
    }
    let removes: [&str; 0] = [];
    add(
        "apply of nothing",
        Box::new(move |at| at.apply(NOTHING, removes, CommitOptions::default())),
    );
    add(
        "apply that removes what is not there",
        Box::new(|at| at.apply(NOTHING, ["not there"], CommitOptions::default())),
    );
    add(
        "batch of nothing",
        Box::new(|at| at.batch(CommitOptions::default())?.commit()),
    );
    add(
        "batch that takes back",
        Box::new(|at| {
            let mut batch = at.batch(CommitOptions::default())?;
            batch.write("not there", b"", None)?;
            batch.remove("not there")?;
            batch.commit()
        }),
    );
    add(
        "commit_edits",
        Box::new(|at| at.commit_edits(Edits::new(at.store()), CommitOptions::default())),
    );
    for delete in [false, true] {
        let mut source = place.local("same").into_os_string();
        source.push("/");
        for sources in [vec![], vec![source]] {
            for ignore_existing in [false, true] {
                let options = CopyIn {
                    sources: sources.clone(),
                    delete,
                    ignore_existing,
                    ..CopyIn::default()
                };
                add("copy_in", Box::new(move |at| at.copy_in(&options)));
            }
        }
        let options = CopyBetween {
            delete,
            ..CopyBetween::default()
        };
        add(
            "copy_from",
            Box::new(move |at| at.copy_from(&at.clone(), &[""], "", &options)),
        );
    }
    for (local, path) in [("same", ""), ("missing", "not there")] {
        add(
            "sync_in",
            Box::new(move |at| at.sync_in(place.local(local), path, &SyncIn::default())),
        );
    }
    if !archive.is_empty() {
        add(
            "archive_in",
            Box::new(move |at| {
                let options = ArchiveIn::default();
                at.archive_in(&mut &*archive, ArchiveFormat::Tar, &options, &NoProgress)
            }),
        );
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_write_that_changes_nothing_needs_the_newest_state_too(files in files()) {
        let place = Place::new();
        lay_out(&place.local("same"), &files);
        let start = place.main().sync_in(place.local("same"), "", &SyncIn::default()).unwrap();
        let mut archive = Vec::new();
        let archived = start.archive_out("", &mut archive, ArchiveFormat::Tar, &NoProgress);
        if !matches!(archived, Ok(1..)) {
            // A link to what is no text, or nothing at all.
            archive.clear();
        }
        let all = no_ops(&place, &files, &archive);
        let kinds = |at: &Snapshot, kind: StoreErrorKind| {
            for (name, run) in &all {
                let told = run(at).map_err(|error| error.kind()).map(|_| ());
                prop_assert_eq!(told, Err(kind), "{}", name);
            }
            Ok(())
        };
        for (name, run) in &all {
            prop_assert_eq!(&run(&start).unwrap(), &start, "{}", name);
        }
        prop_assert_eq!(place.main().commit(), start.commit());
        kinds(&start.detached(), StoreErrorKind::Permission)?;
        start.write("newer", b"", &WriteOptions::default()).unwrap();
        kinds(&start, StoreErrorKind::Stale)?;
        place.store.branches().delete("main").unwrap();
        kinds(&start, StoreErrorKind::Key)?;
    }
}
