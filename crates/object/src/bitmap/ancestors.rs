//! Which commits some refs reach, by bitmaps as far as they go: no tree is looked at.

use super::{BitmapError, Bitmapped, Bits, ReachError, bitmapped};
use crate::graph::{DateQueue, Graph};
use crate::{Database, IdSet, ObjectHeader, ObjectId, ObjectKind, Progress, ReadError};

/// Cancellation is seen to once for so many commits.
const COMMITS_PER_LOOK: u64 = 1024;

/// Those of `wanted` that none of `tips` reaches, in a history that ends at the commits of `cut`. What is not a commit is never
/// reached. Tips that do not lead to commits are passed over, and so is what is not here, be it a tip or an ancestor of one: as for
/// Git, what is behind it counts as not reached.
pub fn unreached_commits(
    db: &Database,
    wanted: &IdSet,
    tips: &[ObjectId],
    cut: &IdSet,
    progress: &dyn Progress,
) -> Result<IdSet, ReadError> {
    // Bitmaps reach trees and blobs as well.
    let (mut commits, mut others) = (IdSet::default(), IdSet::default());
    for id in wanted {
        let is_commit = |header: ObjectHeader| header.kind == ObjectKind::Commit;
        match db.header(id)?.is_some_and(is_commit) {
            true => commits.insert(*id),
            false => others.insert(*id),
        };
    }
    others.extend(unreached(db, &commits, tips, cut, progress)?);
    Ok(others)
}

fn unreached(
    db: &Database,
    wanted: &IdSet,
    tips: &[ObjectId],
    cut: &IdSet,
    progress: &dyn Progress,
) -> Result<IdSet, ReadError> {
    if wanted.is_empty() {
        return Ok(IdSet::default());
    }
    let mut starts = Vec::with_capacity(tips.len());
    for tip in tips {
        if let Some((commit, ObjectKind::Commit)) = if_here(db.peel(tip))? {
            starts.push(commit);
        }
    }
    // Bitmaps know nothing of cuts.
    if cut.is_empty()
        && let Some(packed) = bitmapped(db)
    {
        let walk = Walk::new(Graph::new(db), wanted, Some(&packed));
        match walk.run(&starts, progress) {
            Ok(left) => return Ok(left),
            Err(ReachError::Read(error)) => return Err(error),
            Err(ReachError::Bitmap(error)) => {
                tracing::warn!(?packed, %error, "a bitmap index cannot be used");
            }
        }
    }
    match Walk::new(Graph::cut(db, cut), wanted, None).run(&starts, progress) {
        Ok(left) => Ok(left),
        Err(ReachError::Read(error)) => Err(error),
        Err(ReachError::Bitmap(_)) => unreachable!("no bitmaps are read"),
    }
}

/// `None` where an object is not here, or is none of the kind that it is named as.
fn if_here<T>(read: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(ReadError::WrongKind { .. }) => Ok(None),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

struct Walk<'a> {
    graph: Graph<'a>,
    packed: Option<&'a Bitmapped>,
    /// What bitmaps say is reached.
    reached: Bits,
    /// What was walked over.
    seen: IdSet,
    left: IdSet,
}

impl<'a> Walk<'a> {
    fn new(graph: Graph<'a>, wanted: &IdSet, packed: Option<&'a Bitmapped>) -> Walk<'a> {
        Walk {
            graph,
            packed,
            reached: Bits::new(packed.map_or(0, Bitmapped::object_count)),
            seen: IdSet::default(),
            left: wanted.clone(),
        }
    }

    fn run(mut self, starts: &[ObjectId], progress: &dyn Progress) -> Result<IdSet, ReachError> {
        let mut queue = DateQueue::new();
        for start in starts {
            if self.left.is_empty() {
                return Ok(self.left);
            }
            if !self.is_reached(start)?
                && let Some(commit) = if_here(self.graph.number(*start))?
            {
                queue.push(self.graph.seconds(commit), commit);
            }
        }
        let mut walked = 0u64;
        while let Some(commit) = queue.pop()
            && !self.left.is_empty()
        {
            walked += 1;
            if walked.is_multiple_of(COMMITS_PER_LOOK) {
                progress.counting(walked);
                if progress.cancelled() {
                    return Err(ReadError::Cancelled.into());
                }
            }
            let id = self.graph.id(commit);
            if self.is_reached(&id)? {
                continue;
            }
            self.seen.insert(id);
            self.left.remove(&id);
            for parent in self.graph.parent_ids(commit).to_vec() {
                if let Some(parent) = if_here(self.graph.number(parent))? {
                    queue.push(self.graph.seconds(parent), parent);
                }
            }
        }
        Ok(self.left)
    }

    /// Whether a commit, and so all that it reaches, was dealt with. If it has a bitmap it is now.
    fn is_reached(&mut self, id: &ObjectId) -> Result<bool, BitmapError> {
        if self.seen.contains(id) {
            return Ok(true);
        }
        let bitmap = self
            .packed
            .and_then(|packed| Some((packed, packed.bitmap()?)));
        let Some((packed, bitmap)) = bitmap else {
            return Ok(false);
        };
        let Some(position) = packed.position(id) else {
            return Ok(false);
        };
        if packed.bit_of(id).is_some_and(|bit| self.reached.has(bit)) {
            return Ok(true);
        }
        let Some(bits) = bitmap.reached_from(position)? else {
            return Ok(false);
        };
        self.reached.union(&bits);
        let reached = &self.reached;
        self.left
            .retain(|id| !packed.bit_of(id).is_some_and(|bit| reached.has(bit)));
        Ok(true)
    }
}
