//! Deciding: from what the database holds and what is asked, what is written and answered. No I/O.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::audit::Origin;
use crate::changes::Change;
use crate::events;
use crate::fold::{DUE_BYTES, DUE_ROWS, Fold};
use crate::fork::Fork;
use crate::ids::{IdSource, OrgId, RepoId};
use crate::keys::NewKey;
use crate::orgs::Org;
use crate::publish::{NewPack, Publish, RefEdit};
use crate::repos::RepoRow;

use super::{
    Done, HookWork, JobWork, Moved, PushWork, SshKeyWork, SweepWork, UpstreamWork, Work, repack,
};

/// What the database holds of the things a group names.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) repos: HashMap<RepoId, RepoState>,
    pub(super) refs: HashMap<RepoId, HashMap<Vec<u8>, RefState>>,
    /// Rows and bytes of a tail that a fold is about to drop.
    pub(super) folding: HashMap<RepoId, (i64, i64)>,
    /// Packs to list that are dead, and whether they are condemned.
    pub(super) dead_packs: HashMap<(OrgId, Vec<u8>), bool>,
    /// Packs that repacks are to replace and that are listed.
    pub(super) listed: HashSet<(RepoId, Vec<u8>)>,
}

/// A repository with the columns only lanes look at.
#[derive(Clone, Debug)]
pub(super) struct RepoState {
    pub(super) row: RepoRow,
    pub(super) fold_holder: Option<String>,
    pub(super) fold_until_ms: Option<i64>,
    /// The tick that new events of it get.
    pub(super) tick: i64,
    /// That tick, if there are new events.
    pub(super) event_tick: Option<i64>,
}

/// Whether the index of tails to fold should have a repository.
pub(super) fn fold_due(repo: &RepoRow) -> bool {
    repo.tail_rows >= DUE_ROWS || repo.tail_bytes >= DUE_BYTES
}

/// A row of refs; one without target is a deleted ref.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RefState {
    pub(super) target: Option<Vec<u8>>,
    pub(super) created_at_ms: i64,
}

