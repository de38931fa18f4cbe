//! Objects in memory written as a pack.

use std::path::Path;

use packhouse_object::{FinishedPack, NewObject, PackFileWriter, WritePackFileError};

/// A pack of these objects, in temporary files in `folder`.
pub(crate) fn pack_of<'a>(
    objects: impl IntoIterator<Item = &'a NewObject>,
    folder: &Path,
) -> Result<FinishedPack, WritePackFileError> {
    let mut writer = PackFileWriter::create(folder)?;
    for object in objects {
        writer.add_new(object)?;
    }
    writer.finish()
}
