//! Notes: texts about objects, kept beside history in refs of their own, as `git notes` keeps them.
//!
//! Every change is one commit on `refs/notes/<namespace>`. What is written has the object's whole id as its file name;
//! what `git` has spread over folders is found, changed and removed all the same: see [`crate::notes`].

use std::collections::BTreeMap;

use bytes::Bytes;
use packhouse_object::{Database, HashKind, NewObject, ObjectId, ObjectKind, ReadError, RefName};

use super::message::new_commit;
use super::tree_edit::edit_tree;
use super::{FileType, Store, StoreError};
use crate::change::{Change, RefEdit};
use crate::error::RepoError;
use crate::notes;
use crate::view::View;

/// Digits of an id.
const HEX_LEN: usize = 40;

/// The notes of one namespace: a map from object ids to texts. Each call sees the newest state.
#[derive(Clone, Debug)]
pub struct Notes {
    store: Store,
    name: RefName,
}

impl Store {
    /// The notes of a namespace; `commits` is the one that `git notes` uses by itself.
    ///
    /// ```
    /// # use packhouse_repo::store::{Create, Store, StoreError, StoreOptions};
    /// # fn main() -> Result<(), StoreError> {
    /// # let folder = tempfile::tempdir().expect("a temporary folder can be made");
    /// # let create = Create::New { branch: Some("main".to_owned()) };
    /// # let options = StoreOptions { create, ..StoreOptions::default() };
    /// # let store = Store::open(folder.path().join("data.git"), options)?;
    /// let notes = store.notes("commits")?;
    /// notes.set("main", "built and tested")?;
    /// let commit = store.branches().get("main")?.commit().to_string();
    /// assert_eq!(notes.get(&commit)?, "built and tested");
    /// # Ok(())
    /// # }
    /// ```
    pub fn notes(&self, namespace: &str) -> Result<Notes, StoreError> {
        let name = RefName::parse(format!("refs/notes/{namespace}")).map_err(|error| {
            StoreError::BadRefName {
                name: namespace.to_owned(),
                reason: error.problem.to_string(),
            }
        })?;
        Ok(Notes {
            store: self.clone(),
            name,
        })
    }
}

impl Notes {
    /// The ref they are kept in.
    pub fn ref_name(&self) -> &RefName {
        &self.name
    }

    /// The id a key stands for: 40 lower-case digits are one, whether there is such an object or not; else the
    /// commit of the branch or tag of that name.
    pub fn resolve_key(&self, key: &str) -> Result<ObjectId, StoreError> {
        if let Some(id) = parse_key(key) {
            return Ok(id);
        }
        let named = match self.store.branches().find(key)? {
            None => self.store.tags().find(key)?,
            found => found,
        };
        named.map(|snapshot| snapshot.commit()).ok_or_else(|| {
            StoreError::invalid(format!(
                "Invalid note key: '{key}' is neither a 40-char lowercase hex hash nor a branch or tag"
            ))
        })
    }

    /// The text about an object.
    pub fn get(&self, key: &str) -> Result<String, StoreError> {
        let id = self.resolve_key(key)?;
        let (database, tree) = self.tree()?;
        let text = match tree {
            Some(tree) => notes::text(&database, tree, &id)?,
            None => None,
        };
        let text = text.ok_or_else(|| no_such_note(&id))?;
        String::from_utf8(text.into())
            .map_err(|_| StoreError::invalid(format!("the note of {id} is not valid UTF-8")))
    }

