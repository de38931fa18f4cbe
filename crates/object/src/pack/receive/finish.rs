//! The last part: nothing twice, nothing missing, and the pack or its objects as the result.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use super::budget::Budget;
use super::by_id::ById;
use super::input::Arrived;
use super::resolve::resolve;
use super::scan::Scanned;
use super::special::SpecialFiles;
use super::table::{Content, Table};
use super::{Context, ReceiveError};
use crate::pack::FinishedPack;
use crate::pack::deflate::Deflater;
use crate::pack::entry::{EntryKind, write_header};
use crate::pack::index::IndexEntry;
use crate::pack::inflate;
use crate::pack::seal::{SealedPack, seal, sync_with_index};
use crate::pack::writer::read_full;
use crate::{Database, NewObject, ObjectId, Pack};

/// Turns a small pack into objects, in its order.
pub(super) fn into_objects(
    mut scanned: Scanned,
    context: Context<'_>,
) -> Result<Vec<NewObject>, ReceiveError> {
    let mut objects = Vec::with_capacity(scanned.table.entries.len());
    for (position, entry) in (0u32..).zip(&scanned.table.entries) {
        if let Content::Object(kind) = entry.content {
            let pack = &scanned.arrived.quarantine;
            let data = inflate::inflate(pack.number(), pack, entry.data(), entry.size as usize)
                .map_err(|error| ReceiveError::Storage(error.into()))?;
            objects.push((
                position,
                NewObject {
                    id: entry.id,
                    kind,
                    data: data.into(),
                },
            ));
        }
    }
    objects.append(&mut resolve(&mut scanned, context, true)?.objects);
    objects.sort_unstable_by_key(|(position, _)| *position);
    let order = ById::new(&scanned.table)?;
    let special = check_links(&mut scanned, context, &order)?;
    let objects: Vec<NewObject> = objects.into_iter().map(|(_, object)| object).collect();
    if !special.is_empty() {
        let complete = context.base.with_objects(objects.iter().cloned());
        check_special(special, &complete, context, &scanned.table, &scanned.budget)?;
    }
    Ok(objects)
}

/// Turns a pack into a file with its index.
pub(super) fn into_pack(
    mut scanned: Scanned,
    context: Context<'_>,
) -> Result<FinishedPack, ReceiveError> {
    let outside = resolve(&mut scanned, context, false)?.outside_bases;
    let order = ById::new(&scanned.table)?;
    let special = check_links(&mut scanned, context, &order)?;
    let Scanned {
        arrived,
        table,
        budget,
        ..
    } = scanned;
    let finished = complete_pack(arrived, &table, &order, outside, context)?;
    if !special.is_empty() {
        let pack = Pack::open(&finished.pack, &finished.idx)
            .map_err(|error| ReceiveError::Storage(io::Error::other(error)))?;
        let packs = [Arc::new(pack)].into_iter();
        let packs = packs.chain(context.base.packs().iter().cloned()).collect();
        let complete = context.base.with_packs(packs);
        check_special(special, &complete, context, &table, &budget)?;
    }
    Ok(finished)
}

/// Adds the bases that the pack lacks, and writes its index.
fn complete_pack(
    arrived: Arrived,
    table: &Table,
    order: &ById,
    outside: Vec<ObjectId>,
    context: Context<'_>,
) -> Result<FinishedPack, ReceiveError> {
    // A base of the repository that the pack turned out to hold as well is not added to it.
    let missing = |id: &ObjectId| order.kind(table, id).is_none();
    let outside: Vec<ObjectId> = outside.into_iter().filter(missing).collect();
    let mut index: Vec<IndexEntry> = order
        .entries(table)
        .map(|entry| IndexEntry {
            id: entry.id,
            crc32: entry.crc32,
            offset: entry.offset,
        })
        .collect();
    let bytes = arrived.quarantine.len();
    let (file, path) = arrived
        .quarantine
        .into_file()
        .map_err(ReceiveError::Storage)?;
    if outside.is_empty() {
        let pack = SealedPack { file, path, bytes };
        return sync_with_index(pack, context.dir, arrived.checksum, arrived.key, &index)
            .map_err(ReceiveError::Storage);
    }
    let end = append_bases(&file, table.end, &outside, context, &mut index)?;
    index.sort_unstable_by_key(|entry| entry.id);
    let count = u32::try_from(index.len()).map_err(|_| ReceiveError::TooManyObjects {
        count: index.len() as u64,
        limit: u32::MAX.into(),
    })?;
    seal(file, path, context.dir, end, count, &index).map_err(ReceiveError::Storage)
}

fn check_links(
    scanned: &mut Scanned,
    context: Context<'_>,
    order: &ById,
) -> Result<SpecialFiles, ReceiveError> {
    let table = &scanned.table;
    let links = std::mem::take(&mut scanned.links);
    links.check(
        context,
        |id| order.kind(table, id),
        |position| table.entry(position).id,
    )
}

fn check_special(
    special: SpecialFiles,
    complete: &Database,
    context: Context<'_>,
    table: &Table,
    budget: &Budget,
) -> Result<(), ReceiveError> {
    special.check(complete, context, budget, table.end, |position| {
        table.entry(position).id
    })
}

/// Writes objects of the repository behind the entries of a thin pack; returns where they end.
fn append_bases(
    file: &File,
    end: u64,
    bases: &[ObjectId],
    context: Context<'_>,
    index: &mut Vec<IndexEntry>,
) -> Result<u64, ReceiveError> {
    let mut file = file;
    file.seek(SeekFrom::Start(end))
        .map_err(ReceiveError::Storage)?;
    let mut out = BufWriter::with_capacity(256 << 10, file);
    let mut deflater = Deflater::new();
    let mut offset = end;
    for id in bases {
        context.check_cancelled()?;
        let mut base = context
            .base
            .stream(id)
            .map_err(ReceiveError::Base)?
            .ok_or_else(|| ReceiveError::Storage(io::Error::other(format!("{id} is gone"))))?;
        let kind = EntryKind::Object(base.kind);
        let (len, crc32) = append_entry(&mut out, &mut deflater, kind, base.size, &mut base)
            .map_err(ReceiveError::Storage)?;
        index.push(IndexEntry {
            id: *id,
            crc32,
            offset,
        });
        offset += len;
    }
    out.flush().map_err(ReceiveError::Storage)?;
    Ok(offset)
}

/// Writes an entry and returns its length and checksum.
fn append_entry(
    out: &mut impl Write,
    deflater: &mut Deflater,
    kind: EntryKind,
    size: u64,
    data: &mut dyn Read,
) -> io::Result<(u64, u32)> {
    let mut crc = crc32fast::Hasher::new();
    let mut len = 0;
    let mut write = |bytes: &[u8]| {
        crc.update(bytes);
        len += bytes.len() as u64;
        out.write_all(bytes)
    };
    let mut header = Vec::new();
    write_header(kind, size, &mut header);
    write(&header)?;
    let mut piece = vec![0; 128 << 10];
    let mut n = read_full(data, &mut piece)?;
    deflater.begin(&piece[..n]);
    while n > 0 {
        deflater.push(&piece[..n], &mut write)?;
        n = read_full(data, &mut piece)?;
    }
    deflater.finish(&mut write)?;
    Ok((len, crc.finalize()))
}
