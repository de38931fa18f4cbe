//! The objects of one repository at one moment: some in memory, most in packs, some loose.

mod multi;
mod typed;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::id::BuildIdHasher;
use crate::loose::{LooseError, LooseStore};
use crate::stream::ObjectStream;
use crate::{
    CommitGraphs, HashKind, MAX_IN_MEMORY, MultiPack, NewObject, Object, ObjectCache, ObjectHeader,
    ObjectId, ObjectKind, Pack, PackError, ReadError, oid,
};

use multi::Multi;

/// Blobs up to this size are worth a place in the cache; trees and commits always are.
const CACHED_BLOB_BYTES: usize = 16 << 10;

/// The fewest digits that abbreviate an id, as in Git.
const MIN_PREFIX_DIGITS: usize = 4;

/// An immutable view of objects, cheap to clone and to extend.
///
/// An object is looked for in memory, then in the packs, then in the loose folders. Where a pack
/// has it and cannot be read there, the other packs that have it are tried. The empty tree is
/// always here, as it is in Git.
#[derive(Clone)]
pub struct Database(Arc<Layers>);

struct Layers {
    cache: Arc<ObjectCache>,
    scope: u64,
    memory: Memory,
    packs: Arc<[Arc<Pack>]>,
    multi: Arc<Multi>,
    loose: Arc<[LooseStore]>,
    missed: Option<Arc<dyn MissedObject>>,
    /// Packs that are there and are done without.
    damaged: Arc<[DamagedPack]>,
    graphs: Option<Arc<CommitGraphs>>,
    /// The largest object that is read in one piece.
    in_one_piece: u64,
    /// The pack that had the last object: its neighbours are mostly there too.
    last_pack: AtomicUsize,
}

/// Where to look when no layer has an object: another process may have moved it from a loose file
/// into a pack that is not among the packs yet.
pub trait MissedObject: Send + Sync {
    /// The objects that are there now, in a database that does not ask again; `None` if nothing changed.
    fn look_again(&self) -> Result<Option<Database>, ReadError>;
}

/// A pack that cannot be opened: nobody knows what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPack {
    /// The pack, or its index.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl DamagedPack {
    /// The pack that could not be opened for this reason; `None` if the reason is not in what the files hold.
    pub fn of(error: &PackError) -> Option<DamagedPack> {
        let (path, reason) = match error {
            PackError::Index { path, source } => (path, source.to_string()),
            PackError::Damaged { path, reason } => (path, (*reason).to_owned()),
            _ => return None,
        };
        let path = path.clone();
        Some(DamagedPack { path, reason })
    }
}

/// Shared between a database and those made from it; adding to it costs what is added.
type Memory =
    imbl::GenericHashMap<ObjectId, Object, BuildIdHasher, imbl::shared_ptr::DefaultSharedPtr>;

impl Database {
    /// A database without objects. `scope` separates its entries in the cache from those of
    /// others: databases with one scope must hold the same repository's objects.
    pub fn new(cache: Arc<ObjectCache>, scope: u64) -> Database {
        Database(Arc::new(Layers {
            cache,
            scope,
            memory: Memory::default(),
            packs: Arc::new([]),
            multi: Arc::default(),
            loose: Arc::new([]),
            missed: None,
            damaged: Arc::new([]),
            graphs: None,
            in_one_piece: MAX_IN_MEMORY,
            last_pack: AtomicUsize::new(0),
        }))
    }

    /// This database with further objects in memory. Costs what is added.
    pub fn with_objects(&self, objects: impl IntoIterator<Item = NewObject>) -> Database {
        self.with_memory(self.0.memory.clone(), objects)
    }

    /// This database with these objects in memory instead of those that were.
    pub fn replace_memory(&self, objects: impl IntoIterator<Item = NewObject>) -> Database {
        self.with_memory(Memory::default(), objects)
    }

    fn with_memory(
        &self,
        mut memory: Memory,
        objects: impl IntoIterator<Item = NewObject>,
    ) -> Database {
        for NewObject { id, kind, data } in objects {
            memory.insert(id, Object { kind, data });
        }
        Database(Arc::new(Layers {
            memory,
            ..self.0.share()
        }))
    }

    /// This database with these packs instead of its own, looked into in this order. Of its indexes of several packs those stay
    /// whose packs are all among them.
    pub fn with_packs(&self, packs: Vec<Arc<Pack>>) -> Database {
        let indexes = self.0.multi.indexes.clone();
        Database(Arc::new(Layers {
            multi: Arc::new(Multi::new(indexes, &packs)),
            packs: packs.into(),
            ..self.0.share()
        }))
    }

