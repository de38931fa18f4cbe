//! The handlers that `fork` calls, and how many forks led to this process.

use std::cell::RefCell;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// 1 in the process that registered the handlers, one more in each that is forked off; 0 before there are handlers.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The files that are open in this process only. Held during a fork: no file is opened and not noted then.
static UNSHARED: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Held for writing during a fork, so that none happens while somebody reads.
static FORKING: RwLock<()> = RwLock::new(());

/// What the thread that forks holds, in the parent and in the child. Taken in this order: whoever keeps forks off may
/// open files.
struct Held {
    files: MutexGuard<'static, Vec<RawFd>>,
    _forking: RwLockWriteGuard<'static, ()>,
}

thread_local! {
    static DURING_FORK: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Which process this is: differs from that of every process it was forked from.
pub(crate) fn generation() -> u64 {
    match GENERATION.load(Ordering::Relaxed) {
        0 => register(),
        generation => generation,
    }
}

/// The list of files that are closed in a child.
pub(super) fn unshared() -> MutexGuard<'static, Vec<RawFd>> {
    generation();
    UNSHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps forks waiting.
pub(super) fn no_forks() -> RwLockReadGuard<'static, ()> {
    generation();
    FORKING.read().unwrap_or_else(PoisonError::into_inner)
}

#[cold]
#[allow(unsafe_code)]
fn register() -> u64 {
    // Two threads may both come here; the handlers do no harm when they are called twice. A lock would be no better: a
    // process forked while it is held would wait for it.
    // SAFETY: the functions are `extern "C"`, live as long as the program, and do not unwind: they take locks that
    // no caller of theirs holds, since no fork happens while they are held, and touch a thread's own cell.
    let failed =
        unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) };
    // It fails only where there is no memory for three pointers.
    assert_eq!(failed, 0, "handlers of forks are registered");
    match GENERATION.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => 1,
        Err(generation) => generation,
    }
}

extern "C" fn before_fork() {
    // A thread whose cells are gone is ending, and forks without them.
    let _ = DURING_FORK.try_with(|held| {
        if let Ok(mut held) = held.try_borrow_mut()
            && held.is_none()
        {
            let forking = FORKING.write().unwrap_or_else(PoisonError::into_inner);
            *held = Some(Held {
                files: UNSHARED.lock().unwrap_or_else(PoisonError::into_inner),
                _forking: forking,
            });
        }
    });
}

extern "C" fn in_parent() {
    drop(taken());
}

#[allow(unsafe_code)]
extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    if let Some(mut held) = taken() {
        for file in held.files.drain(..) {
            // SAFETY: the file was open when its number was noted, and is taken off the list under the same lock before
            // it is closed, so it is open here too. Nobody else closes it in this process: an `UnsharedFile` knows its
            // process, and neither uses nor closes the file in another.
            drop(unsafe { OwnedFd::from_raw_fd(file) });
        }
    }
}

fn taken() -> Option<Held> {
    let taken = DURING_FORK.try_with(|held| held.try_borrow_mut().ok()?.take());
    taken.ok().flatten()
}
