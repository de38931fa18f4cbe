//! One thread's part of resolving: a tree of deltas at a time, depth first, without recursion.
//!
//! Bases that wait for the rest of what is built on them are on a stack. Past a limit, the oldest
//! are moved to temporary files; an object that is large by itself is never in memory.

use std::cell::RefCell;
use std::io;

use bytes::Bytes;

use super::ReceiveError;
use super::family::Children;
use super::links::NamedBatch;
use super::resolve::{Resolved, Shared};
use super::table::{Content, Entry};
use crate::pack::body::{Body, BodyWriter};
use crate::pack::delta::{self, DeltaError, MAX_SIZES_LEN, StreamError};
use crate::pack::inflate::{self, InflateError, InflateReader};
use crate::{
    CollisionError, NewObject, ObjectHasher, ObjectHeader, ObjectId, ObjectKind, hash_object,
};

/// Results are handed over in batches of this many.
const BATCH_LEN: usize = 512;

/// An object that deltas are built on and that is none itself.
pub(super) enum Root {
    /// It is in the pack.
    Inside { position: u32 },
    /// It is in the repository.
    Outside { id: ObjectId, header: ObjectHeader },
}

/// An object on the stack, waiting for what is built on it.
struct Frame {
    kind: ObjectKind,
    /// How many deltas it is from its root.
    depth: u32,
    /// Whether it is of the pack, and so was checked.
    is_checked: bool,
    body: Body,
    children: Children,
}

pub(super) struct Worker<'s, 'a> {
    shared: &'s Shared<'a>,
    stack: Vec<Frame>,
    /// How many bytes of memory the stack holds.
    waiting: u64,
    delta: Vec<u8>,
    result: Vec<u8>,
    named: NamedBatch,
    resolved: Vec<Resolved>,
    objects: Vec<(u32, NewObject)>,
}

impl<'s, 'a> Worker<'s, 'a> {
    pub(super) fn new(shared: &'s Shared<'a>) -> Worker<'s, 'a> {
        Worker {
            shared,
            stack: Vec::new(),
            waiting: 0,
            delta: Vec::new(),
            result: Vec::new(),
            named: NamedBatch::new(),
            resolved: Vec::new(),
            objects: Vec::new(),
        }
    }

