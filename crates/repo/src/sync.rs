//! Following an upstream: making branches and tags those of a repository elsewhere.
//!
//! What the upstream had at the last sync is told apart from what it has now and from what is here. Only so is a
//! branch that was deleted there told from one that was never there, and a branch that was written to here from one
//! that was rewritten there:
//!
//! - Where nothing was written here since, the upstream is followed, wherever it went: forwards, elsewhere, away.
//! - Where the upstream did not move, what was written here stays.
//! - Where both moved, the upstream wins, and the reflog keeps what was here; but a branch that went away there stays
//!   if it was written to here.
//! - Refs the upstream never had, ephemeral branches, notes and everything else stay as they are.
//!
//! Where what is written here goes to the upstream as well ([`SyncRequest::both_ways`]), nothing is lost on either side:
//!
//! - What was written here, deletions too, stays as long as the upstream did not move.
//! - Where both moved, the side that has the other's commits wins; if neither has, both stay as they are, and the ref is
//!   left out.

use std::collections::BTreeMap;

use packhouse_object::{
    EPHEMERAL_PREFIX, NewObject, ObjectId, ObjectKind, ReadError, Received, RefName, is_ancestor,
};

use crate::change::{Change, RefEdit};
use crate::error::{PublishError, RepoError};
use crate::refs::Refs;
use crate::repository::Repository;
use crate::view::View;

/// Refs and where they point.
pub type RefTargets = BTreeMap<RefName, ObjectId>;

/// A sync to make, once the objects are here.
#[derive(Debug)]
pub struct SyncRequest {
    /// The branches and tags that the upstream has now; others are passed over.
    pub offered: RefTargets,
    /// What it had at the last sync.
    pub recorded: RefTargets,
    /// This ref alone.
    pub only: Option<RefName>,
    /// Whether what is written here goes to the upstream.
    pub both_ways: bool,
    /// Objects that were fetched.
    pub received: Option<Received>,
    /// The line the reflog keeps.
    pub message: String,
}

/// What a sync did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// How many refs moved here.
    pub moved: usize,
    /// What is to be recorded of the upstream, where that changed; `None`: the ref went away there.
    pub record: Vec<(RefName, Option<ObjectId>)>,
    /// Refs that could not follow, and why.
    pub left_out: Vec<(RefName, String)>,
}

/// Whether a ref of an upstream is followed: branches and tags are.
pub fn is_followed(name: &RefName) -> bool {
    let name = name.as_bytes();
    (name.starts_with(b"refs/heads/") || name.starts_with(b"refs/tags/"))
        && !name.starts_with(EPHEMERAL_PREFIX.as_bytes())
}

impl Repository {
    /// Moves refs to where the upstream has them, with the objects they need, as one change. Safe to do twice.
    pub async fn sync(&self, who: &str, request: SyncRequest) -> Result<Synced, RepoError> {
        let mut request = request;
        let (fetched, packs) = match request.received.take() {
            Some(Received::Small(objects)) => (objects, Vec::new()),
            Some(Received::Large(pack)) => (Vec::new(), vec![pack]),
            None => (Vec::new(), Vec::new()),
        };
        let decided = self
            .publish(who, packs, move |view| decide(view, &request, &fetched))
            .await;
        match decided {
            Ok((synced, _)) => Ok(synced),
            Err(PublishError::Refused(error)) => Err(RepoError::Read(error)),
            Err(PublishError::Repo(error)) => Err(error),
        }
    }
}

fn decide(
    view: &View,
    sync: &SyncRequest,
    fetched: &[NewObject],
) -> Result<(Change, Synced), ReadError> {
    let objects_alone = Change {
        objects: fetched.to_vec(),
        edits: Vec::new(),
    };
    let with_fetched = view.with_change(&objects_alone, 0)?;
    let mut plan = Plan {
        view: &with_fetched,
        refs: view.refs().clone(),
        sync,
        edits: Vec::new(),
        synced: Synced::default(),
    };
    // What goes away first: it may be in the way of what comes.
    plan.follow_deletions();
    plan.follow_moves()?;
    let Plan { edits, synced, .. } = plan;
    let mut objects = Vec::new();
    if !edits.is_empty() {
        for object in fetched {
            // The database knows the empty tree by heart; git wants it stored where something names it.
            if object.id.is_empty_tree() || !view.database().contains(&object.id)? {
                objects.push(object.clone());
            }
        }
    }
    Ok((Change { objects, edits }, synced))
}

struct Plan<'a> {
    /// The repository, with the objects that were fetched.
    view: &'a View,
    /// The refs as they will be.
    refs: Refs,
    sync: &'a SyncRequest,
    edits: Vec<RefEdit>,
    synced: Synced,
}

