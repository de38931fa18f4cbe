//! Scores of pairs of files, within a budget.

use std::collections::HashMap;
use std::rc::Rc;

use packhouse_object::{Database, EntryMode, MAX_IN_MEMORY, ObjectId, ObjectKind, ReadError};

use super::spans::{SpanCounter, Spans};
use super::{MAX_SCORE, RenameCandidate};

/// A file beyond this size is found only if its content is the same.
pub const MAX_FILE_BYTES: u64 = MAX_IN_MEMORY;

/// Bytes read and spans compared after which no further file is compared: some seconds.
const MAX_WORK: u64 = 1 << 31;

/// Spans that are kept (8 bytes each) before all are forgotten, to be counted again where needed.
const MAX_SPANS: usize = 8 << 20;

/// How similar files are. What was counted of each is kept for a while.
pub(super) struct Similarity<'a> {
    database: &'a Database,
    sizes: HashMap<ObjectId, Option<u64>>,
    spans: HashMap<ObjectId, Rc<Spans>>,
    counter: SpanCounter,
    spans_kept: usize,
    work: u64,
}

impl<'a> Similarity<'a> {
    pub(super) fn new(database: &'a Database) -> Similarity<'a> {
        Similarity {
            database,
            sizes: HashMap::new(),
            spans: HashMap::new(),
            counter: SpanCounter::new(),
            spans_kept: 0,
            work: 0,
        }
    }

    /// Whether pairs are compared no more.
    pub(super) fn is_exhausted(&self) -> bool {
        self.work > MAX_WORK
    }

    /// The score of a pair, 0 if it is certain to be below `min_score`.
    pub(super) fn score(
        &mut self,
        source: &RenameCandidate,
        destination: &RenameCandidate,
        min_score: u32,
    ) -> Result<u32, ReadError> {
        let is_file = |mode| matches!(mode, EntryMode::Blob | EntryMode::Executable);
        if self.is_exhausted() || !is_file(source.mode) || !is_file(destination.mode) {
            return Ok(0);
        }
        let (old, new) = (self.size(source.id)?, self.size(destination.id)?);
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(0);
        };
        let (max, grown) = (old.max(new), old.abs_diff(new));
        if new == 0
            || max > MAX_FILE_BYTES
            || max * u64::from(MAX_SCORE - min_score) < grown * u64::from(MAX_SCORE)
        {
            return Ok(0);
        }
        let (old, new) = (self.spans(source.id)?, self.spans(destination.id)?);
        self.work += (old.len() + new.len()) as u64;
        Ok((old.common(&new) * u64::from(MAX_SCORE) / max) as u32)
    }

    fn size(&mut self, id: ObjectId) -> Result<Option<u64>, ReadError> {
        if let Some(size) = self.sizes.get(&id) {
            return Ok(*size);
        }
        let size = self.database.header(&id)?.map(|header| header.size);
        self.sizes.insert(id, size);
        Ok(size)
    }

    fn spans(&mut self, id: ObjectId) -> Result<Rc<Spans>, ReadError> {
        if let Some(spans) = self.spans.get(&id) {
            return Ok(Rc::clone(spans));
        }
        let content = self.database.bytes_of(id, ObjectKind::Blob)?;
        self.work += content.len() as u64;
        let spans = Rc::new(self.counter.count(&content));
        if self.spans_kept > MAX_SPANS {
            self.spans.clear();
            self.spans_kept = 0;
        }
        self.spans_kept += spans.len();
        self.spans.insert(id, Rc::clone(&spans));
        Ok(spans)
    }
}
