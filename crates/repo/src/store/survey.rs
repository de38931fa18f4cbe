//! What is in a store, and who needs it: looked at before anything is gathered or removed.

use std::time::SystemTime;

use packhouse_object::{Database, IdMap, IdSet, ObjectId};

use super::follow::follow;
use super::pack::{as_set, reachable};
use super::{Store, StoreError, StoreProgress};
use crate::directory::{LocalPack, PackKind, Roots};

/// What is there, and who needs it.
pub(super) struct Survey {
    pub(super) roots: Roots,
    pub(super) database: Database,
    /// What was written after this is young.
    pub(super) cutoff: Option<SystemTime>,
    pub(super) loose: IdMap<SystemTime>,
    /// What is in use and here, but for what is in packs that stay, in a good order for a pack.
    pub(super) to_pack: Vec<ObjectId>,
    /// The packs that a new one is to replace.
    pub(super) replaced: Vec<LocalPack>,
    pub(super) used: IdSet,
    /// Not in use, and young or reached by something young.
    pub(super) kept: IdSet,
    /// Neither.
    pub(super) expired: IdSet,
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
    pub(super) fn to_set_aside(&self) -> Vec<ObjectId> {
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

impl Store {
    /// Looks at everything, and changes nothing.
    pub(super) fn survey(
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
}