/// Everything a group writes.
#[derive(Debug, Default)]
pub(super) struct Writes<'a> {
    pub(super) refs: Vec<RefWrite<'a>>,
    pub(super) reflog: Vec<ReflogWrite<'a>>,
    pub(super) tail: Vec<(RepoId, i64, &'a [u8])>,
    pub(super) packs: Vec<PackWrite<'a>>,
    /// Packs that are listed no longer.
    pub(super) replaced: Vec<(RepoId, &'a [u8; 32])>,
    /// Packs that were found unlisted, and are listed now.
    pub(super) revived: Vec<(OrgId, &'a [u8; 32])>,
    /// Tails to drop, up to a generation.
    pub(super) folds: Vec<(RepoId, i64)>,
    /// Changed rows of repos.
    pub(super) repos: Vec<RepoState>,
    /// New rows of repos, each with its place among the answers.
    pub(super) new_repos: Vec<(usize, RepoRow)>,
    /// What forks have from the start, written if their row was.
    pub(super) forks: Vec<ForkWrite<'a>>,
    /// Work on hooks, each with its place among the answers.
    pub(super) hooks: Vec<(usize, &'a HookWork)>,
    /// Rare things, each with its place among the answers.
    pub(super) admin: Vec<(usize, Admin<'a>)>,
}

impl Writes<'_> {
    /// The repositories that get events.
    pub(super) fn changes(&self) -> Vec<Change> {
        let moved = self.reflog.iter().map(|row| (row.org, row.repo));
        let new = self.new_repos.iter().map(|(_, row)| (row.org, row.id));
        let all: HashSet<_> = moved.chain(new).collect();
        all.into_iter()
            .map(|(org, repo)| Change { org, repo })
            .collect()
    }
}

#[derive(Debug)]
pub(super) struct RefWrite<'a> {
    pub(super) repo: RepoId,
    pub(super) name: &'a [u8],
    pub(super) target: Option<&'a [u8]>,
    pub(super) peeled: Option<&'a [u8]>,
    pub(super) created_at_ms: i64,
    pub(super) generation: i64,
}

#[derive(Debug)]
pub(super) struct ReflogWrite<'a> {
    pub(super) repo: RepoId,
    pub(super) generation: i64,
    pub(super) ordinal: i64,
    pub(super) what: LogEntry<'a>,
    pub(super) who: &'a str,
    pub(super) at_ms: i64,
    pub(super) origin: Option<&'a Origin>,
    pub(super) org: OrgId,
    pub(super) tick: i64,
}

/// What a row of the reflog is about.
#[derive(Debug)]
pub(super) enum LogEntry<'a> {
    /// A ref moved.
    Move(&'a RefEdit),
    /// An event that moved none: its kind, and more about it.
    Event(&'a str, Option<&'a str>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PackWrite<'a> {
    pub(super) repo: RepoId,
    pub(super) pack: &'a NewPack,
    pub(super) generation: i64,
    /// Of a pack of what no ref reached: when it was set apart.
    pub(super) apart_at_ms: Option<i64>,
}

/// What a fork has besides its row.
#[derive(Debug)]
pub(super) struct ForkWrite<'a> {
    pub(super) repo: RepoId,
    pub(super) generation: i64,
    pub(super) fork: &'a Fork,
}

#[derive(Debug)]
pub(super) enum Admin<'a> {
    DropOldEvents {
        before_ms: i64,
        limit: u32,
    },
    CreateOrg(Org),
    AddKey {
        org: OrgId,
        key: &'a NewKey,
        at_ms: i64,
    },
    RevokeKey {
        org: OrgId,
        fingerprint: &'a str,
        at_ms: i64,
    },
    SshKey(&'a SshKeyWork),
    /// Answers for itself.
    Jobs {
        work: &'a JobWork,
        new_id: i64,
    },
    /// Answers for itself.
    Upstream {
        work: &'a UpstreamWork,
        job_id: i64,
    },
    /// Answers for itself.
    Sweep(&'a SweepWork),
}

/// Decides each of a group's works on its own. Answers to creations say what holds if the database
/// accepts them.
pub(super) fn plan<'a>(
    state: &State,
    works: impl IntoIterator<Item = &'a Work>,
    ids: &IdSource,
) -> (Writes<'a>, Vec<Done>) {
    let mut writes = Writes::default();
    let mut answers = Vec::new();
    for work in works {
        let answer = decide(state, work, answers.len(), ids, &mut writes);
        answers.push(answer);
    }
    (writes, answers)
}

fn decide<'a>(
    state: &State,
    work: &'a Work,
    place: usize,
    ids: &IdSource,
    writes: &mut Writes<'a>,
) -> Done {
    match work {
        Work::Publish(publish) => decide_publish(state, publish, writes),
        Work::Fold(fold) => decide_fold(state, fold, writes),
        Work::Repack(repack) => repack::decide(state, repack, writes),
        Work::Fork(fork) => decide_fork(state, fork, place, ids, writes),
        Work::Lease {
            repo,
            holder,
            for_ms,
            now_ms,
        } => {
            let Some(mut repo) = live(state, *repo) else {
                return Done::Changed(false);
            };
            let other = repo
                .fold_holder
                .as_deref()
                .is_some_and(|current| current != holder);
            if other && repo.fold_until_ms.is_some_and(|until| until > *now_ms) {
                return Done::Changed(false);
            }
            let held = *for_ms > 0;
            repo.fold_holder = held.then(|| holder.clone());
            repo.fold_until_ms = held.then(|| now_ms.saturating_add(*for_ms));
            writes.repos.push(repo);
            Done::Changed(true)
        }
        Work::DeleteRepo { repo, at_ms } => {
            let Some(mut repo) = live(state, *repo) else {
                return Done::Changed(false);
            };
            repo.row.deleted_at_ms = Some(*at_ms);
            append_event(repo, events::DELETED, None, "", *at_ms, writes);
            Done::Changed(true)
        }
        Work::AppendEvent {
            repo,
            kind,
            detail,
            who,
            at_ms,
        } => {
            let Some(repo) = live(state, *repo) else {
                return Done::Refused;
            };
            append_event(repo, kind, detail.as_deref(), who, *at_ms, writes)
        }
        Work::DropOldEvents { before_ms, limit } => {
            let drop = Admin::DropOldEvents {
                before_ms: *before_ms,
                limit: *limit,
            };
            writes.admin.push((place, drop));
            Done::Count(0)
        }
        Work::Hook(hook) => {
            writes.hooks.push((place, hook));
            Done::Changed(true)
        }
        Work::CreateRepo {
            org,
            name,
            default_branch,
            at_ms,
        } => {
            let row = RepoRow {
                id: RepoId(ids.next(*at_ms)),
                org: *org,
                name: name.clone(),
                default_branch: default_branch.clone(),
                created_at_ms: *at_ms,
                deleted_at_ms: None,
                generation: 0,
                packs_generation: 0,
                folded_through: 0,
                tail_rows: 0,
                tail_bytes: 0,
                syncing: false,
                dropped_generation: 0,
            };
            writes.new_repos.push((place, row.clone()));
            Done::RepoCreated(row)
        }
        Work::CreateOrg { name, at_ms } => {
            let id = OrgId(ids.next(*at_ms));
            let org = Org {
                id,
                name: name.clone(),
                created_at_ms: *at_ms,
            };
            writes.admin.push((place, Admin::CreateOrg(org.clone())));
            Done::OrgCreated(org)
        }
        Work::AddKey { org, key, at_ms } => {
            let add = Admin::AddKey {
                org: *org,
                key,
                at_ms: *at_ms,
            };
            writes.admin.push((place, add));
            Done::Changed(true)
        }
        Work::RevokeKey {
            org,
            fingerprint,
            at_ms,
        } => {
            let revoke = Admin::RevokeKey {
                org: *org,
                fingerprint,
                at_ms: *at_ms,
            };
            writes.admin.push((place, revoke));
            Done::Changed(true)
        }
        Work::SshKey(work) => {
            writes.admin.push((place, Admin::SshKey(work)));
            Done::Changed(true)
        }
        Work::Jobs(work) => {
            let new_id = match work.as_ref() {
                JobWork::Enqueue { now_ms, .. } => ids.next(*now_ms),
                _ => 0,
            };
            writes.admin.push((place, Admin::Jobs { work, new_id }));
            Done::Changed(false)
        }
        Work::Upstream(work) => {
            let job_id = match work.as_ref() {
                UpstreamWork::Create(creation) => ids.next(creation.row.created_at_ms),
                UpstreamWork::Push(PushWork::Ask { now_ms, .. }) => ids.next(*now_ms),
                _ => 0,
            };
            writes.admin.push((place, Admin::Upstream { work, job_id }));
            Done::Changed(false)
        }
        Work::Sweep(work) => {
            let repo = work.repo().and_then(|repo| state.repos.get(&repo));
            // Rows of a repository that is not deleted are nothing to sweep.
            if work.repo().is_some() && repo.is_none_or(|repo| repo.row.deleted_at_ms.is_none()) {
                return Done::Refused;
            }
            writes.admin.push((place, Admin::Sweep(work)));
            Done::Changed(false)
        }
    }
}