    /// Resolves everything built on a root.
    pub(super) fn resolve_root(&mut self, root: &Root) -> Result<(), ReceiveError> {
        let frame = match root {
            Root::Inside { position } => self.inside(*position)?,
            Root::Outside { id, header } => self.outside(id, header)?,
        };
        self.push(frame)?;
        while let Some(mut frame) = self.pop() {
            let Some(position) = frame.children.next(self.shared.family) else {
                continue;
            };
            frame.body = self.readable(frame.body)?;
            let child = self.resolve(&frame, position)?;
            if !frame.children.is_empty() {
                self.push(frame)?;
            }
            if let Some(child) = child {
                self.push(child)?;
            }
            if self.resolved.len() >= BATCH_LEN || self.named.is_full() {
                self.flush()?;
                if self.shared.is_stopped() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Hands over what is done.
    pub(super) fn flush(&mut self) -> Result<(), ReceiveError> {
        self.shared
            .links
            .lock()
            .add(&mut self.named, self.shared.context)?;
        self.shared.take(&mut self.resolved, &mut self.objects)
    }

    fn push(&mut self, frame: Frame) -> Result<(), ReceiveError> {
        self.waiting += frame.body.held_bytes();
        self.stack.push(frame);
        let mut oldest = 0;
        // The newest is needed at once.
        while self.waiting > self.shared.waiting_bytes && oldest + 1 < self.stack.len() {
            let body = &mut self.stack[oldest].body;
            self.waiting -= body.held_bytes();
            body.spill(self.shared.context.dir)
                .map_err(ReceiveError::Storage)?;
            oldest += 1;
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<Frame> {
        let frame = self.stack.pop()?;
        self.waiting -= frame.body.held_bytes();
        Some(frame)
    }

    /// Takes a body back into memory if it is only in a file because others needed the room.
    fn readable(&self, body: Body) -> Result<Body, ReceiveError> {
        if matches!(body, Body::File { .. }) && body.len() <= self.shared.in_memory {
            return Ok(Body::Memory(body.load().map_err(ReceiveError::Storage)?));
        }
        Ok(body)
    }

    fn inside(&mut self, position: u32) -> Result<Frame, ReceiveError> {
        let entry = self.shared.table.entry(position);
        let Content::Object(kind) = entry.content else {
            unreachable!("roots are whole objects");
        };
        let (pack, offset) = (self.shared.pack, entry.offset);
        let body = if entry.size <= self.shared.in_memory {
            let data = inflate::inflate(pack.number(), pack, entry.data(), entry.size as usize)
                .map_err(|error| inflate_error(offset, error))?;
            Body::Memory(data.into())
        } else {
            self.copy_to_file(&mut InflateReader::new(pack, entry.data(), entry.size))
                .map_err(ReceiveError::Storage)?
        };
        let children = self.shared.family.children(Some(position), &entry.id);
        Ok(Frame {
            kind,
            depth: 0,
            is_checked: true,
            body,
            children,
        })
    }

    fn outside(&mut self, id: &ObjectId, header: &ObjectHeader) -> Result<Frame, ReceiveError> {
        let base = self.shared.context.base;
        let gone = || ReceiveError::Storage(io::Error::other(format!("{id} is gone")));
        let body = if header.size <= self.shared.in_memory {
            let object = base
                .read(id)
                .map_err(ReceiveError::Base)?
                .ok_or_else(gone)?;
            Body::Memory(object.data)
        } else {
            let mut stream = base
                .stream(id)
                .map_err(ReceiveError::Base)?
                .ok_or_else(gone)?;
            self.copy_to_file(&mut stream)
                .map_err(ReceiveError::Storage)?
        };
        let children = self.shared.family.children(None, id);
        Ok(Frame {
            kind: header.kind,
            depth: 0,
            is_checked: false,
            body,
            children,
        })
    }

    fn copy_to_file(&self, from: &mut dyn io::Read) -> io::Result<Body> {
        BodyWriter::new(self.shared.context.dir)?.copy(from)
    }

    /// Makes the object of the delta at `position`; returned if something is built on it.
    fn resolve(&mut self, base: &Frame, position: u32) -> Result<Option<Frame>, ReceiveError> {
        let entry = self.shared.table.entry(position);
        let limit = self.shared.context.limits.delta_depth;
        let depth = base.depth + 1;
        if depth > limit {
            return Err(ReceiveError::DeltaTooDeep {
                offset: entry.offset,
                limit,
            });
        }
        if let Body::Memory(data) = &base.body
            && entry.size <= self.shared.in_memory
            && self.apply_in_memory(entry, data)?
        {
            return self.keep_result(base, depth, position);
        }
        self.apply_in_file(base, depth, position)
    }

    /// Applies a delta into `result`; `false` if that would be too large for memory.
    fn apply_in_memory(&mut self, entry: &Entry, base: &[u8]) -> Result<bool, ReceiveError> {
        let (offset, size) = (entry.offset, entry.size as usize);
        let delta = match entry.kept {
            Some(place) => self.shared.kept.get(place, size),
            None => {
                let (pack, out) = (self.shared.pack, &mut self.delta);
                inflate::inflate_into(pack.number(), pack, entry.data(), size, out)
                    .map_err(|error| inflate_error(offset, error))?;
                &self.delta
            }
        };
        match delta::apply_into(base, delta, self.shared.in_memory, &mut self.result) {
            Ok(()) => Ok(true),
            Err(DeltaError::TooLarge { .. }) => Ok(false),
            Err(source) => Err(ReceiveError::BadDelta { offset, source }),
        }
    }

    fn keep_result(
        &mut self,
        base: &Frame,
        depth: u32,
        position: u32,
    ) -> Result<Option<Frame>, ReceiveError> {
        let kind = base.kind;
        let offset = self.shared.table.entry(position).offset;
        let limits = &self.shared.context.limits;
        limits.check_kind(kind, offset, self.result.len() as u64)?;
        let id = hash_object(kind, &self.result).map_err(|source| collision(offset, source))?;
        self.check_result(base, id, position)?;
        self.resolved.push(Resolved { position, id, kind });
        let children = self.shared.family.children(Some(position), &id);
        if children.is_empty() && !self.shared.collect {
            return Ok(None);
        }
        // What waits must not take more memory than is counted, by far: the room may be that of a larger one.
        let data = match self.result.capacity() / 2 > self.result.len() {
            true => Bytes::copy_from_slice(&self.result),
            false => Bytes::from(std::mem::take(&mut self.result)),
        };
        if self.shared.collect {
            self.objects.push((
                position,
                NewObject {
                    id,
                    kind,
                    data: data.clone(),
                },
            ));
        }
        let frame = Frame {
            kind,
            depth,
            is_checked: true,
            body: Body::Memory(data),
            children,
        };
        Ok(Some(frame).filter(|frame| !frame.children.is_empty()))
    }

    /// Checks the object in `result`, which was made of `base`.
    fn check_result(
        &mut self,
        base: &Frame,
        id: ObjectId,
        position: u32,
    ) -> Result<(), ReceiveError> {
        let context = self.shared.context;
        if base.kind == ObjectKind::Tree
            && base.is_checked
            && context.limits.rules.are_even()
            && let Body::Memory(passed) = &base.body
        {
            let named = &mut self.named;
            let checked = named.check_changed_tree(id, passed, &self.result, position);
            match checked {
                // A fault among the changes may be one that is let through.
                Some(Err(_)) if !context.limits.rules.are_strict() => {}
                Some(checked) => return checked,
                None => {}
            }
        }
        self.named
            .check_object(id, base.kind, &self.result, position, context)
    }

    /// Like [`Self::apply_in_memory`] and [`Self::keep_result`], in pieces.
    fn apply_in_file(
        &mut self,
        base: &Frame,
        depth: u32,
        position: u32,
    ) -> Result<Option<Frame>, ReceiveError> {
        let entry = self.shared.table.entry(position);
        let (kind, offset) = (base.kind, entry.offset);
        let size = self.result_size(entry)?;
        self.shared.context.limits.check_kind(kind, offset, size)?;
        let is_needed = kind != ObjectKind::Blob
            || self.shared.family.has_refs()
            || !self
                .shared
                .family
                .children(Some(position), &entry.id)
                .is_empty();
        let mut hasher = ObjectHasher::new(kind, size);
        let mut file = match is_needed {
            true => Some(BodyWriter::new(self.shared.context.dir).map_err(ReceiveError::Storage)?),
            false => None,
        };
        self.apply_in_pieces(entry, &base.body, &mut |piece| {
            hasher.update(piece);
            file.as_mut().map_or(Ok(()), |file| file.write(piece))
        })?;
        let id = hasher
            .finish()
            .map_err(|source| collision(offset, source))?;
        let body = match file {
            Some(file) => Some(file.finish().map_err(ReceiveError::Storage)?),
            None => None,
        };
        if let Some(body) = body.as_ref().filter(|_| kind != ObjectKind::Blob) {
            let data = body.load().map_err(ReceiveError::Storage)?;
            let context = self.shared.context;
            self.named
                .check_object(id, kind, &data, position, context)?;
        }
        self.resolved.push(Resolved { position, id, kind });
        let children = self.shared.family.children(Some(position), &id);
        if self.shared.collect
            && let Some(body) = &body
        {
            let data = body.load().map_err(ReceiveError::Storage)?;
            self.objects.push((position, NewObject { id, kind, data }));
        }
        Ok(body.filter(|_| !children.is_empty()).map(|body| Frame {
            kind,
            depth,
            is_checked: true,
            body,
            children,
        }))
    }

    fn apply_in_pieces(
        &self,
        entry: &Entry,
        base: &Body,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ReceiveError> {
        let Shared {
            pack,
            budget,
            table,
            context,
            ..
        } = self.shared;
        let limit = context.limits.object_bytes;
        let mut delta = InflateReader::new(*pack, entry.data(), entry.size);
        let overspent = RefCell::new(None);
        let charge = |bytes| {
            budget.spend(bytes, table.end).map_err(|error| {
                overspent.replace(Some(error));
                io::Error::other("the work is out of proportion")
            })
        };
        let applied = delta::apply_stream(base, base.len(), &mut delta, limit, &charge, out);
        let offset = entry.offset;
        match (applied, overspent.into_inner()) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(error)) => Err(error),
            (Err(StreamError::Io(error)), None) => Err(ReceiveError::Storage(error)),
            (Err(StreamError::Delta(source)), None) => {
                Err(ReceiveError::BadDelta { offset, source })
            }
        }
    }

    fn result_size(&self, entry: &Entry) -> Result<u64, ReceiveError> {
        let offset = entry.offset;
        let mut start = Vec::new();
        let len = entry.size.min(MAX_SIZES_LEN as u64) as usize;
        start.resize(len, 0);
        let mut delta = InflateReader::new(self.shared.pack, entry.data(), entry.size);
        io::Read::read_exact(&mut delta, &mut start).map_err(ReceiveError::Storage)?;
        let sizes = delta::parse_sizes(&start)
            .map_err(|source| ReceiveError::BadDelta { offset, source })?;
        Ok(sizes.result)
    }
}

fn inflate_error(offset: u64, error: InflateError) -> ReceiveError {
    match error {
        InflateError::Io(error) => ReceiveError::Storage(error),
        InflateError::Bad(reason) => ReceiveError::BadZlib { offset, reason },
    }
}

fn collision(offset: u64, source: CollisionError) -> ReceiveError {
    ReceiveError::Collision { offset, source }
}
