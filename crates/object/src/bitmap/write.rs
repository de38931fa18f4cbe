//! Writing a `.bitmap` file.

use std::io::{self, Write};

use super::kinds::Kinds;
use super::read::{FULL_DAG, SIGNATURE, VERSION};
use crate::{HashKind, ObjectId};

/// One commit's bitmap, compressed.
pub(super) struct Built {
    /// The commit, by its position in the index of the pack.
    pub(super) commit: u32,
    /// How far back in the file the bitmap is that this one is stored beside; 0: it stands alone.
    pub(super) distance: u8,
    pub(super) ewah: Vec<u8>,
}

/// Writes the file and returns its size in bytes.
pub(super) fn write(
    pack: &ObjectId,
    kinds: &Kinds,
    built: &[Built],
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut out = Hashed {
        out,
        hasher: gix_hash::hasher(HashKind::Sha1),
        bytes: 0,
    };
    let mut header = SIGNATURE.to_vec();
    header.extend_from_slice(&VERSION.to_be_bytes());
    header.extend_from_slice(&FULL_DAG.to_be_bytes());
    header.extend_from_slice(&(built.len() as u32).to_be_bytes());
    header.extend_from_slice(pack.as_slice());
    out.write(&header)?;
    for kind in kinds {
        out.write(&kind.to_ewah())?;
    }
    for bitmap in built {
        let mut entry = [0; 6];
        entry[..4].copy_from_slice(&bitmap.commit.to_be_bytes());
        entry[4] = bitmap.distance;
        out.write(&entry)?;
        out.write(&bitmap.ewah)?;
    }
    let checksum = out.hasher.try_finalize().map_err(io::Error::other)?;
    out.out.write_all(checksum.as_slice())?;
    Ok(out.bytes + checksum.as_slice().len() as u64)
}

struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: gix_hash::Hasher,
    bytes: u64,
}

impl Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}
