//! The file that processes lock to take turns, and what the one that has it locked writes into it: who it is, and which
//! lock files it is about to make, so that nobody takes those of a killed writer for those of a `git` at work.
//!
//! `docs/format.md` has the form.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use packhouse_object::UnsharedFile;

use super::asking::Asking;
use super::error::DirectoryError;
use super::permissions::Sharing;
use super::turn_holder::{HOLDER_BYTES, Holder, Life};
use super::turn_note::{Identity, Note, parse_notes};
use crate::given_up::is_given_up;

/// Stays where it is.
pub(super) const LOCK_FILE: &str = "gitstore.lock";

/// The first byte while its holder is at work; found after its end, it says that the holder was killed.
const AT_WORK: u8 = b'w';
const DONE: u8 = b'-';

/// Stands after the last note.
const END: u8 = b'.';

/// More notes than fit into this are cut off when a turn is over.
const BYTES_KEPT: u64 = 64 << 10;

/// The most that is read. More locks at a time than this has room for take more memory than anybody has refs.
const BYTES_MAX: u64 = 256 << 20;

/// How often it is looked at who has the turn.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The file, locked for this process.
#[derive(Debug)]
pub(super) struct TurnFile {
    file: UnsharedFile,
    pub(super) since: Instant,
    /// Where the next note goes.
    end: u64,
    /// How many locks are held that were noted.
    held: u64,
    /// Whether there are notes that no longer count.
    is_outdated: bool,
}

/// How long a holder is waited for that is not seen at work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// When the thread came.
    pub(super) came: Instant,
    pub(super) wait: Duration,
}

/// Whom others waited for in vain, as the file had it.
pub(super) type Refused = Vec<u8>;

impl TurnFile {
    /// Waits for other processes, and returns the notes of the one before if that was killed. `None` where the file system
    /// has no such locks.
    ///
    /// `asking` and `refused` are what an earlier call left.
    pub(super) fn lock(
        path: &Path,
        sharing: Sharing,
        limit: Limit,
        asking: &mut Option<Asking>,
        refused: &mut Option<Refused>,
    ) -> Result<Option<(TurnFile, Vec<Note>)>, DirectoryError> {
        let failed = || DirectoryError::io("lock", path);
        let file = loop {
            let earlier = match asking.take() {
                Some(earlier) => earlier,
                None => {
                    let file = open(path, sharing).map_err(failed())?;
                    match file.get().map_or(Ok(()), |file| file.try_lock()) {
                        Ok(()) => break file,
                        Err(TryLockError::WouldBlock) => Asking::begin(file).map_err(failed())?,
                        Err(TryLockError::Error(error))
                            if error.kind() == ErrorKind::Unsupported =>
                        {
                            return Ok(None);
                        }
                        Err(TryLockError::Error(error)) => return Err(failed()(error)),
                    }
                }
            };
            if let Some(file) = wait(path, limit, earlier, asking, refused)? {
                break file;
            }
        };
        *refused = None;
        let turn = TurnFile {
            file,
            since: Instant::now(),
            end: HOLDER_BYTES as u64,
            held: 0,
            is_outdated: false,
        };
        let notes = turn
            .notes_left()
            .map_err(DirectoryError::io("read", path))?;
        Ok(Some((turn, notes)))
    }

