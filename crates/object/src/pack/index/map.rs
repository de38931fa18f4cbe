//! Mapping an index into memory: with `forked`, the one place in the workspace with `unsafe`.

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::{Advice, Mmap};

/// The content of an index file (of a pack, or of history), mapped.
///
/// The file must never be written to or cut while it is mapped.
#[allow(unsafe_code)]
pub(crate) fn map(file: &File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        // Nothing can be mapped of it.
        return Ok(Bytes::new());
    }
    // SAFETY: a mapping is sound as long as its bytes do not change and the file is not cut.
    // An index is written under a temporary name that nobody else opens, is complete and synced
    // before it is renamed to the name it is opened by, and from then on is only ever unlinked,
    // which leaves mappings whole. Git treats the indexes of its own repositories in the same way
    // and maps them too. The mapping is private and read-only, and `Bytes` keeps it alive for as
    // long as any slice of it is.
    let map = unsafe { Mmap::map(file)? };
    // Lookups jump around; reading ahead would only push out something useful.
    map.advise(Advice::Random)?;
    Ok(Bytes::from_owner(map))
}
