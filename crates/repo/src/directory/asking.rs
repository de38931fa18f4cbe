//! Waiting for the lock on a file for no longer than one likes: the system call for it knows no time limit, so a thread
//! of its own waits.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use packhouse_object::UnsharedFile;

/// Calls of the system need little of it.
const STACK_BYTES: usize = 128 << 10;

/// A thread that waits for a lock. There is at most one for each gate: whoever gives up leaves it to the next one.
#[derive(Debug)]
pub(super) struct Asking(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    answer: Mutex<Answer>,
    told: Condvar,
}

#[derive(Debug)]
enum Answer {
    Awaited,
    /// Nobody waits: the lock is given up as soon as it is had.
    NotAwaited,
    Given(io::Result<UnsharedFile>),
    /// It came while nobody waited.
    Over,
}

/// The file, locked; `None` if it has to be asked for anew.
pub(super) type Given = io::Result<Option<UnsharedFile>>;

impl Asking {
    /// Starts to wait.
    pub(super) fn begin(file: UnsharedFile) -> io::Result<Asking> {
        let shared = Arc::new(Shared {
            answer: Mutex::new(Answer::Awaited),
            told: Condvar::new(),
        });
        let asking = Asking(shared.clone());
        thread::Builder::new()
            .name("packhouse-turn".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.tell(locked(file)))?;
        Ok(asking)
    }

    /// Waits for so long; `None` if there is no answer by then.
    pub(super) fn wait(&self, time: Duration) -> Option<Given> {
        let until = Instant::now() + time;
        let mut answer = self.0.answer();
        loop {
            match std::mem::replace(&mut *answer, Answer::Awaited) {
                Answer::Given(given) => return Some(given.map(Some)),
                Answer::Over => return Some(Ok(None)),
                Answer::Awaited | Answer::NotAwaited => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.0.told.wait_timeout(answer, left);
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Stops waiting, unless there is an answer. The next call of [`Asking::wait`] goes on.
    pub(super) fn pause(&self) -> Option<Given> {
        let mut answer = self.0.answer();
        match std::mem::replace(&mut *answer, Answer::NotAwaited) {
            Answer::Given(given) => Some(given.map(Some)),
            Answer::Over => Some(Ok(None)),
            Answer::Awaited | Answer::NotAwaited => None,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // What nobody will ask for is not kept locked.
        let answer = std::mem::replace(&mut *self.0.answer(), Answer::NotAwaited);
        drop(answer);
    }
}

impl Shared {
    fn answer(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, given: io::Result<UnsharedFile>) {
        let mut answer = self.answer();
        *answer = match *answer {
            Answer::Awaited => Answer::Given(given),
            _ => Answer::Over,
        };
        self.told.notify_one();
    }
}

fn locked(file: UnsharedFile) -> io::Result<UnsharedFile> {
    loop {
        let Some(open) = file.get() else {
            return Err(ErrorKind::NotFound.into());
        };
        match open.lock() {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};

    use super::*;

    #[test]
    fn a_lock_that_nobody_waits_for_any_more_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let holder = options.open(&path).unwrap();
        holder.lock().unwrap();
        let open = || UnsharedFile::open(&path, &options).unwrap();
        let asking = Asking::begin(open()).unwrap();
        assert!(asking.wait(Duration::from_millis(20)).is_none());
        assert!(asking.pause().is_none());
        holder.unlock().unwrap();
        let begun = Instant::now();
        while !matches!(*asking.0.answer(), Answer::Over) {
            assert!(begun.elapsed().as_secs() < 20);
            thread::sleep(Duration::from_millis(1));
        }
        free(&path);
        assert!(matches!(asking.wait(Duration::ZERO), Some(Ok(None))));

        holder.lock().unwrap();
        let asking = Asking::begin(open()).unwrap();
        assert!(asking.pause().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| asking.wait(Duration::from_secs(20)));
            std::thread::sleep(Duration::from_millis(50));
            holder.unlock().unwrap();
            let given = waiting.join().unwrap().unwrap().unwrap().unwrap();
            assert!(File::open(&path).unwrap().try_lock().is_err());
            drop(given);
        });
        free(&path);
    }

    fn free(path: &std::path::Path) {
        let begun = Instant::now();
        while File::open(path).unwrap().try_lock().is_err() {
            assert!(begun.elapsed().as_secs() < 20);
            thread::sleep(Duration::from_millis(1));
        }
    }
}
