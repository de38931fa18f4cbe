//! How much two files have in common, as Git counts it.

use std::collections::HashMap;
use std::sync::Arc;

use packhouse_object::{Database, MAX_IN_MEMORY, ObjectId, ObjectKind, ReadError};

use crate::merge::blob::is_file;
use crate::merge::stages::Stage;
use crate::renames::{self, SpanCounter, Spans};

/// Files that are the same.
pub(super) const ALIKE: u64 = renames::MAX_SCORE as u64;
/// The least that makes two files one that was renamed: half.
pub(super) const HALF: u64 = ALIKE / 2;

/// What the spans of one merge may take, in bytes. Past that no more files are compared.
const KEPT_BYTES: u64 = 256 << 20;
/// What may be read for them, in bytes.
const READ_BYTES: u64 = 4 << 30;

/// How alike files are. What was counted of each is kept.
pub(in crate::merge) struct Similarities<'a> {
    database: &'a Database,
    max_bytes: u64,
    sizes: HashMap<ObjectId, u64>,
    spans: HashMap<ObjectId, Arc<Spans>>,
    counter: SpanCounter,
    kept_bytes: u64,
    read_bytes: u64,
}

impl<'a> Similarities<'a> {
    /// Of files up to `max_bytes`; larger ones are like no other.
    pub(in crate::merge) fn new(database: &'a Database, max_bytes: u64) -> Similarities<'a> {
        Similarities {
            database,
            max_bytes: max_bytes.min(MAX_IN_MEMORY),
            sizes: HashMap::new(),
            spans: HashMap::new(),
            counter: SpanCounter::new(),
            kept_bytes: 0,
            read_bytes: 0,
        }
    }

    /// How alike two files are, at most [`ALIKE`]; 0 if that cannot be `least`.
    pub(super) fn compare(&mut self, old: Stage, new: Stage, least: u64) -> Result<u64, ReadError> {
        if !is_file(old.0) || !is_file(new.0) {
            return Ok(0);
        }
        let (old_size, new_size) = (self.size(old.1)?, self.size(new.1)?);
        let (larger, smaller) = (old_size.max(new_size), old_size.min(new_size));
        let sizes_differ = larger * (ALIKE - least) < (larger - smaller) * ALIKE;
        if sizes_differ || larger > self.max_bytes || new_size == 0 {
            return Ok(0);
        }
        let (Some(old), Some(new)) = (self.of(old.1, old_size)?, self.of(new.1, new_size)?) else {
            return Ok(0);
        };
        Ok(old.common(&new) * ALIKE / larger)
    }

    fn size(&mut self, id: ObjectId) -> Result<u64, ReadError> {
        if let Some(size) = self.sizes.get(&id) {
            return Ok(*size);
        }
        let header = self.database.header(&id)?;
        let size = header.ok_or(ReadError::NotFound { id })?.size;
        self.sizes.insert(id, size);
        Ok(size)
    }

    fn of(&mut self, id: ObjectId, size: u64) -> Result<Option<Arc<Spans>>, ReadError> {
        if let Some(spans) = self.spans.get(&id) {
            return Ok(Some(spans.clone()));
        }
        if self.kept_bytes > KEPT_BYTES || self.read_bytes > READ_BYTES {
            return Ok(None);
        }
        let data = self.database.bytes_of(id, ObjectKind::Blob)?;
        let spans = Arc::new(self.counter.count(&data));
        self.kept_bytes += 128 + spans.len() as u64 * 8;
        self.read_bytes += size;
        self.spans.insert(id, spans.clone());
        Ok(Some(spans))
    }
}