    /// This database with indexes of several packs each, whose packs are among its own. They are asked before the indexes of
    /// single packs.
    pub fn with_multi_packs(&self, indexes: Vec<Arc<MultiPack>>) -> Database {
        Database(Arc::new(Layers {
            multi: Arc::new(Multi::new(indexes, &self.0.packs)),
            ..self.0.share()
        }))
    }

    /// This database with these folders of loose objects instead of its own.
    pub fn with_loose(&self, folders: Vec<LooseStore>) -> Database {
        Database(Arc::new(Layers {
            loose: folders.into(),
            ..self.0.share()
        }))
    }

    /// This database, asking `missed` before it says that an object is not here.
    pub fn with_missed(&self, missed: Arc<dyn MissedObject>) -> Database {
        Database(Arc::new(Layers {
            missed: Some(missed),
            ..self.0.share()
        }))
    }

    /// This database, which has to do without some packs. What is missed may be in them, and errors say so. Nothing that is
    /// here may be removed because it seems to be of no use.
    pub fn with_damaged_packs(&self, damaged: Vec<DamagedPack>) -> Database {
        Database(Arc::new(Layers {
            damaged: damaged.into(),
            ..self.0.share()
        }))
    }

    /// The packs that it has to do without.
    pub fn damaged_packs(&self) -> &[DamagedPack] {
        &self.0.damaged
    }

    /// The error for an object that has to be here and is not.
    pub fn not_found(&self, id: impl AsRef<oid>) -> ReadError {
        let id = id.as_ref().to_owned();
        match self.0.damaged.first() {
            None => ReadError::NotFound { id },
            Some(pack) => ReadError::PerhapsInDamaged {
                id,
                pack: pack.path.clone(),
                reason: pack.reason.clone(),
            },
        }
    }

    /// This database, with what files beside its objects know of its commits.
    pub fn with_commit_graphs(&self, graphs: Arc<CommitGraphs>) -> Database {
        Database(Arc::new(Layers {
            graphs: Some(graphs),
            ..self.0.share()
        }))
    }

    /// This database, reading objects of up to `bytes` in one piece, and not only those of up to [`MAX_IN_MEMORY`].
    pub fn with_in_one_piece(&self, bytes: u64) -> Database {
        Database(Arc::new(Layers {
            in_one_piece: bytes,
            ..self.0.share()
        }))
    }

    /// The largest object that is read in one piece, in bytes.
    pub fn in_one_piece(&self) -> u64 {
        self.0.in_one_piece
    }

    /// This database under another scope, whose entries of the cache are its own from now on: for one that is opened anew again and
    /// again.
    pub fn with_scope(&self, scope: u64) -> Database {
        Database(Arc::new(Layers {
            scope,
            ..self.0.share()
        }))
    }

    /// The packs, in the order they are looked into.
    pub fn packs(&self) -> &[Arc<Pack>] {
        &self.0.packs
    }

    /// The indexes of several packs.
    pub fn multi_packs(&self) -> &[Arc<MultiPack>] {
        &self.0.multi.indexes
    }

    /// Whose entries of a shared cache are this database's.
    pub fn scope(&self) -> u64 {
        self.0.scope
    }

    /// Where a pack has the object: the pack's place among the packs, and the offset in it. Objects read in this order
    /// share what their deltas are built on.
    pub fn place_in_packs(&self, id: &oid) -> Option<(usize, u64)> {
        self.0.find(id)
    }

    /// How many objects are in the memory layer.
    pub fn memory_len(&self) -> usize {
        self.0.memory.len()
    }

    /// The object in the memory layer, if it is there.
    pub(crate) fn memory(&self, id: &oid) -> Option<&Object> {
        self.0.memory.get(id)
    }

    /// An object's kind and size, without its content.
    pub fn header(&self, id: &oid) -> Result<Option<ObjectHeader>, ReadError> {
        if let Some(object) = self.0.memory.get(id) {
            return Ok(Some(object.header()));
        }
        if let Some(object) = self.0.cache.object(self.0.scope, id) {
            return Ok(Some(object.header()));
        }
        let packed = self.0.in_packs(id, |pack, offset| pack.header(offset))?;
        if packed.is_some() {
            return Ok(packed);
        }
        if let Some(tree) = empty_tree(id) {
            return Ok(Some(tree.header()));
        }
        match self.0.in_loose(|store| store.header(id))? {
            None => self.0.look_again(|database| database.header(id)),
            found => Ok(found),
        }
    }

    /// Whether the object is here.
    pub fn contains(&self, id: &oid) -> Result<bool, ReadError> {
        let layers = &*self.0;
        if layers.memory.contains_key(id) || layers.find(id).is_some() || id.is_empty_tree() {
            return Ok(true);
        }
        let found = |here: bool| here.then_some(());
        let found = match layers.in_loose(|store| store.contains(id).map(found))? {
            None => layers.look_again(|database| database.contains(id).map(found))?,
            found => found,
        };
        Ok(found.is_some())
    }

