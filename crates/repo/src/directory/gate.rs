//! The turn of writers: one at a time in one repository, over all threads and processes that use this crate.
//!
//! Ref locks alone keep refs right, with `git` too. The gate lets writers wait for each other without polling,
//! in the order they came, and keeps a whole "read, then write" in one turn where someone asks for that.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak};
use std::thread::{self, ThreadId};

use super::left_behind::remove_locks;

/// The file that processes lock. Stays where it is; its first byte says whether its holder is at work.
const LOCK_FILE: &str = "gitstore.lock";

/// Says that whoever holds the lock is at work; found after its end, that it was killed.
const AT_WORK: u8 = b'w';
const DONE: u8 = b'-';

/// One repository's gate.
#[derive(Debug)]
pub(super) struct Gate {
    path: PathBuf,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    owner: Option<ThreadId>,
    depth: usize,
    /// Locked for this process while there is an owner. Opened for each turn: a forked process would share an open
    /// file's lock.
    file: Option<File>,
    next_ticket: u64,
    serving: u64,
}

/// A turn, until this is dropped. Stays on its thread, which may take further turns inside this one.
#[derive(Debug)]
pub struct Turn {
    gate: Arc<Gate>,
    on_this_thread: PhantomData<*const ()>,
}

impl Gate {
    /// The gate of the repository in this folder; one for the whole process.
    pub(super) fn of(git_dir: &Path) -> io::Result<Arc<Gate>> {
        type Gates = HashMap<(u64, u64), Weak<Gate>>;
        static GATES: LazyLock<Mutex<Gates>> = LazyLock::new(Mutex::default);
        let metadata = fs::metadata(git_dir)?;
        let key = (metadata.dev(), metadata.ino());
        let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(&key).and_then(Weak::upgrade)
            && gate.path.parent() == Some(git_dir)
        {
            return Ok(gate);
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Gate {
            path: git_dir.join(LOCK_FILE),
            state: Mutex::default(),
            freed: Condvar::new(),
        });
        gates.insert(key, Arc::downgrade(&gate));
        Ok(gate)
    }

    /// Waits for a turn.
    pub(super) fn enter(self: &Arc<Self>) -> io::Result<Turn> {
        let me = thread::current().id();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.owner == Some(me) {
            state.depth += 1;
            return Ok(self.turn());
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        while state.owner.is_some() || state.serving != ticket {
            state = self
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.serving += 1;
        state.owner = Some(me);
        state.depth = 1;
        drop(state);
        let turn = self.turn();
        let file = self.lock_file()?;
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .file = file;
        Ok(turn)
    }

    fn turn(self: &Arc<Self>) -> Turn {
        Turn {
            gate: self.clone(),
            on_this_thread: PhantomData,
        }
    }

    /// Waits for other processes. `None` where the file system has no such locks.
    fn lock_file(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&self.path)?;
        loop {
            match file.lock() {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let mut state = [DONE];
        file.read_at(&mut state, 0)?;
        if state[0] == AT_WORK {
            remove_locks(self.path.parent().unwrap_or(&self.path));
        }
        file.write_all_at(&[AT_WORK], 0)?;
        Ok(Some(file))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self
            .gate
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.depth -= 1;
        if state.depth == 0 {
            state.owner = None;
            if let Some(file) = state.file.take() {
                // At worst the next one looks for locks that are not there. Closing it gives up the lock.
                let _ = file.write_all_at(&[DONE], 0);
            }
            drop(state);
            self.gate.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_thread_at_a_time_has_its_turn_and_may_nest_it() {
        let folder = tempfile::tempdir().unwrap();
        let inside = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let gate = Gate::of(folder.path()).unwrap();
                    for _ in 0..50 {
                        let _turn = gate.enter().unwrap();
                        let _inner = gate.enter().unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }

    #[test]
    fn locks_of_a_killed_writer_are_removed_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let refs = folder.path().join("refs/heads/a");
        fs::create_dir_all(&refs).unwrap();
        let lock = refs.join("b.lock");
        fs::write(&lock, b"").unwrap();
        let gate = Gate::of(folder.path()).unwrap();
        drop(gate.enter().unwrap());
        assert!(lock.exists());
        fs::write(folder.path().join(LOCK_FILE), [AT_WORK]).unwrap();
        drop(gate.enter().unwrap());
        assert!(!lock.exists());
        assert_eq!(fs::read(folder.path().join(LOCK_FILE)).unwrap(), [DONE]);
    }

    #[test]
    fn another_process_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::of(folder.path()).unwrap();
        let turn = gate.enter().unwrap();
        // Another open file stands for another process.
        let other = File::open(folder.path().join(LOCK_FILE)).unwrap();
        assert!(other.try_lock().is_err());
        drop(turn);
        other.try_lock().unwrap();
    }
}
