//! Merging another snapshot into a branch, with conflicts as values.

use std::collections::BTreeMap;

use bstr::BString;
use bytes::Bytes;
use packhouse_object::{NewObject, ObjectId, ObjectKind, is_ancestor};

use super::message::{format_message, new_commit};
use super::{
    ChangeReport, CommitOptions, Edits, FileType, NewContent, Snapshot, Store, StoreError,
};
use crate::directory::{Bring, Step};
use crate::merge::{
    Conflict, ConflictStyle, MergeError, MergeFavor, MergedChanges, TreeMergeOptions, merge_base,
    merge_changes,
};

/// How a snapshot is merged.
#[derive(Clone, Debug, Default)]
pub struct MergeOptions {
    /// What both come from; found out if missing.
    pub base: Option<Snapshot>,
    /// The message, perhaps with placeholders; `Merge <their label>` if missing or empty.
    pub message: Option<String>,
    /// What this side is called in conflict marks; its branch, or the beginning of its id, if missing.
    pub our_label: Option<String>,
    /// What the other side is called; as above.
    pub their_label: Option<String>,
    /// How conflicts are written into texts.
    pub style: ConflictStyle,
    /// Whether a side wins where both changed the same.
    pub favor: MergeFavor,
    /// What stands at a path in the end, whatever the merge says; `None`: nothing. A conflict there is settled.
    pub resolutions: BTreeMap<BString, Option<(NewContent, FileType)>>,
    /// Follow files that a side renamed and folders that it moved, as Git does without settings.
    pub renames: bool,
    /// Merge histories that have nothing in common.
    pub allow_unrelated: bool,
    /// Commit nothing; only say what would be in conflict.
    pub dry_run: bool,
}

/// How a merge ended.
#[derive(Clone, Debug)]
pub struct MergeOutcome {
    /// The merged state of the branch; `None` if conflicts are left, or in a dry run.
    pub snapshot: Option<Snapshot>,
    /// What is left to decide, in the order of the paths.
    pub conflicts: Vec<Conflict>,
    /// Merged texts that are not in the store, those with conflict marks among them.
    texts: BTreeMap<ObjectId, Bytes>,
}

impl MergeOutcome {
    /// Whether nothing is left to decide.
    pub fn is_clean(&self) -> bool {
        self.conflicts.is_empty()
    }

    /// What stands in the place of a conflict: a text with conflict marks, or the file of one side. `None` if that
    /// is no text made by the merge; then its id is in [`Conflict::merged`].
    pub fn text(&self, conflict: &Conflict) -> Option<&Bytes> {
        self.texts.get(&conflict.merged?.1)
    }
}

