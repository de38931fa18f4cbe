//! Reading an object of a pack through its chain of deltas, in a loop.

use bytes::Bytes;

use super::delta::{self, MAX_SIZES_LEN};
use super::entry::{EntryError, EntryHeader, EntryKind, parse_header};
use super::file::TRAILER_LEN;
use super::inflate::{self, InflateError};
use super::{MAX_DELTA_DEPTH, MAX_IN_MEMORY, Pack, PackError};
use crate::{Object, ObjectCache, ObjectHeader, ObjectKind};

/// A delta on the way from an object to its base.
#[derive(Copy, Clone)]
pub(super) struct Link {
    /// Where the entry begins.
    pub(super) offset: u64,
    /// Where its zlib stream begins.
    pub(super) data: u64,
    /// The size of the delta in bytes.
    pub(super) size: u64,
}

/// The bottom of a chain: an object as it is.
pub(super) struct Root {
    pub(super) offset: u64,
    pub(super) kind: ObjectKind,
    pub(super) data: u64,
    pub(super) size: u64,
}

impl Pack {
    /// The header of the entry at `offset`, as it stands: a delta is a delta.
    pub fn entry(&self, offset: u64) -> Result<EntryHeader, PackError> {
        if offset >= self.bytes() - TRAILER_LEN as u64 {
            return Err(PackError::NoEntry { offset });
        }
        inflate::with_start(self.number(), &self.file, offset, parse_header)
            .map_err(|source| self.io(source))?
            .map_err(|source| PackError::Entry { offset, source })
    }

    /// Kind and size of the object at `offset`; at most the start of one delta is inflated for it.
    pub fn header(&self, offset: u64) -> Result<ObjectHeader, PackError> {
        let entry = self.entry(offset)?;
        let size = match entry.kind {
            EntryKind::Object(kind) => {
                return Ok(ObjectHeader {
                    kind,
                    size: entry.size,
                });
            }
            _ => self.result_size(offset, &entry)?,
        };
        let (_, root) = self.chain(offset)?;
        Ok(ObjectHeader {
            kind: root.kind,
            size,
        })
    }

    /// The object at `offset`; one over [`MAX_IN_MEMORY`] is refused as [`PackError::TooLarge`].
    pub fn read(&self, offset: u64, cache: &ObjectCache) -> Result<Object, PackError> {
        self.read_up_to(offset, cache, MAX_IN_MEMORY)
    }

    /// The object at `offset`, if neither it nor anything it is built on is over `limit`.
    pub fn read_up_to(
        &self,
        offset: u64,
        cache: &ObjectCache,
        limit: u64,
    ) -> Result<Object, PackError> {
        let mut links = Vec::new();
        let mut at = offset;
        let mut object = loop {
            if let Some(object) = cache.base(self.number(), at) {
                break object;
            }
            let entry = self.entry(at)?;
            if entry.size > limit {
                return Err(PackError::TooLarge {
                    offset: at,
                    size: entry.size,
                    limit,
                });
            }
            let data = at + entry.header_len as u64;
            if let EntryKind::Object(kind) = entry.kind {
                let content = inflate::inflate_next(&self.file, data, entry.size as usize)
                    .map_err(|error| self.inflate_error(at, error))?;
                let object = Object {
                    kind,
                    data: content.into(),
                };
                if !links.is_empty() {
                    cache.keep_base(self.number(), at, &object);
                }
                break object;
            }
            let base = self.base_of(at, &entry, &links)?;
            links.push(Link {
                offset: at,
                data,
                size: entry.size,
            });
            at = base;
        };
        while let Some(link) = links.pop() {
            object.data = self.apply_link(&link, &object.data, limit)?;
            if !links.is_empty() {
                cache.keep_base(self.number(), link.offset, &object);
            }
        }
        Ok(object)
    }

    fn apply_link(&self, link: &Link, base: &Bytes, limit: u64) -> Result<Bytes, PackError> {
        let offset = link.offset;
        let delta = inflate::inflate(self.number(), &self.file, link.data, link.size as usize)
            .map_err(|error| self.inflate_error(offset, error))?;
        match delta::apply(base, &delta, limit) {
            Ok(data) => Ok(data.into()),
            Err(delta::DeltaError::TooLarge { size, limit }) => Err(PackError::TooLarge {
                offset,
                size,
                limit,
            }),
            Err(source) => Err(PackError::Delta { offset, source }),
        }
    }

    /// The deltas from the object at `offset` down to an object as it is, nearest first.
    pub(super) fn chain(&self, offset: u64) -> Result<(Vec<Link>, Root), PackError> {
        let mut links = Vec::new();
        let mut at = offset;
        loop {
            let entry = self.entry(at)?;
            let data = at + entry.header_len as u64;
            if let EntryKind::Object(kind) = entry.kind {
                return Ok((
                    links,
                    Root {
                        offset: at,
                        kind,
                        data,
                        size: entry.size,
                    },
                ));
            }
            let base = self.base_of(at, &entry, &links)?;
            links.push(Link {
                offset: at,
                data,
                size: entry.size,
            });
            at = base;
        }
    }

    /// Where the base of the delta at `offset` begins, `above` being the deltas that led to it.
    fn base_of(&self, offset: u64, entry: &EntryHeader, above: &[Link]) -> Result<u64, PackError> {
        if above.len() >= MAX_DELTA_DEPTH as usize {
            return Err(PackError::DeltaTooDeep {
                offset,
                limit: MAX_DELTA_DEPTH,
            });
        }
        match entry.kind {
            EntryKind::Object(_) => Ok(offset),
            // Always before this entry: such a chain cannot come back.
            EntryKind::OffsetDelta { distance } => offset
                .checked_sub(distance)
                .filter(|base| *base >= super::file::PACK_HEADER_LEN as u64)
                .ok_or(PackError::Entry {
                    offset,
                    source: EntryError::BaseOutside,
                }),
            EntryKind::RefDelta { base: id } => {
                let base = self
                    .lookup(&id)
                    .ok_or(PackError::MissingBase { offset, id })?;
                if base == offset || above.iter().any(|link| link.offset == base) {
                    return Err(PackError::DeltaCycle { offset });
                }
                Ok(base)
            }
        }
    }

    /// The size of what a delta makes, which stands at its start.
    fn result_size(&self, offset: u64, entry: &EntryHeader) -> Result<u64, PackError> {
        let mut start = [0; MAX_SIZES_LEN];
        let data = offset + entry.header_len as u64;
        let len = inflate::inflate_start(&self.file, data, &mut start)
            .map_err(|error| self.inflate_error(offset, error))?;
        let sizes = delta::parse_sizes(&start[..len])
            .map_err(|source| PackError::Delta { offset, source })?;
        Ok(sizes.result)
    }

    pub(super) fn inflate_error(&self, offset: u64, error: InflateError) -> PackError {
        match error {
            InflateError::Io(source) => self.io(source),
            InflateError::Bad(reason) => PackError::Inflate { offset, reason },
        }
    }
}
