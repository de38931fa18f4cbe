//! Processes that are forked off while a thread holds a lock.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use packhouse_object::{
    ObjectKind, PackFileWriter, ProcessLocal, ProcessMark, UnsharedFile, WritePackFileError,
};
use packhouse_testkit::forked::in_child;

use crate::git::Git;

#[test]
fn a_child_has_locks_of_its_own() {
    static LOCAL: ProcessLocal<Mutex<u32>> = ProcessLocal::new();
    *LOCAL.lock() = 7;
    let here = ProcessMark::here();
    thread::scope(|scope| {
        let (held, is_held) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let _guard = LOCAL.lock();
            held.send(()).unwrap();
            let _ = may_end.recv();
        });
        is_held.recv().unwrap();
        assert!(in_child(|| {
            *LOCAL.lock() += 1;
            // And a child of that child.
            *LOCAL.lock() == 1 && !here.is_here() && in_child(|| *LOCAL.lock() == 0)
        }));
        drop(end);
    });
    assert_eq!(*LOCAL.lock(), 7);
}

fn wait_until(is_true: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::yield_now();
    }
}

/// Closes a file as a kill does, its lock not given up: another one takes its number.
#[allow(unsafe_code)]
fn close_without_a_word(file: &File, other: &File) {
    let number = file.as_raw_fd();
    // SAFETY: a call of the system; both files are open, and stay so.
    assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), number) }, number);
}

#[test]
fn a_child_does_not_keep_what_its_parent_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let is_free = || File::open(&path).unwrap().try_lock().is_ok();

    // What it is about: any other file is shared with the child, and so is its lock.
    let shared = options.open(&path).unwrap();
    shared.lock().unwrap();
    let child = Sleeper::fork(|| true);
    drop(shared);
    assert!(!is_free());
    drop(child);
    // A child of another test may have it too, until that ends.
    wait_until(is_free);

    let file = UnsharedFile::open(&path, &options).unwrap();
    file.get().unwrap().lock().unwrap();
    let child = Sleeper::fork(|| file.get().is_none());
    assert!(!is_free());
    let other = File::create(folder.path().join("other")).unwrap();
    close_without_a_word(file.get().unwrap(), &other);
    // The child may not have come to close its own yet.
    wait_until(is_free);
    drop(child);
    drop(file);
}

#[test]
fn a_fork_waits_for_work_that_it_must_not_come_into() {
    let pause = packhouse_object::ForkPause::hold();
    let (told, forked) = std::sync::mpsc::channel();
    let forking = thread::spawn(move || {
        let child = Sleeper::fork(|| true);
        told.send(()).unwrap();
        drop(child);
    });
    let early = forked.recv_timeout(Duration::from_millis(100));
    assert!(early.is_err(), "it was forked off all the same");
    drop(pause);
    forked.recv_timeout(Duration::from_secs(10)).unwrap();
    forking.join().unwrap();
    drop(packhouse_object::ForkPause::hold());
}

#[test]
fn a_pack_under_way_is_written_finished_and_removed_by_its_own_process_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = PackFileWriter::create(folder.path()).unwrap();
    let first = writer.add(ObjectKind::Blob, b"first").unwrap();
    let writer = std::cell::Cell::new(Some(writer));
    let is_refused =
        |error: Option<WritePackFileError>| matches!(error, Some(WritePackFileError::Forked(_)));
    assert!(in_child(|| {
        let mut copy = writer.take().expect("it is there");
        // It goes to the one open file of both if anything does.
        is_refused(copy.add(ObjectKind::Blob, &[7; 1 << 20]).err())
            && is_refused(copy.finish().err())
    }));
    assert!(in_child(|| {
        drop(writer.take());
        true
    }));
    let mut writer = writer.take().unwrap();
    let second = writer.add(ObjectKind::Blob, b"second").unwrap();
    let finished = writer.finish().unwrap();
    let git = Git::init();
    let placed = git.path().join("objects/pack/pack-1.pack");
    std::fs::copy(&finished.pack, &placed).unwrap();
    std::fs::copy(&finished.idx, placed.with_extension("idx")).unwrap();
    git.run(&["verify-pack", "objects/pack/pack-1.pack"]);
    for (id, text) in [(first, "first"), (second, "second")] {
        assert_eq!(
            git.run(&["cat-file", "blob", &id.to_string()]),
            text.as_bytes()
        );
    }
}

/// A child that sleeps until this is dropped.
struct Sleeper(libc::pid_t);

impl Sleeper {
    /// Forks it off; it sleeps only if `check` is true.
    #[allow(unsafe_code)]
    fn fork(check: impl FnOnce() -> bool) -> Sleeper {
        // SAFETY: the child only does what a process with one thread may.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: calls of the system.
            unsafe {
                libc::alarm(20);
                if check() {
                    libc::pause();
                }
                libc::_exit(1)
            }
        }
        Sleeper(child)
    }
}

impl Drop for Sleeper {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: the child is this process's own and not waited for yet, and `status` is there for the time of the call.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, &mut status, 0);
        }
        assert!(libc::WIFSIGNALED(status), "it did not sleep: {status}");
    }
}
