//! Writing a pack of whole objects, and its index, so that they survive a power cut.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::deflate::Deflater;
use super::entry::{EntryKind, MAX_HEADER_LEN, write_header};
use super::file::PACK_HEADER_LEN;
use super::index::IndexEntry;
use super::seal::{pack_header_bytes, seal};
use super::spool::{SpooledBlob, SpooledContent};
use crate::{
    CollisionError, ForkedCopy, IdSet, MadeHere, NewObject, ObjectHasher, ObjectId, ObjectKind,
    hash_object, oid,
};

/// Pieces of this size pass through memory.
const PIECE_LEN: usize = 64 << 10;
const BUFFER_LEN: usize = 256 << 10;

/// Writes a pack under a temporary name; dropping it removes the file. All that a process can do with one that it has from
/// the process it was forked from is to drop it, which leaves the file alone.
pub struct PackFileWriter {
    out: MadeHere<BufWriter<File>>,
    path: MadeHere<TempPath>,
    dir: PathBuf,
    /// Where the next entry begins.
    offset: u64,
    entries: Vec<IndexEntry>,
    ids: IdSet,
    deflater: Deflater,
    header: Vec<u8>,
}

/// A pack and its index, complete and synced, under temporary names.
#[derive(Debug)]
pub struct FinishedPack {
    /// The pack; dropping this removes the file.
    pub pack: TempPath,
    /// Its index; dropping this removes the file.
    pub idx: TempPath,
    /// The checksum at the pack's end.
    pub checksum: ObjectId,
    /// The BLAKE3 hash of the whole pack file.
    pub key: [u8; 32],
    /// How many objects it holds.
    pub objects: u64,
    /// The size of the pack file.
    pub pack_bytes: u64,
    /// The size of the index file.
    pub idx_bytes: u64,
    /// Its bitmap index, if it has one; dropping this removes the file.
    pub bitmap: Option<TempPath>,
}

