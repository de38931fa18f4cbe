//! A bucket in memory, for tests and for trying things out.

use std::sync::Arc;

use object_store::memory::InMemory;

use crate::RemoteBucket;

/// A new, empty bucket in memory. Its content goes with it.
pub fn memory() -> RemoteBucket {
    RemoteBucket::new(Arc::new(InMemory::new()), None, "memory".to_owned())
}
