//! Keeping a store small: one pack of all that is in use, and nothing left of what nobody needs.
//!
//! What always holds:
//! - whatever a ref or a reflog names stays, with all that it reaches;
//! - what nobody names stays for a grace period, with all that it reaches: someone may be about to name it;
//! - a new pack is durable and in its place before anything that it replaces is removed;
//! - removing happens in the turn of writers of this crate, after another look at the refs.

use std::time::{Duration, SystemTime};

use packhouse_object::{Database, IdMap, IdSet, ObjectId, ObjectKind};

use super::follow::follow;
use super::pack::{as_set, reachable};
use super::{Store, StoreError, StoreProgress};
use crate::directory::{LocalPack, PackKind, Roots};

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
}

impl Store {
    /// Cleans up with Git's grace period. Returns how many objects were removed for good.
    pub fn gc(&self, progress: &dyn StoreProgress) -> Result<u64, StoreError> {
        Ok(self.gc_with(&GcOptions::default(), progress)?.pruned)
    }

    /// Gathers everything that is in use in one pack, and removes what nobody has named for longer than the grace
    /// period. [`StoreError::Failed`] if another process is cleaning up, be it `git gc`.
    ///
    /// Others may read and write meanwhile, `git` too. Reflogs are left as they are, and keep what they name. It is
    /// not known here which other repositories borrow objects from this one (`objects/info/alternates`).
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
        let now = SystemTime::now();
        let mut survey = self.survey(now.checked_sub(options.grace), progress)?;
        let mut report = GcReport::default();
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
        self.remove(&survey, &mut report)?;
        if let Some(time) = now.checked_sub(options.grace.max(UNDER_WAY)) {
            directory.remove_left_behind(time)?;
        }
        directory.update_pack_list()?;
        Ok(report)
    }

    /// Looks at everything, and changes nothing.
    fn survey(
        &self,
        cutoff: Option<SystemTime>,
        progress: &dyn StoreProgress,
    ) -> Result<Survey, StoreError> {
        let directory = &self.inner.directory;
        let roots = directory.roots()?;
        // Listed after the roots were read: what they name was there before.
        let loose = directory.local_loose()?;
        let packs = directory.local_packs()?;
        let database = self.database()?;
        let used = reachable(&database, &roots, progress)?.ids;
        let used_set = as_set(&used);
        let mut unused = IdMap::default();
        let ordinary = packs
            .iter()
            .filter(|local| local.kind == PackKind::Ordinary);
        let packed =
            ordinary.flat_map(|local| local.pack.iter().map(|(id, _)| (id, local.modified)));
        let all = packed.chain(loose.iter().map(|(id, modified)| (*id, *modified)));
        for (id, modified) in all.filter(|(id, _)| !used_set.contains(id)) {
            let newest = unused.entry(id).or_insert(modified);
            *newest = (*newest).max(modified);
        }
        let is_young = |modified: &SystemTime| {
            roots.open_ended || cutoff.is_none_or(|cutoff| *modified > cutoff)
        };
        let young = unused.iter().filter(|(_, modified)| is_young(modified));
        let young: Vec<ObjectId> = young.map(|(id, _)| *id).collect();
        let mut kept = follow(&database, &young, &used_set)?;
        kept.retain(|id| unused.contains_key(id));
        let expired = unused
            .keys()
            .filter(|id| !kept.contains(*id))
            .copied()
            .collect();
        let mut survey = Survey {
            roots,
            database,
            cutoff,
            to_pack: to_pack(&used, &loose, &packs),
            loose,
            replaced: packs,
            used: used_set,
            kept,
            expired,
        };
        survey
            .replaced
            .retain(|local| local.kind == PackKind::Ordinary);
        if survey.is_gathered() {
            survey.to_pack.clear();
            survey.replaced.clear();
        }
        Ok(survey)
    }

    /// Removes what a survey found to be there twice or for nothing.
    fn remove(&self, survey: &Survey, report: &mut GcReport) -> Result<(), StoreError> {
        let directory = &self.inner.directory;
        let _turn = directory.enter()?;
        let _writing = directory.writing();
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
        Ok(follow(&self.database()?, &new, &survey.used)?)
    }
}

/// What is there, and who needs it.
struct Survey {
    roots: Roots,
    database: Database,
    /// What was written after this is young.
    cutoff: Option<SystemTime>,
    loose: IdMap<SystemTime>,
    /// What is in use and here, but for what is in packs that stay, in a good order for a pack.
    to_pack: Vec<ObjectId>,
    /// The packs that a new one is to replace.
    replaced: Vec<LocalPack>,
    used: IdSet,
    /// Not in use, and young or reached by something young.
    kept: IdSet,
    /// Neither.
    expired: IdSet,
}

impl Survey {
    /// Whether one pack holds what is in use and nothing else, and all others only what is set aside.
    fn is_gathered(&self) -> bool {
        let is_whole = |local: &LocalPack| {
            local.pack.object_count() == self.to_pack.len() as u64
                && self
                    .to_pack
                    .iter()
                    .all(|id| local.pack.lookup(id).is_some())
        };
        let whole = self.replaced.iter().position(is_whole);
        let mut others = self
            .replaced
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != whole);
        (whole.is_some() || self.to_pack.is_empty())
            && others.all(|(_, local)| local.pack.iter().all(|(id, _)| self.kept.contains(&id)))
    }

    /// What is not in use, but stays, and is in packs that go: it gets a pack of its own, as old as they are.
    fn to_set_aside(&self) -> Vec<ObjectId> {
        let is_packed = |id: &&ObjectId| {
            !self.loose.contains_key(*id)
                && self
                    .replaced
                    .iter()
                    .any(|local| local.pack.lookup(id).is_some())
        };
        let mut ids: Vec<ObjectId> = self.kept.iter().filter(is_packed).copied().collect();
        ids.sort_unstable();
        ids
    }
}

fn to_pack(used: &[ObjectId], loose: &IdMap<SystemTime>, packs: &[LocalPack]) -> Vec<ObjectId> {
    let is_in = |stays: bool, id: &ObjectId| {
        let mut packs = packs
            .iter()
            .filter(|local| (local.kind == PackKind::Kept) == stays);
        packs.any(|local| local.pack.lookup(id).is_some())
    };
    let is_to_pack =
        |id: &&ObjectId| !is_in(true, id) && (loose.contains_key(*id) || is_in(false, id));
    used.iter().filter(is_to_pack).copied().collect()
}
