//! The turn of writers: one at a time in one repository, over all threads and processes that use this crate.
//!
//! Ref locks alone keep refs right, with `git` too. The gate lets writers wait for each other without polling,
//! in the order they came, and keeps a whole "read, then write" in one turn where someone asks for that.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use packhouse_object::ProcessLocal;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::asking::Asking;
use super::error::DirectoryError;
use super::left_behind::remove_locks;
use super::permissions::Sharing;
use super::turn_file::{LOCK_FILE, Limit, Refused, TurnFile};
use super::turn_note::{Identity, Note};
use crate::given_up::{ASK_EVERY, is_given_up};

/// How long threads of one process pass the lock on among themselves while other processes wait: giving it to another
/// process costs as much as a small write.
const PASSED_ON_FOR: Duration = Duration::from_millis(10);

/// How long a process that passed it on for that long leaves the lock to others before it asks again. Whoever waits is
/// only woken when the lock is free, and would come too late.
const LEFT_TO_OTHERS: Duration = Duration::from_micros(150);

/// One repository's gate.
#[derive(Debug)]
pub(super) struct Gate {
    git_dir: PathBuf,
    /// Of this process: whoever was forked off has none of the threads that are in here.
    state: ProcessLocal<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    owner: Option<ThreadId>,
    /// Whether the owner has yet to take notice of its turn, or waits for the lock.
    is_coming: bool,
    depth: usize,
    /// How many writes the owner has under way, one inside another.
    writes: usize,
    /// Locked while there is an owner. Opened again each time, as it may have been removed.
    file: Option<TurnFile>,
    /// Whether the lock was given up because others may wait for it.
    gave_way: bool,
    /// In the order they came.
    waiting: VecDeque<Arc<Waiter>>,
    /// What owners left that waited for the lock in vain.
    asking: Option<Asking>,
    refused: Option<Refused>,
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

/// A write in a turn, until this is dropped.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    turn: &'a Turn,
}

impl Gate {
    /// The gate of the repository in this folder; one for the whole process.
    pub(super) fn of(git_dir: &Path) -> io::Result<Arc<Gate>> {
        type Gates = BTreeMap<(u64, u64), Weak<Gate>>;
        static GATES: ProcessLocal<Mutex<Gates>> = ProcessLocal::new();
        let metadata = fs::metadata(git_dir)?;
        let key = (metadata.dev(), metadata.ino());
        let mut gates = GATES.lock();
        if let Some(gate) = gates.get(&key).and_then(Weak::upgrade)
            && gate.git_dir == git_dir
        {
            return Ok(gate);
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Gate {
            git_dir: git_dir.to_owned(),
            state: ProcessLocal::new(),
        });
        gates.insert(key, Arc::downgrade(&gate));
        Ok(gate)
    }

    /// Waits for a turn. A process that is not seen at work and does not let go is waited for no longer than `wait`. The
    /// lock file is for those who may have a turn.
    ///
    /// Whoever waits may run other code when it asks whether it is wanted. That gets no turn: it would not be this thread's,
    /// and to wait for it would be to wait for oneself.
    pub(super) fn enter(
        self: &Arc<Self>,
        wait: Duration,
        sharing: Sharing,
    ) -> Result<Turn, DirectoryError> {
        let came = Instant::now();
        let me = thread::current().id();
        let mut state = self.state.lock();
        if state.is_awaited_by(me) {
            let lock = self.git_dir.join(LOCK_FILE);
            return Err(DirectoryError::WaitsAlready { lock });
        }
        if state.owner == Some(me) {
            state.depth += 1;
            return Ok(self.turn());
        }
        if state.owner.is_some() {
            state = self.wait(state)?;
        }
        state.owner = Some(me);
        state.depth = 1;
        let is_passed_on = state.file.is_some();
        state.is_coming = !is_passed_on;
        let gave_way = std::mem::take(&mut state.gave_way);
        drop(state);
        let turn = self.turn();
        if !is_passed_on {
            if gave_way {
                thread::sleep(LEFT_TO_OTHERS);
            }
            self.lock_file(Limit { came, wait }, sharing)?;
            self.state.lock().is_coming = false;
        }
        Ok(turn)
    }

    /// Whether it is this thread's turn.
    pub(super) fn is_mine(&self) -> bool {
        self.state.lock().owner == Some(thread::current().id())
    }

    /// Whether this thread waits for its turn, and this is done meanwhile.
    pub(super) fn is_awaited(&self) -> bool {
        self.state.lock().is_awaited_by(thread::current().id())
    }