    /// Writes down that this process is at work. What the one before noted is forgotten.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        let mut line = Holder::this().line().to_vec();
        line.push(END);
        self.write(&line, 0)
    }

    /// Notes a lock file that is about to get its name, which must be below `git_dir`.
    pub(super) fn note(
        &mut self,
        git_dir: &Path,
        lock: &Path,
        identity: Identity,
    ) -> io::Result<()> {
        let Identity { inode, made } = identity;
        let below = lock.strip_prefix(git_dir).unwrap_or(lock);
        let mut line = format!("{inode} {made} ").into_bytes();
        line.extend_from_slice(below.as_os_str().as_bytes());
        // A name cannot have a line break in it, see `check_ref_format`.
        line.extend_from_slice(&[b'\n', END]);
        self.write(&line, self.end)?;
        self.end += line.len() as u64 - 1;
        Ok(())
    }

    /// Counts a lock that was noted and is held now.
    pub(super) fn hold(&mut self) {
        self.held += 1;
    }

    /// Counts one less. Once none is held, the next note takes the place of the first one.
    pub(super) fn let_go(&mut self) {
        self.held = self.held.saturating_sub(1);
        if self.held == 0 {
            self.end = HOLDER_BYTES as u64;
            self.is_outdated = true;
        }
    }

    /// Forgets what was noted: whoever made these locks has none any more.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        if self.is_outdated || self.end > HOLDER_BYTES as u64 {
            self.end = HOLDER_BYTES as u64;
            self.is_outdated = false;
            self.write(&[END], self.end)?;
        }
        Ok(())
    }

    /// Whether it is the file of this name, which others lock that come now.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let open = self.file.get().and_then(|file| file.metadata().ok());
        match (open, fs::metadata(path)) {
            (Some(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }

    /// Gives the lock up.
    pub(super) fn release(self) {
        let Some(file) = self.file.get() else {
            return;
        };
        // At worst the next one looks for locks that are not there.
        let _ = file.write_all_at(&[DONE], 0);
        if file.metadata().is_ok_and(|file| file.len() > BYTES_KEPT) {
            let _ = file.set_len(1);
        }
        let _ = file.unlock();
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match self.file.get() {
            Some(file) => file.write_all_at(bytes, at),
            None => Err(io::Error::other("the turn is another process's")),
        }
    }

    /// What a killed writer noted.
    fn notes_left(&self) -> io::Result<Vec<Note>> {
        let Some(mut file) = self.file.get() else {
            return Ok(Vec::new());
        };
        let mut state = [DONE];
        file.read_at(&mut state, 0)?;
        if state[0] != AT_WORK {
            return Ok(Vec::new());
        }
        let mut text = Vec::new();
        (&mut file).take(BYTES_MAX).read_to_end(&mut text)?;
        Ok(parse_notes(&text))
    }
}

fn open(path: &Path, sharing: Sharing) -> io::Result<UnsharedFile> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    let file = UnsharedFile::open(path, &options)?;
    // It may be an older one, which others could not lock.
    file.get()
        .map_or(Ok(()), |file| sharing.settle_if_own(file))?;
    Ok(file)
}

/// Waits until there is an answer. Whoever is seen at work has all the time it takes; for another, time is up when
/// nothing has changed for as long as the limit says.
fn wait(
    path: &Path,
    limit: Limit,
    earlier: Asking,
    asking: &mut Option<Asking>,
    refused: &mut Option<Refused>,
) -> Result<Option<UnsharedFile>, DirectoryError> {
    let mut seen = holder_line(path);
    // Others have waited for the same one already, and this one has waited for its turn to.
    let mut since = match refused.as_ref() == Some(&seen) {
        true => limit.came,
        false => Instant::now(),
    };
    loop {
        if let Some(answer) = earlier.wait(LOOK_EVERY) {
            return answer.map_err(DirectoryError::io("lock", path));
        }
        if is_given_up() {
            if let Some(answer) = earlier.pause() {
                return answer.map_err(DirectoryError::io("lock", path));
            }
            *asking = Some(earlier);
            return Err(DirectoryError::GivenUp {
                lock: path.to_owned(),
            });
        }
        let now = holder_line(path);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        let holder = Holder::parse(&seen);
        let is_at_work = holder.is_some_and(|holder| holder.life() == Life::AtWork);
        if is_at_work || since.elapsed() < limit.wait {
            continue;
        }
        if let Some(answer) = earlier.pause() {
            return answer.map_err(DirectoryError::io("lock", path));
        }
        *asking = Some(earlier);
        *refused = Some(seen);
        return Err(DirectoryError::TurnTaken {
            lock: path.to_owned(),
            holder: holder
                .map_or_else(|| "another program".to_owned(), |holder| holder.to_string()),
            waited_ms: limit.came.elapsed().as_millis() as u64,
        });
    }
}

