//! What is to be sent to another side: counted by bitmaps where there are some, and by walking elsewhere.

use std::io::Write;
use std::sync::Arc;

use crate::bitmap::{BitmapError, Bitmapped, Bits, ReachError, Reached, bitmapped};
use crate::copy_part::{copy_part, copy_whole};
use crate::count::{count_limited, follow_tags, walk_objects};
use crate::graph::Graph;
use crate::limit::limit_within;
use crate::pack_out::PackOut;
use crate::write_pack::{write_rest, write_whole};
use crate::{
    CountLimits, Counted, Database, IdSet, ObjectId, ObjectKind, Pack, PackOptions, PackStats,
    Progress, ReadError, Wanted, WritePackError,
};

/// What lies between two sides is walked if it takes no more commits than this: what changed in few commits is found
/// sooner than all that one side has, and with it how deltas and objects lie together.
const SHORT_WALK: u64 = 512;

/// The objects to send: some of those that bitmaps are about, and others by their ids. None is among both.
///
/// It keeps the packs open, and says nothing of the view that it was counted in: whoever holds all objects that were
/// counted can write it.
#[derive(Clone)]
pub struct ToSend {
    part: Option<Part>,
    rest: Counted,
    /// What the receiver has, if deltas may build on it and bitmaps were used.
    theirs: Option<Arc<Reached>>,
}

/// Some of the objects that bitmaps are about.
#[derive(Clone)]
struct Part {
    of: Bitmapped,
    bits: Bits,
}

/// Some objects of a pack.
#[derive(Clone)]
pub(crate) struct PackPart {
    pub(crate) pack: Arc<Pack>,
    pub(crate) bits: Bits,
}

impl From<Counted> for ToSend {
    fn from(rest: Counted) -> ToSend {
        ToSend {
            part: None,
            rest,
            theirs: None,
        }
    }
}

impl ToSend {
    /// How many objects there are.
    pub fn len(&self) -> u64 {
        self.part_len() + self.rest.ids.len() as u64
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes of memory it takes, the pack not counted.
    pub fn weight_bytes(&self) -> u64 {
        const PER_ID: u64 = 32;
        let bits = |bits: &Bits| u64::from(bits.limit()) / 8;
        let part = self.part.as_ref().map_or(0, |part| bits(&part.bits));
        let theirs = self.theirs.as_ref().map_or(0, |theirs| {
            bits(&theirs.bits) + theirs.others.len() as u64 * PER_ID
        });
        let ids = (self.rest.ids.len() + self.rest.thin_bases.len()) as u64;
        256 + part + theirs + ids * PER_ID
    }

    /// About what keeping it costs beside its own memory: the pack that it holds open has a descriptor, maps, and an order of
    /// its objects, even when the repository has no use for it any more.
    pub fn pinned_bytes(&self) -> u64 {
        const OPEN_PACK: u64 = 256 << 10;
        const ORDER: u64 = 4;
        self.part
            .as_ref()
            .map_or(0, |part| OPEN_PACK + ORDER * u64::from(part.bits.limit()))
    }

    /// Leaves out the objects of some kinds.
    fn leave_out(&mut self, kinds: &[ObjectKind]) -> Result<(), BitmapError> {
        if let Some(Part { of, bits }) = &mut self.part
            && let Some(bitmap) = of.bitmap()
        {
            for kind in kinds {
                bits.subtract(&bitmap.kind(*kind)?);
            }
        }
        let [links, trees] = self.rest.groups;
        let mut groups = [0..links, links..trees, trees..self.rest.ids.len()];
        for kind in kinds {
            // A tag cannot be told from a commit here.
            debug_assert_ne!(group(*kind), 0);
            let left_out = &mut groups[group(*kind)];
            left_out.end = left_out.start;
        }
        let kept = groups.clone().map(|ids| self.rest.ids[ids].to_vec());
        let [links, trees, _] = kept.each_ref().map(Vec::len);
        self.rest.groups = [links, links + trees];
        self.rest.ids = kept.concat();
        Ok(())
    }

    /// What is found outside of the packs that the bitmaps are about; all of it, if no bitmaps were used. Nobody has looked
    /// whether blobs among it are there.
    pub fn others(&self) -> &[ObjectId] {
        &self.rest.ids
    }

    /// Leaves out what is not in the pack with bitmaps. What is left has all that it reaches, as that pack has. Nothing is
    /// left if no bitmaps were used.
    pub fn leave_out_others(&mut self) {
        self.rest = Counted::default();
    }

    /// The pack, if all of it is sent and nothing else: written with offsets for bases, that is its bytes.
    pub fn whole_pack(&self) -> Option<&Arc<Pack>> {
        let Some(Part {
            of: Bitmapped::Pack(pack),
            bits,
        }) = &self.part
        else {
            return None;
        };
        let is_whole = bits.count() == pack.object_count() && self.rest.ids.is_empty();
        is_whole.then_some(pack)
    }

    fn part_len(&self) -> u64 {
        self.part.as_ref().map_or(0, |part| part.bits.count())
    }

    /// The same by ids.
    fn counted(self) -> Result<Counted, BitmapError> {
        let Some(Part { of, bits }) = self.part else {
            return Ok(self.rest);
        };
        let mut groups: [Vec<ObjectId>; 3] = Default::default();
        if let Some(bitmap) = of.bitmap() {
            for kind in ObjectKind::ALL {
                let mut of_kind = bitmap.kind(kind)?;
                of_kind.intersect(&bits);
                let ids = of_kind.iter().map(|bit| of.id_of_bit(bit));
                groups[group(kind)].extend(ids);
            }
        }
        let [links, trees] = self.rest.groups;
        groups[0].extend_from_slice(&self.rest.ids[..links]);
        groups[1].extend_from_slice(&self.rest.ids[links..trees]);
        groups[2].extend_from_slice(&self.rest.ids[trees..]);
        let mut thin_bases = self.rest.thin_bases;
        if let Some(theirs) = self.theirs {
            thin_bases.extend(theirs.bits.iter().map(|bit| of.id_of_bit(bit)));
            thin_bases.extend(theirs.others.keys());
        }
        let [links, trees, _] = groups.each_ref().map(Vec::len);
        Ok(Counted {
            ids: groups.concat(),
            thin_bases,
            groups: [links, links + trees],
        })
    }
}

/// Commits and tags go first, then trees, then blobs.
fn group(kind: ObjectKind) -> usize {
    match kind {
        ObjectKind::Commit | ObjectKind::Tag => 0,
        ObjectKind::Tree => 1,
        ObjectKind::Blob => 2,
    }
}

impl std::fmt::Debug for ToSend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (part, rest) = (self.part_len(), self.rest.ids.len());
        write!(f, "ToSend({part} objects of a pack, {rest} others)")
    }
}

