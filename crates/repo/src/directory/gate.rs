//! The turn of writers: one at a time in one repository, over all threads and processes that use this crate.
//!
//! Ref locks alone keep refs right, with `git` too. The gate lets writers wait for each other without polling,
//! in the order they came, and keeps a whole "read, then write" in one turn where someone asks for that.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use super::left_behind::remove_locks;

/// The file that processes lock. Stays where it is; its first byte says whether its holder is at work.
const LOCK_FILE: &str = "gitstore.lock";

/// Says that whoever holds the lock is at work; found after its end, that it was killed.
const AT_WORK: u8 = b'w';
const DONE: u8 = b'-';

/// How long threads of one process pass the lock on among themselves while other processes wait: giving it to another
/// process costs as much as a small write.
const PASSED_ON_FOR: Duration = Duration::from_millis(10);

/// How long a process that passed it on for that long leaves the lock to others before it asks again. Whoever waits is
/// only woken when the lock is free, and would come too late.
const LEFT_TO_OTHERS: Duration = Duration::from_micros(150);

/// One repository's gate.
#[derive(Debug)]
pub(super) struct Gate {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whose threads these are: a forked process has none of its parent's.
    process: u32,
    owner: Option<ThreadId>,
    depth: usize,
    /// Locked for this process while there is an owner. Opened again each time: a forked process would share an open
    /// file's lock.
    file: Option<Locked>,
    /// Whether the lock was given up because others may wait for it.
    gave_way: bool,
    /// In the order they came.
    waiting: VecDeque<Arc<Waiter>>,
}

#[derive(Debug)]
struct Locked {
    file: File,
    since: Instant,
}

#[derive(Debug)]
struct Waiter {
    thread: Thread,
    is_next: AtomicBool,
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
        });
        gates.insert(key, Arc::downgrade(&gate));
        Ok(gate)
    }

    /// Waits for a turn.
    pub(super) fn enter(self: &Arc<Self>) -> io::Result<Turn> {
        let me = thread::current().id();
        let mut state = self.state();
        if state.process != process::id() {
            *state = State {
                process: process::id(),
                ..State::default()
            };
        }
        if state.owner == Some(me) {
            state.depth += 1;
            return Ok(self.turn());
        }
        if state.owner.is_some() {
            state = self.wait(state);
        }
        state.owner = Some(me);
        state.depth = 1;
        let is_passed_on = state.file.is_some();
        let gave_way = std::mem::take(&mut state.gave_way);
        drop(state);
        let turn = self.turn();
        if !is_passed_on {
            if gave_way {
                thread::sleep(LEFT_TO_OTHERS);
            }
            let file = self.lock_file()?;
            self.state().file = file;
        }
        Ok(turn)
    }

    /// Whether it is this thread's turn.
    pub(super) fn is_mine(&self) -> bool {
        self.state().owner == Some(thread::current().id())
    }

    /// Waits until the turns of all that came before are over. Whoever ends one makes the next its owner.
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waiter = Arc::new(Waiter {
            thread: thread::current(),
            is_next: AtomicBool::new(false),
        });
        state.waiting.push_back(waiter.clone());
        drop(state);
        while !waiter.is_next.load(Ordering::Acquire) {
            thread::park();
        }
        self.state()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(self: &Arc<Self>) -> Turn {
        Turn {
            gate: self.clone(),
            on_this_thread: PhantomData,
        }
    }

    /// Waits for other processes. `None` where the file system has no such locks.
    fn lock_file(&self) -> io::Result<Option<Locked>> {
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
        let since = Instant::now();
        Ok(Some(Locked { file, since }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if state.process != process::id() || state.owner != Some(thread::current().id()) {
            // It is the turn of the process that forked this one.
            return;
        }
        state.depth -= 1;
        if state.depth > 0 {
            return;
        }
        let next = state.waiting.pop_front();
        let passes_on = |locked: &Locked| next.is_some() && locked.since.elapsed() < PASSED_ON_FOR;
        if !state.file.as_ref().is_some_and(passes_on)
            && let Some(locked) = state.file.take()
        {
            state.gave_way = next.is_some();
            // At worst the next one looks for locks that are not there.
            let _ = locked.file.write_all_at(&[DONE], 0);
            // Closing it is not enough where a process was forked meanwhile: that has it open too.
            let _ = locked.file.unlock();
        }
        state.owner = next.as_ref().map(|next| next.thread.id());
        drop(state);
        if let Some(next) = next {
            next.is_next.store(true, Ordering::Release);
            next.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

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
