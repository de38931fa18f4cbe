//! Taking over a pack that another program wrote.

use std::fs::File;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::file::TRAILER_LEN;
use super::{FinishedPack, Pack, PackError};
use crate::HashKind;

/// A pack is read in pieces of this size.
const PIECE_LEN: usize = 256 << 10;

impl FinishedPack {
    /// Takes over a pack and its index that another program wrote and nobody else uses: the files go when it is dropped.
    ///
    /// The pack is read once and held against its checksum, and both files are synced. What its entries hold is not
    /// looked at.
    pub fn adopt(pack: PathBuf, idx: PathBuf) -> Result<FinishedPack, PackError> {
        let io = |path: &Path, source| PackError::Io {
            path: path.to_owned(),
            source,
        };
        let owned =
            |path: PathBuf| TempPath::try_from_path(&path).map_err(|source| io(&path, source));
        let (pack, idx) = (owned(pack)?, owned(idx)?);
        let open = Pack::open(&pack, &idx)?;
        let mut sha = gix_hash::hasher(HashKind::Sha1);
        let mut key = blake3::Hasher::new();
        let mut piece = vec![0; PIECE_LEN];
        let end = open.bytes() - TRAILER_LEN as u64;
        let mut at = 0;
        while at < end {
            let n = piece.len().min((end - at) as usize);
            open.read_bytes(&mut piece[..n], at)?;
            sha.update(&piece[..n]);
            key.update(&piece[..n]);
            at += n as u64;
        }
        let checksum = sha.try_finalize().ok().filter(|found| *found == open.id());
        let Some(checksum) = checksum else {
            return Err(PackError::Damaged {
                path: pack.to_path_buf(),
                reason: "its checksum is that of other bytes",
            });
        };
        key.update(checksum.as_slice());
        for path in [&pack, &idx] {
            sync(path)?;
        }
        if let Some(folder) = pack.parent() {
            sync(folder)?;
        }
        Ok(FinishedPack {
            checksum,
            key: *key.finalize().as_bytes(),
            objects: open.object_count(),
            pack_bytes: open.bytes(),
            idx_bytes: open.index().size_bytes(),
            pack,
            idx,
            bitmap: None,
        })
    }
}

fn sync(path: &Path) -> Result<(), PackError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| PackError::Io {
        path: path.to_owned(),
        source,
    })
}