/// The row of a fork continues the numbers of its source, so that the copied rows keep theirs.
fn decide_fork<'a>(
    state: &State,
    fork: &'a Fork,
    place: usize,
    ids: &IdSource,
    writes: &mut Writes<'a>,
) -> Done {
    let source = live(state, fork.source).map(|repo| repo.row);
    let Some(source) = source.filter(|source| source.org == fork.org) else {
        return Done::SourceGone;
    };
    if fork.checked_at < source.dropped_generation {
        return Done::Stale;
    }
    let own = fork.tail.as_ref();
    let own_bytes = own.map_or(0, |tail| i64::try_from(tail.len()).unwrap_or(i64::MAX));
    let row = RepoRow {
        id: RepoId(ids.next(fork.at_ms)),
        org: fork.org,
        name: fork.name.clone(),
        default_branch: fork.default_branch.clone(),
        created_at_ms: fork.at_ms,
        deleted_at_ms: None,
        generation: source.generation + 1,
        packs_generation: source.packs_generation,
        folded_through: source.folded_through,
        tail_rows: source.tail_rows + i64::from(own.is_some()),
        tail_bytes: source.tail_bytes + own_bytes,
        syncing: false,
        // Nobody has seen an older state of the fork.
        dropped_generation: 0,
    };
    writes.forks.push(ForkWrite {
        repo: row.id,
        generation: row.generation,
        fork,
    });
    writes.new_repos.push((place, row.clone()));
    Done::RepoCreated(row)
}

