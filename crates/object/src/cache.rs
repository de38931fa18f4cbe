//! Decoded objects kept in memory, for the whole process.
//!
//! An entry is found only under the scope it was put in: one tenant never learns from the cache
//! what another stores.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::id::BuildIdHasher;
use crate::{Object, ObjectId, ObjectKind, oid};

/// What an entry costs beside its bytes: key, header of the buffer, the cache's own links.
const ENTRY_OVERHEAD_BYTES: u64 = 128;

/// A bounded cache of small objects and of delta bases, shared by all databases.
pub struct ObjectCache {
    objects: Cache<(u64, ObjectId), Cached, ByBytes, BuildIdHasher>,
    bases: Cache<(u64, u64), Cached, ByBytes, BuildIdHasher>,
    largest: u64,
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
        let half = bytes / 2;
        let build = || {
            let items = (half / 1024).clamp(16, 1 << 20) as usize;
            Cache::with(
                items,
                half,
                ByBytes,
                BuildIdHasher::default(),
                Default::default(),
            )
        };
        let build_bases = || {
            let items = (half / 4096).clamp(16, 1 << 20) as usize;
            Cache::with(
                items,
                half,
                ByBytes,
                BuildIdHasher::default(),
                Default::default(),
            )
        };
        // One object may not push out everything else.
        ObjectCache {
            objects: build(),
            bases: build_bases(),
            largest: half / 16,
        }
    }

    /// The object `id` of `scope`, if it is here.
    pub fn object(&self, scope: u64, id: &oid) -> Option<Object> {
        self.objects.get(&(scope, id.to_owned())).map(Cached::into)
    }

    /// Keeps an object of `scope`, unless it is a large one.
    pub fn keep_object(&self, scope: u64, id: ObjectId, object: &Object) {
        if object.data.len() as u64 <= self.largest {
            self.objects.insert((scope, id), object.into());
        }
    }

    /// The object at `offset` of the pack numbered `pack`, if it is here.
    pub fn base(&self, pack: u64, offset: u64) -> Option<Object> {
        self.bases.get(&(pack, offset)).map(Cached::into)
    }

    /// Keeps an object that deltas of the pack numbered `pack` are built on. The number must be
    /// unique in the process for as long as it runs.
    pub fn keep_base(&self, pack: u64, offset: u64, object: &Object) {
        if object.data.len() as u64 <= self.largest {
            self.bases.insert((pack, offset), object.into());
        }
    }

    /// The bytes held now, overhead included.
    pub fn bytes(&self) -> u64 {
        self.objects.weight() + self.bases.weight()
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
