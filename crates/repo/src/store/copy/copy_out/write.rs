//! Writing the files of a copy to disk.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bstr::ByteSlice;
use packhouse_object::on_processors;
use rayon::prelude::*;

use super::{Copy, Source};
use crate::store::copy::destination::{Content, Destination, Steps, split};
use crate::store::copy::overlap::Pair;
use crate::store::reader::FileReader;
use crate::store::{FileType, NoProgress, StoreError, StoreProgress};
use crate::under_way::{self, remove_left_in};

/// The most files of a folder that one thread writes at a stretch.
const GROUP_FILES: usize = 64;

/// So many such stretches are written at least before the caller is asked whether to go on. Threads wait for each other then.
const FIRST_ROUND_GROUPS: usize = 128;
/// So long the caller is not asked, if these take less.
const ROUND: Duration = Duration::from_millis(100);

const PIECE_LEN: usize = 256 << 10;
/// Files from this size on are read by a thread of their own while they are written.
const AHEAD_FROM: u64 = 8 << 20;
/// Pieces that are read before they are written.
const PIECES_AHEAD: usize = 4;

/// A stretch of files of one folder.
struct Group<'a> {
    files: &'a [(Pair<Source>, bool)],
    /// The folder's first.
    is_first: bool,
}

impl Copy<'_> {
    /// Writes files by all processors, a stretch of a folder at a time.
    pub(super) fn write(
        &self,
        destination: &Destination,
        writes: &[(Pair<Source>, bool)],
    ) -> Vec<Result<(), StoreError>> {
        let groups: Vec<Group<'_>> = writes
            .chunk_by(|(a, _), (b, _)| split(&a.target).0 == split(&b.target).0)
            .flat_map(|folder| folder.chunks(GROUP_FILES).enumerate())
            .map(|(at, files)| Group {
                files,
                is_first: at == 0,
            })
            .collect();
        let progress = self.options.progress.unwrap_or(&NoProgress);
        let done = AtomicU64::new(0);
        let write_group = |steps: &mut Steps, group: &Group<'_>| {
            let results = self.write_group(destination, steps, group, progress);
            let len = group.files.len() as u64;
            let done = done.fetch_add(len, Ordering::Relaxed) + len;
            progress.step(done, Some(writes.len() as u64));
            results
        };
        let mut results = Vec::with_capacity(writes.len());
        let mut ahead = groups.as_slice();
        let mut round_groups = FIRST_ROUND_GROUPS;
        while !ahead.is_empty() {
            let round;
            (round, ahead) = ahead.split_at(round_groups.min(ahead.len()));
            let began = Instant::now();
            // Asked here as well: some callers cannot tell other threads that they are interrupted.
            if progress.cancelled() {
                break;
            }
            if let [group] = round {
                results.extend(write_group(&mut Steps::default(), group));
                continue;
            }
            let write_round = || {
                let groups = round.par_iter();
                groups.map_init(Steps::default, &write_group).collect()
            };
            let written: Vec<Vec<_>> = on_processors(write_round);
            results.extend(written.into_iter().flatten());
            round_groups = match began.elapsed() {
                took if took < ROUND => round_groups.saturating_mul(2),
                took if took > 2 * ROUND => FIRST_ROUND_GROUPS.max(round_groups / 2),
                _ => round_groups,
            };
        }
        results.resize_with(writes.len(), || Err(StoreError::Cancelled));
        results
    }

    fn write_group(
        &self,
        destination: &Destination,
        steps: &mut Steps,
        group: &Group<'_>,
        progress: &dyn StoreProgress,
    ) -> Vec<Result<(), StoreError>> {
        let parent = split(&group.files[0].0.target).0.as_bstr();
        let mut is_open = false;
        let mut write = |pair: &Pair<Source>| {
            if progress.cancelled() {
                return Err(StoreError::Cancelled);
            }
            // Where others may look, and move folders, each folder is opened from the top on again.
            if !self.options.in_place && !is_open {
                *steps = Steps::default();
            }
            if !is_open {
                destination.make_folder(steps, parent)?;
                if group.is_first && !self.options.in_place {
                    remove_left_in(under_way::Kind::Copy, destination.last(steps));
                }
                is_open = true;
            }
            match self.write_one(destination, destination.last(steps), pair, progress) {
                // In a hostile tree a file may have taken the place of a folder that was open.
                Err(StoreError::Local { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    *steps = Steps::default();
                    destination.make_folder(steps, parent)?;
                    self.write_one(destination, destination.last(steps), pair, progress)
                }
                written => written,
            }
        };
        group.files.iter().map(|(pair, _)| write(pair)).collect()
    }

    fn write_one(
        &self,
        destination: &Destination,
        folder: &OwnedFd,
        pair: &Pair<Source>,
        progress: &dyn StoreProgress,
    ) -> Result<(), StoreError> {
        let target = pair.target.as_bstr();
        let snapshot = self.snapshots[pair.source.of];
        let seconds = snapshot.seconds();
        let mut data = FileReader::open(snapshot.database().clone(), pair.source.stored.id)?;
        if pair.source.stored.file_type == FileType::Link {
            let mut link = Vec::new();
            data.read_to_end(&mut link).map_err(StoreError::Source)?;
            let made = destination.write(folder, target, Content::Link(&link), seconds);
            return made.map(drop);
        }
        let local = destination.local_path(target);
        let mut fill = |file: &mut File| pour(&mut data, file, &local, progress);
        let content = Content::File {
            executable: pair.source.stored.file_type == FileType::Executable,
            write: &mut fill,
        };
        let made = destination.write(folder, target, content, seconds)?;
        if let (Some(tell), Some(file)) = (self.options.made, made) {
            tell(target, &file.metadata().map_err(StoreError::local(&local))?);
        }
        Ok(())
    }
}