/// What the file says now of its holder and of the first lock that it noted, which changes with every turn.
fn holder_line(path: &Path) -> Vec<u8> {
    let mut text = vec![0; HOLDER_BYTES + 64];
    let read = fs::File::open(path).and_then(|file| file.read_at(&mut text, 0));
    text.truncate(read.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn lock(path: &Path, wait_ms: u64) -> Result<(TurnFile, Vec<Note>), DirectoryError> {
        let limit = Limit {
            came: Instant::now(),
            wait: Duration::from_millis(wait_ms),
        };
        let (mut asking, mut refused) = (None, None);
        TurnFile::lock(path, Sharing::Umask, limit, &mut asking, &mut refused).map(Option::unwrap)
    }

    #[test]
    fn notes_are_found_after_a_kill_and_not_after_the_end_of_a_turn() {
        let folder = tempfile::tempdir().unwrap();
        let (git_dir, path) = (folder.path(), folder.path().join(LOCK_FILE));
        let identity = Identity::of(&fs::metadata(git_dir).unwrap());
        let note = |name: &str| Note {
            lock: PathBuf::from(name),
            identity,
        };
        let mut turn = lock(&path, 0).unwrap().0;
        turn.begin().unwrap();
        turn.note(git_dir, &git_dir.join("refs/heads/a b.lock"), identity)
            .unwrap();
        turn.note(git_dir, &git_dir.join("HEAD.lock"), identity)
            .unwrap();
        // Closed without a word: killed.
        drop(turn);
        let (mut turn, notes) = lock(&path, 0).unwrap();
        assert_eq!(notes, [note("refs/heads/a b.lock"), note("HEAD.lock")]);
        turn.begin().unwrap();
        turn.note(git_dir, &git_dir.join("packed-refs.lock"), identity)
            .unwrap();
        drop(turn);
        let (mut turn, notes) = lock(&path, 0).unwrap();
        assert_eq!(notes, [note("packed-refs.lock")]);
        turn.begin().unwrap();
        turn.note(git_dir, &git_dir.join("HEAD.lock"), identity)
            .unwrap();
        turn.forget().unwrap();
        drop(turn);
        let (mut turn, notes) = lock(&path, 0).unwrap();
        assert_eq!(notes, []);
        turn.begin().unwrap();
        turn.note(git_dir, &git_dir.join("HEAD.lock"), identity)
            .unwrap();
        turn.release();
        assert_eq!(lock(&path, 0).unwrap().1, []);
    }

    #[test]
    fn a_holder_at_work_is_waited_for_and_one_that_is_gone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        let mut turn = lock(&path, 0).unwrap().0;
        turn.begin().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let begun = Instant::now();
                lock(&path, 10).unwrap();
                begun.elapsed()
            });
            std::thread::sleep(Duration::from_millis(300));
            turn.release();
            assert!(waiting.join().unwrap() >= Duration::from_millis(250));
        });

        let turn = lock(&path, 0).unwrap().0;
        let gone = format!("w {:>10} {:>20} {:>20}\n.", 1, 1, namespace());
        turn.write(gone.as_bytes(), 0).unwrap();
        let refused = lock(&path, 200).unwrap_err();
        assert!(
            matches!(&refused, DirectoryError::TurnTaken { waited_ms, .. } if *waited_ms >= 200)
        );
        let text = refused.to_string();
        assert!(text.contains("gitstore.lock") && text.contains("process 1, which is gone"));
        turn.release();
        lock(&path, 0).unwrap();
    }

    fn namespace() -> u64 {
        let line = Holder::this().line();
        let line = std::str::from_utf8(&line).unwrap();
        line.split_ascii_whitespace()
            .nth(3)
            .unwrap()
            .parse()
            .unwrap()
    }
}
