//! A snapshot: the files of one commit, and the ref they were found through.

use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{Commit, Database, ObjectId};

use super::{ChangeReport, Store, StoreError};

/// The files of one commit. Never changes; cheap to clone.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) data: Arc<Data>,
    pub(super) ref_name: Option<Arc<str>>,
    pub(super) writable: bool,
    pub(super) changes: Option<Arc<ChangeReport>>,
}

/// What is the same for all snapshots of a commit.
pub(super) struct Data {
    pub(super) store: Store,
    pub(super) id: ObjectId,
    /// With its text in UTF-8, as far as it can be read.
    pub(super) commit: Commit,
    pub(super) database: Database,
}

impl Snapshot {
    /// The snapshot of a commit whose bytes are in `database`.
    pub(super) fn load(
        store: &Store,
        database: Database,
        id: ObjectId,
    ) -> Result<Snapshot, StoreError> {
        let commit = database.commit(id)?;
        Ok(Snapshot::of(store, database, id, commit))
    }

    /// The snapshot of a commit, detached.
    pub(super) fn of(store: &Store, database: Database, id: ObjectId, commit: Commit) -> Snapshot {
        Snapshot {
            data: Arc::new(Data {
                store: store.clone(),
                id,
                commit: commit.in_utf8(),
                database,
            }),
            ref_name: None,
            writable: false,
            changes: None,
        }
    }

    /// This commit, found through a ref.
    pub(super) fn bound(mut self, ref_name: Option<Arc<str>>, writable: bool) -> Snapshot {
        self.ref_name = ref_name;
        self.writable = writable;
        self
    }

    /// The store it is in.
    pub fn store(&self) -> &Store {
        &self.data.store
    }

    /// The commit.
    pub fn commit(&self) -> ObjectId {
        self.data.id
    }

    /// The commit's folder.
    pub fn tree(&self) -> ObjectId {
        self.data.commit.tree
    }

    /// The branch or tag it was found through; `None` if detached.
    pub fn ref_name(&self) -> Option<&str> {
        self.ref_name.as_deref()
    }

    /// Whether writing is possible, as long as the branch does not move on.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// The commit's message without line breaks at its end, in UTF-8 if the commit says what else it is in.
    pub fn message(&self) -> &BStr {
        self.data
            .commit
            .message
            .trim_end_with(|c| c == '\n')
            .as_bstr()
    }

    /// When the commit was recorded, in seconds since the epoch.
    pub fn seconds(&self) -> i64 {
        self.data.commit.committer.seconds
    }

    /// Minutes east of UTC of whoever recorded the commit.
    pub fn offset_minutes(&self) -> i32 {
        self.data.commit.committer.offset_minutes
    }

    /// When the commit was recorded, as calendars can tell it: seconds since the epoch, no later than the last days of
    /// the year 9999, and minutes east of UTC. An offset of a day or more, which no clock has, is none.
    pub fn calendar_time(&self) -> (i64, i32) {
        const LATEST: i64 = 253_402_207_200;
        let offset = self.offset_minutes();
        let is_real = offset.unsigned_abs() < 24 * 60;
        (self.seconds().min(LATEST), if is_real { offset } else { 0 })
    }

    /// Who made the change.
    pub fn author_name(&self) -> &BStr {
        self.data.commit.author.name.as_bstr()
    }

    /// The address of who made the change.
    pub fn author_email(&self) -> &BStr {
        self.data.commit.author.email.as_bstr()
    }

    /// The commits it follows.
    pub fn parents(&self) -> &[ObjectId] {
        &self.data.commit.parents
    }

    /// What the operation that gave this snapshot changed, or would change in a dry run.
    pub fn changes(&self) -> Option<&ChangeReport> {
        self.changes.as_deref()
    }

    /// The same snapshot with another report.
    pub fn with_changes(&self, changes: Option<ChangeReport>) -> Snapshot {
        Snapshot {
            changes: changes.map(Arc::new),
            ..self.clone()
        }
    }

    /// The objects it reads from.
    pub fn database(&self) -> &Database {
        &self.data.database
    }

    /// The same snapshot, reading from another view of the same objects.
    pub(super) fn reading(self, database: Database) -> Snapshot {
        let Data {
            store, id, commit, ..
        } = &*self.data;
        let data = Data {
            store: store.clone(),
            id: *id,
            commit: commit.clone(),
            database,
        };
        Snapshot {
            data: Arc::new(data),
            ..self
        }
    }

    /// The same files without a ref, read-only.
    pub fn detached(&self) -> Snapshot {
        Snapshot {
            ref_name: None,
            writable: false,
            changes: None,
            ..self.clone()
        }
    }

    /// The error for a write that this snapshot does not allow.
    pub(super) fn check_writable(&self, verb: &'static str) -> Result<&str, StoreError> {
        match (self.writable, self.ref_name()) {
            (true, Some(branch)) => Ok(branch),
            (_, name) => Err(StoreError::ReadOnly {
                verb,
                ref_name: name.map(str::to_owned),
            }),
        }
    }
}

impl PartialEq for Snapshot {
    /// The same commit of the same repository, found the same way.
    fn eq(&self, other: &Self) -> bool {
        self.commit() == other.commit()
            && self.ref_name == other.ref_name
            && self.writable == other.writable
            && self.store().same_repository(other.store())
    }
}

impl Eq for Snapshot {}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("commit", &self.commit())
            .field("ref_name", &self.ref_name())
            .field("writable", &self.writable)
            .finish()
    }
}

const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<(Store, Snapshot, BString)>();
};
