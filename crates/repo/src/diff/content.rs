//! What of a file is compared.

use bytes::Bytes;
use packhouse_object::{Database, EntryMode, MAX_IN_MEMORY, ObjectKind, ReadError};

use super::FileSide;

/// The most bytes a file may have to be compared.
pub const MAX_CONTENT_BYTES: u64 = MAX_IN_MEMORY;

/// The content of a side; of a submodule, a line that names its commit; of no side, nothing.
pub(super) fn content(database: &Database, side: Option<&FileSide>) -> Result<Bytes, ReadError> {
    match side {
        None => Ok(Bytes::new()),
        Some(side) if side.mode == EntryMode::Submodule => {
            Ok(format!("Subproject commit {}\n", side.id).into())
        }
        Some(side) => database.bytes_of(side.id, ObjectKind::Blob),
    }
}

/// The size of a side's content.
pub(super) fn size(database: &Database, side: Option<&FileSide>) -> Result<u64, ReadError> {
    match side {
        Some(side) if side.mode != EntryMode::Submodule => {
            let header = database.header(&side.id)?;
            Ok(header.ok_or(ReadError::NotFound { id: side.id })?.size)
        }
        _ => Ok(content(database, side)?.len() as u64),
    }
}
