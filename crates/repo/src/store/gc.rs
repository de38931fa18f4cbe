//! Keeping a store small: one pack of all that is in use, and nothing left of what nobody needs.
//!
//! What always holds:
//! - whatever a ref or a reflog names stays, with all that it reaches;
//! - what nobody names stays for a grace period, with all that it reaches: someone may be about to name it;
//! - a new pack is durable and in its place before anything that it replaces is removed;
//! - where a pack is damaged nothing is removed: what it has may need anything;
//! - removing happens in the turn of writers of this crate, after another look at the refs.

use std::time::{Duration, SystemTime};

use packhouse_object::{IdSet, ObjectId, ObjectKind};

use super::follow::follow;
use super::pack::{Told, of_read};
use super::survey::Survey;
use super::{Store, StoreError, StoreProgress};
use crate::directory::LocalPack;
use crate::error::RepoError;
use crate::given_up::unasked;

/// How long what nobody names is kept by default; Git's `gc.pruneExpire`.
const GRACE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Files under way are left alone for a day at least, whatever the grace period is.
const UNDER_WAY: Duration = Duration::from_secs(24 * 3600);

/// How a store is cleaned up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcOptions {
    /// How long objects that nobody names are kept, from when they were written or asked for last.
    pub grace: Duration,
}

impl Default for GcOptions {
    /// Two weeks, as in Git.
    fn default() -> Self {
        GcOptions { grace: GRACE }
    }
}

/// What a clean-up did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Objects in the pack of all that is in use; 0 if it did not have to be written.
    pub packed: u64,
    /// Objects removed because nobody named them for longer than the grace period.
    pub pruned: u64,
    /// Loose files removed because a pack has the object.
    pub loose_removed: u64,
    /// Packs removed because another one has their objects.
    pub packs_removed: u64,
    /// Refs that had a file of their own, and are in `packed-refs` now.
    pub refs_packed: u64,
    /// Commits in the commit graph that was written; 0 if none was.
    pub graphed: u64,
    /// Packs that the multi-pack index is about; 0 if there is none, as where one pack has everything.
    pub indexed: u64,
}

impl Store {
    /// Cleans up with Git's grace period. Returns how many objects were removed for good.
    pub fn gc(&self, progress: &dyn StoreProgress) -> Result<u64, StoreError> {
        Ok(self.gc_with(&GcOptions::default(), progress)?.pruned)
    }

    /// Packs the refs, gathers everything that is in use in one pack, removes what nobody has named for longer than
    /// the grace period, and writes a commit graph with changed-path filters where history is long, and reachability bitmaps, with a
    /// multi-pack index where several packs are left. [`StoreError::Failed`] if another process is cleaning up, be it `git gc`.
    ///
    /// Others may read and write meanwhile, `git` too. Reflogs are left as they are, and keep what they name: undoing
    /// and going back rely on them. It is not known here which other repositories borrow objects from this one (`objects/info/alternates`).
    pub fn gc_with(
        &self,
        options: &GcOptions,
        progress: &dyn StoreProgress,
    ) -> Result<GcReport, StoreError> {
        let directory = &self.inner.directory;
        let Some(_lock) = directory.lock_gc()? else {
            return Err(StoreError::Failed {
                reason: "the repository is being cleaned up by another process (gc.pid)".to_owned(),
            });
        };
        self.check_packs()?;
        let mut report = GcReport {
            refs_packed: directory.pack_refs()?,
            ..GcReport::default()
        };
        let now = SystemTime::now();
        // What is named from now on may not be in a pack in the end.
        let tips = self.tips();
        let mut survey = self.survey(now.checked_sub(options.grace), progress)?;
        if !survey.replaced.is_empty() || !survey.to_pack.is_empty() {
            let (to_pack, aside) = (survey.to_pack.clone(), survey.to_set_aside());
            report.packed = to_pack.len() as u64;
            let database = &survey.database;
            let age = survey.replaced.iter().map(|local| local.modified).max();
            let new = [
                self.store_pack(database, to_pack, None, progress)?,
                self.store_pack(database, aside, age, progress)?,
            ];
            // The same objects in the same order are the same pack: it is in its place already.
            survey
                .replaced
                .retain(|local| !new.contains(&Some(local.pack.id())));
        }
        if progress.cancelled() {
            return Err(StoreError::Cancelled);
        }
        let turn = directory.enter()?;
        if turn.is_writing() {
            let reason = "this thread is in the middle of a write, which may need anything: clean up after it";
            return Err(StoreError::Failed {
                reason: reason.to_owned(),
            });
        }
        // Nor does anything that runs when callers are asked write meanwhile.
        unasked(|| self.remove(&survey, &mut report))?;
        drop(turn);
        if let Some(time) = now.checked_sub(options.grace.max(UNDER_WAY)) {
            directory.remove_left_behind(time)?;
        }
        directory.update_pack_list()?;
        report.indexed = self.index_packs(tips, true, progress)?;
        match directory
            .write_commit_graph(&Told(progress))
            .map_err(of_graph)
        {
            Ok(commits) => report.graphed = u64::from(commits),
            Err(StoreError::Cancelled) => return Err(StoreError::Cancelled),
            // Everything works without it.
            Err(error) => tracing::warn!(%error, "no commit graph was written"),
        }
        Ok(report)
    }

