//! Finding out what local files hold, by all processors, and storing what a store has not got.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use packhouse_object::{NewObject, ObjectId, WritePackFileError, on_processors};
use rayon::prelude::*;

use super::existing::Existing;
use super::local_file::{self, Content, Found, Hashed, Hashing};
use super::stat_cache::StatCache;
use crate::RepoError;
use crate::given_up::is_given_up;
use crate::store::{BlobSink, FileType, Snapshot, StoreError, StoreProgress};

/// The most small files that are in memory at a time, each of a mebibyte at most.
const CHUNK_FILES: usize = 48;

/// So long large files are read before the caller is asked whether to go on.
const ROUND: Duration = Duration::from_millis(100);

/// A local file to be looked into.
pub(super) struct Candidate {
    pub(super) local: PathBuf,
    /// What a walk has found out about it.
    pub(super) found: Option<Found>,
    /// What is where it is to go.
    pub(super) existing: Option<Existing>,
}

impl Candidate {
    /// How large it is, as far as is known: the walk looks at what may be many.
    pub(super) fn size(&self) -> u64 {
        self.found.map_or(0, |found| found.stamp.size)
    }
}

/// What a local file is, as a store would have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) file_type: FileType,
    pub(super) id: ObjectId,
}

/// How local files are read.
pub(super) struct Reading<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// Links count as what they lead to.
    pub(super) follow: bool,
    pub(super) cache: &'a StatCache,
    pub(super) progress: &'a dyn StoreProgress,
}

/// What was read of a file.
enum Looked {
    Known(State),
    /// Not in the store, as far as is known.
    New(FileType, NewObject),
    /// The same, to be stored in pieces.
    Large(FileType),
    /// Large, and being read since that time.
    Hashing(SystemTime, Box<Hashing>),
}

