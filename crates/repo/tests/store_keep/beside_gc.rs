//! Writes while `git gc --prune=now` runs again and again: it removes what is young, too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use packhouse_repo::store::{Durability, Store, StoreOptions, WriteOptions};

use super::place::{Place, write};

const LASTS: Duration = Duration::from_secs(5);

fn collecting(place: &Place, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                place.try_git(&["gc", "--quiet", "--prune=now"]);
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn small_writes_are_there_and_stay_there() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let place = Place::new();
        let options = StoreOptions {
            durability,
            ..StoreOptions::default()
        };
        let store = Store::open(place.path(), options).unwrap();
        let mut snapshot = store.branches().get("main").unwrap();
        let mut written = 0;
        let until = Instant::now() + LASTS;
        collecting(&place, || {
            while Instant::now() < until {
                snapshot = write(
                    &snapshot,
                    &format!("folder/f{}", written % 7),
                    format!("{written}"),
                );
                written += 1;
            }
        });
        assert!(written > 10, "{written}");
        place.fsck();
        let count = place.git(&["rev-list", "--count", "main"]);
        assert_eq!(count.parse::<usize>().unwrap(), written + 1);
    }
}

#[test]
fn packed_refs_notes_batches_and_large_files_too() {
    let place = Place::new();
    let notes = place.store.notes("commits").unwrap();
    let mut snapshot = place.main();
    let until = Instant::now() + LASTS;
    let large = vec![7; 9 << 20];
    let mut rounds = 0;
    collecting(&place, || {
        while Instant::now() < until {
            let mut batch = snapshot.batch(Default::default()).unwrap();
            // More than are stored as files.
            for number in 0..80 {
                let text = format!("{rounds} {number}");
                batch
                    .write(format!("b/{number}"), text.as_bytes(), None)
                    .unwrap();
            }
            snapshot = batch.commit().unwrap();
            let mut content = large.clone();
            content.extend(format!("{rounds}").into_bytes());
            snapshot = snapshot
                .write("large", &content, &WriteOptions::default())
                .unwrap();
            let commit = snapshot.commit().to_string();
            notes.set(&commit, &format!("round {rounds}")).unwrap();
            place.store.branches().set("other", &snapshot).unwrap();
            rounds += 1;
        }
    });
    assert!(rounds > 1, "{rounds}");
    place.fsck();
    let count = place.git(&["rev-list", "--count", "main"]);
    assert_eq!(count.parse::<usize>().unwrap(), 2 * rounds + 1);
    let count = place.git(&["rev-list", "--count", "refs/notes/commits"]);
    assert_eq!(count.parse::<usize>().unwrap(), rounds);
}
