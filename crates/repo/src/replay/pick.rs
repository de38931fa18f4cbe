//! The commits that a cherry-pick or a revert makes.

use bstr::BString;
use packhouse_object::{Commit, Database, HashKind, NewObject, ObjectId, ObjectKind, Signature};

use super::message::{of_revert, subject, with_origin};
use super::{Replay, ReplayError, ReplayKind, ReplayedCommit};
use crate::branch_merge::conflict_paths;
use crate::merge::{MergeError, MergedTree, TreeMergeOptions, merge_trees};
use crate::new_commit::add_commit;
use crate::view::display_name;

/// Commits, picked or reverted, and not stored.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(super) target: ObjectId,
    pub(super) tip: ObjectId,
    pub(super) tree: ObjectId,
    pub(super) objects: Vec<NewObject>,
    pub(super) commits: Vec<ReplayedCommit>,
    pub(super) reflog: String,
}

/// Picks or reverts commits one after the other.
pub(super) fn pick_all(
    database: &Database,
    target: ObjectId,
    sources: &[ObjectId],
    request: &Replay,
) -> Result<Picked, ReplayError> {
    if request.kind == ReplayKind::Revert && request.author.is_none() {
        return Err(ReplayError::AuthorMissing);
    }
    let mut database = database.clone();
    let mut picked = Picked {
        target,
        tip: target,
        tree: database.commit(target)?.tree,
        objects: Vec::new(),
        commits: Vec::with_capacity(sources.len()),
        reflog: String::new(),
    };
    let mut bytes = 0;
    for source in sources {
        let change = Change::of(&database, *source, request)?;
        let merged = change.merge_into(&database, picked.tree, request)?;
        let mut made = None;
        if merged.tree != picked.tree || request.allow_empty {
            let commit = change.commit(merged.tree, picked.tip, request)?;
            picked.reflog = reflog_line(request.kind, &commit.message);
            let mut objects = merged.objects;
            let id = add_commit(&database, commit, &mut objects)?;
            database = database.with_objects(objects.iter().cloned());
            let texts = objects
                .iter()
                .filter(|object| object.kind == ObjectKind::Blob);
            bytes += texts.map(|text| text.data.len() as u64).sum::<u64>();
            if bytes > request.merged_bytes {
                let limit = request.merged_bytes;
                return Err(MergeError::TooLarge { limit }.into());
            }
            picked.objects.extend(objects);
            (picked.tip, picked.tree) = (id, merged.tree);
            made = Some(id);
        }
        picked.commits.push(ReplayedCommit {
            source: *source,
            made,
        });
    }
    Ok(picked)
}

/// What a commit changed.
struct Change {
    id: ObjectId,
    commit: Commit,
    /// What it is compared with; `None`: it is the first one.
    parent: Option<ObjectId>,
    parent_tree: Option<ObjectId>,
}

impl Change {
    fn of(database: &Database, id: ObjectId, request: &Replay) -> Result<Change, ReplayError> {
        // As Git does: what is made is in UTF-8, whatever it was made from.
        let commit = database.commit(id)?.in_utf8();
        let parents = commit.parents.len();
        let parent = match (request.mainline, parents) {
            (None | Some(1), 0) => None,
            (None, 1) => Some(commit.parents[0]),
            (None, _) => {
                return Err(ReplayError::MainlineMissing {
                    commit: id,
                    parents,
                });
            }
            (Some(mainline), _) => {
                let at = (mainline as usize).checked_sub(1);
                let parent = at.and_then(|at| commit.parents.get(at));
                Some(*parent.ok_or(ReplayError::NoSuchParent {
                    commit: id,
                    mainline,
                    parents,
                })?)
            }
        };
        let parent_tree = match parent {
            Some(parent) => Some(database.commit(parent)?.tree),
            None => None,
        };
        Ok(Change {
            id,
            commit,
            parent,
            parent_tree,
        })
    }

    fn merge_into(
        &self,
        database: &Database,
        tree: ObjectId,
        request: &Replay,
    ) -> Result<MergedTree, ReplayError> {
        let options = TreeMergeOptions {
            our_label: display_name(&request.target),
            their_label: self.label(request.kind),
            renames: true,
            merged_bytes: request.merged_bytes,
            ..TreeMergeOptions::default()
        };
        let nothing = ObjectId::empty_tree(HashKind::Sha1);
        let (base, theirs, base_commit) = match request.kind {
            ReplayKind::CherryPick => (self.parent_tree, self.commit.tree, self.parent),
            ReplayKind::Revert => {
                let before = self.parent_tree.unwrap_or(nothing);
                (Some(self.commit.tree), before, Some(self.id))
            }
        };
        let merged = merge_trees(database, base, tree, theirs, &options)?;
        if merged.is_clean() {
            return Ok(merged);
        }
        Err(ReplayError::Conflict {
            commit: self.id,
            base: base_commit,
            paths: conflict_paths(&merged.conflicts),
        })
    }

    /// What conflict marks and the names of files that make room call the commit, as Git does.
    fn label(&self, kind: ReplayKind) -> BString {
        let mut label = BString::default();
        if kind == ReplayKind::Revert {
            label.extend_from_slice(b"parent of ");
        }
        label.extend_from_slice(self.id.to_hex_with_len(7).to_string().as_bytes());
        label.extend_from_slice(b" (");
        label.extend_from_slice(subject(&self.commit.message));
        label.push(b')');
        label
    }

    fn commit(
        &self,
        tree: ObjectId,
        parent: ObjectId,
        request: &Replay,
    ) -> Result<Commit, ReplayError> {
        let picks = request.kind == ReplayKind::CherryPick;
        let author = match (&request.author, picks) {
            (Some(author), _) => author.clone(),
            (None, true) => self.commit.author.clone(),
            (None, false) => return Err(ReplayError::AuthorMissing),
        };
        let committer = match (&request.committer, &request.author) {
            (Some(committer), _) => committer.clone(),
            (None, Some(author)) => author.clone(),
            (None, None) => Signature {
                seconds: request.now,
                ..author.clone()
            },
        };
        let message = match &request.message {
            Some(message) => message.clone(),
            None if picks && request.record_origin => with_origin(&self.commit.message, self.id),
            None if picks => self.commit.message.clone(),
            None => {
                let mainline = self.parent.filter(|_| self.commit.parents.len() > 1);
                of_revert(&self.commit, self.id, mainline)
            }
        };
        // Left only where the message is malformed in it, and stays as it is; a signature would be of another commit.
        let keeps = |(name, _): &&(BString, BString)| {
            picks && request.message.is_none() && name == "encoding"
        };
        Ok(Commit {
            tree,
            parents: vec![parent],
            author,
            committer,
            extra_headers: self
                .commit
                .extra_headers
                .iter()
                .filter(keeps)
                .cloned()
                .collect(),
            message,
        })
    }
}

fn reflog_line(kind: ReplayKind, message: &[u8]) -> String {
    let word = match kind {
        ReplayKind::CherryPick => "cherry-pick",
        ReplayKind::Revert => "revert",
    };
    format!("{word}: {}", String::from_utf8_lossy(subject(message)))
}
