//! Copies while someone else changes the local folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use packhouse_repo::store::{CopyIn, CopyOut, StoreError, StoreErrorKind, StoreProgress};

use super::{Place, disk, from};

/// Does `meddle` over and over while `work` runs.
fn meanwhile(meddle: impl Fn() + Sync, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                meddle();
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_link_put_in_the_way_is_never_followed() {
    let place = Place::new();
    let snapshot = place.stored(&["x/a", "x/b", "x/y/c"]);
    place.make(&["outside/a", "outside/y/c", "outside/keep"]);
    let before = disk(&place.local("outside"));
    fs::create_dir(place.local("o")).unwrap();
    let (link, aside) = (place.local("o/x"), place.local("aside"));
    let meddle = || {
        // Whatever fails was done by the other side meanwhile.
        let _ = fs::rename(&link, &aside);
        let _ = symlink(place.local("outside"), &link);
        std::thread::yield_now();
        let _ = fs::remove_dir_all(&aside);
    };
    meanwhile(meddle, || {
        for round in 0..200 {
            let options = CopyOut {
                sources: vec!["".into()],
                dest: place.local("o"),
                delete: round % 2 == 0,
                ignore_errors: true,
                ..CopyOut::default()
            };
            match snapshot.copy_out(&options) {
                Ok(_) | Err(StoreError::Failed { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(disk(&place.local("outside")), before);
}

#[test]
fn folders_that_vanish_do_not_end_a_copy() {
    let place = Place::new();
    place.make(&["d/stays/a"]);
    let comes_and_goes = place.local("d/goes");
    let meddle = || {
        let _ = fs::create_dir_all(comes_and_goes.join("deep"));
        for n in 0..20 {
            let _ = fs::write(comes_and_goes.join("deep").join(n.to_string()), "x");
        }
        let _ = fs::remove_dir_all(&comes_and_goes);
    };
    meanwhile(meddle, || {
        for _ in 0..100 {
            let options = CopyIn {
                delete: true,
                ..from(&[place.local("d/")], "")
            };
            let copied = place.main().copy_in(&options).unwrap();
            assert_eq!(copied.read("stays/a", 0, None).unwrap(), b"d/stays/a");
        }
    });
    place.git(&["fsck", "--full", "--strict"]);
}

#[test]
#[cfg(target_os = "linux")]
fn files_whose_sizes_say_nothing_are_read_and_unreadable_ones_reported() {
    let place = Place::new();
    let version = "/proc/version".into();
    let copied = place.main().copy_in(&from(&[version], "")).unwrap();
    assert_eq!(
        copied.read("version", 0, None).unwrap(),
        fs::read("/proc/version").unwrap()
    );
    place.make(&["good"]);
    // Not even root can read the start of its own memory.
    let sources = [place.local("good"), "/proc/self/mem".into()];
    let error = copied.copy_in(&from(&sources, "")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Os);
    let options = CopyIn {
        ignore_errors: true,
        ..from(&sources, "")
    };
    let report = copied.copy_in(&options).unwrap();
    let report = report.changes().unwrap();
    assert_eq!((report.add.len(), report.errors.len()), (1, 1));
    assert_eq!(report.errors[0].path, "/proc/self/mem");
}

/// Removes the folder of a file as soon as that is there.
struct RemovingFolderOf(PathBuf);

impl StoreProgress for RemovingFolderOf {
    // Asked before each file.
    fn cancelled(&self) -> bool {
        if self.0.exists() {
            fs::remove_dir_all(self.0.parent().unwrap()).unwrap();
        }
        false
    }
}

/// What was written before is gone with the folder, and the copy does not say so: nobody else is to look into it before all of it
/// is there, let alone remove anything, and a look at each file would cost as much as to write it.
#[test]
fn a_folder_that_is_removed_while_files_are_written_in_place_is_made_again() {
    let place = Place::new();
    let snapshot = place.stored(&["x/first", "x/second"]);
    let progress = RemovingFolderOf(place.local("o/x/first"));
    let options = CopyOut {
        sources: vec!["".into()],
        dest: place.local("o"),
        in_place: true,
        progress: Some(&progress),
        ..CopyOut::default()
    };
    snapshot.copy_out(&options).unwrap();
    assert!(!place.local("o/x/first").exists());
    assert!(place.local("o/x/second").exists());
}
