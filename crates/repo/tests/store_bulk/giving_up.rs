//! Callers that give up while a copy reads large files.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use packhouse_repo::given_up::for_caller;
use packhouse_repo::store::{CopyIn, CopyOut, StoreError, StoreProgress, WriteOptions};

use super::{Place, from};

/// More than is read at once.
const LARGE: usize = 2 << 20;

/// Gives up when it is asked for the second time: once the work has begun.
#[derive(Default)]
struct Second(AtomicUsize);

impl StoreProgress for Second {
    fn cancelled(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) > 0
    }
}

#[test]
fn a_copy_in_of_a_large_file_can_be_given_up() {
    let place = Place::new();
    let before = place
        .main()
        .write("replaced", b"old", &WriteOptions::default())
        .unwrap();
    for name in ["replaced", "new"] {
        fs::write(place.local(name), vec![1; LARGE]).unwrap();
        for (dry_run, delete) in [(false, false), (false, true), (true, true)] {
            for by_progress in [true, false] {
                let second = Second::default();
                let options = CopyIn {
                    dry_run,
                    delete,
                    ignore_errors: true,
                    progress: by_progress.then_some(&second as &dyn StoreProgress),
                    ..from(&[place.local(name)], "")
                };
                let asked = Second::default();
                let has_given_up = move || !by_progress && asked.cancelled();
                let copied = for_caller(Arc::new(has_given_up), || before.copy_in(&options));
                assert!(
                    matches!(copied, Err(StoreError::Cancelled)),
                    "{name} {dry_run} {delete} {by_progress}"
                );
            }
        }
    }
    assert_eq!(place.main(), before);
}

#[test]
fn a_copy_out_that_compares_can_be_given_up() {
    let place = Place::new();
    let large = vec![1; LARGE];
    let main = place
        .main()
        .write("large", &large, &WriteOptions::default())
        .unwrap();
    fs::create_dir(place.local("out")).unwrap();
    fs::write(place.local("out/large"), &large).unwrap();
    fs::write(place.local("out/extra"), "extra").unwrap();
    for dry_run in [true, false] {
        let second = Second::default();
        let options = CopyOut {
            sources: vec!["".into()],
            dest: place.local("out"),
            delete: true,
            dry_run,
            progress: Some(&second),
            ..CopyOut::default()
        };
        let copied = main.copy_out(&options);
        assert!(matches!(copied, Err(StoreError::Cancelled)), "{dry_run}");
    }
    assert!(place.local("out/extra").exists());
}