impl Reading<'_> {
    /// What each file is, in the same order. With a sink, what differs from what exists is stored in it.
    pub(super) fn states(
        &self,
        files: &[Candidate],
        mut sink: Option<&mut BlobSink>,
    ) -> Result<Vec<Result<State, StoreError>>, StoreError> {
        let remember_all = || files.par_iter().map(|file| self.remembered(file)).collect();
        let mut states: Vec<Option<Result<State, StoreError>>> = on_processors(remember_all);
        let unread: Vec<usize> = (0..files.len())
            .filter(|&at| states[at].is_none())
            .collect();
        let total = files.len() as u64;
        let mut done = total - unread.len() as u64;
        for chunk in unread.chunks(CHUNK_FILES) {
            self.check_wanted()?;
            let stores = sink.is_some();
            let look_into_all = || {
                let looked = chunk.par_iter();
                looked
                    .map(|&at| self.look_into(&files[at], stores))
                    .collect()
            };
            let mut looked: Vec<_> = on_processors(look_into_all);
            // All meet after each round: some callers can only be asked by the thread that they called.
            while looked
                .iter()
                .any(|looked| matches!(looked, Ok(Looked::Hashing(..))))
            {
                self.check_wanted()?;
                let until = Instant::now() + ROUND;
                let hash_on = || {
                    let looked = chunk.par_iter().zip(looked).with_max_len(1);
                    looked
                        .map(|(&at, looked)| match looked {
                            Ok(Looked::Hashing(began, hashing)) => {
                                self.hash_on(&files[at], began, hashing, stores, until)
                            }
                            looked => looked,
                        })
                        .collect()
                };
                looked = on_processors(hash_on);
            }
            for (&at, looked) in chunk.iter().zip(looked) {
                states[at] = Some(match looked {
                    Ok(looked) => self.store(&files[at], looked, sink.as_deref_mut())?,
                    Err(error) => Err(error),
                });
            }
            done += chunk.len() as u64;
            self.progress.step(done, Some(total));
        }
        Ok(states.into_iter().flatten().collect())
    }

    /// Whether the caller goes on waiting.
    fn is_wanted(&self) -> bool {
        !self.progress.cancelled() && !is_given_up()
    }

    fn check_wanted(&self) -> Result<(), StoreError> {
        match self.is_wanted() {
            true => Ok(()),
            false => Err(StoreError::Cancelled),
        }
    }

    /// What a file is, if that need not be read: links, and files that have not changed.
    fn remembered(&self, file: &Candidate) -> Option<Result<State, StoreError>> {
        let found = match file.found {
            Some(found) => found,
            None => match local_file::look_at(&file.local, self.follow) {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            },
        };
        if !found.is_file() {
            return None;
        }
        let id = self.cache.get(&found)?;
        let here = match file.existing {
            Some(existing) if existing.id == id => true,
            // A repository forgets what nothing names.
            _ => self.snapshot.database().contains(&id).ok()?,
        };
        let file_type = found.file_type();
        here.then_some(Ok(State { file_type, id }))
    }

    fn look_into(&self, file: &Candidate, stores: bool) -> Result<Looked, StoreError> {
        if !self.follow && local_file::look_at(&file.local, false)?.is_link() {
            let link = local_file::read_link(&file.local)?;
            return Ok(self.compared(file, FileType::Link, link, stores));
        }
        let began = SystemTime::now();
        // A large file that is new is hashed while it is stored.
        let hash = !stores || file.existing.is_some();
        let (content, found) = local_file::read(&file.local, self.follow, hash)?;
        let file_type = found.file_type();
        Ok(match content {
            Content::Whole(object) => {
                self.cache.learn(&file.local, &found, began, object.id);
                self.compared(file, file_type, object, stores)
            }
            Content::Hashing(hashing) => Looked::Hashing(began, hashing),
            Content::Large => Looked::Large(file_type),
        })
    }

    /// Goes on reading a large file for a while.
    fn hash_on(
        &self,
        file: &Candidate,
        began: SystemTime,
        hashing: Box<Hashing>,
        stores: bool,
        until: Instant,
    ) -> Result<Looked, StoreError> {
        let (id, found) = match hashing.go_on(until)? {
            Hashed::Part(hashing) => return Ok(Looked::Hashing(began, hashing)),
            Hashed::Whole(id, found) => (id, found),
        };
        let file_type = found.file_type();
        let is_same = file.existing.is_some_and(|existing| existing.id == id);
        if stores && !is_same {
            return Ok(Looked::Large(file_type));
        }
        self.cache.learn(&file.local, &found, began, id);
        Ok(Looked::Known(State { file_type, id }))
    }

    fn compared(
        &self,
        file: &Candidate,
        file_type: FileType,
        object: NewObject,
        stores: bool,
    ) -> Looked {
        let id = object.id;
        match file.existing {
            Some(existing) if existing.id == id => Looked::Known(State { file_type, id }),
            _ if !stores => Looked::Known(State { file_type, id }),
            _ => Looked::New(file_type, object),
        }
    }

    /// Puts what was read into the sink. The outer error ends the copy, the inner one is about the file.
    fn store(
        &self,
        file: &Candidate,
        looked: Looked,
        sink: Option<&mut BlobSink>,
    ) -> Result<Result<State, StoreError>, StoreError> {
        let (file_type, id) = match (looked, sink) {
            (Looked::Known(state), _) => return Ok(Ok(state)),
            (Looked::New(file_type, object), Some(sink)) => (file_type, sink.add_object(object)?),
            (Looked::Large(file_type), Some(sink)) => match self.store_large(file, sink) {
                Ok(id) => (file_type, id),
                Err(_) if !self.is_wanted() => return Err(StoreError::Cancelled),
                Err(StoreError::Source(error)) => {
                    return Ok(Err(StoreError::local(&file.local)(error)));
                }
                Err(error @ (StoreError::Local { .. } | StoreError::LocalNotFound { .. })) => {
                    return Ok(Err(error));
                }
                Err(error) => return Err(error),
            },
            (Looked::Hashing(..), _) => {
                return Err(StoreError::invalid("what is stored has been read"));
            }
            (Looked::New(..) | Looked::Large(_), None) => {
                return Err(StoreError::invalid("nothing is stored without a sink"));
            }
        };
        Ok(Ok(State { file_type, id }))
    }

    fn store_large(&self, file: &Candidate, sink: &mut BlobSink) -> Result<ObjectId, StoreError> {
        let began = SystemTime::now();
        let (data, found) = local_file::open(&file.local, self.follow)?;
        match sink.add_reader(&mut self.while_wanted(data), Some(found.len())) {
            Ok(id) => {
                self.cache
                    .learn(&file.local, &Found::from(&found), began, id);
                Ok(id)
            }
            // It grows or shrinks while it is read: what is there now is taken.
            Err(StoreError::Repo(RepoError::WritePack(WritePackFileError::Size { .. }))) => {
                let (data, _) = local_file::open(&file.local, self.follow)?;
                sink.add_reader(&mut self.while_wanted(data), None)
            }
            Err(error) => Err(error),
        }
    }

    fn while_wanted<R: Read>(&self, from: R) -> WhileWanted<'_, R> {
        WhileWanted {
            reading: self,
            from,
        }
    }
}

/// Reads until the caller gives up, or its progress does.
struct WhileWanted<'a, R> {
    reading: &'a Reading<'a>,
    from: R,
}

impl<R: Read> Read for WhileWanted<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.reading.is_wanted() {
            true => self.from.read(out),
            false => Err(io::Error::other("cancelled")),
        }
    }
}
