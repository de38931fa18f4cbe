//! A dry run changes nothing, and says exactly what the real run then says: its report, or why it cannot be done.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use bstr::BString;
use packhouse_repo::store::{
    ArchiveFormat, ArchiveIn, ChangeReport, CopyBetween, CopyIn, CopyOut, NoProgress, Remove,
    Rename, Snapshot, StoreError, SyncIn, SyncOut,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::Place;
use super::roundtrip::{Files, files, found, lay_out};

/// What is chosen of what there is.
#[derive(Clone, Debug)]
struct Choice {
    sources: Vec<usize>,
    dest: usize,
    delete: bool,
    ignore_existing: bool,
    other: bool,
}

fn choice() -> impl Strategy<Value = Choice> {
    let sources = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (sources, any::<prop::sample::Index>(), flags).prop_map(|(sources, dest, flags)| Choice {
        sources: sources.iter().map(|at| at.index(usize::MAX)).collect(),
        dest: dest.index(usize::MAX),
        delete: flags.0,
        ignore_existing: flags.1,
        other: flags.2,
    })
}

/// Every file and folder, what is in each folder, and something that is not there.
fn names(files: &Files) -> Vec<BString> {
    let mut names = vec![BString::from(""), "missing".into()];
    for path in files.keys() {
        names.push(path.as_slice().into());
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (at, _) in slashes {
            names.push(path[..at].into());
            names.push(path[..=at].into());
        }
    }
    names
}

impl Choice {
    fn sources(&self, files: &Files) -> Vec<BString> {
        let names = names(files);
        let chosen = self.sources.iter();
        chosen.map(|at| names[at % names.len()].clone()).collect()
    }

    /// A folder, or what will become one.
    fn dest(&self, files: &Files) -> BString {
        let mut names = names(files);
        names.extend(["a".into(), "a/b/c".into(), "new/".into()]);
        names[self.dest % names.len()].clone()
    }
}

type Outcome = Result<Option<ChangeReport>, String>;

fn told(result: Result<Snapshot, StoreError>) -> Outcome {
    let report = result.map(|snapshot| snapshot.changes().cloned());
    report.map_err(|error| error.to_string())
}

/// What a dry run says, as the real one tells it if it fails because every file does: the errors it lists.
fn as_real(dry: Outcome, real: &Outcome) -> Outcome {
    match dry {
        Ok(Some(report)) if real.is_err() && report.in_sync() && !report.errors.is_empty() => {
            let errors = report.errors.iter();
            let listed = errors.map(|error| format!("{}: {}", error.path, error.error));
            let listed: Vec<String> = listed.collect();
            Err(format!("All files failed to copy: {}", listed.join("; ")))
        }
        dry => dry,
    }
}

/// A branch with the files `first`, which lie in the folder `first` too, and beside it a branch and a folder `second`.
struct World {
    place: Place,
    start: Snapshot,
    second: Snapshot,
}

impl World {
    fn new(first: &Files, second: &Files) -> World {
        let place = Place::new();
        lay_out(&place.local("first"), first);
        lay_out(&place.local("second"), second);
        let main = place.main();
        let options = SyncIn::default();
        let branch = place.store.branches().set("second", &main).unwrap();
        let second = branch.sync_in(place.local("second"), "", &options).unwrap();
        let start = main.sync_in(place.local("first"), "", &options).unwrap();
        World {
            place,
            start,
            second,
        }
    }

    /// Runs a write dry and then really, on the same state.
    fn compare(
        &self,
        what: &str,
        run: impl Fn(&Snapshot, bool) -> Result<Snapshot, StoreError>,
    ) -> Result<(), TestCaseError> {
        let branches = self.place.store.branches();
        if self.place.main() != self.start {
            branches.set("main", &self.start).unwrap();
        }
        let main = self.place.main();
        let dry = told(run(&main, true));
        prop_assert_eq!(self.place.main().commit(), self.start.commit());
        let real = told(run(&main, false));
        prop_assert_eq!(as_real(dry, &real), real, "{}", what);
        Ok(())
    }

    /// The same for a copy to disk, into a folder with the files `there`.
    fn compare_out(
        &self,
        what: &str,
        there: &Files,
        run: impl Fn(&Path, bool) -> Result<Snapshot, StoreError>,
    ) -> Result<(), TestCaseError> {
        let out = self.place.local("out");
        lay_out(&out, there);
        let dry = told(run(&out, true));
        prop_assert_eq!(&found(&out), there);
        let real = told(run(&out, false));
        prop_assert_eq!(as_real(dry, &real), real, "{}", what);
        fs::remove_dir_all(&out).unwrap();
        Ok(())
    }

    fn local_sources(&self, sources: &[BString]) -> Vec<OsString> {
        let local = |source: &BString| {
            let mut path = self.place.local("second/").into_os_string().into_vec();
            path.extend_from_slice(source);
            OsString::from_vec(path)
        };
        sources.iter().map(local).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dry_run_says_what_happens(first in files(), second in files(), choice in choice()) {
        let world = World::new(&first, &second);
        let Choice { delete, ignore_existing, other, .. } = choice;
        let (here, there) = (choice.sources(&first), choice.sources(&second));
        let dest = choice.dest(&first);
        world.compare("remove", |at, dry_run| {
            at.remove(&here, &Remove { recursive: other, dry_run, ..Remove::default() })
        })?;
        world.compare("rename", |at, dry_run| {
            at.rename(&here, &dest, &Rename { recursive: other, dry_run, ..Rename::default() })
        })?;
        world.compare("copy from", |at, dry_run| {
            let options = CopyBetween {
                delete, ignore_existing, dry_run, exact: other && there.len() == 1, ..CopyBetween::default()
            };
            at.copy_from(&world.second, &there, &dest, &options)
        })?;
        world.compare("copy from each", |at, dry_run| {
            let options = CopyBetween { delete, ignore_existing, dry_run, ..CopyBetween::default() };
            at.copy_from_each([(&world.second, &there[..]), (&world.start, &here[..])], &dest, &options)
        })?;
        world.compare("copy in", |at, dry_run| {
            at.copy_in(&CopyIn {
                sources: world.local_sources(&there),
                dest: dest.clone(),
                delete,
                ignore_existing,
                follow_symlinks: false,
                ignore_errors: other,
                dry_run,
                ..CopyIn::default()
            })
        })?;
        world.compare("sync in", |at, dry_run| {
            at.sync_in(world.place.local("second"), &dest, &SyncIn { dry_run, ..SyncIn::default() })
        })?;
        for format in [ArchiveFormat::Tar, ArchiveFormat::Zip] {
            let mut archive = Vec::new();
            // Links and names that are no text do not go into every form.
            if world.second.archive_out("", &mut archive, format, &NoProgress).is_ok() {
                world.compare("archive in", |at, dry_run| {
                    let options = ArchiveIn { dest: dest.clone(), dry_run, ..ArchiveIn::default() };
                    at.archive_in(&mut &archive[..], format, &options, &NoProgress)
                })?;
            }
        }
        world.compare_out("copy out", &second, |out, dry_run| {
            world.start.copy_out(&CopyOut {
                sources: here.clone(),
                // A link there may lead anywhere.
                dest: if out.join("a").is_symlink() { out.to_owned() } else { out.join("a") },
                delete,
                ignore_existing,
                ignore_errors: other,
                dry_run,
                ..CopyOut::default()
            })
        })?;
        world.compare_out("copy out exactly", &second, |out, dry_run| {
            let options = CopyOut {
                sources: here[..1].to_vec(), dest: out.join("a"), exact: true, ignore_existing, dry_run, ..CopyOut::default()
            };
            world.start.copy_out(&options)
        })?;
        world.compare_out("sync out", &second, |out, dry_run| {
            world.start.sync_out("", out, &SyncOut { dry_run, ..SyncOut::default() })
        })?;
    }
}

#[test]
fn a_dry_run_names_files_that_cannot_be_read() {
    let place = Place::new();
    place.make(&["good"]);
    let main = place.stored(&["before"]);
    for ignore_errors in [false, true] {
        let run = |dry_run| {
            // Not even root can read the start of its own memory; a pipe is no file.
            let pipe = place.local("pipe");
            let _ = fs::remove_file(&pipe);
            assert!(
                std::process::Command::new("mkfifo")
                    .arg(&pipe)
                    .status()
                    .unwrap()
                    .success()
            );
            told(place.main().copy_in(&CopyIn {
                sources: vec![place.local("good").into(), pipe.into()],
                dry_run,
                ignore_errors,
                ..CopyIn::default()
            }))
        };
        let dry = run(true);
        assert_eq!(place.main().commit(), main.commit());
        let errors = dry.clone().map(|report| report.unwrap().errors.len());
        match ignore_errors {
            true => assert_eq!(errors, Ok(1)),
            false => assert!(errors.is_err()),
        }
        assert_eq!(dry, run(false));
    }
}
