//! Versions of a file: where they are in history, and what is in them.

use std::collections::HashMap;
use std::rc::Rc;

use bstr::{BString, ByteSlice};
use bytes::Bytes;
use packhouse_object::{Database, EntryMode, ObjectId, ObjectKind, ReadError, RepoPath};

use super::renamed::renamed_from;
use super::{BlameError, Content, MAX_BLAME_BYTES};
use crate::path_lookup::PathLookup;

/// Bytes of versions that are kept between the comparison with their child and that with their parent.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// A version of the file: its path and its content in one commit.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) path: Rc<BString>,
    pub(super) blob: ObjectId,
    pub(super) mode: EntryMode,
}

/// A commit, as far as blame needs it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) tree: ObjectId,
    pub(super) parents: Vec<ObjectId>,
    pub(super) seconds: i64,
}

/// What a parent has at the path of a version.
pub(super) enum AtPath {
    /// The version before.
    Version(Version),
    /// Nothing, or a folder: the file may have had another name.
    Absent,
    /// Something that is no version of it: a link instead of a file, or the other way round.
    Other,
}

/// Reads versions. What is asked for again soon is remembered.
pub(super) struct Versions<'a> {
    database: &'a Database,
    stop: &'a dyn Fn() -> bool,
    nodes: HashMap<ObjectId, Rc<Node>>,
    lookups: HashMap<Rc<BString>, PathLookup>,
    kept: HashMap<ObjectId, Bytes>,
    kept_bytes: usize,
}

impl<'a> Versions<'a> {
    pub(super) fn new(database: &'a Database, stop: &'a dyn Fn() -> bool) -> Versions<'a> {
        Versions {
            database,
            stop,
            nodes: HashMap::new(),
            lookups: HashMap::new(),
            kept: HashMap::new(),
            kept_bytes: 0,
        }
    }

    /// The version to begin with.
    pub(super) fn open(
        &mut self,
        commit: ObjectId,
        path: &RepoPath,
    ) -> Result<Version, BlameError> {
        let node = self.node(commit)?;
        let name = Rc::new(path.as_bstr().to_owned());
        let path = || path.clone();
        let (mode, blob) = self
            .find(node.tree, &name)?
            .ok_or_else(|| BlameError::Missing {
                path: path(),
                commit,
            })?;
        if !is_file(mode) {
            return Err(BlameError::NotAFile {
                path: path(),
                commit,
            });
        }
        let size = self.database.header(&blob)?.map_or(0, |header| header.size);
        if size > MAX_BLAME_BYTES as u64 {
            return Err(BlameError::TooLong { path: path(), size });
        }
        Ok(Version {
            path: name,
            blob,
            mode,
        })
    }

    /// A commit. It is remembered until [`Versions::forget`].
    pub(super) fn node(&mut self, commit: ObjectId) -> Result<Rc<Node>, ReadError> {
        if let Some(node) = self.nodes.get(&commit) {
            return Ok(node.clone());
        }
        let (tree, parents, seconds) = self.database.commit_links(commit)?;
        let node = Rc::new(Node {
            tree,
            parents,
            seconds,
        });
        self.nodes.insert(commit, node.clone());
        Ok(node)
    }

    pub(super) fn forget(&mut self, commit: ObjectId) {
        self.nodes.remove(&commit);
    }

    /// What `parent` has at the path of `version`.
    pub(super) fn at_path(
        &mut self,
        parent: &Node,
        version: &Version,
    ) -> Result<AtPath, ReadError> {
        let found = self.find(parent.tree, &version.path)?;
        Ok(match found {
            None | Some((EntryMode::Tree, _)) => AtPath::Absent,
            Some((mode, blob)) if same_type(mode, version.mode) => AtPath::Version(Version {
                path: version.path.clone(),
                blob,
                mode,
            }),
            Some(_) => AtPath::Other,
        })
    }

    /// The file of `parent` that became `version` in `commit` under another name.
    pub(super) fn renamed(
        &mut self,
        parent: &Node,
        commit: &Node,
        version: &Version,
    ) -> Result<Option<Version>, ReadError> {
        let found = renamed_from(self.database, parent.tree, commit.tree, version, self.stop)?;
        Ok(found.map(|(path, mode, blob)| Version {
            path: self.shared(path),
            blob,
            mode,
        }))
    }

    /// The content of a version; `None` if it is too long to be compared.
    pub(super) fn content(&mut self, version: &Version) -> Result<Content, ReadError> {
        if let Some(data) = self.kept.get(&version.blob) {
            return Ok(Some(data.clone()));
        }
        let size = self
            .database
            .header(&version.blob)?
            .map_or(0, |header| header.size);
        if size > MAX_BLAME_BYTES as u64 {
            return Ok(None);
        }
        let data = self.database.bytes_of(version.blob, ObjectKind::Blob)?;
        if self.kept_bytes + data.len() <= MAX_KEPT_BYTES {
            self.kept_bytes += data.len();
            self.kept.insert(version.blob, data.clone());
        }
        Ok(Some(data))
    }

    /// Drops the content of a version that has been compared with all its parents.
    pub(super) fn drop_content(&mut self, version: &Version) {
        if let Some(data) = self.kept.remove(&version.blob) {
            self.kept_bytes -= data.len();
        }
    }

    /// One copy of each path.
    fn shared(&mut self, path: BString) -> Rc<BString> {
        match self.lookups.get_key_value(&path) {
            Some((shared, _)) => shared.clone(),
            None => Rc::new(path),
        }
    }

    fn find(
        &mut self,
        tree: ObjectId,
        path: &Rc<BString>,
    ) -> Result<Option<(EntryMode, ObjectId)>, ReadError> {
        let lookup = self.lookups.entry(path.clone()).or_default();
        lookup.find(self.database, tree, path.as_bstr())
    }
}

pub(super) fn is_file(mode: EntryMode) -> bool {
    matches!(
        mode,
        EntryMode::Blob | EntryMode::Executable | EntryMode::Symlink
    )
}

fn same_type(a: EntryMode, b: EntryMode) -> bool {
    let is_link = |mode| mode == EntryMode::Symlink;
    is_file(a) && is_file(b) && is_link(a) == is_link(b)
}
