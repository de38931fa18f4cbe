//! Git objects: ids, their four kinds, packs, and a database to read them from.
//!
//! What always holds:
//!
//! - Nothing here is asynchronous, opens a socket or knows of tenants.
//! - A [`Database`] never changes; adding objects gives another one.
//! - Whatever is written is synced to disk before the call returns.
//! - Input from strangers is hashed with collision detection and read in bounded memory.
//! - This is the one crate that names the `gix` crates.

mod ancestry;
mod bitmap;
mod cache;
mod chunk_file;
mod commit;
mod commit_graph;
mod commit_text;
mod config_text;
mod copy_part;
mod count;
mod database;
mod decode_error;
mod diff_trees;
mod edit_tree;
mod fanout;
mod find_path;
mod forked;
mod graph;
mod hash;
mod header_lines;
mod history;
mod id;
mod introduced;
mod kind;
mod limit;
mod loose;
mod mode;
mod object;
pub mod pack;
mod pack_out;
mod path;
mod patterns;
mod processors;
mod progress;
mod read_error;
mod ref_name;
mod shallow;
mod signature;
mod special_file;
mod stream;
mod tag;
mod to_send;
mod tree;
mod walk;
mod write_pack;

pub use bstr::{BStr, BString};

pub use ancestry::{is_ancestor, merge_bases};
pub use bitmap::{
    BitmapError, BitmapIndex, BitmapStats, Bitmapped, Bits, BuildBitmapError, Ewah, EwahError,
    bitmapped, build_bitmap, unreached_commits,
};
pub use cache::ObjectCache;
pub use commit::{Commit, commit_links, signed_commit};
pub use commit_graph::{
    CommitGraphError, CommitGraphs, CommitLinks, PathFilter, WriteCommitGraphError,
    write_commit_graph,
};
pub use commit_text::commit_text;
pub use config_text::{BadConfigLine, ConfigItem, ConfigReading, read_config};
pub use count::{CountLimits, Counted, ObjectFilter, SparsePaths, Wanted, count_limited};
pub use database::{DamagedPack, Database, MissedObject};
pub use decode_error::DecodeError;
pub use diff_trees::{TreeChange, diff_trees};
pub use edit_tree::{EditTreeError, PathEdit, edit_tree};
pub use find_path::find_path;
pub use forked::{
    ForkPause, ForkedCopy, MadeHere, ProcessLocal, ProcessMark, UnsharedFile, watch_forks,
};
pub use hash::{CollisionError, ObjectHasher, hash_object};
pub use history::{
    BuildHistoryError, CommitPosition, FinishedHistoryLayer, HistoryIndex, HistoryKey,
    HistoryLayer, HistoryLayerError, LastChange, LastChanges, PathWatch, extend_history,
    last_changes,
};
pub use id::{BuildIdHasher, HashKind, IdHasher, IdMap, IdSet, ObjectId, oid};
pub use kind::{ObjectKind, UnknownKind};
pub use loose::{LooseError, LooseStore, LooseStream};
pub use mode::EntryMode;
pub use object::{NewObject, Object, ObjectHeader};
pub use pack::{
    BlobSpool, CopyError, EntryHeader, EntryKind, FinishedPack, MAX_DELTA_DEPTH, MAX_IN_MEMORY,
    MAX_IN_MEMORY_OF_ONE, MultiPack, MultiPackIndex, MultiPackIndexError, Pack, PackError,
    PackFileWriter, PackStream, PackToIndex, RawEntry, ReceiveError, ReceiveLimits, Received,
    SpoolError, SpooledBlob, SpooledContent, WriteMultiPackIndexError, WritePackFileError, check,
    receive_cut_pack, receive_pack, repack, write_multi_pack_index,
};
pub use path::{
    MAX_PART_BYTES, MAX_PATH_BYTES, PathError, RepoPath, check_entry, check_entry_name, is_below,
    special_entry,
};
pub use patterns::{PathPatterns, Wildmatch};
pub use processors::on_processors;
pub use progress::Progress;
pub use read_error::ReadError;
pub use ref_name::{EPHEMERAL_PREFIX, RefName, RefNameError, RefNameProblem, check_ref_format};
pub use shallow::{Boundary, INFINITE_DEPTH, cut_at_depth, cut_by_rules};
pub use signature::Signature;
pub use special_file::{
    MAX_ATTRIBUTES_BYTES, MAX_ATTRIBUTES_LINE_BYTES, MAX_MODULES_BYTES, SpecialFile,
    SpecialFileError,
};
pub use stream::ObjectStream;
pub use tag::{Tag, tag_target};
pub use to_send::{ToSend, count_limited_to_send, count_objects, count_to_send, write_to_send};
pub use tree::{MAX_TREE_DEPTH, Tree, TreeEntry, TreeEntryRef, TreeIter, compare_entries};
pub use walk::CommitWalk;
pub use write_pack::{PackOptions, PackStats, WritePackError, write_pack};
