//! Multi-pack indexes: in which of several packs each object is (`gitformat-pack(5)`).
//!
//! One lookup takes the place of one in each pack, and bitmaps may be about the objects of all of them. Which of several packs
//! an object is taken from is the index's choice. What always holds:
//!
//! - An index is only used with all of its packs open, by their names.
//! - Sizes and positions are checked before they are used. What an index says of offsets is trusted as far as that of one pack
//!   is: an entry that cannot be read is looked for in the other packs.

mod read;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use self::read::{MultiPackIndex, MultiPackIndexError};
pub use self::write::{PackToIndex, WriteMultiPackIndexError, write_multi_pack_index};
use super::Pack;
use crate::bitmap::{BitmapError, BitmapIndex};
use crate::{ObjectId, ProcessLocal, oid};

/// A multi-pack index and its packs, open for reading by any number of threads.
pub struct MultiPack {
    path: PathBuf,
    index: MultiPackIndex,
    packs: Vec<Arc<Pack>>,
    bitmap: ProcessLocal<OnceLock<Option<MultiBitmap>>>,
}

struct MultiBitmap {
    index: BitmapIndex,
    /// The bit of each position in the multi-pack index.
    bits: Vec<u32>,
}

impl MultiPack {
    /// Opens the index at `path`, whose packs are among `packs`. `None` if it is not there, or cannot be used with these.
    pub fn open(path: &Path, packs: &[Arc<Pack>]) -> Option<MultiPack> {
        let index = match MultiPackIndex::open(path) {
            Ok(Ok(index)) => index,
            Ok(Err(error)) => {
                let path = path.display();
                tracing::warn!(%path, %error, "a multi-pack index cannot be used");
                return None;
            }
            // Most repositories have none.
            Err(_) => return None,
        };
        let by_name = |name: &String| {
            let is_it = |pack: &&Arc<Pack>| {
                let file = pack.path().with_extension("idx");
                file.file_name().is_some_and(|file| file == name.as_str())
            };
            packs.iter().find(is_it).cloned()
        };
        let packs = index.pack_names().iter().map(by_name);
        Some(MultiPack {
            path: path.to_owned(),
            packs: packs.collect::<Option<_>>()?,
            index,
            bitmap: ProcessLocal::new(),
        })
    }

    /// The index.
    pub fn index(&self) -> &MultiPackIndex {
        &self.index
    }

    /// The packs, in the order in which the index numbers them.
    pub fn packs(&self) -> &[Arc<Pack>] {
        &self.packs
    }

    /// In which pack an object is taken to be, by its number, and where its entry begins.
    pub fn lookup(&self, id: &oid) -> Option<(usize, u64)> {
        let (pack, offset) = self.index.place(self.index.lookup(id)?)?;
        ((pack as usize) < self.packs.len()).then_some((pack as usize, offset))
    }

    /// The bitmap index beside the multi-pack index, if there is one that is for it. It is looked for, and held against its
    /// checksum, once.
    pub fn bitmap(&self) -> Option<&BitmapIndex> {
        Some(&self.multi_bitmap()?.index)
    }

    fn multi_bitmap(&self) -> Option<&MultiBitmap> {
        let found = self.bitmap.get_or_init(OnceLock::new);
        found.get_or_init(|| self.open_bitmap()).as_ref()
    }

    fn open_bitmap(&self) -> Option<MultiBitmap> {
        let checksum = self.index.checksum();
        let name = format!("multi-pack-index-{checksum}.bitmap");
        let path = self.path.with_file_name(name);
        let opened = BitmapIndex::open(&path, self.index.count(), &checksum);
        let failed = |error: &BitmapError| {
            let bitmap = path.display();
            tracing::warn!(%bitmap, %error, "a bitmap index cannot be used");
            None
        };
        match opened {
            // Without an order nobody knows what the bits stand for.
            Ok(Ok(index)) if index.is_intact() => {
                let bits = self.index.bits()?;
                Some(MultiBitmap { index, bits })
            }
            Ok(opened) => failed(&opened.err().unwrap_or(BitmapError::Checksum)),
            Err(_) => None,
        }
    }

    /// The bit of an object; none where there are no bitmaps.
    pub(crate) fn bit_of(&self, id: &oid) -> Option<u32> {
        let bitmap = self.multi_bitmap()?;
        Some(bitmap.bits[self.index.lookup(id)? as usize])
    }

    /// In which pack the object of a bit is taken to be, by its number, and where its entry begins. The bit must be under the number
    /// of objects, and the index say in which order they are.
    pub(crate) fn place_of_bit(&self, bit: u32) -> Option<(usize, u64)> {
        let (pack, offset) = self.index.place(self.index.position_of_bit(bit))?;
        ((pack as usize) < self.packs.len()).then_some((pack as usize, offset))
    }

    /// The object of a bit, which must be under the number of objects.
    pub(crate) fn id_of_bit(&self, bit: u32) -> ObjectId {
        self.index.id(self.index.position_of_bit(bit)).to_owned()
    }
}

impl std::fmt::Debug for MultiPack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (objects, packs) = (self.index.count(), self.packs.len());
        write!(f, "MultiPack({objects} objects of {packs} packs)")
    }
}
