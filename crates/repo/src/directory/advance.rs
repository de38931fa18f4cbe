//! One ref moved from one commit to the next: the write that happens most, in few system calls and few syncs.
//!
//! The ref is locked and compared first, so a writer that is too late stores nothing. Then, in full durability, three
//! rounds of syncs that run side by side: the content of objects and of the new ref; the names of the objects; the
//! reflog and the name of the ref.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use packhouse_object::{FinishedPack, NewObject, ObjectId, ObjectKind, RefName};

use super::backend::{Directory, Inner, now_ms};
use super::beside_gc::Stored;
use super::error::DirectoryError;
use super::gate::Turn;
use super::lock::{LockFile, NotLocked};
use super::loose_refs::RawRef;
use super::loose_write::{StagedObject, is_there, place_all, stage};
use super::patience::Patience;
use super::ref_locks::{LockedRefs, Symbolic};
use super::ref_log::Moment;
use super::ref_store::Head;
use super::side_by_side::{Job, sync_side_by_side};
use super::store::place_pack;
use super::transaction::{Mover, Outcome};
use super::turn_note::Identity;
use crate::change::RefEdit;
use crate::error::RepoError;

/// A move of one ref that exists.
pub(crate) struct Advance<'a> {
    /// The ref.
    pub(crate) name: &'a RefName,
    /// Where it must be.
    pub(crate) old: ObjectId,
    /// Where it goes, step by step, at least one. Nobody sees it where it goes first. The reflog has each step.
    pub(crate) steps: &'a [Step],
    /// Who moves it, as `Name <email>`.
    pub(crate) who: &'a str,
    /// How objects are stored.
    pub(crate) storing: Storing,
    /// What is stored before.
    pub(crate) bring: Bring,
}

/// One step of a move.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Where it goes.
    pub(crate) new: ObjectId,
    /// The line of the reflog.
    pub(crate) message: String,
}

impl Step {
    pub(crate) fn new(new: ObjectId, message: impl Into<String>) -> Step {
        let message = message.into();
        Step { new, message }
    }
}

impl Advance<'_> {
    /// Where the ref ends.
    fn last(&self) -> &Step {
        self.steps.last().expect("a move has at least one step")
    }

    /// Who moves it, and when, on which way.
    fn mover(&self) -> Mover<'_> {
        Mover {
            who: self.who,
            at: Moment::of_ms(now_ms()),
            way: self.steps,
        }
    }
}

/// How objects are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storing {
    /// Whether all is to be durable when this is done.
    pub(crate) durable: bool,
    /// The zlib level of the objects, if not ours.
    pub(crate) level: Option<u32>,
}

/// Objects on their way into the repository.
#[derive(Debug, Default)]
pub(crate) struct Bring {
    /// To be stored as files.
    pub(crate) objects: Vec<NewObject>,
    /// Files already.
    pub(crate) staged: Vec<StagedObject>,
    /// To be taken in as they are.
    pub(crate) packs: Vec<FinishedPack>,
}

impl Bring {
    /// Brings these too.
    pub(crate) fn add(&mut self, other: Bring) {
        self.objects.extend(other.objects);
        self.staged.extend(other.staged);
        self.packs.extend(other.packs);
    }
}

/// How a move ended. If the ref was not moved nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advanced {
    /// It is made.
    Moved,
    /// The ref is somewhere else.
    Stale,
    /// There is no such ref.
    Gone,
}

impl Directory {
    /// Waits for this thread's turn to write.
    pub(crate) fn enter(&self) -> Result<Turn, DirectoryError> {
        self.check_writable()?;
        self.inner.refs.enter()
    }

    /// Whether it is this thread's turn to write.
    pub(crate) fn is_in_turn(&self) -> bool {
        let gate = self.inner.refs.gate.get();
        gate.is_some_and(|gate| gate.is_mine())
    }

    /// Whether this thread waits for its turn, and this is done meanwhile.
    pub(crate) fn waits_for_turn(&self) -> bool {
        let gate = self.inner.refs.gate.get();
        gate.is_some_and(|gate| gate.is_awaited())
    }

    /// Whether a ref is at `old`, without moving it. If so, and if that is asked for, it is there durably: whoever moved it
    /// may not have come that far.
    pub(crate) fn confirm(
        &self,
        name: &RefName,
        old: ObjectId,
        storing: Storing,
    ) -> Result<Advanced, DirectoryError> {
        match self.ref_target(name)? {
            Some(found) if found == old => {}
            Some(_) => return Ok(Advanced::Stale),
            None => return Ok(Advanced::Gone),
        }
        if storing.durable {
            let refs = &self.inner.refs;
            let file = fs::symlink_metadata(refs.path(name.as_bstr())).ok();
            // Of a symbolic ref the file stays while the ref moves.
            let holds_it = refs.raw(name.as_bstr())? == Some(RawRef::Id(old));
            let file = file
                .filter(|_| holds_it)
                .map(|file| (name.clone(), Identity::of(&file)));
            if file.is_none() || *self.inner.made_durable.lock() != file {
                refs.sync(name)?;
                *self.inner.made_durable.lock() = file;
            }
        }
        Ok(Advanced::Moved)
    }

    /// Stores objects that no ref names yet.
    pub(crate) fn bring(&self, bring: Bring, storing: Storing) -> Result<(), DirectoryError> {
        self.check_writable()?;
        self.inner.store(bring, storing, None).map(drop)
    }

