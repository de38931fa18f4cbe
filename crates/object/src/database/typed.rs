//! Objects as what they are: commits, trees and tags, and what tags finally name.

use bytes::Bytes;

use crate::{
    Commit, CommitLinks, Object, ObjectId, ObjectKind, PathFilter, ReadError, Tag, Tree,
    commit_links, oid, tag_target,
};

use super::Database;

/// The most tags that name one another: far more than anybody makes by intent.
const MAX_TAG_DEPTH: u32 = 64;

impl Database {
    /// The bytes of an object that must be here and of this kind.
    pub fn bytes_of(&self, id: impl AsRef<oid>, expected: ObjectKind) -> Result<Bytes, ReadError> {
        let id = id.as_ref();
        self.of_kind(id, self.read(id)?, expected)
    }

    /// As [`Database::bytes_of`], for an object that is hardly asked for again: it takes no room in the cache.
    pub fn bytes_once(
        &self,
        id: impl AsRef<oid>,
        expected: ObjectKind,
    ) -> Result<Bytes, ReadError> {
        let id = id.as_ref();
        self.of_kind(id, self.read_and_keep(id, false)?, expected)
    }

    fn of_kind(
        &self,
        id: &oid,
        object: Option<Object>,
        expected: ObjectKind,
    ) -> Result<Bytes, ReadError> {
        match object {
            None => Err(self.not_found(id)),
            Some(object) if object.kind == expected => Ok(object.data),
            Some(Object { kind: found, .. }) => Err(ReadError::WrongKind {
                id: id.to_owned(),
                expected,
                found,
            }),
        }
    }

    /// A commit, which must be here.
    pub fn commit(&self, id: impl AsRef<oid>) -> Result<Commit, ReadError> {
        let data = self.bytes_of(&id, ObjectKind::Commit)?;
        Commit::parse(&data).map_err(|source| ReadError::decode(id.as_ref(), source))
    }

    /// The same with the time that walks sort it by, which is another than the one that is shown where its lines are malformed.
    pub(crate) fn commit_and_time(&self, id: ObjectId) -> Result<(Commit, i64), ReadError> {
        let data = self.bytes_of(id, ObjectKind::Commit)?;
        let malformed = |source| ReadError::decode(id, source);
        let (_, _, seconds) = commit_links(&data).map_err(malformed)?;
        Ok((Commit::parse(&data).map_err(malformed)?, seconds))
    }

    /// What a commit, which must be here, links to. Where a commit graph knows it, it is not read.
    pub fn commit_links(&self, id: impl AsRef<oid>) -> Result<CommitLinks, ReadError> {
        self.links_and_keep(id.as_ref(), true)
    }

    /// The same of a commit that is hardly asked for again: it takes no room in the cache.
    pub fn commit_links_once(&self, id: impl AsRef<oid>) -> Result<CommitLinks, ReadError> {
        self.links_and_keep(id.as_ref(), false)
    }

    fn links_and_keep(&self, id: &oid, keep: bool) -> Result<CommitLinks, ReadError> {
        let graphs = self.0.graphs.as_ref();
        if let Some(links) = graphs.and_then(|graphs| graphs.links(id)) {
            return Ok(links);
        }
        let data = self.of_kind(id, self.read_and_keep(id, keep)?, ObjectKind::Commit)?;
        commit_links(&data).map_err(|source| ReadError::decode(id, source))
    }

    /// The changed-path filter of a commit as it would be made here, if it was made before.
    pub(crate) fn known_path_filter(&self, commit: &oid) -> Option<Vec<u8>> {
        self.0.graphs.as_ref()?.filter_of(commit)
    }

    /// Whether it is known, without reading trees, that a commit does not change a path against its first parent.
    pub fn is_known_unchanged(&self, commit: &oid, path: &PathFilter) -> bool {
        let graphs = self.0.graphs.as_ref();
        graphs.is_some_and(|graphs| graphs.is_unchanged(commit, path))
    }

    /// A tree, which must be here.
    pub fn tree(&self, id: impl AsRef<oid>) -> Result<Tree, ReadError> {
        let data = self.tree_bytes(&id)?;
        Tree::parse(&data).map_err(|source| ReadError::decode(id.as_ref(), source))
    }

    /// A tree's bytes, for [`TreeIter`](crate::TreeIter). It must be here.
    pub fn tree_bytes(&self, id: impl AsRef<oid>) -> Result<Bytes, ReadError> {
        self.bytes_of(id, ObjectKind::Tree)
    }

    /// A tag object, which must be here.
    pub fn tag(&self, id: impl AsRef<oid>) -> Result<Tag, ReadError> {
        let data = self.bytes_of(&id, ObjectKind::Tag)?;
        Tag::parse(&data).map_err(|source| ReadError::decode(id.as_ref(), source))
    }

    /// What a tag finally names, or the object itself if it is no tag. It must be here.
    pub fn peel(&self, id: impl AsRef<oid>) -> Result<(ObjectId, ObjectKind), ReadError> {
        let outermost = id.as_ref().to_owned();
        let mut at = outermost;
        for _ in 0..MAX_TAG_DEPTH {
            let header = self.header(&at)?.ok_or_else(|| self.not_found(at))?;
            if header.kind != ObjectKind::Tag {
                return Ok((at, header.kind));
            }
            let data = self.bytes_of(at, ObjectKind::Tag)?;
            at = tag_target(&data)
                .map_err(|source| ReadError::decode(at, source))?
                .0;
        }
        Err(ReadError::TagsTooDeep {
            id: outermost,
            limit: MAX_TAG_DEPTH,
        })
    }

    /// The commit a commit or a tag stands for.
    pub fn peel_to_commit(&self, id: impl AsRef<oid>) -> Result<ObjectId, ReadError> {
        match self.peel(id)? {
            (id, ObjectKind::Commit) => Ok(id),
            (id, found) => Err(ReadError::WrongKind {
                id,
                expected: ObjectKind::Commit,
                found,
            }),
        }
    }
}
