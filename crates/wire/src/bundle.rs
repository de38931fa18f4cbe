//! A bundle of what a repository had when it was repacked: for clones to begin with.
//!
//! Nothing is stored for it. A bundle is a few lines of refs and a pack, and the pack with bitmaps is there: it has all that its
//! objects reach. What always holds:
//!
//! - The bundle has what the refs reach now and is in that pack. A ref that was deleted, or that left some commits behind,
//!   takes from the bundle what it alone had: nothing is sent that a clone would not get.
//! - As long as refs only come and move forward, that is all of the pack, and the bundle stays the same until the next repack,
//!   byte for byte: a branch that moved on is named where its line of first parents enters the pack.

use std::io::{self, Write};
use std::ops::Range;

use packhouse_object::{
    CountLimits, Database, HashKind, IdMap, NewObject, ObjectId, ObjectKind, PackOptions, Progress,
    ReadError, ToSend, Wanted, WritePackError, bitmapped, count_to_send, write_to_send,
};

use crate::shown::Shown;
use crate::source::Source;
use crate::upload_pack::FetchOptions;
use crate::walk_progress::WalkProgress;

/// The most commits that are looked at to find where branches enter the pack. One that is further away is not named.
const STEPS_MAX: usize = 100_000;

/// Whether there may be a bundle of what is in here: some of it is in a pack with bitmaps.
pub fn has_bundle(db: &Database) -> bool {
    bitmapped(db).is_some()
}

/// Writes the lines before a bundle's pack: version 2, with commits that a reader must have, and refs.
pub fn write_bundle_header<'a>(
    prerequisites: &[ObjectId],
    refs: impl IntoIterator<Item = (&'a [u8], ObjectId)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    out.write_all(b"# v2 git bundle\n")?;
    for id in prerequisites {
        writeln!(out, "-{id}")?;
    }
    for (name, id) in refs {
        write!(out, "{id} ")?;
        out.write_all(name)?;
        out.write_all(b"\n")?;
    }
    out.write_all(b"\n")
}

/// A bundle, made when it is asked for.
#[derive(Debug)]
pub struct Bundle {
    header: Vec<u8>,
    content: ToSend,
    db: Database,
}

impl Bundle {
    /// The bundle of what a client is shown of `source`. `None`: there is no pack with bitmaps, no ref leads into it, or
    /// history is cut.
    ///
    /// Takes as long as counting a clone by bitmaps.
    pub fn of(source: &dyn Source, options: &FetchOptions) -> Result<Option<Bundle>, ReadError> {
        let shown = Shown::new(source, &options.hidden);
        let db = shown.database();
        let is_cut = !shown.shallow().is_empty();
        let Some(packed) = bitmapped(db).filter(|_| !is_cut) else {
            return Ok(None);
        };
        let mut refs = Vec::new();
        let visited = shown.visit(b"", &mut |line| {
            refs.push((line.name.to_vec(), line.id));
            Ok(())
        });
        debug_assert!(visited.is_ok(), "this visitor does not fail");
        let progress = WalkProgress::silent(options);
        let mut lines = Lines {
            db,
            is_in_pack: &|id| packed.has(id),
            found: IdMap::default(),
            steps_left: STEPS_MAX,
        };
        let mut named = Vec::with_capacity(refs.len());
        for (name, id) in &refs {
            let id = match name.starts_with(b"refs/heads/") {
                true => lines.enter(*id, &progress)?,
                // Only branches are expected to move.
                false => (lines.is_in_pack)(id).then_some(*id),
            };
            named.extend(id.map(|id| (name.as_slice(), id)));
        }
        if named.is_empty() {
            return Ok(None);
        }
        if let Some((head, _)) = shown.head() {
            // Who clones the bundle itself gets a branch checked out.
            let of_head = named.iter().find(|(name, _)| *name == head.as_bytes());
            let of_head = of_head.map(|(_, id)| (&b"HEAD"[..], *id));
            drop(named.splice(0..0, of_head));
        }
        let wanted = Wanted {
            wants: refs.iter().map(|(_, id)| *id).collect(),
            ..Wanted::default()
        };
        let limits = CountLimits::default();
        let mut content = match &options.counts {
            Some(counts) => ToSend::clone(&*counts.count(db, &wanted, &limits, &progress)?),
            None => count_to_send(db, &wanted, &progress)?,
        };
        content.leave_out_others();
        if content.is_empty() {
            return Ok(None);
        }
        let mut header = Vec::new();
        let written = write_bundle_header(&[], named, &mut header);
        debug_assert!(written.is_ok(), "memory takes everything");
        Ok(Some(Bundle {
            header,
            content,
            db: db.clone(),
        }))
    }

    /// Its size, if it is the refs and all of a pack: then it can be read in parts.
    pub fn size_bytes(&self) -> Option<u64> {
        let pack = self.content.whole_pack()?;
        Some(self.header.len() as u64 + pack.bytes())
    }

    /// Names its bytes: what has the same name is the same. `None` where there is no [size](Bundle::size_bytes).
    pub fn name(&self) -> Option<String> {
        let pack = self.content.whole_pack()?;
        let refs = NewObject::new(ObjectKind::Blob, self.header.clone()).ok()?;
        Some(format!("{}-{}", pack.id(), refs.id))
    }

    /// Writes all of it.
    pub fn write(
        &self,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<(), WritePackError> {
        out.write_all(&self.header)?;
        let options = PackOptions {
            ofs_delta: true,
            thin: false,
        };
        write_to_send(&self.db, &self.content, &options, out, progress)?;
        Ok(())
    }

    /// Writes some of it, which must be within its [size](Bundle::size_bytes).
    pub fn write_part(
        &self,
        range: Range<u64>,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<(), WritePackError> {
        let Range { start, end } = range;
        let header_len = self.header.len() as u64;
        let of_header = start.min(header_len) as usize..end.min(header_len) as usize;
        out.write_all(&self.header[of_header])?;
        let of_pack = start.saturating_sub(header_len)..end.saturating_sub(header_len);
        match self.content.whole_pack() {
            Some(pack) if !of_pack.is_empty() => pack.write_bytes(of_pack, out, progress),
            _ => Ok(()),
        }
    }
}

/// Lines of first parents, followed until they enter a pack.
struct Lines<'a> {
    db: &'a Database,
    is_in_pack: &'a dyn Fn(&ObjectId) -> bool,
    /// Where commits enter it that were gone through; the null id: nowhere.
    found: IdMap<ObjectId>,
    steps_left: usize,
}

impl Lines<'_> {
    /// The first commit from `tip` on that is in the pack. What is no commit is in it itself or is not there.
    fn enter(
        &mut self,
        tip: ObjectId,
        progress: &dyn Progress,
    ) -> Result<Option<ObjectId>, ReadError> {
        let null = ObjectId::null(HashKind::Sha1);
        let mut passed = Vec::new();
        let mut at = tip;
        let entered = loop {
            if let Some(known) = self.found.get(&at) {
                break *known;
            }
            if (self.is_in_pack)(&at) {
                break at;
            }
            if progress.cancelled() {
                return Err(ReadError::Cancelled);
            }
            passed.push(at);
            let Some(left) = self.steps_left.checked_sub(1) else {
                break null;
            };
            self.steps_left = left;
            let (_, parents, _) = match self.db.commit_links(at) {
                Err(ReadError::WrongKind { .. }) => break null,
                links => links?,
            };
            match parents.first() {
                Some(parent) => at = *parent,
                None => break null,
            }
        };
        self.found
            .extend(passed.into_iter().map(|id| (id, entered)));
        Ok(Some(entered).filter(|id| *id != null))
    }
}
