//! Pack indexes: where in its pack each object is.
//!
//! Version 2 is read and written, version 1 is read (`gitformat-pack(5)`). An index is mapped into
//! memory, never read whole; what opening it checks is enough that no lookup reaches outside.

mod map;
mod order;
mod read;
mod reverse;
mod write;

pub(crate) use map::map as map_file;
pub(crate) use order::Order;
pub use read::{Index, IndexError};
pub use reverse::{
    ReverseIndex, ReverseIndexError, write_reverse_index, write_reverse_index_beside,
};
pub(in crate::pack) use write::Hashed;
pub use write::{IndexEntry, WrittenIndex, write_index};