    /// Whether the empty tree is stored, and not only known by heart: if it is not, no folder is empty.
    pub fn stores_empty_tree(&self) -> Result<bool, ReadError> {
        let layers = &*self.0;
        let id = ObjectId::empty_tree(HashKind::Sha1);
        if layers.memory.contains_key(&id) || layers.find(&id).is_some() {
            return Ok(true);
        }
        let stored = layers.in_loose(|store| store.contains(&id).map(|here| here.then_some(())))?;
        Ok(stored.is_some())
    }

    /// An object in one piece; one over [`Database::in_one_piece`] is [`ReadError::TooLarge`].
    pub fn read(&self, id: &oid) -> Result<Option<Object>, ReadError> {
        self.read_and_keep(id, true)
    }

    fn read_and_keep(&self, id: &oid, keep: bool) -> Result<Option<Object>, ReadError> {
        let layers = &*self.0;
        if let Some(object) = layers.memory.get(id) {
            return Ok(Some(object.clone()));
        }
        if let Some(object) = layers.cache.object(layers.scope, id) {
            return Ok(Some(object));
        }
        let limit = layers.in_one_piece;
        let packed = layers.in_packs(id, |pack, offset| {
            pack.read_up_to(offset, &layers.cache, limit)
        })?;
        let object = match packed {
            Some(object) => Some(object),
            None => layers
                .in_loose(|store| store.read_up_to(id, limit))
                .map_err(|error| ReadError::in_one_piece(id, error))?,
        };
        let Some(object) = object.or_else(|| empty_tree(id)) else {
            return layers.look_again(|database| database.read_and_keep(id, keep));
        };
        if !keep {
            return Ok(Some(object));
        }
        if object.kind != ObjectKind::Blob || object.data.len() <= CACHED_BLOB_BYTES {
            layers
                .cache
                .keep_object(layers.scope, id.to_owned(), &object);
        }
        Ok(Some(object))
    }

    /// An object of at most `limit` bytes, for one who keeps it himself: it gets no place in the cache. One that is
    /// larger, or whose delta is built on one that is, is [`ReadError::TooLarge`].
    pub fn read_up_to(&self, id: &oid, limit: u64) -> Result<Option<Object>, ReadError> {
        let layers = &*self.0;
        let held = layers.memory.get(id).cloned();
        if let Some(object) = held.or_else(|| layers.cache.object(layers.scope, id)) {
            return within(id, object, limit).map(Some);
        }
        let packed = layers.in_packs(id, |pack, offset| {
            pack.read_up_to(offset, &layers.cache, limit)
        })?;
        if packed.is_some() {
            return Ok(packed);
        }
        match self.header(id)? {
            None => Ok(None),
            Some(header) if header.size > limit => Err(too_large(id, header.size, limit)),
            Some(_) => self.read(id),
        }
    }

    /// An object of any size, in pieces.
    pub fn stream(&self, id: &oid) -> Result<Option<ObjectStream>, ReadError> {
        let layers = &*self.0;
        if let Some(object) = layers.memory.get(id) {
            return Ok(Some(ObjectStream::memory(object.kind, object.data.clone())));
        }
        let packed = layers.in_packs(id, |pack, offset| pack.stream(offset, &layers.cache))?;
        if let Some(stream) = packed {
            return Ok(Some(stream.into()));
        }
        if let Some(Object { kind, data }) = empty_tree(id) {
            return Ok(Some(ObjectStream::memory(kind, data)));
        }
        match layers.in_loose(|store| store.stream(id))? {
            None => layers.look_again(|database| database.stream(id)),
            found => Ok(found.map(ObjectStream::from)),
        }
    }

