//! Bundles: refs and a pack in one file, as `git bundle` writes and reads them.
//!
//! Written in version 2; read in versions 2 and 3 with SHA-1 objects. A bundle appears whole or not at all, and is
//! imported whole or not at all.

mod export;
mod header;
mod import;
mod squash;

pub(crate) use export::bundle_changes;
pub use export::bundle_export;
pub use header::{BundleHeader, read_bundle_header};
pub(crate) use import::Import;
pub use import::bundle_import;
