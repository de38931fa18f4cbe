//! A local cache of repositories and directories, for programs that would otherwise clone the same again and again.
//!
//! An entry is a folder of the cache: an ordinary working tree of the source's default branch with an ordinary `.git`, or
//! a plain copy of a directory. Behind it is one bare mirror for each canonical URL. What always holds:
//!
//! - who reads an entry's folder sees the old tree or the new one, never a part of one;
//! - an entry that is [`Fresh`](CacheStatus::Fresh) is complete, whatever process was killed when;
//! - a copy that is there stays when the remote is down, and the entry says what was wrong;
//! - two sources never share an entry, however alike their names are;
//! - callers that want the same at once, in this process and in others, cause one fetch;
//! - nothing outside the cache's folder is written or deleted, nor anything in it that the cache did not make;
//! - passwords are in no file, no command line, no URL and no error.
//!
//! ```no_run
//! use packhouse_client::cache::{Cache, CacheConfig, CallOptions};
//!
//! let cache = Cache::open(CacheConfig::at("/var/cache/sources"))?;
//! let entry = cache.add("https://github.com/octocat/Hello-World.git", None, &CallOptions::default())?;
//! println!("{} is at {}", entry.name, entry.cache_path.display());
//! # Ok::<(), packhouse_client::cache::CacheError>(())
//! ```

mod attributes;
mod budget;
#[allow(clippy::module_inception)]
mod cache;
mod checkout;
mod config;
mod details;
mod difference;
mod entry;
mod error;
mod flight;
mod folder;
mod git_dir;
mod index_file;
mod index_gate;
mod inner;
mod kept;
mod large_files;
mod line_ends;
mod lock;
mod manifest;
mod mend;
mod mend_index;
mod mirror;
mod moment;
mod name;
mod naming;
mod new_files;
mod note;
mod object_file;
mod progress;
mod publish;
mod readers;
mod record;
mod removal;
mod replace;
mod reserve;
mod room;
mod root;
mod seal;
mod served;
mod served_mark;
mod settings;
mod source;
mod source_folder;
mod spare;
mod staging;
mod state;
mod still;
mod submodules;
mod sweeps;
mod take_over;
#[cfg(test)]
mod test_world;
mod trash;
mod tree;
mod update;
mod way;

pub use cache::{Cache, Lease};
pub use config::{CacheConfig, GIT_SETTINGS, IgnoreRules};
pub use entry::{
    CacheStatus, CacheType, Checkout, Cleared, Details, Entry, Overview, Stats, Upstream,
};
pub use error::CacheError;
pub use progress::{CacheProgress, CacheStep, CallOptions, CancelToken};
pub use served::{CallerKey, Served, ServedCopy};