    /// Removes what a survey found to be there twice or for nothing, in this thread's turn.
    fn remove(&self, survey: &Survey, report: &mut GcReport) -> Result<(), StoreError> {
        let directory = &self.inner.directory;
        // One may have come that is damaged.
        self.check_packs()?;
        let mut expired = survey.expired.clone();
        for id in self.named_since(survey)? {
            expired.remove(&id);
        }
        // From here on it is known who needs what: writers wait, and only `git` could name an old object now.
        let packs = directory.local_packs()?;
        let replaced = &survey.replaced;
        let stays = |local: &LocalPack| {
            replaced
                .iter()
                .all(|old| old.pack.path() != local.pack.path())
        };
        let staying: Vec<&LocalPack> = packs.iter().filter(|local| stays(local)).collect();
        let in_staying =
            |id: &ObjectId| staying.iter().any(|local| local.pack.lookup(id).is_some());
        let may_go = |local: &&LocalPack| {
            local
                .pack
                .iter()
                .all(|(id, _)| in_staying(&id) || expired.contains(&id))
        };
        let going: Vec<&LocalPack> = replaced.iter().filter(may_go).collect();
        let commit_goes = expired
            .iter()
            .any(|id| matches!(survey.database.header(id), Ok(Some(found)) if found.kind == ObjectKind::Commit));
        if commit_goes {
            directory.forget_commit_summaries()?;
        }
        if !going.is_empty() {
            directory.forget_pack_summaries()?;
        }
        let mut gone_with_packs = IdSet::default();
        for local in going {
            let only_here = local
                .pack
                .iter()
                .map(|(id, _)| id)
                .filter(|id| !in_staying(id));
            let only_here: Vec<ObjectId> = only_here.collect();
            if directory.remove_pack(local)? {
                report.packs_removed += 1;
                gone_with_packs.extend(only_here);
            }
        }
        let loose = survey.loose.keys();
        // The time of the file is what keeps an object that nobody names; in a pack it would look older.
        let twice = loose
            .clone()
            .filter(|id| survey.used.contains(*id) && in_staying(id));
        report.loose_removed = directory.remove_loose(twice, |_| true)?;
        let old_loose: Vec<&ObjectId> = loose.filter(|id| expired.contains(*id)).collect();
        let is_old = |file: &std::fs::Metadata| match (file.modified(), survey.cutoff) {
            (Ok(modified), Some(cutoff)) => modified <= cutoff,
            _ => false,
        };
        report.pruned = directory.remove_loose(old_loose.iter().copied(), is_old)?;
        let loose_too = |id: &&ObjectId| survey.loose.contains_key(*id);
        report.pruned +=
            (gone_with_packs.len() - gone_with_packs.iter().filter(loose_too).count()) as u64;
        Ok(())
    }

    /// What has been named since a survey, and was not in use then.
    fn named_since(&self, survey: &Survey) -> Result<IdSet, StoreError> {
        let roots = self.inner.directory.roots()?;
        let new: Vec<ObjectId> = roots.ids.difference(&survey.roots.ids).copied().collect();
        if roots.open_ended && !survey.roots.open_ended {
            return Ok(survey.expired.clone());
        }
        follow(&self.database()?, &new, &survey.used)
    }
}

fn of_graph(error: RepoError) -> StoreError {
    match error {
        RepoError::Read(error) => of_read(error),
        error => error.into(),
    }
}
