//! What runs while a call waits, as the handler of a signal does, and calls in turn.

use std::cell::Cell;
use std::fs;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use packhouse_repo::given_up::for_caller;
use packhouse_repo::store::{
    GcOptions, NoProgress, StoreError, StoreErrorKind, WriteOptions, retry_write,
};

use super::{World, put};

const LONG: Duration = Duration::from_secs(20);

/// Does `work` on a thread of its own, and `meanwhile` there when `work` first asks whether it is wanted. Both answer in
/// time, the one after the other.
fn with_handler<T: Send + 'static, H: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    meanwhile: impl FnOnce() -> H + Send + 'static,
    handled: impl FnOnce(H),
) -> T {
    let (tell_handled, is_handled) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let meanwhile = Cell::new(Some(meanwhile));
        let ask = move || {
            if let Some(meanwhile) = meanwhile.take() {
                tell_handled.send(meanwhile()).unwrap();
            }
            false
        };
        tell.send(for_caller(Arc::new(ask), work)).unwrap();
    });
    handled(is_handled.recv_timeout(LONG).expect("it ends"));
    told.recv_timeout(LONG).expect("it ends")
}

#[test]
fn a_write_that_waits_for_git_lets_others_of_its_thread_write() {
    let world = World::new();
    let main = world.main();
    let lock = world.path().join("refs/heads/locked.lock");
    fs::write(&lock, "").unwrap();
    let (branches, snapshot) = (world.store.branches(), main.clone());
    let set = move || branches.set("locked", &snapshot);
    let (branches, snapshot) = (world.store.branches(), main.clone());
    let meanwhile = move || {
        let other = branches.set("other", &snapshot).unwrap();
        put(&other, "other", "other");
        put(&snapshot, "main", "main");
        fs::remove_file(lock).unwrap();
    };
    let set = with_handler(set, meanwhile, |()| {}).unwrap();
    assert_eq!(set.commit(), main.commit());
    let branches = world.store.branches();
    assert_eq!(branches.names().unwrap(), ["locked", "main", "other"]);
    assert!(branches.get("other").unwrap().exists("other").unwrap());
    assert!(world.main().exists("main").unwrap());
    world.fsck();
}

#[test]
fn nothing_is_removed_in_the_middle_of_a_write() {
    let world = World::new();
    let main = world.main();
    let lost = put(&main, "lost", "lost");
    world.store.branches().set("main", &main).unwrap();
    world.git(&["reflog", "expire", "--expire=now", "--all"]);
    let lock = world.path().join("refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let grace = Duration::ZERO;
    let store = world.store.clone();
    let gc = move || {
        let cleaned = store.gc_with(&GcOptions { grace }, &NoProgress);
        fs::remove_file(lock).unwrap();
        cleaned
    };
    let written = with_handler(
        move || main.write("file", b"content", &WriteOptions::default()),
        gc,
        |cleaned| {
            let refused = cleaned.unwrap_err();
            assert_eq!(refused.kind(), StoreErrorKind::Runtime, "{refused}");
            assert!(refused.to_string().contains("middle of a write"));
        },
    );
    written.unwrap();
    world.git(&["cat-file", "-e", &lost.commit().to_string()]);
    let cleaned = world.store.gc_with(&GcOptions { grace }, &NoProgress);
    assert!(cleaned.unwrap().pruned > 0);
    world.fsck();
}

#[test]
fn what_runs_while_a_thread_waits_for_its_turn_cannot_write() {
    let world = World::new();
    let write = |name: &'static str| {
        let store = world.store.clone();
        move || {
            let options = WriteOptions::default();
            retry_write(&store, "main", name, b"content", &options, 0)
        }
    };
    let main = world.main();
    let plain = move || main.write("plain", b"content", &WriteOptions::default());
    for outer in [
        Box::new(plain) as Box<dyn FnOnce() -> _ + Send>,
        Box::new(write("outer")),
    ] {
        let turn = world.store.exclusive().unwrap();
        let written = with_handler(outer, write("inner"), |inner| {
            let refused: StoreError = inner.unwrap_err();
            assert_eq!(refused.kind(), StoreErrorKind::Runtime, "{refused}");
            assert!(refused.to_string().contains("waits"), "{refused}");
            drop(turn);
        });
        assert_eq!(written.unwrap().commit(), world.main().commit());
    }
    assert_eq!(world.main().files("").unwrap().count(), 2);
    world.fsck();
}