    /// Notes, in this thread's turn, a file that is about to become a lock, or to take the place of one: whoever comes
    /// after a kill removes it then.
    pub(super) fn note(&self, lock: &Path, file: &Metadata) -> io::Result<()> {
        self.in_turn(|turn| turn.note(&self.git_dir, lock, Identity::of(file)))
            .unwrap_or(Ok(()))
    }

    /// Counts a lock that was noted and is held now.
    pub(super) fn hold(&self) {
        self.in_turn(TurnFile::hold);
    }

    /// Counts one less.
    pub(super) fn let_go(&self) {
        self.in_turn(TurnFile::let_go);
    }

    fn in_turn<T>(&self, work: impl FnOnce(&mut TurnFile) -> T) -> Option<T> {
        let mut state = self.state.lock();
        if state.owner != Some(thread::current().id()) {
            return None;
        }
        state.file.as_mut().map(work)
    }

    /// Waits until the turns of all that came before are over. Whoever ends one makes the next its owner.
    /// A caller who gives up leaves, unless it is its turn in that moment.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, DirectoryError> {
        let waiter = Arc::new(Waiter {
            thread: thread::current(),
            is_next: AtomicBool::new(false),
        });
        state.waiting.push_back(waiter.clone());
        drop(state);
        loop {
            thread::park_timeout(ASK_EVERY);
            if waiter.is_next.load(Ordering::Acquire) {
                return Ok(self.state.lock());
            }
            if is_given_up() {
                let mut state = self.state.lock();
                let at = state.waiting.iter().position(|at| Arc::ptr_eq(at, &waiter));
                if let Some(at) = at {
                    state.waiting.remove(at);
                    let lock = self.git_dir.join(LOCK_FILE);
                    return Err(DirectoryError::GivenUp { lock });
                }
            }
        }
    }

    fn turn(self: &Arc<Self>) -> Turn {
        Turn {
            gate: self.clone(),
            on_this_thread: PhantomData,
        }
    }

    /// Waits for other processes.
    fn lock_file(&self, limit: Limit, sharing: Sharing) -> Result<(), DirectoryError> {
        let path = self.git_dir.join(LOCK_FILE);
        let locked = loop {
            let locked = self.lock_once(&path, limit, sharing)?;
            if let Err(gone) = self.check_there() {
                if let Some((file, _)) = locked {
                    file.release();
                }
                return Err(gone);
            }
            match locked {
                // Whoever had the turn before has put another repository in the place of the one whose file this is, or
                // the file was removed. It keeps nobody away, and its notes are about locks that went with it.
                Some((file, _)) if !file.is_at(&path) => file.release(),
                locked => break locked,
            }
        };
        let Some((mut file, notes)) = locked else {
            return Ok(());
        };
        remove_locks(&self.git_dir, &notes);
        file.begin().map_err(DirectoryError::io("write", &path))?;
        self.state.lock().file = Some(file);
        Ok(())
    }

    /// The file that had the name when this was called, locked; with the notes in it.
    fn lock_once(
        &self,
        path: &Path,
        limit: Limit,
        sharing: Sharing,
    ) -> Result<Option<(TurnFile, Vec<Note>)>, DirectoryError> {
        let mut state = self.state.lock();
        let (mut asking, mut refused) = (state.asking.take(), state.refused.take());
        drop(state);
        let locked = TurnFile::lock(path, sharing, limit, &mut asking, &mut refused);
        let mut state = self.state.lock();
        (state.asking, state.refused) = (asking, refused);
        locked
    }

    /// An error if whoever had the turn before has removed the repository. If an empty folder is in its place, the file
    /// that was just made there to be locked is removed, so that a repository can be made there again.
    fn check_there(&self) -> Result<(), DirectoryError> {
        let head = self.git_dir.join("HEAD");
        match fs::symlink_metadata(&head) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => return found.map(drop).map_err(DirectoryError::io("read", &head)),
        }
        // Another may be made in this moment, which is another folder, and has a `HEAD`.
        let emptied = || -> Result<(), Errno> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = rustix::fs::open(&self.git_dir, flags, Mode::empty())?;
            for entry in Dir::read_from(&folder)? {
                let name = entry?;
                let name = name.file_name().to_bytes();
                if ![&b"."[..], b"..", LOCK_FILE.as_bytes()].contains(&name) {
                    return Ok(());
                }
            }
            rustix::fs::unlinkat(&folder, LOCK_FILE, AtFlags::empty())
        };
        // The error says more than that something is left.
        let _ = emptied();
        let path = self.git_dir.clone();
        Err(DirectoryError::Gone { path })
    }
}

