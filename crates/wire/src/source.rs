//! What a fetch sees of a repository.

use std::io;

use packhouse_object::{Database, HashKind, ObjectId, ReadError, RefName};

/// A ref as it is advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefLine<'a> {
    /// The whole name, as the client sees it.
    pub name: &'a [u8],
    /// What it points to.
    pub id: ObjectId,
    /// What an annotated tag finally points to; `None` where `id` is no tag object.
    pub peeled: Option<ObjectId>,
}

impl<'a> RefLine<'a> {
    /// The line of a ref of which nobody knows where it points.
    pub fn valueless(name: &'a [u8]) -> RefLine<'a> {
        RefLine {
            name,
            id: ObjectId::null(HashKind::Sha1),
            peeled: None,
        }
    }
}

/// Refs and objects of one repository at one moment, as one kind of client sees them.
///
/// All answers must describe the same moment: a request reads several times and relies on it.
pub trait Source: Send + Sync {
    /// The ref that `HEAD` points to; it may not exist yet. `None`: there is no `HEAD`.
    fn head(&self) -> Option<RefName>;

    /// What `HEAD` points to where it names an object and no branch.
    fn detached_head(&self) -> Option<ObjectId> {
        None
    }

    /// Where the ref of exactly this name points.
    fn find(&self, name: &[u8]) -> Option<ObjectId>;

    /// Visits the refs whose names start with `prefix`, in byte order, until the visitor fails.
    /// `HEAD` is not among them.
    fn visit(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()>;

    /// As [`Source::visit`], for who tells others which refs there are: with those of which nobody knows where they point, and
    /// the null id for them, as git does. Without them they would count as deleted.
    fn visit_listed(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.visit(prefix, visitor)
    }

    /// The ref that a symbolic ref other than `HEAD` stands for; `None` for others, and where clients cannot name that.
    fn symbolic_target(&self, name: &[u8]) -> Option<RefName> {
        let _ = name;
        None
    }

    /// The objects. Whatever a ref reaches is among them, as far as history is not cut; others may be too.
    fn database(&self) -> &Database;

    /// The object that Git's programs find by a name: `main:folder/file`, an id. Asked for where [`crate::FilterRules::sparse`] says
    /// that filters may name one.
    fn named_object(&self, name: &[u8]) -> Result<Option<ObjectId>, ReadError> {
        let _ = name;
        Ok(None)
    }

    /// The commits whose parents are not among the objects, in the order of their ids: where a repository that is a shallow
    /// clone itself was cut off.
    fn shallow(&self) -> &[ObjectId] {
        &[]
    }

    /// What stands before the names of the client's refs in the whole repository.
    fn namespace(&self) -> &[u8] {
        b""
    }
}
