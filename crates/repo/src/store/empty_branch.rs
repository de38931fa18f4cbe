//! A branch without files and without history, and one that is the first of its repository.

use bytes::Bytes;
use packhouse_object::{NewObject, ObjectId, ObjectKind, ProcessMark, RefName};

use super::message::new_commit;
use super::open::full_name;
use super::{RefKind, RefMap, Snapshot, Store, StoreError};
use crate::change::{Change, RefEdit};
use crate::given_up::unasked;

impl RefMap {
    /// Points a branch to a new commit that holds nothing and follows nothing, wherever the branch was before.
    pub fn set_empty(&self, name: &str) -> Result<Snapshot, StoreError> {
        self.only_branches("a first commit")?;
        let full = full_name(self.kind(), name)?;
        set_empty(self.store(), name, &full, Over::Anything)?;
        self.get(name)
    }
}

/// The first branch of a repository, made for a piece of work. It is taken back when this is dropped, unless it was kept or
/// somebody has written to it.
#[derive(Debug)]
pub struct FirstBranch {
    store: Store,
    /// `None` once it is not to be taken back.
    made: Option<Made>,
    made_in: ProcessMark,
}

#[derive(Debug)]
struct Made {
    name: RefName,
    commit: ObjectId,
    /// The branch that `HEAD` waited for, if it was another one.
    head: Option<RefName>,
}

impl Store {
    /// Makes an empty branch for work that may fail, in a repository without branches; `None` if it has any. `HEAD` is pointed
    /// to the branch unless it is detached: nothing else may name the commit that it names.
    ///
    /// ```
    /// # use packhouse_repo::store::{Create, Store, StoreError, StoreOptions, WriteOptions};
    /// # fn main() -> Result<(), StoreError> {
    /// # let folder = tempfile::tempdir().expect("a temporary folder can be made");
    /// # let create = Create::New { branch: None };
    /// # let options = StoreOptions { create, ..StoreOptions::default() };
    /// # let store = Store::open(folder.path().join("data.git"), options)?;
    /// let first = store.begin("main")?;
    /// assert!(first.is_some() && store.begin("other")?.is_none());
    /// let main = store.branches().get("main")?;
    /// assert!(main.write("../a", b"", &WriteOptions::default()).is_err());
    /// drop(first);
    /// assert!(store.branches().is_empty()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin(&self, branch: &str) -> Result<Option<FirstBranch>, StoreError> {
        let branches = self.branches();
        let name = full_name(branches.kind(), branch)?;
        let _turn = self.exclusive()?;
        let Some(commit) = set_empty(self, branch, &name, Over::NoBranches)? else {
            return Ok(None);
        };
        let directory = &self.inner.directory;
        let head = directory.head_branch()?.filter(|head| *head != name);
        if head.is_some() {
            directory.set_head(&name)?;
        }
        let made = Some(Made { name, commit, head });
        let store = self.clone();
        let made_in = ProcessMark::here();
        Ok(Some(FirstBranch {
            store,
            made,
            made_in,
        }))
    }
}

impl FirstBranch {
    /// The branch stays.
    pub fn keep(mut self) {
        self.made = None;
    }

    /// Takes the branch back, and returns whether it is gone. One that somebody has written to is kept.
    pub fn take_back(mut self) -> Result<bool, StoreError> {
        match self.made.take().filter(|_| self.made_in.is_here()) {
            Some(made) => unasked(|| take_back(&self.store, &made)),
            None => Ok(false),
        }
    }
}

impl Drop for FirstBranch {
    fn drop(&mut self) {
        if let Some(made) = self.made.take()
            && self.made_in.is_here()
        {
            // Whatever led here says more than that something is left.
            let _ = unasked(|| take_back(&self.store, &made));
        }
    }
}

/// Where a branch may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// Wherever it was before.
    Anything,
    /// Where there are none: somebody may just have made one.
    NoBranches,
}

/// Points a branch to a new commit without files and parents. Returns the commit, unless it may not be made.
fn set_empty(
    store: &Store,
    short: &str,
    name: &RefName,
    over: Over,
) -> Result<Option<ObjectId>, StoreError> {
    let tree = NewObject::new(ObjectKind::Tree, Bytes::new())?;
    let message = format!("Initialize {short}");
    let commit = new_commit(tree.id, Vec::new(), store.identity(), message.into());
    let commit = NewObject::new(ObjectKind::Commit, commit.encode())?;
    let _turn = store.exclusive()?;
    let (is_made, _) = store.publish(Vec::new(), |view| {
        let mut branches = view.refs().prefixed(RefKind::Branch.prefix());
        if over == Over::NoBranches && branches.next().is_some() {
            return Ok((Change::default(), false));
        }
        let edit = RefEdit {
            name: name.clone(),
            old: view.refs().get(name).map(|present| present.target),
            new: Some(commit.id),
            message: "branch: Created empty".to_owned(),
        };
        let change = Change {
            objects: vec![tree.clone(), commit.clone()],
            edits: vec![edit],
        };
        Ok((change, true))
    })?;
    Ok(is_made.then_some(commit.id))
}

fn take_back(store: &Store, made: &Made) -> Result<bool, StoreError> {
    let Made { name, commit, head } = made;
    let _turn = store.exclusive()?;
    let directory = &store.inner.directory;
    // What was written and undone can be redone.
    if directory.has_reflog(name) && directory.reflog_of(name)?.len() > 1 {
        return Ok(false);
    }
    let (is_gone, _) = store.publish(Vec::new(), |view| {
        let is_as_made = view.refs().get(name).map(|present| present.target) == Some(*commit);
        let edit = RefEdit {
            name: name.clone(),
            old: Some(*commit),
            new: None,
            message: "branch: deleted".to_owned(),
        };
        let change = Change {
            objects: Vec::new(),
            edits: if is_as_made { vec![edit] } else { Vec::new() },
        };
        Ok((change, is_as_made))
    })?;
    if let Some(head) = head
        && is_gone
        && directory.head_branch()?.as_ref() == Some(name)
    {
        directory.set_head(head)?;
    }
    Ok(is_gone)
}
