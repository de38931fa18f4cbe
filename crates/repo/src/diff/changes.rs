//! Which files differ between two trees.

use std::ops::ControlFlow;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{Database, EntryMode, ObjectId, ReadError, TreeChange, diff_trees};

use super::DiffOptions;
use super::content::size;
use crate::renames::{RenameCandidate, RenameOptions, RenameSource, find_renames};

/// What a file is in one of the trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSide {
    /// Where it is.
    pub path: BString,
    /// What it is.
    pub mode: EntryMode,
    /// Its content, or a submodule's commit.
    pub id: ObjectId,
}

/// A file that is not the same in both trees. At least one side is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// What it was, or what it was made of.
    pub old: Option<FileSide>,
    /// What it is.
    pub new: Option<FileSide>,
    /// What happened to it.
    pub status: ChangeStatus,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeStatus {
    /// It was not there.
    Added,
    /// It is not there any more.
    Deleted,
    /// Its content or its mode changed.
    Modified,
    /// It became something else: a file a link, or a submodule.
    TypeChanged,
    /// It has another path; how similar it is, in percent.
    Renamed(u32),
    /// It was made of a file that is still there; how similar it is, in percent.
    Copied(u32),
}

impl FileChange {
    /// Where the file is, or was.
    pub fn path(&self) -> &BStr {
        let side = self.new.as_ref().or(self.old.as_ref());
        side.map_or(BStr::new(""), |side| side.path.as_bstr())
    }

    /// How many bytes are compared: of the old content, and of the new.
    pub fn sizes(&self, database: &Database) -> Result<[u64; 2], ReadError> {
        let old = size(database, self.old.as_ref())?;
        Ok([old, size(database, self.new.as_ref())?])
    }

    /// Git's word for what happened: `M`, `R054`.
    pub fn raw_status(&self) -> String {
        match self.status {
            ChangeStatus::Added => "A".to_owned(),
            ChangeStatus::Deleted => "D".to_owned(),
            ChangeStatus::Modified => "M".to_owned(),
            ChangeStatus::TypeChanged => "T".to_owned(),
            ChangeStatus::Renamed(percent) => format!("R{percent:03}"),
            ChangeStatus::Copied(percent) => format!("C{percent:03}"),
        }
    }
}

/// Why two trees could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// An object that cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// More files differ than the caller allows.
    #[error("more than {limit} files differ")]
    TooManyFiles {
        /// The most that are allowed.
        limit: usize,
    },
}

/// The files that differ between two trees, in the order in which `git diff` shows them. No tree is
/// an empty one. Costs what differs, and the comparisons for renames.
pub fn changed_files(
    database: &Database,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    options: &DiffOptions,
) -> Result<Vec<FileChange>, DiffError> {
    let mut changes = Vec::new();
    let mut is_beyond = false;
    diff_trees(database, old, new, &mut |change| {
        if !is_asked(&change.path, &options.paths) {
            return ControlFlow::Continue(());
        }
        is_beyond = changes.len() == options.max_files;
        if is_beyond {
            return ControlFlow::Break(());
        }
        changes.push(plain(change));
        ControlFlow::Continue(())
    })?;
    if is_beyond {
        let limit = options.max_files;
        return Err(DiffError::TooManyFiles { limit });
    }
    match options.renames {
        Some(renames) => Ok(with_renames(database, changes, renames)?),
        None => Ok(changes),
    }
}

fn is_asked(path: &[u8], asked: &[BString]) -> bool {
    let is_at = |asked: &BString| {
        path.strip_prefix(asked.as_slice())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    asked.is_empty() || asked.iter().any(is_at)
}

fn plain(TreeChange { path, old, new }: TreeChange) -> FileChange {
    let status = match (old, new) {
        (None, _) => ChangeStatus::Added,
        (_, None) => ChangeStatus::Deleted,
        (Some((old, _)), Some((new, _))) if is_same_type(old, new) => ChangeStatus::Modified,
        _ => ChangeStatus::TypeChanged,
    };
    let side = |side: Option<(EntryMode, ObjectId)>| {
        side.map(|(mode, id)| FileSide {
            path: path.clone(),
            mode,
            id,
        })
    };
    FileChange {
        old: side(old),
        new: side(new),
        status,
    }
}

/// Whether a mode stands for the same sort of thing as another.
pub(super) fn is_same_type(a: EntryMode, b: EntryMode) -> bool {
    const TYPE_BITS: u32 = 0o170000;
    a.bits() & TYPE_BITS == b.bits() & TYPE_BITS
}

/// Joins the files that were deleted and added with what they were made of.
fn with_renames(
    database: &Database,
    mut changes: Vec<FileChange>,
    options: RenameOptions,
) -> Result<Vec<FileChange>, ReadError> {
    let places = |is_wanted: &dyn Fn(&FileChange) -> bool| -> Vec<usize> {
        (0..changes.len())
            .filter(|at| is_wanted(&changes[*at]))
            .collect()
    };
    let sources = places(&|change| match change.status {
        ChangeStatus::Deleted => true,
        _ => options.copies && change.old.is_some(),
    });
    let destinations = places(&|change| change.status == ChangeStatus::Added);
    let is_possible = |at: &usize| {
        options.empty_files || side(&changes[*at]).is_some_and(|file| !file.id.is_empty_blob())
    };
    let sources: Vec<usize> = sources.into_iter().filter(is_possible).collect();
    let destinations: Vec<usize> = destinations.into_iter().filter(is_possible).collect();
    let source_files = sources.iter().filter_map(|at| {
        Some(RenameSource {
            file: candidate(changes[*at].old.as_ref()?),
            stays: changes[*at].new.is_some(),
        })
    });
    let destination_files = destinations
        .iter()
        .filter_map(|at| Some(candidate(changes[*at].new.as_ref()?)));
    let found = find_renames(
        database,
        source_files.collect(),
        destination_files.collect(),
        options,
    )?;
    let mut is_gone = vec![false; changes.len()];
    for pair in found.pairs {
        let (from, to) = (sources[pair.source], destinations[pair.destination]);
        is_gone[from] |= changes[from].new.is_none();
        changes[to].old = changes[from].old.clone();
        changes[to].status = match pair.is_copy {
            true => ChangeStatus::Copied(pair.percent()),
            false => ChangeStatus::Renamed(pair.percent()),
        };
    }
    let mut is_gone = is_gone.into_iter();
    changes.retain(|_| is_gone.next() != Some(true));
    Ok(changes)
}

fn side(change: &FileChange) -> Option<&FileSide> {
    change.old.as_ref().or(change.new.as_ref())
}

fn candidate(side: &FileSide) -> RenameCandidate {
    RenameCandidate {
        path: side.path.clone(),
        mode: side.mode,
        id: side.id,
    }
}