/// Why a pack was not written.
#[derive(Debug, thiserror::Error)]
pub enum WritePackFileError {
    /// The disk said no.
    #[error("could not write a pack")]
    Io(#[from] io::Error),
    /// The pack is another process's.
    #[error("could not write a pack")]
    Forked(#[from] ForkedCopy),
    /// An object is a SHA-1 collision attack.
    #[error(transparent)]
    Collision(#[from] CollisionError),
    /// The content of an object could not be read from where it comes.
    #[error("could not read an object to be written")]
    Source(#[source] io::Error),
    /// The content of an object ends before, or goes on after, the size it was announced with.
    #[error("an object announced with {expected} bytes has {found}")]
    Size {
        /// The size announced.
        expected: u64,
        /// The size found, or more than that.
        found: u64,
    },
    /// A pack counts its objects in 32 bits.
    #[error("a pack holds at most {} objects", u32::MAX)]
    TooMany,
}

impl PackFileWriter {
    /// Begins a pack in the folder `dir`.
    pub fn create(dir: &Path) -> Result<PackFileWriter, WritePackFileError> {
        let (file, path) = NamedTempFile::with_suffix_in(".pack", dir)?.into_parts();
        let mut out = BufWriter::with_capacity(BUFFER_LEN, file);
        out.write_all(&pack_header_bytes(0))?;
        Ok(PackFileWriter {
            out: MadeHere::new(out),
            path: MadeHere::new(path),
            dir: dir.to_owned(),
            offset: PACK_HEADER_LEN as u64,
            entries: Vec::new(),
            ids: IdSet::default(),
            deflater: Deflater::new(),
            header: Vec::with_capacity(MAX_HEADER_LEN),
        })
    }

    /// Adds an object, unless it is here already, and returns its id.
    pub fn add(&mut self, kind: ObjectKind, data: &[u8]) -> Result<ObjectId, WritePackFileError> {
        let id = hash_object(kind, data)?;
        self.add_hashed(id, kind, data)?;
        Ok(id)
    }

    /// Adds an object whose id is known, unless it is here already.
    pub fn add_new(&mut self, object: &NewObject) -> Result<(), WritePackFileError> {
        self.add_hashed(object.id, object.kind, &object.data)
    }

    fn add_hashed(
        &mut self,
        id: ObjectId,
        kind: ObjectKind,
        data: &[u8],
    ) -> Result<(), WritePackFileError> {
        if self.contains(&id) {
            return Ok(());
        }
        let mut entry = self.begin_entry(kind, data.len() as u64)?;
        let out = self.out.get_mut()?;
        self.deflater
            .whole(data, &mut |piece| entry.write(out, piece))?;
        self.keep_entry(id, entry);
        Ok(())
    }

    /// Adds an object of any size from `data`, which must end after `size` bytes, and returns its
    /// id. Little memory is used. After an error the pack is as it was before.
    pub fn add_stream(
        &mut self,
        kind: ObjectKind,
        size: u64,
        data: &mut dyn Read,
    ) -> Result<ObjectId, WritePackFileError> {
        let mut entry = self.begin_entry(kind, size)?;
        let id = match self.deflate_stream(kind, size, data, &mut entry) {
            Ok(id) if !self.contains(&id) => id,
            other => {
                self.drop_entry()?;
                return other;
            }
        };
        self.keep_entry(id, entry);
        Ok(id)
    }

    fn deflate_stream(
        &mut self,
        kind: ObjectKind,
        size: u64,
        data: &mut dyn Read,
        entry: &mut Entry,
    ) -> Result<ObjectId, WritePackFileError> {
        let mut hasher = ObjectHasher::new(kind, size);
        // The first piece is larger, for the deflater to see how the content begins.
        let mut piece = vec![0; size.clamp(1, 2 * PIECE_LEN as u64) as usize];
        let mut found = 0;
        loop {
            let n = read_full(data, &mut piece).map_err(WritePackFileError::Source)?;
            // Whatever is read may fork meanwhile.
            let out = self.out.get_mut()?;
            if found == 0 {
                self.deflater.begin(&piece[..n]);
            }
            found += n as u64;
            if found > size || (n < piece.len() && found < size) {
                return Err(WritePackFileError::Size {
                    expected: size,
                    found,
                });
            }
            if n == 0 {
                break;
            }
            hasher.update(&piece[..n]);
            self.deflater
                .push(&piece[..n], &mut |deflated| entry.write(out, deflated))?;
        }
        let out = self.out.get_mut()?;
        self.deflater
            .finish(&mut |deflated| entry.write(out, deflated))?;
        Ok(hasher.finish()?)
    }

    /// Adds an object that is deflated already, unless it is here; `zlib` is copied as it is.
    ///
    /// The caller vouches for the stream: that it inflates to `size` bytes that hash to `id`.
    pub fn add_deflated(
        &mut self,
        kind: ObjectKind,
        size: u64,
        id: ObjectId,
        zlib: &mut dyn Read,
    ) -> Result<(), WritePackFileError> {
        if self.contains(&id) {
            return Ok(());
        }
        let mut entry = self.begin_entry(kind, size)?;
        match self.copy_stream(zlib, &mut entry) {
            Ok(()) => {
                self.keep_entry(id, entry);
                Ok(())
            }
            Err(error) => {
                self.drop_entry()?;
                Err(error)
            }
        }
    }

    /// As [`PackFileWriter::add_deflated`], of a stream that is in memory.
    pub fn add_zlib(
        &mut self,
        kind: ObjectKind,
        size: u64,
        id: ObjectId,
        zlib: &[u8],
    ) -> Result<(), WritePackFileError> {
        if self.contains(&id) {
            return Ok(());
        }
        let mut entry = self.begin_entry(kind, size)?;
        entry.write(self.out.get_mut()?, zlib)?;
        self.keep_entry(id, entry);
        Ok(())
    }

    fn copy_stream(
        &mut self,
        zlib: &mut dyn Read,
        entry: &mut Entry,
    ) -> Result<(), WritePackFileError> {
        let mut piece = vec![0; PIECE_LEN];
        loop {
            let n = read_full(zlib, &mut piece).map_err(WritePackFileError::Source)?;
            if n == 0 {
                return Ok(());
            }
            entry.write(self.out.get_mut()?, &piece[..n])?;
        }
    }

    /// Adds a blob that was spooled, unless it is here already.
    pub fn add_spooled(&mut self, blob: &SpooledBlob) -> Result<(), WritePackFileError> {
        match &blob.content {
            SpooledContent::Memory(data) => self.add_hashed(blob.id, ObjectKind::Blob, data),
            SpooledContent::Deflated(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(0))
                    .map_err(WritePackFileError::Source)?;
                self.add_deflated(ObjectKind::Blob, blob.size, blob.id, &mut file)
            }
        }
    }

    /// Whether an object is in the pack.
    pub fn contains(&self, id: &oid) -> bool {
        self.ids.contains(id)
    }

    /// How many objects are in the pack.
    pub fn object_count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// How many bytes the pack has so far, its trailer not counted.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// Completes the pack, writes its index and syncs both, and the folder they are in.
    pub fn finish(self) -> Result<FinishedPack, WritePackFileError> {
        let PackFileWriter {
            out,
            path,
            dir,
            offset,
            mut entries,
            ..
        } = self;
        let (out, path) = (out.into_inner()?, path.into_inner()?);
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let count = u32::try_from(entries.len()).map_err(|_| WritePackFileError::TooMany)?;
        entries.sort_unstable_by_key(|entry| entry.id);
        Ok(seal(file, path, &dir, offset, count, &entries)?)
    }

    fn begin_entry(&mut self, kind: ObjectKind, size: u64) -> Result<Entry, WritePackFileError> {
        let out = self.out.get_mut()?;
        if self.entries.len() >= u32::MAX as usize {
            return Err(WritePackFileError::TooMany);
        }
        self.header.clear();
        write_header(EntryKind::Object(kind), size, &mut self.header);
        let mut entry = Entry {
            crc: crc32fast::Hasher::new(),
            len: 0,
        };
        entry.write(out, &self.header)?;
        Ok(entry)
    }

    fn keep_entry(&mut self, id: ObjectId, entry: Entry) {
        let crc32 = entry.crc.finalize();
        self.entries.push(IndexEntry {
            id,
            crc32,
            offset: self.offset,
        });
        self.ids.insert(id);
        self.offset += entry.len;
    }

    /// Takes back what was written since the last [`Self::keep_entry`].
    fn drop_entry(&mut self) -> Result<(), WritePackFileError> {
        let out = self.out.get_mut()?;
        out.seek(SeekFrom::Start(self.offset))?;
        Ok(out.get_ref().set_len(self.offset)?)
    }
}

/// An entry being written.
struct Entry {
    crc: crc32fast::Hasher,
    len: u64,
}

impl Entry {
    fn write(&mut self, out: &mut BufWriter<File>, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.len += bytes.len() as u64;
        out.write_all(bytes)
    }
}

/// Fills `out`, or less at the end of `from`.
pub(super) fn read_full(from: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match from.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl std::fmt::Debug for PackFileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PackFileWriter({} objects, {} bytes)",
            self.entries.len(),
            self.offset
        )
    }
}