/// Writes what a reader has left into a file, and tells trouble with one from trouble with the other.
fn pour(
    data: &mut FileReader,
    file: &mut File,
    local: &Path,
    progress: &dyn StoreProgress,
) -> Result<(), StoreError> {
    if let Some(content) = data.whole() {
        for (at, piece) in content.chunks(PIECE_LEN).enumerate() {
            if at > 0 && progress.cancelled() {
                return Err(StoreError::Cancelled);
            }
            file.write_all(piece).map_err(StoreError::local(local))?;
        }
        return Ok(());
    }
    if data.size() >= AHEAD_FROM
        && let Some(poured) = pour_ahead(data, file, local, progress)
    {
        return poured;
    }
    let mut piece = vec![0; PIECE_LEN.min(data.size() as usize)];
    loop {
        let n = data.read(&mut piece).map_err(StoreError::Source)?;
        if n == 0 {
            return Ok(());
        }
        file.write_all(&piece[..n])
            .map_err(StoreError::local(local))?;
        if progress.cancelled() {
            return Err(StoreError::Cancelled);
        }
    }
}

/// The same with another thread that reads: inflating and writing take about as long as each other. `None`, and nothing
/// done, where there is no thread to be had.
fn pour_ahead(
    data: &mut FileReader,
    file: &mut File,
    local: &Path,
    progress: &dyn StoreProgress,
) -> Option<Result<(), StoreError>> {
    let (filled, pieces) = mpsc::sync_channel::<io::Result<Vec<u8>>>(PIECES_AHEAD);
    let (give_back, written) = mpsc::channel::<Vec<u8>>();
    thread::scope(|scope| {
        // It ends at the end of the data, with an error, or when nobody writes any more.
        let read_all = move || {
            loop {
                let mut piece = written.try_recv().unwrap_or_default();
                piece.clear();
                let read = Read::take(&mut *data, PIECE_LEN as u64).read_to_end(&mut piece);
                let is_last = !matches!(read, Ok(n) if n > 0);
                let sent = match read {
                    Ok(0) => return,
                    read => filled.send(read.map(|_| piece)),
                };
                if is_last || sent.is_err() {
                    return;
                }
            }
        };
        let reader = thread::Builder::new().spawn_scoped(scope, read_all);
        reader.ok()?;
        let mut write = |piece: io::Result<Vec<u8>>| {
            let piece = piece.map_err(StoreError::Source)?;
            file.write_all(&piece).map_err(StoreError::local(local))?;
            // It may have read all.
            let _ = give_back.send(piece);
            match progress.cancelled() {
                true => Err(StoreError::Cancelled),
                false => Ok(()),
            }
        };
        Some(pieces.into_iter().try_for_each(&mut write))
    })
}