impl Snapshot {
    /// Merges `other` into the branch of this snapshot: one commit whose parents are both, made only if nothing is in
    /// conflict. If `other` is part of this history already, the snapshot itself is returned.
    ///
    /// Unless [`MergeOptions::renames`] is set, renames are not followed: a file that one side moved and the other changed
    /// is a conflict.
    ///
    /// ```
    /// # use packhouse_repo::store::{
    /// #     Create, FileType, MergeOptions, NewContent, Store, StoreError, StoreOptions, WriteOptions,
    /// # };
    /// # fn main() -> Result<(), StoreError> {
    /// # let folder = tempfile::tempdir().expect("a temporary folder can be made");
    /// # let create = Create::New { branch: Some("main".to_owned()) };
    /// # let options = StoreOptions { create, ..StoreOptions::default() };
    /// # let store = Store::open(folder.path().join("data.git"), options)?;
    /// let main = store.branches().get("main")?;
    /// let side = store.branches().set("side", &main)?;
    /// let main = main.write("a.txt", b"here", &WriteOptions::default())?;
    /// let side = side.write("a.txt", b"there", &WriteOptions::default())?;
    ///
    /// let tried = main.merge(&side, &MergeOptions::default())?;
    /// assert!(tried.snapshot.is_none());
    /// assert_eq!(tried.conflicts[0].path, "a.txt");
    ///
    /// let mut options = MergeOptions::default();
    /// let both = NewContent::Bytes(b"here and there".to_vec());
    /// options.resolutions.insert("a.txt".into(), Some((both, FileType::Blob)));
    /// let merged = main.merge(&side, &options)?.snapshot.expect("nothing is left to decide");
    /// assert_eq!(merged.parents(), [main.commit(), side.commit()]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge(
        &self,
        other: &Snapshot,
        options: &MergeOptions,
    ) -> Result<MergeOutcome, StoreError> {
        if !options.dry_run {
            self.check_writable("write to")?;
        }
        if !self.store().same_repository(other.store()) {
            return Err(StoreError::invalid(
                "the snapshot to merge is of another repository",
            ));
        }
        // The newest objects: the other snapshot may be younger than this one.
        let database = self.store().database()?;
        if options.base.is_none() && is_ancestor(&database, other.commit(), self.commit())? {
            return Ok(MergeOutcome {
                snapshot: (!options.dry_run).then(|| self.with_changes(None)),
                conflicts: Vec::new(),
                texts: BTreeMap::new(),
            });
        }
        let tree_options = tree_options(self, other, options);
        let (database, base) = match &options.base {
            Some(base) => (database, Some(base.tree())),
            None => {
                let (ours, theirs) = (self.commit(), other.commit());
                let unrelated = options.allow_unrelated;
                let found = merge_base(&database, ours, theirs, unrelated, &tree_options)?;
                (found.database, found.tree)
            }
        };
        let merged = merge_changes(&database, base, self.tree(), other.tree(), &tree_options)?;
        let MergedChanges {
            edits,
            objects,
            mut conflicts,
        } = merged;
        conflicts.retain(|conflict| {
            let at = conflict.original_path.as_ref().unwrap_or(&conflict.path);
            !options.resolutions.contains_key(at)
                && !options.resolutions.contains_key(&conflict.path)
        });
        if !conflicts.is_empty() || options.dry_run {
            let text = |object: NewObject| (object.id, object.data);
            return Ok(MergeOutcome {
                snapshot: None,
                conflicts,
                texts: objects.into_iter().map(text).collect(),
            });
        }
        let mut all = Edits::new(self.store());
        for object in objects {
            all.sink.add_object(object)?;
        }
        for (path, stage) in edits {
            let change = stage.map(|(mode, id)| (FileType::from_mode(mode.bits()), id));
            all.entries.insert(path, change);
        }
        for (path, content) in options.resolutions.clone() {
            match content {
                Some((content, file_type)) => all.put(&path, content, Some(file_type))?,
                None => all.remove(&path)?,
            }
        }
        let message = match options.message.as_deref() {
            // A brace would begin a placeholder.
            None | Some("") => format!("Merge {}", tree_options.their_label)
                .replace('{', "{{")
                .replace('}', "}}"),
            Some(message) => message.to_owned(),
        };
        let merged = self.commit_edits(
            all,
            CommitOptions {
                message: Some(message.clone()),
                operation: Some("merge".to_owned()),
                parents: vec![other.commit()],
                ..CommitOptions::default()
            },
        )?;
        // Where nothing changes there was no commit, and so nothing that says that the other is merged.
        let snapshot = match merged.commit() == self.commit() {
            true => self.record_merge(other, &message)?,
            false => merged,
        };
        Ok(MergeOutcome {
            snapshot: Some(snapshot),
            conflicts: Vec::new(),
            texts: BTreeMap::new(),
        })
    }

    /// A commit of the same tree that follows both.
    fn record_merge(&self, other: &Snapshot, message: &str) -> Result<Snapshot, StoreError> {
        let branch = self.check_writable("write to")?;
        let store = self.store();
        store.check_parents(&[other.commit()])?;
        let nothing = ChangeReport::default();
        let style = store.inner.options.messages;
        let message = format_message(Some(message), &nothing, Some("merge"), style)?;
        let parents = vec![self.commit(), other.commit()];
        let commit = new_commit(
            self.tree(),
            parents,
            store.identity(),
            message.clone().into(),
        );
        let object = NewObject::new(ObjectKind::Commit, commit.encode())?;
        let id = object.id;
        let bring = Bring {
            objects: vec![object.clone()],
            ..Bring::default()
        };
        self.move_branch(
            branch,
            &[Step::new(id, format!("commit: {message}"))],
            bring,
        )?;
        store.inner.directory.remember(&object);
        let snapshot = Snapshot::of(store, self.database().clone(), id, commit);
        Ok(snapshot.bound(self.ref_name.clone(), true))
    }
}

impl Store {
    /// What two snapshots come from: their best common ancestors, newest first.
    pub fn merge_bases(&self, a: &Snapshot, b: &Snapshot) -> Result<Vec<Snapshot>, StoreError> {
        let database = self.database()?;
        let bases = packhouse_object::merge_bases(&database, a.commit(), b.commit())?;
        let load = |id: ObjectId| Snapshot::load(self, database.clone(), id);
        bases.into_iter().map(load).collect()
    }
}

fn tree_options(ours: &Snapshot, theirs: &Snapshot, options: &MergeOptions) -> TreeMergeOptions {
    let label = |given: &Option<String>, snapshot: &Snapshot| -> BString {
        match (given, snapshot.ref_name()) {
            (Some(label), _) => label.as_str().into(),
            (None, Some(name)) => name.into(),
            (None, None) => snapshot.commit().to_hex_with_len(7).to_string().into(),
        }
    };
    TreeMergeOptions {
        our_label: label(&options.our_label, ours),
        their_label: label(&options.their_label, theirs),
        style: options.style,
        favor: options.favor,
        renames: options.renames,
        ..TreeMergeOptions::default()
    }
}

impl From<MergeError> for StoreError {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::Read(error) => error.into(),
            MergeError::Collision(error) => error.into(),
            MergeError::Unrelated | MergeError::Path { .. } => {
                StoreError::invalid(error.to_string())
            }
            error => StoreError::Failed {
                reason: error.to_string(),
            },
        }
    }
}
