//! What a copy out has to do, found out before anything is done.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;

use bstr::{BStr, BString, ByteSlice};

use super::{Copy, Source};
use crate::store::copy::destination::{Destination, Parent, Place, split};
use crate::store::copy::ingest::{Candidate, Reading};
use crate::store::copy::local_file::Found;
use crate::store::copy::overlap::{Pair, above};
use crate::store::copy::stat_cache::StatCache;
use crate::store::copy::walk_local::{WalkOptions, Walked, walk_local};
use crate::store::{NoProgress, StoreError, StoreProgress};
use crate::under_way::is_of_this_system;

/// Asked whether to go on, and told nothing: files that are compared are no steps of a copy.
struct Asked<'a>(&'a dyn StoreProgress);

impl StoreProgress for Asked<'_> {
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

/// What is to be done.
#[derive(Default)]
pub(super) struct Plan {
    /// Sorted by target; whether something is there already.
    pub(super) writes: Vec<(Pair<Source>, bool)>,
    pub(super) deletes: Vec<BString>,
    /// Folders that may be empty afterwards, each behind those above it.
    pub(super) folders: Vec<BString>,
    /// What copies have under way, or left when they were killed.
    pub(super) under_way: Vec<BString>,
    /// How many files can stay as they are.
    pub(super) unchanged: usize,
}

impl Plan {
    /// Deletes only what gives way to a file or folder that is written, with which it goes anyway.
    fn keep_what_is_in_no_ones_way(&mut self) {
        let written = || self.writes.iter().map(|(pair, _)| pair.target.as_slice());
        let files: HashSet<&[u8]> = written().collect();
        let folders: HashSet<&[u8]> = written().flat_map(above).collect();
        self.deletes.retain(|path| {
            folders.contains(path.as_slice()) || above(path).any(|folder| files.contains(folder))
        });
    }
}

impl Copy<'_> {
    /// Everything is written.
    pub(super) fn plan_all(
        &mut self,
        destination: &Destination,
        pairs: Vec<Pair<Source>>,
    ) -> Result<Plan, StoreError> {
        let mut plan = Plan::default();
        // Neighbours are often in one folder, which is opened once then.
        let mut last: Option<(BString, Parent)> = None;
        let mut place_of = |target: &BStr| {
            let folder = split(target).0;
            let parent = match last.take() {
                Some((of, parent)) if of == folder => parent,
                _ => destination.parent(target)?,
            };
            let place = destination.place_in(&parent, target);
            last = Some((folder.into(), parent));
            place
        };
        for pair in pairs {
            let local = destination.local_path(pair.target.as_bstr());
            let place = place_of(pair.target.as_bstr());
            let place = self.problems.check(local.as_os_str().as_bytes(), place)?;
            match place {
                None => {}
                Some(Place::Taken | Place::Blocked) if self.options.ignore_existing => {
                    plan.unchanged += 1;
                }
                Some(place) => plan.writes.push((pair, place == Place::Taken)),
            }
        }
        Ok(plan)
    }

    /// What differs is written, what is in no source is deleted.
    pub(super) fn plan_mirror(
        &mut self,
        destination: &Destination,
        pairs: Vec<Pair<Source>>,
    ) -> Result<Plan, StoreError> {
        let (walked, holds_store) = self.walk()?;
        let there: HashMap<&BString, Option<Found>> = walked
            .files
            .iter()
            .map(|file| (&file.path, file.found))
            .collect();
        let mut plan = Plan::default();
        let mut both = Vec::new();
        let sources: HashSet<BString> = pairs.iter().map(|pair| pair.target.clone()).collect();
        for pair in pairs {
            match there.get(&pair.target) {
                Some(_) if self.options.ignore_existing => plan.unchanged += 1,
                Some(found) => both.push((pair, *found)),
                None => plan.writes.push((pair, false)),
            }
        }
        plan.unchanged += both.len();
        let differing = self.differing(destination, both)?;
        plan.unchanged -= differing.len();
        plan.writes
            .extend(differing.into_iter().map(|pair| (pair, true)));
        plan.writes
            .sort_unstable_by(|(a, _), (b, _)| a.target.cmp(&b.target));
        if holds_store {
            // Told before anything is deleted, and by a dry run too.
            for write in std::mem::take(&mut plan.writes) {
                let target = write.0.target.as_bstr();
                let local = destination.local_path(target);
                let place = destination.place(target);
                let fine = self.problems.check(local.as_os_str().as_bytes(), place)?;
                plan.writes.extend(fine.map(|_| write));
            }
        }
        plan.under_way = walked.passed_over;
        plan.deletes = walked.files.into_iter().map(|file| file.path).collect();
        plan.deletes.retain(|path| !sources.contains(path));
        plan.deletes.sort_unstable();
        if !self.complete {
            plan.keep_what_is_in_no_ones_way();
            return Ok(plan);
        }
        // A folder stays if a file in it stays.
        let kept: HashSet<&[u8]> = sources.iter().flat_map(|path| above(path)).collect();
        plan.folders = walked.folders;
        plan.folders
            .retain(|folder| !kept.contains(folder.as_slice()));
        Ok(plan)
    }

    /// What is in the destination, and whether the store is.
    fn walk(&mut self) -> Result<(Walked, bool), StoreError> {
        let mut walked = walk_local(
            &self.options.dest,
            &WalkOptions {
                follow: false,
                exclude: None,
                kept_out: self.store.id(),
                // What is there of others is in no source, as any file.
                passed_over: is_of_this_system,
            },
        );
        for (folder, error) in std::mem::take(&mut walked.errors) {
            let path = folder.as_os_str().as_bytes();
            let error = StoreError::local(&folder)(error);
            self.problems.check(path, Err::<(), _>(error))?;
            self.complete = false;
        }
        let left_out = std::mem::take(&mut walked.left_out);
        let holds_store = !left_out.is_empty();
        for folder in left_out {
            let path = folder.as_os_str().as_bytes().into();
            self.warn(path, "the store itself is left alone".to_owned());
        }
        Ok((walked, holds_store))
    }

    /// Those of the files that are there in another form. Their times say nothing: a file that is older than the commit
    /// is what a copy is for, and one as old as it can be of another commit in the same second.
    fn differing(
        &mut self,
        destination: &Destination,
        pairs: Vec<(Pair<Source>, Option<Found>)>,
    ) -> Result<Vec<Pair<Source>>, StoreError> {
        let candidates: Vec<Candidate> = pairs
            .iter()
            .map(|(pair, found)| Candidate {
                local: destination.local_path(pair.target.as_bstr()),
                found: *found,
                existing: Some(pair.source.stored),
            })
            .collect();
        let cache = StatCache::load(
            self.snapshots[0].store(),
            [self.options.dest.as_path()],
            &candidates,
        );
        let states = Reading {
            snapshot: self.snapshots[0],
            follow: false,
            cache: &cache,
            progress: &Asked(self.options.progress.unwrap_or(&NoProgress)),
        }
        .states(&candidates, None)?;
        if !self.options.dry_run {
            cache.save();
        }
        let mut differing = Vec::new();
        for (((pair, _), candidate), state) in pairs.into_iter().zip(candidates).zip(states) {
            // What cannot be read can perhaps be replaced.
            let same = match state {
                Ok(state) => pair.source.stored == state.into(),
                Err(StoreError::Local { .. }) => false,
                Err(error) => {
                    let local = candidate.local.as_os_str().as_bytes();
                    self.problems.check(local, Err::<(), _>(error))?;
                    continue;
                }
            };
            if !same {
                differing.push(pair);
            }
        }
        Ok(differing)
    }
}