/// Adds an event that moves no ref, in a generation of its own.
fn append_event<'a>(
    mut repo: RepoState,
    kind: &'a str,
    detail: Option<&'a str>,
    who: &'a str,
    at_ms: i64,
    writes: &mut Writes<'a>,
) -> Done {
    repo.row.generation += 1;
    repo.event_tick = Some(repo.tick);
    let generation = repo.row.generation;
    writes.reflog.push(ReflogWrite {
        repo: repo.row.id,
        generation,
        ordinal: 0,
        what: LogEntry::Event(kind, detail),
        who,
        origin: None,
        at_ms,
        org: repo.row.org,
        tick: repo.tick,
    });
    writes.repos.push(repo);
    Done::Generation(generation)
}

pub(super) fn live(state: &State, repo: RepoId) -> Option<RepoState> {
    state
        .repos
        .get(&repo)
        .filter(|repo| repo.row.deleted_at_ms.is_none())
        .cloned()
}

/// Where a ref stands after the edits so far.
struct Staged<'s, 'a> {
    /// Its row, maybe that of a deleted ref.
    stored: Option<&'s RefState>,
    /// The last edit that moved it.
    last: Option<&'a RefEdit>,
    created_at_ms: i64,
}

impl Staged<'_, '_> {
    fn target(&self) -> Option<&[u8]> {
        match self.last {
            Some(edit) => edit.new.as_deref(),
            None => self.stored?.target.as_deref(),
        }
    }
}

fn decide_publish<'a>(state: &State, publish: &'a Publish, writes: &mut Writes<'a>) -> Done {
    let Some(mut repo) = live(state, publish.repo) else {
        return Done::Refused;
    };
    if publish.only_at.is_some_and(|at| at != repo.row.generation) {
        return Done::Stale;
    }
    if publish.checked_at < repo.row.dropped_generation {
        return Done::Stale;
    }
    let generation = repo.row.generation + 1;
    let staged = match stage(state, publish) {
        Ok(staged) => staged,
        Err(moved) => return Done::Moved(moved),
    };
    if let Err(condemned) = revive(state, repo.row.org, &publish.packs, writes) {
        return Done::Condemned(condemned);
    }
    for (name, ref_) in staged {
        let Some(edit) = ref_.last else { continue };
        // A ref that came and went within this publish leaves reflog rows and nothing else.
        if ref_.stored.is_some() || edit.new.is_some() {
            writes.refs.push(RefWrite {
                repo: publish.repo,
                name,
                target: edit.new.as_deref(),
                peeled: edit.peeled.as_deref(),
                created_at_ms: ref_.created_at_ms,
                generation,
            });
        }
    }
    let (org, tick) = (repo.row.org, repo.tick);
    let moves = publish.edits.iter().filter(|edit| edit.old != edit.new);
    repo.event_tick = moves.clone().next().map(|_| tick);
    writes
        .reflog
        .extend(moves.zip(0..).map(|(edit, ordinal)| ReflogWrite {
            repo: publish.repo,
            generation,
            ordinal,
            what: LogEntry::Move(edit),
            who: edit.who.as_deref().unwrap_or(&publish.who),
            origin: edit.origin.as_deref(),
            at_ms: publish.at_ms,
            org,
            tick,
        }));
    if let Some(objects) = &publish.tail {
        writes.tail.push((publish.repo, generation, objects));
        repo.row.tail_rows += 1;
        repo.row.tail_bytes += i64::try_from(objects.len()).unwrap_or(i64::MAX);
    }
    if !publish.packs.is_empty() {
        repo.row.packs_generation = generation;
        let packs = publish.packs.iter();
        writes.packs.extend(packs.map(|pack| PackWrite {
            repo: publish.repo,
            pack,
            generation,
            apart_at_ms: None,
        }));
    }
    repo.row.generation = generation;
    writes.repos.push(repo);
    Done::Generation(generation)
}

