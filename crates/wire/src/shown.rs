//! A repository as a fetching client is shown it: without the refs that are hidden.

use std::io;

use packhouse_object::{Database, IdSet, ObjectId, ReadError, RefName};

use crate::hidden_refs::HiddenRefs;
use crate::source::{RefLine, Source};

/// A source without its hidden refs.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    source: &'a dyn Source,
    hidden: &'a HiddenRefs,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(source: &'a dyn Source, hidden: &'a HiddenRefs) -> Shown<'a> {
        Shown { source, hidden }
    }

    fn hides(&self, name: &[u8]) -> bool {
        if self.hidden.is_empty() {
            return false;
        }
        match self.source.namespace() {
            b"" => self.hidden.is_hidden(name, name),
            namespace => self.hidden.is_hidden(name, &[namespace, name].concat()),
        }
    }

    /// The ref that `HEAD` points to, and where that is if it exists. `HEAD` shows it even where its branch is hidden.
    pub(crate) fn head(&self) -> Option<(RefName, Option<ObjectId>)> {
        if self.hides(b"HEAD") {
            return None;
        }
        let name = self.source.head()?;
        let id = self.source.find(name.as_bytes());
        Some((name, id))
    }

    /// Where `HEAD` is, by way of its branch or detached.
    pub(crate) fn head_id(&self) -> Option<ObjectId> {
        match self.head() {
            Some((_, id)) => id,
            None if self.hides(b"HEAD") => None,
            None => self.source.detached_head(),
        }
    }

    /// Where the ref of this name is, which may be `HEAD`.
    pub(crate) fn find(&self, name: &[u8]) -> Option<ObjectId> {
        match name {
            b"HEAD" => self.head_id(),
            name if self.hides(name) => None,
            name => self.source.find(name),
        }
    }

    /// What the ref of this name, which is shown, stands for if it is a symbolic one.
    pub(crate) fn symbolic_target(&self, name: &[u8]) -> Option<RefName> {
        self.source.symbolic_target(name)
    }

    /// Visits the refs whose names start with `prefix`, in byte order, `HEAD` not among them.
    pub(crate) fn visit(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.source
            .visit(prefix, &mut |line| match self.hides(line.name) {
                true => Ok(()),
                false => visitor(line),
            })
    }

    /// As [`Shown::visit`], with the refs of which nobody knows where they point, and the null id for them.
    pub(crate) fn visit_listed(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.source
            .visit_listed(prefix, &mut |line| match self.hides(line.name) {
                true => Ok(()),
                false => visitor(line),
            })
    }

    /// What all refs name, `HEAD` included; the hidden ones too if `with_hidden`.
    pub(crate) fn tips(&self, with_hidden: bool) -> IdSet {
        let mut tips = IdSet::default();
        tips.extend(self.head_id());
        let visited = self.source.visit(b"", &mut |line| {
            if with_hidden || !self.hides(line.name) {
                tips.insert(line.id);
            }
            Ok(())
        });
        debug_assert!(visited.is_ok(), "this visitor does not fail");
        tips
    }

    pub(crate) fn database(&self) -> &'a Database {
        self.source.database()
    }

    /// The object of a name as Git's programs take one, hidden refs included.
    pub(crate) fn named_object(&self, name: &[u8]) -> Result<Option<ObjectId>, ReadError> {
        self.source.named_object(name)
    }

    /// Where the repository's own history ends, in the order of the ids.
    pub(crate) fn shallow(&self) -> &'a [ObjectId] {
        self.source.shallow()
    }
}
