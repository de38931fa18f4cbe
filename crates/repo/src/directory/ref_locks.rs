//! Locking the refs that a transaction changes, all of them or none.
//!
//! Locks are taken in one order, and given up again if one is not to be had soon, so that two writers do
//! not wait for each other. Two that are about to make `a` and `a/b` do not both get their locks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::RefName;

use super::durable::remove_empty_tree;
use super::error::DirectoryError;
use super::lock::{LockFile, NotLocked, lock_path};
use super::loose_refs::RawRef;
use super::patience::Patience;
use super::ref_store::{Head, RefStore, SYMBOLIC_DEPTH_MAX};

/// How long a lock is waited for while others are held. Git, which takes locks in an order of its own,
/// gives up after 100 ms.
const WAIT_HOLDING: Duration = Duration::from_millis(40);

/// Refs that are locked, until this is dropped.
#[derive(Debug)]
pub(super) struct LockedRefs<'a> {
    pub(super) store: &'a RefStore,
    /// By the name of the ref, or `HEAD`.
    pub(super) locks: BTreeMap<BString, LockFile>,
    /// What each requested name stands for.
    pub(super) routes: BTreeMap<RefName, Route>,
    /// How each was asked for.
    names: BTreeMap<RefName, Symbolic>,
}

/// What an edit of a symbolic ref is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbolic {
    /// The ref that it leads to.
    Follow,
    /// The symbolic ref itself, whatever it leads to: `--no-deref` in Git.
    Itself,
}

/// Where an edit of a ref lands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The ref that holds an object id, or will.
    pub(super) name: RefName,
    /// Symbolic refs that led there, `HEAD` among them. Their reflogs get the move too.
    pub(super) through: Vec<BString>,
}

/// What came of locking several refs.
enum Taken {
    All(BTreeMap<BString, LockFile>),
    None { in_the_way: PathBuf },
}