/// Makes the edits in order, or says which one finds its ref elsewhere.
fn stage<'s, 'a>(
    state: &'s State,
    publish: &'a Publish,
) -> Result<BTreeMap<&'a [u8], Staged<'s, 'a>>, Moved> {
    let refs = state.refs.get(&publish.repo);
    let mut staged = BTreeMap::new();
    for edit in &publish.edits {
        let name = edit.name.as_slice();
        let ref_ = staged.entry(name).or_insert_with(|| {
            let stored = refs.and_then(|refs| refs.get(name));
            let created_at_ms = stored.map_or(publish.at_ms, |row| row.created_at_ms);
            Staged {
                stored,
                last: None,
                created_at_ms,
            }
        });
        if ref_.target() != edit.old.as_deref() {
            return Err(Moved {
                name: edit.name.clone(),
                expected: edit.old.clone(),
                found: ref_.target().map(<[u8]>::to_vec),
            });
        }
        if edit.old != edit.new {
            if edit.old.is_none() {
                ref_.created_at_ms = publish.at_ms;
            }
            ref_.last = Some(edit);
        }
    }
    Ok(staged)
}

/// Sees to packs that are to be listed and were found unlisted. An error is the condemned ones: nothing may list them.
pub(super) fn revive<'a>(
    state: &State,
    org: OrgId,
    packs: &'a [NewPack],
    writes: &mut Writes<'a>,
) -> Result<(), Vec<[u8; 32]>> {
    let standing = |pack: &NewPack| state.dead_packs.get(&(org, pack.key.to_vec())).copied();
    let condemned: Vec<_> = packs
        .iter()
        .filter(|pack| standing(pack) == Some(true))
        .map(|pack| pack.key)
        .collect();
    if !condemned.is_empty() {
        return Err(condemned);
    }
    let dead = packs.iter().filter(|pack| standing(pack).is_some());
    writes.revived.extend(dead.map(|pack| (org, &pack.key)));
    Ok(())
}

fn decide_fold<'a>(state: &State, fold: &'a Fold, writes: &mut Writes<'a>) -> Done {
    let Some(mut repo) = live(state, fold.repo) else {
        return Done::Refused;
    };
    let (rows, bytes) = state.folding.get(&fold.repo).copied().unwrap_or((0, 0));
    let same = u64::try_from(rows) == Ok(fold.rows) && u64::try_from(bytes) == Ok(fold.bytes);
    if !same || fold.through <= repo.row.folded_through || fold.through > repo.row.generation {
        return Done::Refused;
    }
    let pack = std::slice::from_ref(&fold.pack);
    if let Err(condemned) = revive(state, repo.row.org, pack, writes) {
        return Done::Condemned(condemned);
    }
    repo.row.generation += 1;
    repo.row.packs_generation = repo.row.generation;
    repo.row.folded_through = fold.through;
    repo.row.tail_rows -= rows;
    repo.row.tail_bytes -= bytes;
    repo.fold_holder = None;
    repo.fold_until_ms = None;
    let generation = repo.row.generation;
    writes.folds.push((fold.repo, fold.through));
    writes.packs.push(PackWrite {
        repo: fold.repo,
        pack: &fold.pack,
        generation,
        apart_at_ms: None,
    });
    writes.repos.push(repo);
    Done::Generation(generation)
}