/// Finds the objects to send: what the wants reach and the haves do not.
///
/// Every missing object is found. Where a walk is short, or there are no bitmaps, a few that the other side has may be
/// among them: where a file or a folder came back from older history, or from another folder.
pub fn count_objects(
    db: &Database,
    wanted: &Wanted,
    progress: &dyn Progress,
) -> Result<Counted, ReadError> {
    match count_to_send(db, wanted, progress)?.counted() {
        Ok(counted) => Ok(counted),
        Err(error) => {
            tracing::warn!(%error, "a bitmap index cannot be used");
            walk_objects(db, wanted, progress)
        }
    }
}

/// As [`count_objects`], for [`write_to_send`]: what is found by bitmaps is not named one by one.
pub fn count_to_send(
    db: &Database,
    wanted: &Wanted,
    progress: &dyn Progress,
) -> Result<ToSend, ReadError> {
    // In this order: a short walk does without reading bitmaps.
    if !is_near(db, wanted, progress)?
        && let Some(packed) = bitmapped(db)
    {
        match count_by_bitmap(db, &packed, wanted, progress) {
            Ok(found) => return Ok(found),
            Err(ReachError::Read(error)) => return Err(error),
            Err(ReachError::Bitmap(error)) => {
                tracing::warn!(?packed, %error, "a bitmap index cannot be used");
            }
        }
    }
    Ok(walk_objects(db, wanted, progress)?.into())
}

/// As [`count_to_send`], for a side that has, or wants, less than everything.
pub fn count_limited_to_send(
    db: &Database,
    wanted: &Wanted,
    limits: &CountLimits,
    progress: &dyn Progress,
) -> Result<ToSend, ReadError> {
    if limits.is_none() {
        return count_to_send(db, wanted, progress);
    }
    // Bitmaps know what is reached, and of which kind it is; they know no cuts, no depths and no sizes.
    if limits.cut.is_empty()
        && let Some(kinds) = limits.filter.kinds_left_out()
        && kinds.iter().all(|kind| group(*kind) > 0)
        // A walk that needs no trees reads none.
        && (!kinds.contains(&ObjectKind::Tree)
            || (wanted.haves.is_empty() && bitmapped(db).is_some()))
        && all_name_commits(db, &wanted.wants)?
    {
        let mut found = count_to_send(db, wanted, progress)?;
        match found.leave_out(&kinds) {
            Ok(()) => return Ok(found),
            Err(error) => tracing::warn!(%error, "a bitmap index cannot be used"),
        }
    }
    Ok(count_limited(db, wanted, limits, progress)?.into())
}