    /// Moves a ref, with the objects it needs.
    pub(crate) fn advance(&self, advance: Advance<'_>) -> Result<Advanced, RepoError> {
        let turn = self.enter()?;
        let _writing = turn.begin_write();
        let inner = &*self.inner;
        let refs = &inner.refs;
        let path = refs.path(advance.name.as_bstr());
        // A name that is packed may have no folder yet, or one with nothing in it where its file goes.
        let mut patience = Patience::new(refs.lock_timeout);
        let lock = match refs.take_lock(&path, &mut patience) {
            Ok(lock) => lock,
            Err(NotLocked::Error(error)) => return Err(error.into()),
            Err(NotLocked::FileInTheWay) => return Ok(Advanced::Gone),
        };
        match refs.raw(advance.name.as_bstr())? {
            Some(RawRef::Id(found)) if found == advance.old => inner.advance_file(advance, lock),
            Some(RawRef::Id(_)) => Ok(Advanced::Stale),
            _ => {
                drop(lock);
                inner.advance_any(advance)
            }
        }
    }
}

impl Inner {
    /// Moves a ref that has a file, under its lock.
    fn advance_file(
        &self,
        mut advance: Advance<'_>,
        lock: LockFile,
    ) -> Result<Advanced, RepoError> {
        let path = lock.path().to_owned();
        lock.file()
            .write_all(format!("{}\n", advance.last().new).as_bytes())
            .map_err(DirectoryError::io("write", &path))?;
        let bring = std::mem::take(&mut advance.bring);
        let stored = self.store(bring, advance.storing, Some(&lock))?;

        let logs = &self.refs.logs;
        let mover = advance.mover();
        let lines = mover.lines(Some(advance.old));
        let appended = logs.append(advance.name.as_bstr(), &lines)?;
        if logs.head_is_logged() && self.refs.any_head()? == Head::Branch(advance.name.clone()) {
            logs.append_to_head(&lines)?;
        }
        let file = lock.file().metadata();
        let moving = self.refs.moving.write();
        let replaced = match advance.storing.durable {
            true => lock.rename(),
            false => self.replace_relaxed(lock),
        };
        drop(moving);
        replaced.map_err(DirectoryError::io("replace", &path))?;
        if advance.storing.durable {
            let folder = path.parent().unwrap_or(&path).to_owned();
            let mut jobs: Vec<Job> = appended.map(Job::Log).into_iter().collect();
            jobs.push(Job::Folder(folder));
            sync_side_by_side(jobs)?;
            let file = file.ok().map(|file| Identity::of(&file));
            *self.made_durable.lock() = file.map(|file| (advance.name.clone(), file));
        }
        self.secure(&stored)?;
        Ok(Advanced::Moved)
    }

    /// Replaces a ref so that a crash of the system may lose what came within moments before it, but no more.
    fn replace_relaxed(&self, lock: LockFile) -> io::Result<()> {
        let mut written_out = self.written_out.lock();
        match written_out.is_none_or(|at| at.elapsed() > WRITTEN_OUT_EVERY) {
            true => {
                *written_out = Some(Instant::now());
                lock.rename()
            }
            false => lock.exchange(),
        }
    }

    /// Stores objects, and makes the new content of the ref durable beside them.
    fn store(
        &self,
        bring: Bring,
        storing: Storing,
        lock: Option<&LockFile>,
    ) -> Result<Stored, DirectoryError> {
        let objects = self.layout.objects_dir();
        let (mut staged, mut found) = (bring.staged, Vec::new());
        for object in bring.objects {
            // Files and folders come again, commits hardly ever.
            let may_be_there = !storing.durable && object.kind != ObjectKind::Commit;
            match may_be_there && is_there(&objects, &object) {
                true => found.push(object),
                false => staged.push(stage(&objects, &object, storing.level)?),
            }
        }
        if storing.durable {
            let mut jobs: Vec<Job> = staged.iter().map(StagedObject::to_sync).collect();
            jobs.extend(lock.map(|lock| lock.to_sync()));
            sync_side_by_side(jobs)?;
        }
        let folders = place_all(&mut staged, &objects, storing.durable)?;
        let mut packs = Vec::new();
        for pack in bring.packs {
            packs.push(place_pack(pack, &objects)?);
        }
        if storing.durable {
            sync_side_by_side(folders.into_iter().map(Job::Objects).collect())?;
        }
        Ok(Stored {
            staged,
            found,
            packs,
        })
    }

    /// Moves a ref that is packed, or symbolic.
    fn advance_any(&self, mut advance: Advance<'_>) -> Result<Advanced, RepoError> {
        let names = BTreeMap::from([(advance.name.clone(), Symbolic::Follow)]);
        let locked: LockedRefs<'_> = self.refs.lock(&names)?;
        let packed = self.refs.packed()?;
        let name = locked.routes[advance.name].name.clone();
        match locked.current(&name, &packed)? {
            Some(found) if found == advance.old => {}
            Some(_) => return Ok(Advanced::Stale),
            None => return Ok(Advanced::Gone),
        }
        let bring = std::mem::take(&mut advance.bring);
        let stored = self.store(bring, advance.storing, None)?;
        let last = advance.last();
        let edit = RefEdit {
            name: advance.name.clone(),
            old: Some(advance.old),
            new: Some(last.new),
            message: last.message.clone(),
        };
        let mover = advance.mover();
        let (database, _) = self.objects.database()?;
        match locked.commit(&[edit], mover, &database)? {
            Outcome::Moved => {
                self.secure(&stored)?;
                Ok(Advanced::Moved)
            }
            Outcome::Stale => Ok(Advanced::Stale),
        }
    }
}

/// How often a ref that is moved again and again is replaced the way that file systems write out at once.
const WRITTEN_OUT_EVERY: Duration = Duration::from_millis(50);
