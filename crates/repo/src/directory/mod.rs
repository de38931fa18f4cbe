//! Repositories kept as ordinary bare Git repositories.
//!
//! What always holds:
//! - `git` itself may read and write the folder at any time: refs move under Git's lock files, reflogs
//!   and `packed-refs` are kept as Git keeps them, and a `git gc` next to us loses nothing;
//! - objects are durable before a ref names them, and a ref is durable before a write is acknowledged;
//! - changes of several refs become visible together, to readers and to whoever comes after a crash.
//!
//! Hooks are not run here: who serves a folder to Git's clients does that ([`Served`]). What was never named by a ref is left to `git gc`, like all that Git leaves behind.

mod advance;
mod alternates;
mod asking;
mod backend;
mod before_boot;
mod beside_gc;
mod blocking;
mod commit_graph;
mod config;
mod deflate;
pub(crate) mod durable;
mod error;
pub(crate) mod file_system;
mod gate;
mod gc_lock;
mod incoming;
mod layout;
mod left_behind;
mod local_objects;
mod lock;
mod loose_refs;
mod loose_write;
mod multi_pack;
mod object_folders;
mod pack_refs;
mod packed_refs;
mod packed_text;
mod patience;
mod permissions;
mod quarantine;
mod ref_locks;
mod ref_log;
mod ref_map;
mod ref_places;
mod ref_store;
mod roots;
mod served;
mod shallow_file;
mod side_by_side;
mod source;
mod store;
mod transaction;
mod turn_file;
mod turn_holder;
mod turn_note;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use packhouse_object::{ObjectCache, RefName};

pub use error::{DirectoryError, OpenError};
pub use gate::Turn;
pub use incoming::{IncomingError, IncomingObjects};
pub use layout::{LockTimeouts, LogRefs, ObjectPlaces, ServedSettings};
pub use ref_log::Moment;
pub use ref_map::SkippedRef;
pub use served::{RefsMoved, Served, ServedHead, StandsFor};

pub(crate) use advance::{Advance, Advanced, Bring, Step, Storing};
pub(crate) use backend::Directory;
pub(crate) use blocking::core_setting;
pub(crate) use deflate::zlib_of;
pub(crate) use layout::{ObjectsDir, write_skeleton};
pub(crate) use local_objects::{LocalPack, PackKind};
pub(crate) use loose_write::{StagedObject, is_there, stage, stage_stream};
pub(crate) use packed_refs::packed_refs_path;
pub(crate) use packed_text::{PackedRef, Peeled, write_entries};
pub(crate) use permissions::Sharing;
pub(crate) use ref_locks::Symbolic;
pub(crate) use roots::Roots;
pub(crate) use source::{Source, SourceError};
pub(crate) use store::move_pack;

use crate::repository::Repository;
use layout::{Accept, Layout};

/// How a bare repository is opened.
#[derive(Clone, Debug)]
pub struct DirectoryOptions {
    /// Refuse every write, and write nothing into the folder.
    pub read_only: bool,
    /// Whether what is written survives power loss once it is answered. Without it moves of single refs and reflogs may
    /// be lost or damaged then.
    pub durable: bool,
    /// Whether branches get reflogs whatever `core.logAllRefUpdates` says: what is undone and done again goes by them.
    pub log_branches: bool,
    /// How long a lock that another process holds is waited for.
    pub lock_timeout: Duration,
    /// The most objects that one write stores as loose files; more become a pack.
    pub loose_objects: usize,
    /// The most bytes, undeflated, that one write stores as loose files.
    pub loose_bytes: usize,
    /// Decoded objects. May be shared by repositories that are open at the same time.
    pub cache: Arc<ObjectCache>,
}

impl Default for DirectoryOptions {
    /// Read and write durably, logging branches, five seconds of patience, up to 32 loose files and 1 MiB, 32 MiB of cache of its own.
    fn default() -> Self {
        DirectoryOptions {
            read_only: false,
            durable: true,
            log_branches: true,
            lock_timeout: Duration::from_secs(5),
            loose_objects: 32,
            loose_bytes: 1 << 20,
            cache: Arc::new(ObjectCache::new(32 << 20)),
        }
    }
}

/// Opens a bare repository.
///
/// Folders of working copies, partial clones, SHA-256 objects and reftables are refused. A shallow
/// repository can be read, as far as its history goes, but not written.
pub fn open(path: impl AsRef<Path>, options: DirectoryOptions) -> Result<Repository, OpenError> {
    let layout = Layout::find(path.as_ref(), Accept::Bare)?;
    Ok(Repository::new(Arc::new(Directory::open(layout, options)?)))
}

/// Makes an empty bare repository of a missing or empty folder, durably.
pub fn init(path: impl AsRef<Path>, default_branch: &RefName) -> Result<(), OpenError> {
    write_skeleton(path.as_ref(), default_branch)
}