/// Whether all are commits, or tags of commits: what is wanted itself is sent whatever a filter says.
fn all_name_commits(db: &Database, ids: &[ObjectId]) -> Result<bool, ReadError> {
    for id in ids {
        if db.peel(id)?.1 != ObjectKind::Commit {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether there are few commits between the two sides.
fn is_near(db: &Database, wanted: &Wanted, progress: &dyn Progress) -> Result<bool, ReadError> {
    let mut hidden = Vec::new();
    for have in &wanted.haves {
        if db.contains(have)?
            && let (commit, ObjectKind::Commit) = db.peel(have)?
        {
            hidden.push(commit);
        }
    }
    if hidden.is_empty() {
        return Ok(false);
    }
    let mut tips = Vec::new();
    for want in &wanted.wants {
        if let (commit, ObjectKind::Commit) = db.peel(want)? {
            tips.push(commit);
        }
    }
    let limited = limit_within(&mut Graph::new(db), tips, hidden, progress, SHORT_WALK)?;
    Ok(limited.is_some())
}

fn count_by_bitmap(
    db: &Database,
    packed: &Bitmapped,
    wanted: &Wanted,
    progress: &dyn Progress,
) -> Result<ToSend, ReachError> {
    let mut theirs = Reached::none(packed);
    let mut haves = Vec::new();
    for have in &wanted.haves {
        if db.contains(have)? {
            haves.push(*have);
        }
    }
    theirs.add(db, &haves, progress)?;
    // What the receiver has is not walked through again.
    let mut all = theirs.clone();
    all.add(db, &wanted.wants, progress)?;
    let mut bits = all.bits;
    bits.subtract(&theirs.bits);
    let mut others = all.others;
    others.retain(|id, _| !theirs.others.contains_key(id));
    let mut found = ToSend {
        part: Some(Part {
            of: packed.clone(),
            bits,
        }),
        rest: by_kind(others),
        theirs: wanted.thin.then(|| Arc::new(theirs)),
    };
    add_tags(db, &mut found, &wanted.include_tags)?;
    progress.counting(found.len());
    Ok(found)
}

/// Objects in the order they are sent, the same ones always in the same.
fn by_kind(others: crate::IdMap<ObjectKind>) -> Counted {
    let mut ids: Vec<_> = others.into_iter().collect();
    ids.sort_unstable_by_key(|(id, kind)| (group(*kind), *id));
    let end_of = |last: usize| ids.partition_point(|(_, kind)| group(*kind) <= last);
    let groups = [end_of(0), end_of(1)];
    Counted {
        ids: ids.into_iter().map(|(id, _)| id).collect(),
        thin_bases: IdSet::default(),
        groups,
    }
}

/// Adds the tags of objects that are sent.
fn add_tags(
    db: &Database,
    found: &mut ToSend,
    tags: &[(ObjectId, ObjectId)],
) -> Result<(), ReadError> {
    let Some(part) = &mut found.part else {
        return Ok(());
    };
    let mut sent: IdSet = found.rest.ids.iter().copied().collect();
    let mut added = Vec::new();
    for (tag, peeled) in tags {
        let in_part = part.of.bit_of(peeled);
        if !in_part.is_some_and(|bit| part.bits.has(bit)) && !sent.contains(peeled) {
            continue;
        }
        follow_tags(db, *tag, &mut |id, kind| {
            if kind != ObjectKind::Tag {
                return;
            }
            match part.of.bit_of(&id) {
                Some(bit) => {
                    part.bits.insert(bit);
                }
                None => added.extend(sent.insert(id).then_some(id)),
            }
        })?;
    }
    found.rest.groups = found.rest.groups.map(|end| end + added.len());
    added.extend_from_slice(&found.rest.ids);
    found.rest.ids = added;
    Ok(())
}

/// Writes a pack of what was counted to `out` and returns what it holds.
///
/// What is all of a pack is that pack, byte for byte; what is much of one is copied in pieces as large as they can be. The
/// rest is written as by [`write_pack`](crate::write_pack()).
pub fn write_to_send(
    db: &Database,
    to_send: &ToSend,
    options: &PackOptions,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<PackStats, WritePackError> {
    let ToSend { part, rest, theirs } = to_send;
    let in_part = |id: &ObjectId| {
        let bit = part.as_ref().and_then(|part| part.of.bit_of(id));
        bit.is_some_and(|bit| part.as_ref().is_some_and(|part| part.bits.has(bit)))
    };
    let is_there = |id: &ObjectId| {
        let in_theirs = || theirs.as_ref().is_some_and(|theirs| theirs.has(id));
        options.thin && (rest.thin_bases.contains(id) || in_theirs())
    };
    if let Some(pack) = to_send.whole_pack()
        && options.ofs_delta
    {
        return copy_whole(pack, out, progress);
    }
    let count = u32::try_from(to_send.len()).map_err(|_| WritePackError::TooMany)?;
    let mut out = PackOut::begin(out, count)?;
    let mut copied = PackStats::default();
    if let Some(part) = part {
        let (parts, strays) = part.of.by_pack(&part.bits);
        for part in &parts {
            let of_pack = copy_part(db, part, options, &is_there, &mut out, progress)?;
            copied.objects += of_pack.objects;
            copied.pack_reused += of_pack.pack_reused;
        }
        for stray in strays {
            write_whole(db, stray, &mut out)?;
            copied.objects += 1;
        }
    }
    let is_known = |id: &ObjectId| in_part(id) || is_there(id);
    let mut stats = write_rest(
        db,
        rest,
        options,
        &is_known,
        &mut out,
        progress,
        &mut |_, _| {},
    )?;
    stats.objects += copied.objects;
    stats.pack_reused = copied.pack_reused;
    stats.bytes = out.finish()?;
    Ok(stats)
}