    /// The ids that `hex` abbreviates: none, the one, or two to say that there are several.
    ///
    /// Fewer than four digits, and what is not hexadecimal, abbreviate nothing.
    pub fn prefix(&self, hex: &str) -> Result<Vec<ObjectId>, ReadError> {
        const ENOUGH: usize = 2;
        let hex = hex.to_ascii_lowercase();
        let is_prefix =
            hex.len() >= MIN_PREFIX_DIGITS && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        let mut found = Vec::new();
        if !is_prefix {
            return Ok(found);
        }
        let mut add = |id: ObjectId| {
            if !found.contains(&id) {
                found.push(id);
            }
            if found.len() < ENOUGH {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let in_memory = self
            .0
            .memory
            .keys()
            .filter(|id| id.to_hex().to_string().starts_with(&hex));
        if in_memory.copied().try_for_each(&mut add).is_break() {
            return Ok(found);
        }
        for store in self.0.loose.iter() {
            store.prefix(&hex, &mut add)?;
        }
        for pack in self.0.packs.iter() {
            pack.prefix(&hex, &mut found, ENOUGH);
        }
        found.truncate(ENOUGH);
        Ok(found)
    }

    /// Calls `visit` with every id here, until it breaks; one in several layers comes several times.
    pub fn object_ids(
        &self,
        visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let packed = self
            .0
            .packs
            .iter()
            .flat_map(|pack| pack.iter().map(|(id, _)| id));
        let mut ids = self.0.memory.keys().copied().chain(packed);
        if ids.try_for_each(&mut *visit).is_break() {
            return Ok(());
        }
        for store in self.0.loose.iter() {
            if store.ids(visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn within(id: &oid, object: Object, limit: u64) -> Result<Object, ReadError> {
    match object.data.len() as u64 {
        size if size > limit => Err(too_large(id, size, limit)),
        _ => Ok(object),
    }
}

fn too_large(id: &oid, size: u64, limit: u64) -> ReadError {
    let id = id.to_owned();
    ReadError::TooLarge { id, size, limit }
}

fn empty_tree(id: &oid) -> Option<Object> {
    id.is_empty_tree().then(|| Object {
        kind: ObjectKind::Tree,
        data: Bytes::new(),
    })
}

impl Layers {
    /// The same layers, to be changed.
    fn share(&self) -> Layers {
        Layers {
            cache: Arc::clone(&self.cache),
            scope: self.scope,
            memory: self.memory.clone(),
            packs: Arc::clone(&self.packs),
            multi: Arc::clone(&self.multi),
            loose: Arc::clone(&self.loose),
            missed: self.missed.clone(),
            damaged: Arc::clone(&self.damaged),
            graphs: self.graphs.clone(),
            in_one_piece: self.in_one_piece,
            last_pack: AtomicUsize::new(0),
        }
    }

    fn find(&self, id: &oid) -> Option<(usize, u64)> {
        let last = self.last_pack.load(Ordering::Relaxed);
        if let Some(offset) = self.packs.get(last).and_then(|pack| pack.lookup(id)) {
            return Some((last, offset));
        }
        let is_left = |at: usize| at != last && !self.multi.has(at);
        let mut others = self.packs.iter().enumerate().filter(|(at, _)| is_left(*at));
        let found = match self.multi.find(id) {
            Some(found) => found,
            None => others.find_map(|(at, pack)| Some((at, pack.lookup(id)?)))?,
        };
        self.last_pack.store(found.0, Ordering::Relaxed);
        Some(found)
    }

    /// What `read` gets from the first pack that has the object and can be read.
    fn in_packs<T>(
        &self,
        id: &oid,
        read: impl Fn(&Arc<Pack>, u64) -> Result<T, PackError>,
    ) -> Result<Option<T>, ReadError> {
        let Some((first, offset)) = self.find(id) else {
            return Ok(None);
        };
        match read(&self.packs[first], offset) {
            Ok(found) => Ok(Some(found)),
            Err(error) => self.in_another_pack(id, first, error, read).map(Some),
        }
    }

    /// What `read` gets from a pack other than `damaged`, which has the object and cannot be read.
    #[cold]
    fn in_another_pack<T>(
        &self,
        id: &oid,
        damaged: usize,
        error: PackError,
        read: impl Fn(&Arc<Pack>, u64) -> Result<T, PackError>,
    ) -> Result<T, ReadError> {
        let is_damage = !matches!(error, PackError::TooLarge { .. });
        let others = self.packs.iter().enumerate();
        for (at, pack) in others.filter(|(at, _)| is_damage && *at != damaged) {
            if let Some(offset) = pack.lookup(id)
                && let Ok(found) = read(pack, offset)
            {
                let damaged = self.packs[damaged].path().display();
                tracing::warn!(%id, pack = %damaged, %error, "object is damaged in a pack, and was read from another");
                self.last_pack.store(at, Ordering::Relaxed);
                return Ok(found);
            }
        }
        Err(ReadError::pack(id.to_owned(), error))
    }

    fn look_again<T>(
        &self,
        find: impl Fn(&Database) -> Result<Option<T>, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        let Some(missed) = &self.missed else {
            return Ok(None);
        };
        missed
            .look_again()?
            .map_or(Ok(None), |database| find(&database))
    }

    fn in_loose<T>(
        &self,
        find: impl Fn(&LooseStore) -> Result<Option<T>, LooseError>,
    ) -> Result<Option<T>, LooseError> {
        for store in self.loose.iter() {
            if let Some(found) = find(store)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Layers {
            memory,
            packs,
            loose,
            ..
        } = &*self.0;
        write!(
            f,
            "Database({} in memory, {} packs, {} loose folders)",
            memory.len(),
            packs.len(),
            loose.len()
        )
    }
}