/// What becomes of one ref.
enum Fate {
    Stays,
    Moves,
    LeftOut(String),
}

impl Plan<'_> {
    fn is_asked_for(&self, name: &RefName) -> bool {
        is_followed(name) && self.sync.only.as_ref().is_none_or(|only| only == name)
    }

    fn local(&self, name: &RefName) -> Option<ObjectId> {
        self.refs.get(name).map(|entry| entry.target)
    }

    fn follow_deletions(&mut self) {
        for (name, recorded) in &self.sync.recorded {
            if !self.is_asked_for(name) || self.sync.offered.contains_key(name) {
                continue;
            }
            if self.local(name) == Some(*recorded) {
                self.edit(name, None);
            }
            self.synced.record.push((name.clone(), None));
        }
    }

    fn follow_moves(&mut self) -> Result<(), ReadError> {
        for (name, target) in &self.sync.offered {
            if !self.is_asked_for(name) {
                continue;
            }
            let recorded = self.sync.recorded.get(name).copied();
            match self.fate(name, *target, recorded)? {
                Fate::Stays => {}
                Fate::Moves => self.edit(name, Some(*target)),
                Fate::LeftOut(reason) => {
                    self.synced.left_out.push((name.clone(), reason));
                    continue;
                }
            }
            if recorded != Some(*target) {
                self.synced.record.push((name.clone(), Some(*target)));
            }
        }
        Ok(())
    }

    fn fate(
        &self,
        name: &RefName,
        target: ObjectId,
        recorded: Option<ObjectId>,
    ) -> Result<Fate, ReadError> {
        let local = self.local(name);
        if local == Some(target) {
            return Ok(Fate::Stays);
        }
        // Written to here, and not moved there. A branch that was deleted here comes back, unless that goes there.
        if recorded == Some(target) && (local.is_some() || self.sync.both_ways) {
            return Ok(Fate::Stays);
        }
        if let Some(reason) = self.unfit(name, target)? {
            return Ok(Fate::LeftOut(reason));
        }
        let Some(local) = local else {
            return Ok(match self.refs.in_the_way(name) {
                Some(other) => Fate::LeftOut(format!("`{other}` of this repository is in its way")),
                None => Fate::Moves,
            });
        };
        if recorded.is_none() && !self.is_forward(local, target)? {
            if self.sync.both_ways && self.is_forward(target, local)? {
                return Ok(Fate::Stays);
            }
            // It was here before the upstream had one of that name.
            let reason = "this repository has another of that name".to_owned();
            return Ok(Fate::LeftOut(reason));
        }
        if self.sync.both_ways && recorded.is_some() && recorded != Some(local) {
            return self.fate_of_both(local, target);
        }
        Ok(Fate::Moves)
    }

    /// Both have moved a ref: whoever has the other's commits goes on.
    fn fate_of_both(&self, local: ObjectId, target: ObjectId) -> Result<Fate, ReadError> {
        if self.is_forward(local, target)? {
            return Ok(Fate::Moves);
        }
        if self.is_forward(target, local)? {
            return Ok(Fate::Stays);
        }
        Ok(Fate::LeftOut(
            "the upstream has commits that are not here, and the other way round; merge them here or there".to_owned(),
        ))
    }

    /// Why a ref of an upstream can be none of ours.
    fn unfit(&self, name: &RefName, target: ObjectId) -> Result<Option<String>, ReadError> {
        let database = self.view.database();
        let Some(header) = database.header(&target)? else {
            return Ok(Some("its object did not come".to_owned()));
        };
        if name.branch_short().is_some() && header.kind != ObjectKind::Commit {
            return Ok(Some("a branch has to be at a commit".to_owned()));
        }
        if header.kind == ObjectKind::Tag {
            match database.peel(target) {
                Ok(_) => {}
                Err(error @ ReadError::TagsTooDeep { .. }) => return Ok(Some(error.to_string())),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn is_forward(&self, old: ObjectId, new: ObjectId) -> Result<bool, ReadError> {
        let database = self.view.database();
        let kind =
            |id: ObjectId| Ok::<_, ReadError>(database.header(&id)?.map(|header| header.kind));
        if kind(old)? != Some(ObjectKind::Commit) || kind(new)? != Some(ObjectKind::Commit) {
            return Ok(false);
        }
        is_ancestor(database, old, new)
    }

    fn edit(&mut self, name: &RefName, new: Option<ObjectId>) {
        self.edits.push(RefEdit {
            name: name.clone(),
            old: self.local(name),
            new,
            message: self.sync.message.clone(),
        });
        self.synced.moved += 1;
        match new {
            Some(target) => self.refs.set(name.clone(), target, None, 0),
            None => self.refs.remove(name),
        }
    }
}
