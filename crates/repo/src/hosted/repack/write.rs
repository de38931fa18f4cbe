//! Writing the packs of a repack, before anything of it is stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use packhouse_catalog::PackSource;
use packhouse_object::{
    BuildBitmapError, Counted, Database, FinishedPack, IdSet, NewObject, ObjectId, Pack, Progress,
    ReadError, Wanted, WritePackError, WritePackFileError, count_objects, repack,
};

use super::with_git::{self, GitError};
use crate::hosted::pack_of::pack_of;

/// Why packs were not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WritePackError),
    #[error(transparent)]
    File(#[from] WritePackFileError),
    #[error(transparent)]
    Bitmap(#[from] BuildBitmapError),
}

impl WriteError {
    /// Whether it was told to stop.
    pub(super) fn is_cancelled(&self) -> bool {
        matches!(
            self,
            WriteError::Read(ReadError::Cancelled)
                | WriteError::Write(WritePackError::Read(ReadError::Cancelled))
                | WriteError::Bitmap(BuildBitmapError::Read(ReadError::Cancelled))
        )
    }
}

/// A repository to be repacked, as it is at one moment.
pub(super) struct Input {
    /// All that it has.
    pub(super) database: Database,
    /// The packs that give way.
    pub(super) packs: Vec<Arc<Pack>>,
    /// What the refs point to.
    pub(super) tips: Vec<ObjectId>,
    /// The objects of the tail: the new pack has them too, so that it has all that is reached.
    pub(super) tail: Vec<Arc<Vec<NewObject>>>,
    pub(super) folder: PathBuf,
    /// The `git` program, if it is to be used.
    pub(super) git: Option<PathBuf>,
    /// Set when it is not wanted any more…
    pub(super) stop: Arc<AtomicBool>,
    /// …or when the engine stops.
    pub(super) stopping: Arc<AtomicBool>,
}

/// Packs that were written.
pub(super) struct Output {
    pub(super) packs: Vec<(FinishedPack, PackSource)>,
    /// Whether git chose the deltas.
    pub(super) by_git: bool,
}

struct Stop<'a>(&'a Input);

impl Progress for Stop<'_> {
    fn cancelled(&self) -> bool {
        let Input { stop, stopping, .. } = self.0;
        stop.load(Ordering::Relaxed) || stopping.load(Ordering::Relaxed)
    }
}

/// A pack of what the tips reach, with bitmaps, and one of what they do not and the packs that give way have, if there is
/// something.
pub(super) fn full(input: &Input) -> Result<Output, WriteError> {
    let progress = Stop(input);
    let mut output = Output {
        packs: Vec::new(),
        by_git: false,
    };
    let mut new = None;
    if !input.tips.is_empty() {
        let by_git = with_git(input, &progress)?;
        output.by_git = by_git.is_some();
        let mut reachable = match by_git {
            Some(pack) => pack,
            None => without_git(input, &progress)?,
        };
        // Reads every commit and tree from the new pack alone: it has all, or nothing is replaced by it.
        reachable.add_bitmap(&input.database, &input.tips, &input.folder, &progress)?;
        let open = Pack::open(&reachable.pack, &reachable.idx);
        let id = reachable.checksum;
        new = Some(open.map_err(|source| ReadError::Pack { id, source })?);
        output.packs.push((reachable, PackSource::Reachable));
    }
    let is_left = |id: &ObjectId| new.as_ref().is_none_or(|new| new.lookup(id).is_none());
    let rest = objects_of(&input.packs, is_left);
    if !rest.is_empty() {
        let rest = Counted::exactly(rest);
        let rest = repack(&input.database, &rest, &input.folder, &progress)?;
        output.packs.push((rest, PackSource::Unreachable));
    }
    Ok(output)
}

/// One pack of what these packs have.
pub(super) fn merge(input: &Input) -> Result<Output, WriteError> {
    let database = input.database.with_packs(input.packs.clone());
    let all = Counted::exactly(objects_of(&input.packs, |_| true));
    let merged = repack(&database, &all, &input.folder, &Stop(input))?;
    Ok(Output {
        packs: vec![(merged, PackSource::Repack)],
        by_git: false,
    })
}

/// The objects of packs that are wanted, each once.
fn objects_of(packs: &[Arc<Pack>], is_wanted: impl Fn(&ObjectId) -> bool) -> Vec<ObjectId> {
    let mut ids = Vec::new();
    let mut seen = IdSet::default();
    for pack in packs {
        let wanted = pack.iter().map(|(id, _)| id).filter(&is_wanted);
        ids.extend(wanted.filter(|id| seen.insert(*id)));
    }
    ids
}

/// `None`: there is no git, or it cannot do it; then it is done without.
fn with_git(input: &Input, progress: &Stop<'_>) -> Result<Option<FinishedPack>, WriteError> {
    let Some(git) = &input.git else {
        return Ok(None);
    };
    let mut files = with_git::files_of(input.database.packs().iter().map(Arc::as_ref));
    let tail = pack_of_tail(input)?;
    let tail_files = tail
        .as_ref()
        .map(|tail| place_side_by_side(tail, &input.folder));
    let tail_dir = match tail_files.transpose() {
        Ok(dir) => dir,
        Err(error) => return Err(WritePackFileError::Io(error).into()),
    };
    files.extend(tail_dir.iter().map(|dir| dir.path().join("tail")));
    match with_git::repack(git, &input.folder, &files, &input.tips, progress) {
        Ok(pack) => Ok(Some(pack)),
        Err(GitError::Cancelled) => Err(ReadError::Cancelled.into()),
        Err(error) => {
            tracing::info!(%error, "repacking without git");
            Ok(None)
        }
    }
}

/// The objects that are in no pack yet, for a program that knows nothing of tails.
fn pack_of_tail(input: &Input) -> Result<Option<FinishedPack>, WriteError> {
    if input.tail.is_empty() {
        return Ok(None);
    }
    let objects = input.tail.iter().flat_map(|row| row.iter());
    Ok(Some(pack_of(objects, &input.folder)?))
}

/// A folder in which a pack and its index have one name.
fn place_side_by_side(pack: &FinishedPack, folder: &Path) -> std::io::Result<tempfile::TempDir> {
    let dir = tempfile::Builder::new().prefix("tail").tempdir_in(folder)?;
    std::fs::hard_link(&pack.pack, dir.path().join("tail.pack"))?;
    std::fs::hard_link(&pack.idx, dir.path().join("tail.idx"))?;
    Ok(dir)
}

fn without_git(input: &Input, progress: &Stop<'_>) -> Result<FinishedPack, WriteError> {
    let wanted = Wanted {
        wants: input.tips.clone(),
        ..Wanted::default()
    };
    let counted = count_objects(&input.database, &wanted, progress)?;
    Ok(repack(&input.database, &counted, &input.folder, progress)?)
}
