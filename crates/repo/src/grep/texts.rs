//! The texts of blobs, kept in memory between searches.

use bytes::Bytes;
use packhouse_object::{Database, ObjectId, ReadError};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::merge::is_binary;

/// What an entry costs beside its text.
const ENTRY_OVERHEAD_BYTES: u64 = 160;

/// What a blob is to a search.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// Something to search.
    Lines(Bytes),
    /// A NUL among its first bytes: passed over, as `git grep -I` does.
    Binary,
    /// More bytes than a search reads.
    TooLarge,
}

/// Texts of blobs, within bounds. Shared by all searches of a process.
///
/// A text is found only under the scope of the database it was read from: one tenant never learns from it what
/// another stores.
pub struct TextCache {
    texts: Cache<(u64, ObjectId), Text, ByBytes>,
    largest: u64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<(u64, ObjectId), Text> for ByBytes {
    fn weight(&self, _: &(u64, ObjectId), text: &Text) -> u64 {
        ENTRY_OVERHEAD_BYTES
            + match text {
                Text::Lines(data) => data.len() as u64,
                Text::Binary | Text::TooLarge => 0,
            }
    }
}

impl TextCache {
    /// A cache of about `bytes`.
    pub fn new(bytes: u64) -> TextCache {
        let items = (bytes / 4096).clamp(16, 1 << 20) as usize;
        TextCache {
            texts: Cache::with_weighter(items, bytes, ByBytes),
            largest: bytes / 16,
        }
    }

    /// About how many bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.texts.weight()
    }

    pub(super) fn get(&self, database: &Database, id: ObjectId) -> Option<Text> {
        self.texts.get(&(database.scope(), id))
    }

    fn keep(&self, database: &Database, id: ObjectId, text: &Text) {
        if !matches!(text, Text::Lines(data) if data.len() as u64 > self.largest) {
            self.texts.insert((database.scope(), id), text.clone());
        }
    }

    /// The text of a blob, which must be there, read if need be.
    pub(super) fn read(
        &self,
        database: &Database,
        id: ObjectId,
        limit: u64,
    ) -> Result<Text, ReadError> {
        if let Some(text) = self.get(database, id) {
            return Ok(text);
        }
        let text = match database.read_up_to(&id, limit) {
            Ok(Some(blob)) if is_binary(&blob.data) => Text::Binary,
            Ok(Some(blob)) => Text::Lines(blob.data),
            Ok(None) => return Err(ReadError::NotFound { id }),
            Err(ReadError::TooLarge { .. }) => Text::TooLarge,
            Err(error) => return Err(error),
        };
        self.keep(database, id, &text);
        Ok(text)
    }
}

impl std::fmt::Debug for TextCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TextCache({} bytes)", self.bytes())
    }
}
