//! A bitmap index beside a pack that was just written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use tempfile::NamedTempFile;

use super::{BitmapStats, Bitmapped, BuildBitmapError, build_bitmap};
use crate::{Database, FinishedPack, ObjectId, Pack, Progress, ReadError};

impl FinishedPack {
    /// Makes the bitmap index of the pack in the folder `dir` and syncs it. The pack must have all that `tips` reach;
    /// that it does is found out on the way, commits and trees being read from it.
    pub fn add_bitmap(
        &mut self,
        db: &Database,
        tips: &[ObjectId],
        dir: &Path,
        progress: &dyn Progress,
    ) -> Result<BitmapStats, BuildBitmapError> {
        let pack = Pack::open(&self.pack, &self.idx);
        let pack = pack.map_err(|source| ReadError::pack(self.checksum, source))?;
        if let Some(missing) = tips.iter().find(|tip| pack.lookup(tip).is_none()) {
            return Err(BuildBitmapError::NotClosed { id: *missing });
        }
        let (file, path) = NamedTempFile::with_suffix_in(".bitmap", dir)?.into_parts();
        let mut out = BufWriter::new(file);
        let packed = Bitmapped::Pack(Arc::new(pack));
        let stats = build_bitmap(db, &packed, tips, &mut out, progress)?;
        out.flush()?;
        let file = out
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        self.bitmap = Some(path);
        Ok(stats)
    }
}