impl RefStore {
    /// Locks the refs that edits of `names` would change, waiting for other holders.
    pub(super) fn lock(
        &self,
        names: &BTreeMap<RefName, Symbolic>,
    ) -> Result<LockedRefs<'_>, DirectoryError> {
        let mut patience = Patience::new(self.lock_timeout);
        loop {
            let routes = self.routes(names)?;
            let in_the_way = match self.take_locks(&in_order(&routes), &mut patience)? {
                // A symbolic ref may have changed before it was locked.
                Taken::All(locks) if self.routes(names)? == routes => {
                    return Ok(LockedRefs {
                        store: self,
                        locks,
                        routes,
                        names: names.clone(),
                    });
                }
                Taken::All(_) => lock_path(&self.path("HEAD".into())),
                Taken::None { in_the_way } => in_the_way,
            };
            patience.wait(&in_the_way)?;
        }
    }

    fn routes(
        &self,
        names: &BTreeMap<RefName, Symbolic>,
    ) -> Result<BTreeMap<RefName, Route>, DirectoryError> {
        let head = self.any_head()?;
        let mut routes = BTreeMap::new();
        for (requested, symbolic) in names {
            let mut route = Route {
                name: requested.clone(),
                through: Vec::new(),
            };
            while *symbolic == Symbolic::Follow
                && let Some(RawRef::Symbolic(target)) = self.raw(route.name.as_bstr())?
            {
                let path = self.path(route.name.as_bstr());
                if route.through.len() == SYMBOLIC_DEPTH_MAX {
                    return Err(DirectoryError::Damaged {
                        path,
                        reason: "too many symbolic refs in a row".to_owned(),
                    });
                }
                let target = RefName::parse(&target).map_err(|error| DirectoryError::Damaged {
                    path,
                    reason: error.to_string(),
                })?;
                route.through.push(
                    std::mem::replace(&mut route.name, target)
                        .as_bstr()
                        .to_owned(),
                );
            }
            if head == Head::Branch(route.name.clone()) {
                route.through.push("HEAD".into());
            }
            routes.insert(requested.clone(), route);
        }
        Ok(routes)
    }

    /// Takes all locks; or none, if someone is about to make a ref whose name is a part of one of these,
    /// or the other way round.
    fn take_locks(
        &self,
        names: &[BString],
        patience: &mut Patience,
    ) -> Result<Taken, DirectoryError> {
        let mut locks = BTreeMap::new();
        for name in names {
            let path = self.path(name.as_bstr());
            let taken = match locks.is_empty() {
                true => self.take_lock(&path, patience),
                false => self.take_lock(&path, &mut patience.at_most(WAIT_HOLDING)),
            };
            match taken {
                Ok(lock) => locks.insert(name.clone(), lock),
                Err(NotLocked::Error(DirectoryError::Locked { lock, .. })) if !locks.is_empty() => {
                    return Ok(Taken::None { in_the_way: lock });
                }
                Err(NotLocked::Error(error)) => return Err(error),
                Err(NotLocked::FileInTheWay) => match self.ref_above(name.as_bstr())? {
                    Some(existing) => return Err(conflict(name.as_bstr(), existing.as_bstr())),
                    None => {
                        return Ok(Taken::None {
                            in_the_way: lock_path(&path),
                        });
                    }
                },
            };
        }
        // Both of two such writers have their lock before they look, so at least one sees the other.
        for name in names {
            for above in names_above(name.as_bstr()) {
                let other = lock_path(&self.path(above));
                if !locks.contains_key(above) && other.exists() {
                    return Ok(Taken::None { in_the_way: other });
                }
            }
            let path = self.path(name.as_bstr());
            if !path.is_dir() || self.is_top_folder(&path) || remove_empty_tree(&path).is_ok() {
                continue;
            }
            let below = first_matching(&path, &|_| true)
                .filter(|below| below.extension().is_some_and(|suffix| suffix == "lock"));
            if let Some(below) = below
                && !locks.values().any(|lock| lock_path(lock.path()) == below)
            {
                return Ok(Taken::None { in_the_way: below });
            }
        }
        Ok(Taken::All(locks))
    }

    /// A ref with a file whose name is a part of `name`.
    fn ref_above(&self, name: &BStr) -> Result<Option<BString>, DirectoryError> {
        for above in names_above(name) {
            if self.raw(above)?.is_some() {
                return Ok(Some(above.to_owned()));
            }
        }
        Ok(None)
    }
}

impl LockedRefs<'_> {
    /// Whether edits of all these refs can be made under the locks held.
    pub(super) fn cover(&self, names: &BTreeMap<RefName, Symbolic>) -> bool {
        let is_held = |(name, symbolic)| self.names.get(name) == Some(symbolic);
        names.iter().all(is_held)
    }
}

/// The locks for some edits, in the order that Git takes those for one edit: symbolic refs, what they
/// lead to, `HEAD`.
fn in_order(routes: &BTreeMap<RefName, Route>) -> Vec<BString> {
    let symbolic: BTreeSet<_> = routes
        .values()
        .flat_map(|route| &route.through)
        .filter(|name| *name != "HEAD")
        .collect();
    let refs: BTreeSet<_> = routes
        .values()
        .map(|route| route.name.as_bstr().to_owned())
        .collect();
    let head = routes
        .values()
        .flat_map(|route| &route.through)
        .find(|name| *name == "HEAD");
    symbolic
        .into_iter()
        .cloned()
        .chain(refs)
        .chain(head.cloned())
        .collect()
}

/// The error for a ref whose name is a part of another's, or the other way round.
pub(super) fn conflict(name: &BStr, existing: &BStr) -> DirectoryError {
    DirectoryError::NameConflict {
        name: name.to_string(),
        existing: existing.to_string(),
    }
}

/// `refs/a` and `refs/a/b` for `refs/a/b/c`.
pub(super) fn names_above(name: &BStr) -> impl Iterator<Item = &BStr> {
    name.find_iter(b"/").skip(1).map(|at| name[..at].as_bstr())
}

/// A file anywhere below a folder that is `wanted`.
pub(super) fn first_matching(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => first_matching(&path, wanted),
            _ => wanted(&path).then_some(path),
        }
    })
}