    /// Whether there is a text about an object; a key that can be none has none.
    pub fn contains(&self, key: &str) -> Result<bool, StoreError> {
        let id = match self.resolve_key(key) {
            Ok(id) => id,
            Err(StoreError::Invalid { .. } | StoreError::BadRefName { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let (database, tree) = self.tree()?;
        match tree {
            Some(tree) => Ok(!notes::find(&database, tree, &id)?.is_empty()),
            None => Ok(false),
        }
    }

    /// The ids that have a text, sorted.
    pub fn keys(&self) -> Result<Vec<String>, StoreError> {
        let (database, tree) = self.tree()?;
        let mut keys = match tree {
            Some(tree) => notes::ids(&database, tree)?,
            None => Vec::new(),
        };
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// How many objects have a text.
    pub fn len(&self) -> Result<usize, StoreError> {
        Ok(self.keys()?.len())
    }

    /// Whether there are no notes.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.keys()?.is_empty())
    }

    /// Sets the text about an object.
    pub fn set(&self, key: &str, text: &str) -> Result<(), StoreError> {
        let id = self.resolve_key(key)?;
        let message = format!("Notes added by 'git notes' on {}", short(&id));
        self.commit(BTreeMap::from([(id, Some(text.to_owned()))]), message)
    }

    /// Removes the text about an object, which must be there.
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        let id = self.resolve_key(key)?;
        let message = format!("Notes removed by 'git notes' on {}", short(&id));
        self.commit(BTreeMap::from([(id, None)]), message)
    }

    /// Sets and removes (`None`) many texts as one commit; of several changes of one key the last counts.
    ///
    /// If one that is to be removed is not there, nothing changes. No changes make no commit.
    pub fn apply(
        &self,
        changes: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Result<(), StoreError> {
        let mut by_id = BTreeMap::new();
        for (key, text) in changes {
            by_id.insert(self.resolve_key(&key)?, text);
        }
        if by_id.is_empty() {
            return Ok(());
        }
        let message = format!("Notes batch update ({} changes)", by_id.len());
        self.commit(by_id, message)
    }

    fn tree(&self) -> Result<(Database, Option<ObjectId>), StoreError> {
        let target = self.store.inner.directory.ref_target(&self.name)?;
        let database = self.store.database()?;
        let tree = target
            .map(|target| notes_tree(&database, target))
            .transpose()?;
        Ok((database, tree))
    }

    fn commit(
        &self,
        changes: BTreeMap<ObjectId, Option<String>>,
        message: String,
    ) -> Result<(), StoreError> {
        let published = self.store.publish(Vec::new(), |view| {
            Ok((self.prepare(view, &changes, &message)?, ()))
        });
        match published {
            Ok(_) => Ok(()),
            // Others were faster every time.
            Err(StoreError::Repo(RepoError::Contended { name, .. })) => {
                Err(StoreError::Stale { branch: name })
            }
            Err(error) => Err(error),
        }
    }

    fn prepare(
        &self,
        view: &View,
        changes: &BTreeMap<ObjectId, Option<String>>,
        message: &str,
    ) -> Result<Change, StoreError> {
        let old = view.refs().get(&self.name).map(|present| present.target);
        let empty = ObjectId::empty_tree(HashKind::Sha1);
        let root = match old {
            Some(old) => notes_tree(view.database(), old)?,
            None => empty,
        };
        let mut blobs = BTreeMap::new();
        let mut objects = Vec::new();
        for (id, text) in changes {
            let Some(text) = text else {
                if notes::find(view.database(), root, id)?.is_empty() {
                    return Err(no_such_note(id));
                }
                blobs.insert(*id, None);
                continue;
            };
            let blob = NewObject::new(ObjectKind::Blob, Bytes::from(text.clone()))?;
            blobs.insert(*id, Some(blob.id));
            objects.push(blob);
        }
        let edits = notes::edits(view.database(), root, &blobs, notes::Layout::Flat)?
            .into_iter()
            .map(|(path, note)| (path, note.map(|id| (FileType::Blob, id))))
            .collect::<BTreeMap<_, _>>();
        let edited = edit_tree(view.database(), root, &edits)?;
        if edited.tree == root && old.is_some() {
            return Ok(Change::default());
        }
        let parents = old.into_iter().collect();
        let commit = new_commit(edited.tree, parents, self.store.identity(), message.into());
        let commit = NewObject::new(ObjectKind::Commit, commit.encode())?;
        let edit = RefEdit {
            name: self.name.clone(),
            old,
            new: Some(commit.id),
            message: format!("notes: {message}"),
        };
        objects.extend(edited.new);
        objects.push(commit);
        Ok(Change {
            objects,
            edits: vec![edit],
        })
    }
}

fn parse_key(key: &str) -> Option<ObjectId> {
    let is_hex = key.len() == HEX_LEN
        && key
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex
        .then(|| ObjectId::from_hex(key.as_bytes()).ok())
        .flatten()
}

fn short(id: &ObjectId) -> String {
    id.to_hex_with_len(7).to_string()
}

fn no_such_note(id: &ObjectId) -> StoreError {
    StoreError::NoSuchNote { id: id.to_string() }
}

/// The tree of notes that a ref names, through a commit.
fn notes_tree(database: &Database, target: ObjectId) -> Result<ObjectId, StoreError> {
    notes::tree_of(database, target)?.ok_or_else(|| {
        ReadError::WrongKind {
            id: target,
            expected: ObjectKind::Commit,
            found: ObjectKind::Blob,
        }
        .into()
    })
}