impl State {
    fn is_awaited_by(&self, thread: ThreadId) -> bool {
        let is_coming = self.is_coming && self.owner == Some(thread);
        is_coming || self.waiting.iter().any(|at| at.thread.id() == thread)
    }
}

impl Turn {
    /// Begins a write. Whoever waits in it may run other code, which may write too: see [`Turn::is_writing`].
    pub(super) fn begin_write(&self) -> Writing<'_> {
        self.gate.state.lock().writes += 1;
        Writing { turn: self }
    }

    /// Whether this thread is in the middle of a write. It may be about to name what nothing names yet, so nothing may be
    /// removed.
    pub(crate) fn is_writing(&self) -> bool {
        self.gate.state.lock().writes > 0
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut state = self.turn.gate.state.lock();
        // Of a process that was forked off meanwhile it is no write.
        state.writes = state.writes.saturating_sub(1);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        if state.owner != Some(thread::current().id()) {
            // It is the turn of the process that forked this one.
            return;
        }
        state.depth -= 1;
        if state.depth > 0 {
            return;
        }
        let next = state.waiting.pop_front();
        if let Some(mut file) = state.file.take() {
            let passes_on = next.is_some() && file.since.elapsed() < PASSED_ON_FOR;
            // A turn that could not be ended well is ended like that of one who was killed.
            if passes_on && file.forget().is_ok() {
                state.file = Some(file);
            } else {
                state.gave_way = next.is_some();
                file.release();
            }
        }
        state.owner = next.as_ref().map(|next| next.thread.id());
        state.is_coming = next.is_some();
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
    use std::sync::mpsc;

    use super::*;
    use crate::given_up::for_caller;

    #[test]
    fn one_thread_at_a_time_has_its_turn_and_may_nest_it() {
        let folder = repository();
        let inside = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let gate = Gate::of(folder.path()).unwrap();
                    for _ in 0..50 {
                        let _turn = enter(&gate);
                        let _inner = enter(&gate);
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
        let folder = repository();
        let heads = folder.path().join("refs/heads");
        fs::create_dir_all(&heads).unwrap();
        let (own, others) = (heads.join("own.lock"), heads.join("others.lock"));
        fs::write(&own, b"").unwrap();
        fs::write(&others, b"").unwrap();
        let gate = Gate::of(folder.path()).unwrap();
        let turn = enter(&gate);
        gate.note(&own, &fs::metadata(&own).unwrap()).unwrap();
        // Such a lock was held, and given up; `git` has it now.
        gate.note(&others, &fs::metadata(&own).unwrap()).unwrap();
        let killed = fs::read(folder.path().join(LOCK_FILE)).unwrap();
        drop(turn);
        drop(enter(&gate));
        assert!(own.exists() && others.exists());
        fs::write(folder.path().join(LOCK_FILE), killed).unwrap();
        drop(enter(&gate));
        assert!(!own.exists() && others.exists());
        assert_eq!(fs::read(folder.path().join(LOCK_FILE)).unwrap()[0], b'-');
    }

    #[test]
    fn another_process_is_kept_out() {
        let folder = repository();
        let gate = Gate::of(folder.path()).unwrap();
        let turn = enter(&gate);
        // Another open file stands for another process.
        let other = fs::File::open(folder.path().join(LOCK_FILE)).unwrap();
        assert!(other.try_lock().is_err());
        drop(turn);
        other.try_lock().unwrap();
    }

    #[test]
    fn threads_that_wait_for_a_process_that_is_gone_are_told_in_the_same_time_as_one() {
        let folder = repository();
        let gate = Gate::of(folder.path()).unwrap();
        drop(enter(&gate));
        // A lock that a process inherited, whose parent is gone.
        let other = fs::File::open(folder.path().join(LOCK_FILE)).unwrap();
        other.lock().unwrap();
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let refused = gate
                        .enter(Duration::from_millis(300), Sharing::Umask)
                        .unwrap_err();
                    assert!(matches!(refused, DirectoryError::TurnTaken { .. }));
                });
            }
        });
        assert!(begun.elapsed() < Duration::from_millis(8 * 300));
        other.unlock().unwrap();
        drop(enter(&gate));
    }

    #[test]
    fn what_runs_while_a_thread_waits_for_its_turn_gets_none() {
        let folder = repository();
        let gate = Gate::of(folder.path()).unwrap();
        // Enters on another thread, and again while that waits.
        let enter_twice = |gate: &Arc<Gate>| {
            let (tell, told) = mpsc::channel();
            let gate = gate.clone();
            let waiting = thread::spawn(move || {
                let inner = gate.clone();
                let ask = move || {
                    let entered = inner.enter(Duration::from_secs(20), Sharing::Umask);
                    // Once is enough.
                    let _ = tell.send(entered.map(drop));
                    false
                };
                for_caller(Arc::new(ask), || drop(enter(&gate)));
            });
            let entered = told.recv_timeout(Duration::from_secs(20)).unwrap();
            assert!(matches!(entered, Err(DirectoryError::WaitsAlready { .. })));
            waiting
        };
        let turn = enter(&gate);
        let waiting = enter_twice(&gate);
        drop(turn);
        waiting.join().unwrap();
        // Another open file stands for another process.
        let other = fs::File::open(folder.path().join(LOCK_FILE)).unwrap();
        other.lock().unwrap();
        let waiting = enter_twice(&gate);
        other.unlock().unwrap();
        waiting.join().unwrap();
        drop(enter(&gate));
    }

    #[test]
    fn who_gives_up_leaves_and_the_turn_goes_to_the_next() {
        let folder = repository();
        let gate = Gate::of(folder.path()).unwrap();
        let give_up = |gate: &Arc<Gate>| {
            let wait = Duration::from_secs(20);
            let entered = for_caller(Arc::new(|| true), || {
                gate.enter(wait, Sharing::Umask).map(drop)
            });
            assert!(matches!(entered, Err(DirectoryError::GivenUp { .. })));
        };
        let turn = enter(&gate);
        thread::scope(|scope| {
            let leaves = scope.spawn(|| give_up(&gate));
            let stays = scope.spawn(|| drop(enter(&gate)));
            leaves.join().unwrap();
            drop(turn);
            stays.join().unwrap();
        });
        assert!(gate.state.lock().waiting.is_empty());
        // Another open file stands for another process.
        let other = fs::File::open(folder.path().join(LOCK_FILE)).unwrap();
        other.lock().unwrap();
        give_up(&gate);
        other.unlock().unwrap();
        drop(enter(&gate));
    }

    #[test]
    fn nobody_has_a_turn_where_no_repository_is_any_more() {
        let folder = repository();
        let gate = Gate::of(folder.path()).unwrap();
        drop(enter(&gate));
        fs::remove_file(folder.path().join("HEAD")).unwrap();
        let wait = Duration::from_secs(20);
        let refused = gate.enter(wait, Sharing::Umask).unwrap_err();
        assert!(matches!(refused, DirectoryError::Gone { .. }));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // What is left of a damaged one stays.
        fs::write(folder.path().join("config"), b"").unwrap();
        gate.enter(wait, Sharing::Umask).unwrap_err();
        assert!(folder.path().join("config").exists());
        fs::write(folder.path().join("HEAD"), b"").unwrap();
        drop(enter(&gate));
    }

    #[test]
    fn a_turn_is_one_of_the_repository_that_is_there_when_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let (place, aside) = (folder.path().join("data.git"), folder.path().join("old"));
        let make = || {
            fs::create_dir(&place).unwrap();
            fs::write(place.join("HEAD"), b"").unwrap();
        };
        make();
        let gate = Gate::of(&place).unwrap();
        drop(enter(&gate));
        // Another open file stands for another process.
        let other = fs::File::open(place.join(LOCK_FILE)).unwrap();
        other.lock().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let turn = enter(&gate);
                let lock = fs::File::open(place.join(LOCK_FILE));
                assert!(lock.unwrap().try_lock().is_err());
                drop(turn);
            });
            wait_until_open(&place.join(LOCK_FILE), 2);
            fs::rename(&place, &aside).unwrap();
            make();
            other.unlock().unwrap();
            waiting.join().unwrap();
        });
        let new = fs::read(place.join(LOCK_FILE)).unwrap();
        assert_eq!(new[0], b'-');
    }

    /// Waits until this process has a file open so many times.
    fn wait_until_open(path: &Path, times: usize) {
        let path = fs::canonicalize(path).unwrap();
        let is_it = |fd: &io::Result<fs::DirEntry>| {
            let file = fd.as_ref().map(|fd| fs::read_link(fd.path()));
            matches!(file, Ok(Ok(file)) if file == path)
        };
        let begun = Instant::now();
        while fs::read_dir("/proc/self/fd").unwrap().filter(is_it).count() < times {
            assert!(begun.elapsed().as_secs() < 20);
            thread::yield_now();
        }
    }

    /// As much of one as matters here.
    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("HEAD"), b"ref: refs/heads/main\n").unwrap();
        folder
    }

    fn enter(gate: &Arc<Gate>) -> Turn {
        gate.enter(Duration::from_secs(20), Sharing::Umask).unwrap()
    }
}
