//! Branches and tags as maps from names to snapshots.

use std::sync::Arc;

use bstr::ByteSlice;
use packhouse_object::ObjectKind;

use super::open::{full_name, short_name};
use super::{Snapshot, Store, StoreError};
use crate::change::{Change, RefEdit};
use crate::ref_text::ref_text;

/// Which refs a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// `refs/heads/`.
    Branch,
    /// `refs/tags/`.
    Tag,
}

impl RefKind {
    /// What stands before the names in the repository.
    pub fn prefix(self) -> &'static [u8] {
        match self {
            RefKind::Branch => b"refs/heads/",
            RefKind::Tag => b"refs/tags/",
        }
    }
}

/// The branches, or the tags, of a store. Each call sees the newest state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RefMap {
    store: Store,
    kind: RefKind,
}

impl RefMap {
    pub(super) fn new(store: &Store, kind: RefKind) -> RefMap {
        RefMap {
            store: store.clone(),
            kind,
        }
    }

    /// Which refs it holds.
    pub fn kind(&self) -> RefKind {
        self.kind
    }

    /// The store they are in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The names, sorted by bytes. One that is not UTF-8 is quoted, as by [`ref_text`](crate::ref_text), and is taken so
    /// wherever a name is asked for.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let view = self.store.view()?;
        let refs = view.refs().prefixed(self.kind.prefix());
        Ok(refs
            .filter_map(|(name, _)| short_name(self.kind, name))
            .collect())
    }

    /// How many there are.
    pub fn len(&self) -> Result<usize, StoreError> {
        Ok(self.names()?.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    /// Whether there is one of this name.
    pub fn contains(&self, name: &str) -> Result<bool, StoreError> {
        let Ok(name) = full_name(self.kind, name) else {
            return Ok(false);
        };
        let is_there = self.store.inner.directory.ref_target(&name)?.is_some();
        if !is_there {
            self.store.check_there()?;
        }
        Ok(is_there)
    }

    /// Whether something could be called so.
    pub fn check_name(&self, name: &str) -> Result<(), StoreError> {
        full_name(self.kind, name).map(drop)
    }

    /// The snapshot a branch or tag names; one of a branch can be written.
    pub fn get(&self, name: &str) -> Result<Snapshot, StoreError> {
        self.find(name)?.ok_or_else(|| self.no_such(name))
    }

    /// As [`RefMap::get`]; `None` if there is no such ref.
    pub(super) fn find(&self, name: &str) -> Result<Option<Snapshot>, StoreError> {
        let Ok(full) = full_name(self.kind, name) else {
            return Ok(None);
        };
        let Some(target) = self.store.inner.directory.ref_target(&full)? else {
            self.store.check_there()?;
            return Ok(None);
        };
        let database = self.store.database()?;
        let (id, kind) = database.peel(target)?;
        if kind != ObjectKind::Commit {
            let what = match self.kind {
                RefKind::Branch => "Branch",
                RefKind::Tag => "Tag",
            };
            return Err(StoreError::invalid(format!(
                "{what} '{name}' does not point to a commit"
            )));
        }
        let snapshot = Snapshot::load(&self.store, database, id)?;
        Ok(Some(self.bound(snapshot, name)))
    }

    pub(super) fn bound(&self, snapshot: Snapshot, name: &str) -> Snapshot {
        let name: Arc<str> = name.into();
        snapshot.bound(Some(name), self.kind == RefKind::Branch)
    }

    pub(super) fn no_such(&self, name: &str) -> StoreError {
        let name = name.to_owned();
        match self.kind {
            RefKind::Branch => StoreError::NoSuchBranch { name },
            RefKind::Tag => StoreError::NoSuchTag { name },
        }
    }

    pub(super) fn only_branches(&self, what: &str) -> Result<(), StoreError> {
        match self.kind {
            RefKind::Branch => Ok(()),
            RefKind::Tag => Err(StoreError::invalid(format!("Tags do not have {what}"))),
        }
    }

    /// Points a name to a snapshot of this repository and returns the snapshot found through it.
    ///
    /// A branch is moved wherever it was; a tag that exists is [`StoreError::TagExists`]. A commit that a collection removed
    /// meanwhile (`git gc --prune=now`), since no ref led to it, is an error, and nothing is moved.
    pub fn set(&self, name: &str, snapshot: &Snapshot) -> Result<Snapshot, StoreError> {
        let full = full_name(self.kind, name)?;
        if !self.store.same_repository(snapshot.store()) {
            return Err(StoreError::invalid(
                "the snapshot belongs to another repository",
            ));
        }
        let _turn = self.store.exclusive()?;
        let target = snapshot.commit();
        let subject = snapshot.message().lines().next().unwrap_or_default();
        let subject = subject.to_str_lossy();
        let kind = self.kind;
        self.store.move_to_commit(target, |view| {
            let old = view.refs().get(&full).map(|present| present.target);
            if old.is_some() && kind == RefKind::Tag {
                return Err(StoreError::TagExists {
                    name: name.to_owned(),
                });
            }
            let verb = match old {
                Some(_) => "set to",
                None => "Created from",
            };
            let edit = RefEdit {
                name: full.clone(),
                old,
                new: Some(target),
                message: format!("branch: {verb} {subject}"),
            };
            Ok((old != Some(target)).then_some(edit))
        })?;
        let found = Snapshot {
            data: snapshot.data.clone(),
            ..snapshot.detached()
        };
        Ok(self.bound(found, name))
    }

    /// Deletes a branch or tag, which must exist, with its reflog. One that stands for another ref (`git symbolic-ref`) is
    /// deleted itself, also where that other one is gone.
    pub fn delete(&self, name: &str) -> Result<(), StoreError> {
        let full = full_name(self.kind, name).map_err(|_| self.no_such(name))?;
        let _turn = self.store.exclusive()?;
        self.store.publish(Vec::new(), |view| {
            let old = view.refs().get(&full).map(|present| present.target);
            if old.is_none() && !self.store.inner.directory.is_symbolic(&full)? {
                return Err(self.no_such(name));
            }
            let edit = RefEdit {
                name: full.clone(),
                old,
                new: None,
                message: "branch: deleted".to_owned(),
            };
            let (objects, edits) = (Vec::new(), vec![edit]);
            Ok((Change { objects, edits }, ()))
        })?;
        Ok(())
    }

    /// The branch `HEAD` names, if it exists.
    pub fn current_name(&self) -> Result<Option<String>, StoreError> {
        self.only_branches("a current name")?;
        let directory = &self.store.inner.directory;
        let Some(name) = directory.head_branch()? else {
            return Ok(None);
        };
        match directory.ref_target(&name)? {
            Some(_) => Ok(short_name(self.kind, &name)),
            None => Ok(None),
        }
    }

    /// The branch that `HEAD` names, whether it exists or not; `None` if it names none: a commit, or nothing that makes
    /// sense.
    pub fn head_name(&self) -> Result<Option<String>, StoreError> {
        self.only_branches("a current name")?;
        let name = self.store.inner.directory.head_branch()?;
        Ok(name.map(|name| {
            let whole = name.as_bytes();
            ref_text(whole.strip_prefix(self.kind.prefix()).unwrap_or(whole))
        }))
    }

    /// The snapshot of the branch `HEAD` names, if it exists.
    pub fn current(&self) -> Result<Option<Snapshot>, StoreError> {
        match self.current_name()? {
            Some(name) => self.find(&name),
            None => Ok(None),
        }
    }

    /// Points `HEAD` to a branch, which must exist.
    pub fn set_current(&self, name: &str) -> Result<(), StoreError> {
        self.only_branches("a current name")?;
        if !self.contains(name)? {
            return Err(self.no_such(name));
        }
        let full = full_name(self.kind, name)?;
        let _turn = self.store.exclusive()?;
        Ok(self.store.inner.directory.set_head(&full)?)
    }
}
