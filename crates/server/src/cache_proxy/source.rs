//! A copy, as `wire` reads it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use packhouse_client::cache::ServedCopy;
use packhouse_object::{Database, MAX_IN_MEMORY, ObjectId, RefName};
use packhouse_wire::{RefLine, Source};

/// The refs that the upstream listed, and the objects.
pub(super) struct CopySource {
    copy: Arc<ServedCopy>,
    database: Database,
}

impl CopySource {
    /// A copy that was just opened. What is counted in it is there for later ones of the same repository, though each opens the
    /// mirror for itself; and counts that hold packs open are let go of when it has others, whatever its refs are by then. Many
    /// callers are served at once, so what one of them has read into memory has the limit of a host.
    pub(super) fn new(copy: Arc<ServedCopy>) -> CopySource {
        let mut hasher = DefaultHasher::new();
        copy.mirror().hash(&mut hasher);
        let database = copy.view().database().with_scope(hasher.finish());
        let database = database.with_in_one_piece(MAX_IN_MEMORY);
        CopySource { copy, database }
    }
}

impl Source for CopySource {
    fn head(&self) -> Option<RefName> {
        self.copy.head().cloned()
    }

    fn find(&self, name: &[u8]) -> Option<ObjectId> {
        self.copy.find(name)
    }

    fn visit(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        for (name, found) in self.copy.refs(prefix) {
            visitor(RefLine {
                name: name.as_bytes(),
                id: found.target,
                peeled: found.peeled,
            })?;
        }
        Ok(())
    }

    fn database(&self) -> &Database {
        &self.database
    }
}
