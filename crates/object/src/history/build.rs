//! Extending an index of history by the commits it lacks.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bstr::BString;
use rayon::prelude::*;
use tempfile::TempPath;

use super::layer::{HistoryKey, HistoryLayer, HistoryLayerError};
use super::write::{LayerBuilder, NewCommit};
use super::{CommitPosition, HistoryIndex};
use crate::{
    Database, IdMap, ObjectId, ObjectKind, ReadError, commit_links, diff_trees, on_processors,
};

/// A commit that changes more paths is not said what it changes: its trees are compared when it matters.
const MAX_SAID_CHANGES: usize = 512;

/// Changed paths of one layer, all in all; behind them nothing is said.
const MAX_LAYER_CHANGES: usize = 1 << 26;

/// Commits of one layer.
const MAX_LAYER_COMMITS: usize = 1 << 21;

/// Commits whose trees are compared before their paths are taken over.
const CHUNK: usize = 512;

/// A layer that is complete and durable, but in nobody's index yet.
#[derive(Debug)]
pub struct FinishedHistoryLayer {
    /// The file, which is removed when this is dropped.
    pub path: TempPath,
    /// What the layer is known by.
    pub key: HistoryKey,
    /// How many commits there are with it.
    pub end: CommitPosition,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Why an index could not be extended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildHistoryError {
    /// An object could not be read, or the caller no longer wants the index.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The layer could not be written.
    #[error("could not write a history layer")]
    Io(#[from] std::io::Error),
    /// A layer that was written cannot be read.
    #[error(transparent)]
    Layer(#[from] HistoryLayerError),
    /// There are too many new commits.
    #[error("over {MAX_LAYER_COMMITS} commits are not in the index of the history")]
    TooMany,
}

/// Writes a layer with what `tips` reach and the index lacks. `None`: it lacks nothing.
///
/// The layer stands on as many of the index's layers as is returned with it; those above it hold less than twice of
/// what is new, and are part of it. So a commit is written anew as often as the history doubles.
pub fn extend_history(
    db: &Database,
    index: &HistoryIndex,
    tips: &[ObjectId],
    dir: &Path,
    cancelled: &AtomicBool,
) -> Result<Option<(usize, FinishedHistoryLayer)>, BuildHistoryError> {
    let new =
        Missing::collect(db, index, tips, MAX_LAYER_COMMITS)?.ok_or(BuildHistoryError::TooMany)?;
    if new.commits.is_empty() {
        return Ok(None);
    }
    let (mut kept, mut size) = (index.layers().len(), new.commits.len());
    while let Some(layer) = kept.checked_sub(1).map(|at| &index.layers()[at]) {
        let commits = (layer.end() - layer.first()) as usize;
        if commits > 2 * size || commits + size > MAX_LAYER_COMMITS {
            break;
        }
        size += commits;
        kept -= 1;
    }
    let below = kept.checked_sub(1).map(|at| &index.layers()[at]);
    let first = below.map_or(0, |layer| layer.end());
    let mut builder = LayerBuilder::new(below.map(|layer| layer.key()), first);
    let mut said = 0;
    for layer in &index.layers()[kept..] {
        said += absorb(&mut builder, layer);
    }
    add_new(db, index, &new, &mut builder, said, cancelled)?;
    Ok(Some((kept, builder.finish(dir)?)))
}

/// Adds the commits of a layer, and returns how many changes that were.
fn absorb(builder: &mut LayerBuilder, layer: &HistoryLayer) -> usize {
    let paths = 0..layer.path_count();
    let numbers: Vec<u32> = paths
        .map(|number| builder.number(layer.path(number)))
        .collect();
    let mut said = 0;
    for commit in layer.first()..layer.end() {
        let parents: Vec<CommitPosition> = layer.parents(commit).collect();
        let second = || layer.changes_from_second(commit);
        let changes = [
            layer.changes(commit),
            (parents.len() > 1).then(second).flatten(),
        ];
        let changes = changes.map(|changes| {
            changes.map(|changes| -> Vec<u32> {
                changes.map(|number| numbers[number as usize]).collect()
            })
        });
        said += changes.iter().flatten().map(Vec::len).sum::<usize>();
        builder.add(NewCommit {
            id: layer.id(commit),
            tree: layer.tree(commit),
            seconds: layer.seconds(commit),
            parents: &parents,
            changes: [changes[0].as_deref(), changes[1].as_deref()],
        });
    }
    said
}

fn add_new(
    db: &Database,
    index: &HistoryIndex,
    new: &Missing,
    builder: &mut LayerBuilder,
    mut said: usize,
    cancelled: &AtomicBool,
) -> Result<(), BuildHistoryError> {
    for chunk in new.commits.chunks(CHUNK) {
        let changes = on_processors(|| {
            chunk
                .par_iter()
                .with_min_len(CHUNK / 8)
                .map(|commit| {
                    if cancelled.load(Ordering::Relaxed) {
                        return Err(ReadError::Cancelled);
                    }
                    let against = |at: usize| match commit.parents.get(at) {
                        Some(parent) => changed_paths(db, new.tree_of(index, *parent), commit.tree),
                        None => Ok(None),
                    };
                    Ok([against(0)?, against(1)?])
                })
                .collect::<Result<Vec<_>, ReadError>>()
        })?;
        for (commit, changes) in chunk.iter().zip(changes) {
            let changes = changes.map(|paths| {
                let paths = paths.filter(|_| said < MAX_LAYER_CHANGES)?;
                said += paths.len();
                Some(
                    paths
                        .iter()
                        .map(|path| builder.number(path))
                        .collect::<Vec<u32>>(),
                )
            });
            let position = |parent: &Parent| match parent {
                Parent::Indexed(position) => *position,
                Parent::Missing(place) => index.len() + place,
            };
            builder.add(NewCommit {
                id: commit.id,
                tree: commit.tree,
                seconds: commit.seconds,
                parents: &commit.parents.iter().map(position).collect::<Vec<_>>(),
                changes: [changes[0].as_deref(), changes[1].as_deref()],
            });
        }
    }
    Ok(())
}

/// The files that differ; `None` if there are too many to say.
fn changed_paths(
    db: &Database,
    old: ObjectId,
    new: ObjectId,
) -> Result<Option<Vec<BString>>, ReadError> {
    let (mut paths, mut too_many) = (Vec::new(), false);
    let compared = diff_trees(db, Some(old), Some(new), &mut |change| {
        too_many = paths.len() == MAX_SAID_CHANGES;
        if too_many {
            return ControlFlow::Break(());
        }
        paths.push(change.path);
        ControlFlow::Continue(())
    });
    match compared {
        // Whoever asks for such a path is told.
        Err(ReadError::TreeTooDeep { .. }) => Ok(None),
        compared => compared.map(|()| (!too_many).then_some(paths)),
    }
}

/// Commits that an index lacks, parents before children.
pub(super) struct Missing {
    pub(super) commits: Vec<MissingCommit>,
}

pub(super) struct MissingCommit {
    pub(super) id: ObjectId,
    pub(super) tree: ObjectId,
    pub(super) seconds: i64,
    pub(super) parents: Vec<Parent>,
}

/// Where the parent of a missing commit is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parent {
    /// In the index.
    Indexed(CommitPosition),
    /// Among the missing commits.
    Missing(u32),
}

/// A commit whose parents are being looked at.
struct Open {
    commit: MissingCommit,
    ids: std::vec::IntoIter<ObjectId>,
}

impl Missing {
    /// The commits that `tips` reach and the index lacks; `None` if they are more than `limit`.
    pub(super) fn collect(
        db: &Database,
        index: &HistoryIndex,
        tips: &[ObjectId],
        limit: usize,
    ) -> Result<Option<Missing>, ReadError> {
        let mut missing = Missing {
            commits: Vec::new(),
        };
        let mut places: IdMap<u32> = IdMap::default();
        let mut open: Vec<Open> = Vec::new();
        for tip in tips {
            let tip = db.peel_to_commit(tip)?;
            if index.position(&tip).is_none() && !places.contains_key(&tip) {
                open.push(Open::read(db, tip)?);
            }
            while let Some(top) = open.last_mut() {
                let Some(id) = top.ids.next() else {
                    let commit = open.pop().expect("it was looked at").commit;
                    let place = missing.commits.len() as u32;
                    places.insert(commit.id, place);
                    if let Some(child) = open.last_mut() {
                        child.commit.parents.push(Parent::Missing(place));
                    }
                    missing.commits.push(commit);
                    continue;
                };
                let known = match places.get(&id) {
                    Some(place) => Some(Parent::Missing(*place)),
                    None => index.position(&id).map(Parent::Indexed),
                };
                match known {
                    Some(parent) => top.commit.parents.push(parent),
                    None if open.len() + missing.commits.len() >= limit => return Ok(None),
                    None => open.push(Open::read(db, id)?),
                }
            }
        }
        Ok(Some(missing))
    }

    fn tree_of(&self, index: &HistoryIndex, parent: Parent) -> ObjectId {
        match parent {
            Parent::Indexed(position) => index.tree(position),
            Parent::Missing(place) => self.commits[place as usize].tree,
        }
    }
}

impl Open {
    fn read(db: &Database, id: ObjectId) -> Result<Open, ReadError> {
        let data = db.bytes_of(id, ObjectKind::Commit)?;
        let (tree, parents, seconds) =
            commit_links(&data).map_err(|source| ReadError::decode(id, source))?;
        Ok(Open {
            commit: MissingCommit {
                id,
                tree,
                seconds,
                parents: Vec::with_capacity(parents.len()),
            },
            ids: parents.into_iter(),
        })
    }
}
