//! Packs: read, written and received.

pub(crate) mod crafted;
mod history;
mod hostile;
mod memory;
mod properties;
mod reading;
mod receiving;
mod syntax;
mod writing;

use std::sync::{Arc, LazyLock};

use packhouse_object::{Database, NewObject, ObjectCache, Pack};

/// A database of nothing but these packs.
fn database(packs: Vec<Arc<Pack>>) -> Database {
    Database::new(cache(), 1).with_packs(packs)
}

/// A database of nothing but these objects.
fn memory_database(objects: Vec<NewObject>) -> Database {
    Database::new(cache(), 1).with_objects(objects)
}

/// A database of nothing.
fn nothing() -> Database {
    static NOTHING: LazyLock<Database> = LazyLock::new(|| Database::new(cache(), 0));
    NOTHING.clone()
}

fn cache() -> Arc<ObjectCache> {
    Arc::new(ObjectCache::new(8 << 20))
}
