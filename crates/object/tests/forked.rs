//! Processes that are forked off while a thread holds a lock.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use packhouse_object::{ProcessLocal, ProcessMark, UnsharedFile};

/// Whether a child that is forked off now ends with `work` being true, within 20 seconds.
#[allow(unsafe_code)]
fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only does what a process with one thread may, and ends without a look at what the test's other
    // threads left: `work` takes no lock of theirs, which is what is tested.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: both are calls of the system.
        unsafe {
            libc::alarm(20);
            libc::_exit(i32::from(!work()))
        }
    }
    let mut status = 0;
    // SAFETY: the child is this process's own, and `status` is there for the time of the call.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status == 0
}

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

/// A child that sleeps until this is dropped.
struct Sleeper(libc::pid_t);

impl Sleeper {
    /// Forks it off; it sleeps only if `check` is true.
    #[allow(unsafe_code)]
    fn fork(check: impl FnOnce() -> bool) -> Sleeper {
        // SAFETY: as in `in_child`.
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
