//! The repository over its stores, next to `git` itself.

#![allow(clippy::unwrap_used, missing_docs)]

mod archive;
mod bare;
mod beside_git;
mod blame;
mod diff;
mod directory;
mod drops;
mod drops_crowd;
mod export_import;
mod grep;
mod hosted;
mod hosted_history;
mod hosted_quota;
mod killed;
mod merge;
mod notes;
mod patch;
mod path_log;
mod plain_git;
mod refused_packs;
mod repack;
mod revisions;
mod somebody;
mod special_files;
mod store;
mod store_bulk;
mod store_keep;
mod sweep;
mod sync;
