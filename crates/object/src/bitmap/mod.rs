//! Git's reachability bitmaps: for chosen commits of a pack, or of several with an index together, which of its objects each reaches.
//!
//! Version 1 of `gitformat-bitmap(5)` is read, with the lookup table and the cache of name hashes, and written. A bit
//! stands for an object by its place in the pack: bit 0 is the entry that begins first.
//!
//! What always holds:
//!
//! - A bitmap is only about objects of its pack, and whatever they reach is in the pack too. So what a commit with a
//!   bitmap reaches is known without reading anything of it.
//! - Sizes and positions in a file are checked before they are used: a hostile or damaged file gives an error, and takes
//!   no more memory than a bit for each object of the pack, and some twenty bytes for each bitmap that it really holds.
//! - A file without a fault in its structure may still lie. So the one beside a pack is held against its checksum before
//!   it is used ([`Pack::bitmap`](crate::Pack::bitmap)); that whoever wrote it wrote the truth is trusted, as by Git.

mod ancestors;
mod beside;
mod bitmapped;
mod bits;
mod build;
mod ewah;
mod fill;
mod kinds;
mod reach;
mod read;
mod select;
mod write;

pub use ancestors::unreached_commits;
pub use bitmapped::{Bitmapped, bitmapped};
pub use bits::Bits;
pub use build::{BitmapStats, BuildBitmapError, build_bitmap};
pub use ewah::{Ewah, EwahError};
pub(crate) use reach::{ReachError, Reached};
pub use read::{BitmapError, BitmapIndex};
