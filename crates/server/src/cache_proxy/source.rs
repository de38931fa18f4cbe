//! A copy, as `wire` reads it.

use std::io;
use std::sync::Arc;

use packhouse_client::cache::ServedCopy;
use packhouse_object::{Database, ObjectId, RefName};
use packhouse_wire::{RefLine, Source};

/// The refs that the upstream listed, and the objects.
pub(super) struct CopySource(pub(super) Arc<ServedCopy>);

impl Source for CopySource {
    fn head(&self) -> Option<RefName> {
        self.0.head().cloned()
    }

    fn find(&self, name: &[u8]) -> Option<ObjectId> {
        self.0.find(name)
    }

    fn visit(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        for (name, found) in self.0.refs(prefix) {
            visitor(RefLine {
                name: name.as_bytes(),
                id: found.target,
                peeled: found.peeled,
            })?;
        }
        Ok(())
    }

    fn database(&self) -> &Database {
        self.0.view().database()
    }
}
