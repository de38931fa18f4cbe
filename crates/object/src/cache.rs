//! Decoded objects kept in memory, for the whole process.
//!
//! An entry is found only under the scope it was put in: one tenant never learns from the cache
//! what another stores.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::id::BuildIdHasher;
use crate::{Object, ObjectId, ObjectKind, ProcessLocal, oid};

/// What an entry costs beside its bytes: key, header of the buffer, the cache's own links.
const ENTRY_OVERHEAD_BYTES: u64 = 128;

/// A bounded cache of small objects and of delta bases, shared by all databases. A process that is forked off begins with
/// an empty one.
pub struct ObjectCache {
    bytes: u64,
    largest: u64,
    caches: ProcessLocal<Caches>,
}

struct Caches {
    objects: Cache<(u64, ObjectId), Cached, ByBytes, BuildIdHasher>,
    bases: Cache<(u64, u64), Cached, ByBytes, BuildIdHasher>,
}

#[derive(Clone)]
struct Cached {
    kind: ObjectKind,
    data: Bytes,
}

#[derive(Clone)]
struct ByBytes;

impl<K> Weighter<K, Cached> for ByBytes {
    fn weight(&self, _key: &K, value: &Cached) -> u64 {
        value.data.len() as u64 + ENTRY_OVERHEAD_BYTES
    }
}

impl ObjectCache {
    /// A cache that holds about `bytes` in all, half of it for delta bases.
    pub fn new(bytes: u64) -> ObjectCache {
        ObjectCache {
            bytes,
            // One object may not push out everything else.
            largest: bytes / 2 / 16,
            caches: ProcessLocal::new(),
        }
    }

    fn caches(&self) -> &Caches {
        self.caches.get_or_init(|| Caches::new(self.bytes / 2))
    }

    /// The object `id` of `scope`, if it is here.
    pub fn object(&self, scope: u64, id: &oid) -> Option<Object> {
        self.caches()
            .objects
            .get(&(scope, id.to_owned()))
            .map(Cached::into)
    }

    /// Keeps an object of `scope`, unless it is a large one.
    pub fn keep_object(&self, scope: u64, id: ObjectId, object: &Object) {
        if object.data.len() as u64 <= self.largest {
            self.caches().objects.insert((scope, id), object.into());
        }
    }

    /// The object at `offset` of the pack numbered `pack`, if it is here.
    pub fn base(&self, pack: u64, offset: u64) -> Option<Object> {
        self.caches().bases.get(&(pack, offset)).map(Cached::into)
    }

    /// Keeps an object that deltas of the pack numbered `pack` are built on. The number must be
    /// unique in the process for as long as it runs.
    pub fn keep_base(&self, pack: u64, offset: u64, object: &Object) {
        if object.data.len() as u64 <= self.largest {
            self.caches().bases.insert((pack, offset), object.into());
        }
    }

    /// The bytes held now, overhead included.
    pub fn bytes(&self) -> u64 {
        self.caches().objects.weight() + self.caches().bases.weight()
    }
}

impl Caches {
    /// Two caches of `half` bytes each.
    fn new(half: u64) -> Caches {
        let items = |bytes_each: u64| (half / bytes_each).clamp(16, 1 << 20) as usize;
        let hashed_by = BuildIdHasher::default;
        Caches {
            objects: Cache::with(items(1024), half, ByBytes, hashed_by(), Default::default()),
            bases: Cache::with(items(4096), half, ByBytes, hashed_by(), Default::default()),
        }
    }
}

impl From<Cached> for Object {
    fn from(cached: Cached) -> Object {
        Object {
            kind: cached.kind,
            data: cached.data,
        }
    }
}

impl From<&Object> for Cached {
    fn from(object: &Object) -> Cached {
        Cached {
            kind: object.kind,
            data: object.data.clone(),
        }
    }
}

impl std::fmt::Debug for ObjectCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectCache({} bytes)", self.bytes())
    }
}
