//! The hosted backend: refs and the list of packs in the catalog, packs in the bucket, and on the node only caches.
//!
//! What always holds:
//! - the SQL transaction of the catalog is the one point where a write becomes visible, and it is durable then;
//! - everything a catalog row names is in the bucket before the row is written, and stays there (see `sweep`);
//! - what a key of the bucket holds never changes, so storing it twice is harmless;
//! - a view is made of rows of one generation; a newer generation means loading the newer rows, nothing else.

mod closure;
mod fold;
mod fork;
mod history;
mod lane;
mod org_usage;
mod pack_of;
mod packs;
mod repack;
mod room;
mod scratch;
mod slot;
mod state;
mod stats;
mod sweep;
mod tail;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use packhouse_bucket::Bucket;
use packhouse_catalog::{Catalog, NewPack, OrgId, Origin, PackSource, RepoId, RepoRow};
use packhouse_object::{FinishedPack, HistoryIndex, ObjectCache, ObjectId};
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::fold::{FoldLimits, FoldReport};
pub use self::fork::{ForkError, ForkRequest, InitialCommit};
pub use self::repack::{DropReport, RepackHow, RepackReport};
pub use self::stats::{BUCKETS_SECONDS, Histogram, Stats};
pub use self::sweep::{
    DeadPack, PackFate, SweepOptions, SweepPlan, SweepPlans, SweepReport, SweepWatch,
};

use self::fold::FoldQueue;
use self::lane::{StoredPack, Waiting};
use self::org_usage::OrgUsages;
use self::packs::{PackKey, PackStore};
use self::repack::RepackQueue;
use self::scratch::Scratch;
use self::slot::{SharedSlot, Slot};
use self::state::State;
use crate::error::RepoError;
use crate::quota::{Quota, Room};
use crate::reflog::{ReflogEntry, ReflogPage};
use crate::repository::{Backend, Prepare, Repository};
use crate::view::View;

/// What an engine is made of.
pub struct HostedOptions {
    /// The SQL side.
    pub catalog: Catalog,
    /// The bytes side.
    pub bucket: Arc<dyn Bucket>,
    /// Where packs of a remote bucket are kept for reading.
    pub cache_dir: PathBuf,
    /// How many bytes that folder may hold.
    pub cache_bytes: u64,
    /// Where packs are written and received before they are stored, each process in a folder of its own; on the file
    /// system of a local bucket.
    pub temp_dir: PathBuf,
    /// How many bytes of memory open repositories may take.
    pub view_bytes: u64,
    /// How many bytes of memory decoded objects may take.
    pub object_cache_bytes: u64,
    /// When a tail is folded into a pack.
    pub fold: FoldLimits,
    /// The `git` program that chooses deltas for full repacks; without it those are kept that there are.
    pub git: Option<PathBuf>,
    /// The most bytes a repository may have.
    pub repo_bytes: Option<u64>,
    /// The most bytes that the repositories of an organisation may have together.
    pub org_bytes: Option<u64>,
    /// The largest file that a write may make, such as a merge. What is received has limits of its own.
    pub file_bytes: Option<u64>,
}

impl HostedOptions {
    /// Options with the documented defaults: 10 GiB of cached packs, 256 MiB of open repositories,
    /// 64 MiB of decoded objects.
    pub fn new(
        catalog: Catalog,
        bucket: Arc<dyn Bucket>,
        cache_dir: PathBuf,
        temp_dir: PathBuf,
    ) -> HostedOptions {
        HostedOptions {
            catalog,
            bucket,
            cache_dir,
            cache_bytes: 10 << 30,
            temp_dir,
            view_bytes: 256 << 20,
            object_cache_bytes: 64 << 20,
            fold: FoldLimits::default(),
            git: repack::default_git(),
            repo_bytes: None,
            org_bytes: None,
            file_bytes: None,
        }
    }
}

/// The parts that slots and tasks share.
pub(crate) struct Engine {
    catalog: Catalog,
    packs: PackStore,
    cache: Arc<ObjectCache>,
    scratch: Scratch,
    fold_limits: FoldLimits,
    repo_bytes: Option<u64>,
    file_bytes: Option<u64>,
    org_usages: OrgUsages,
    stats: Arc<Stats>,
    tasks: TaskTracker,
    slots: Cache<RepoId, Weighed, SlotWeight>,
    folds: FoldQueue,
    repacks: RepackQueue,
    /// The turn for repacking.
    repacking: Semaphore,
    git: Option<PathBuf>,
    /// Turns for making the index of a history.
    history_builds: Semaphore,
    /// What may take long is to end.
    stopping: Arc<AtomicBool>,
    /// Ends what waits for the time to pass.
    ended: CancellationToken,
}

/// A pack of this many objects has its commits put into the index of the history when it is pushed.
const LARGE_PUSH_OBJECTS: u64 = 4096;

/// A slot with its weight when it was last weighed: the cache needs a weight that stays, and a slot grows.
#[derive(Clone)]
struct Weighed {
    slot: SharedSlot,
    bytes: u64,
}

impl Weighed {
    fn now(slot: SharedSlot) -> Weighed {
        let bytes = slot.weight_bytes();
        Weighed { slot, bytes }
    }
}

#[derive(Clone)]
struct SlotWeight;

impl quick_cache::Weighter<RepoId, Weighed> for SlotWeight {
    fn weight(&self, _: &RepoId, weighed: &Weighed) -> u64 {
        weighed.bytes
    }
}

/// What a node has open: the repositories in its memory, and the tail rows and packs these have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenNow {
    /// Repositories.
    pub repositories: u64,
    /// Tail rows of all of them.
    pub tail_rows: u64,
    /// Packs of all of them.
    pub packs: u64,
}

/// The engine of a server: every repository of a catalog and a bucket.
pub struct Hosted {
    engine: Arc<Engine>,
}

impl std::fmt::Debug for Hosted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hosted")
            .field("temp_dir", &self.engine.scratch.path())
            .finish_non_exhaustive()
    }
}

impl Hosted {
    /// Opens the engine and starts folding in the background. Call from within a Tokio runtime.
    pub fn open(options: HostedOptions) -> Result<Arc<Hosted>, RepoError> {
        let (cache_dir, temp_dir) = (&options.cache_dir, &options.temp_dir);
        std::fs::create_dir_all(cache_dir)
            .map_err(|error| RepoError::io("could not create folder", cache_dir, error))?;
        let scratch = Scratch::create(temp_dir)
            .map_err(|error| RepoError::io("could not create a folder in", temp_dir, error))?;
        let stats = Arc::new(Stats::default());
        let (folds, due) = FoldQueue::new();
        let engine = Arc::new(Engine {
            packs: PackStore::new(
                options.bucket,
                options.cache_dir,
                options.cache_bytes,
                stats.clone(),
            ),
            catalog: options.catalog,
            cache: Arc::new(ObjectCache::new(options.object_cache_bytes)),
            scratch,
            fold_limits: options.fold,
            repo_bytes: options.repo_bytes,
            file_bytes: options.file_bytes,
            org_usages: OrgUsages::new(options.org_bytes),
            stats,
            tasks: TaskTracker::new(),
            slots: Cache::with_weighter(4096, options.view_bytes, SlotWeight),
            folds,
            repacks: RepackQueue::default(),
            repacking: Semaphore::new(1),
            git: options.git,
            history_builds: Semaphore::new(1),
            stopping: Arc::default(),
            ended: CancellationToken::new(),
        });
        engine.tasks.spawn(fold::run(Arc::downgrade(&engine), due));
        engine.tasks.spawn(scratch::tidy(Arc::downgrade(&engine)));
        Ok(Arc::new(Hosted { engine }))
    }

    /// The repository called `name` in an organisation, or `None`.
    pub async fn repository(
        &self,
        org: OrgId,
        name: &str,
    ) -> Result<Option<Repository>, RepoError> {
        let row = self.engine.catalog.repo(org, name).await?;
        Ok(row.map(|row| self.at(&row)))
    }

    /// The repository a row describes. Its first view is at least as new as the row.
    pub fn at(&self, row: &RepoRow) -> Repository {
        self.at_from(row, None)
    }

    /// The same for a request that came from `origin`: what it moves says so in the audit log.
    pub fn at_from(&self, row: &RepoRow, origin: Option<Arc<Origin>>) -> Repository {
        let slot = self.engine.slot(row.id, row.org);
        Repository::new(Arc::new(HostedRepository {
            engine: self.engine.clone(),
            slot,
            seen: row.generation,
            fresh: AtomicBool::new(true),
            origin,
        }))
    }

    /// The SQL side.
    pub fn catalog(&self) -> &Catalog {
        &self.engine.catalog
    }

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        &self.engine.stats
    }

    /// What this node has open at the moment.
    pub fn open_now(&self) -> OpenNow {
        let mut open = OpenNow::default();
        for (_, weighed) in self.engine.slots.iter() {
            if let Some((tail_rows, packs)) = weighed.slot.counts() {
                open.repositories += 1;
                open.tail_rows += tail_rows;
                open.packs += packs;
            }
        }
        open
    }

    /// To be told when a repository of `org` was deleted, so that its room is there at once.
    pub fn repository_deleted(&self, org: OrgId) {
        self.engine.org_usages.forget(org);
    }

    /// Folds the tail of a repository into a pack now. `None`: the tail is empty, or another node is folding it.
    pub async fn fold(&self, id: RepoId) -> Result<Option<FoldReport>, RepoError> {
        let row = self
            .engine
            .catalog
            .repo_by_id(id)
            .await?
            .ok_or(RepoError::Gone)?;
        let slot = self.engine.slot(row.id, row.org);
        self.engine.fold_slot(&slot).await
    }

    /// Finishes the writes that are queued, stops folding, and closes the catalog.
    pub async fn shutdown(&self) {
        self.engine.folds.stop();
        self.engine.stopping.store(true, Ordering::Relaxed);
        self.engine.ended.cancel();
        self.engine.tasks.close();
        self.engine.tasks.wait().await;
        self.engine.catalog.close().await;
    }
}

impl Engine {
    fn slot(&self, id: RepoId, org: OrgId) -> SharedSlot {
        let made = self.slots.get_or_insert_with(&id, || {
            Ok::<_, Infallible>(Weighed::now(Arc::new(Slot::new(id, org))))
        });
        match made {
            Ok(weighed) => weighed.slot,
            Err(never) => match never {},
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn has_quota(&self) -> bool {
        self.repo_bytes.is_some() || self.org_usages.is_limited()
    }

    /// The room of a repository of `org` in this state, if it is limited.
    async fn quota(&self, org: OrgId, state: &State) -> Result<Option<Quota>, RepoError> {
        if !self.has_quota() {
            return Ok(None);
        }
        Ok(Some(Quota {
            repo: self.repo_bytes.map(|limit_bytes| Room {
                limit_bytes,
                used_bytes: state.size_bytes(),
            }),
            org: self.org_usages.room(&self.catalog, org).await?,
        }))
    }

    async fn store_pack(
        &self,
        org: OrgId,
        finished: Arc<FinishedPack>,
        source: PackSource,
    ) -> Result<StoredPack, RepoError> {
        let key = finished.key;
        self.store_pack_as(org, key, finished, source).await
    }

    /// Stores a pack once more, under a name that nobody else has: a sweep deletes what has the name it had.
    async fn store_pack_again(
        &self,
        org: OrgId,
        pack: &StoredPack,
    ) -> Result<StoredPack, RepoError> {
        Stats::add(&self.stats.packs_stored_again, 1);
        let (files, source) = (pack.files.clone(), pack.row.source);
        self.store_pack_as(org, rand::random(), files, source).await
    }

    async fn store_pack_as(
        &self,
        org: OrgId,
        mut key: PackKey,
        files: Arc<FinishedPack>,
        source: PackSource,
    ) -> Result<StoredPack, RepoError> {
        let open = loop {
            match self.packs.store(org, key, &files, source).await? {
                Some(open) => break open,
                None => key = rand::random(),
            }
        };
        let row = NewPack {
            key,
            source,
            objects: files.objects.cast_signed(),
            pack_bytes: files.pack_bytes.cast_signed(),
            idx_bytes: files.idx_bytes.cast_signed(),
        };
        Ok(StoredPack { open, row, files })
    }

    /// Tells the fold about a tail past its limits, and the memory bound about a slot that has grown.
    fn note_growth(&self, slot: &SharedSlot, state: &State) {
        let rows = state.tail.len() as u64;
        if rows >= self.fold_limits.rows || state.tail_bytes() >= self.fold_limits.bytes {
            self.folds.ask(slot.id, slot.org);
        }
        self.note_packs(slot.id, state);
        // Putting a slot in again weighs it again.
        if rows.is_multiple_of(16) || !state.packs.is_empty() {
            self.slots.insert(slot.id, Weighed::now(slot.clone()));
        }
    }
}

/// A repository as one request holds it.
struct HostedRepository {
    engine: Arc<Engine>,
    slot: SharedSlot,
    /// The generation the catalog gave when the repository was looked up.
    seen: i64,
    /// Whether the lookup may still stand in for asking the catalog: true until the first view.
    fresh: AtomicBool,
    /// Where the request came from, if there is one.
    origin: Option<Arc<Origin>>,
}

#[async_trait]
impl Backend for HostedRepository {
    async fn view(&self) -> Result<Arc<View>, RepoError> {
        let state = if self.fresh.swap(false, Ordering::Relaxed) {
            self.slot.state(&self.engine, self.seen).await?
        } else {
            self.slot.newest(&self.engine).await?
        };
        Ok(state.view)
    }

    async fn publish(
        &self,
        who: String,
        packs: Vec<FinishedPack>,
        prepare: Box<dyn Prepare>,
    ) -> Result<Option<Arc<View>>, RepoError> {
        let since = Instant::now();
        let is_large = packs.iter().any(|pack| pack.objects >= LARGE_PUSH_OBJECTS);
        self.check_room(&packs).await?;
        let mut stored = Vec::with_capacity(packs.len());
        for pack in packs {
            let pack = self
                .engine
                .store_pack(self.slot.org, Arc::new(pack), PackSource::Push);
            stored.push(pack.await?);
        }
        let packs_seen = self.check_closure(&stored).await?;
        let (reply, answer) = oneshot::channel();
        let write = Waiting {
            who,
            origin: self.origin.clone(),
            packs: stored,
            prepare,
            seen: self.seen,
            packs_seen,
            since,
            reply,
        };
        lane::enqueue(&self.engine, &self.slot, write);
        let reply = answer.await.map_err(|_| RepoError::Stopped)?;
        if let Ok(Some(view)) = &reply
            && is_large
            && let Some(head) = view.refs().get(view.head())
        {
            self.extend_history_later(view, head.target);
        }
        reply
    }

    async fn quota(&self) -> Result<Option<Quota>, RepoError> {
        if !self.engine.has_quota() {
            return Ok(None);
        }
        let state = self.slot.newest(&self.engine).await?;
        self.engine.quota(self.slot.org, &state).await
    }

    async fn history(&self) -> HistoryIndex {
        self.engine.history(&self.slot).await
    }

    async fn extended_history(
        &self,
        view: &Arc<View>,
        tip: ObjectId,
    ) -> Result<HistoryIndex, RepoError> {
        self.engine
            .extended_history(&self.slot, view, vec![tip])
            .await
    }

    fn extend_history_later(&self, view: &Arc<View>, tip: ObjectId) {
        self.engine
            .extend_history_later(&self.slot, view, vec![tip]);
    }

    fn quarantine_dir(&self) -> &Path {
        self.engine.scratch.ready()
    }

    async fn reflog(
        &self,
        name: Option<&[u8]>,
        after: Option<ReflogPage>,
        limit: u32,
    ) -> Result<Vec<ReflogEntry>, RepoError> {
        let after = after.map_or((-1, -1), |page| (page.generation, page.ordinal));
        let rows = self
            .engine
            .catalog
            .reflog(self.slot.id, name, after, limit)
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ReflogEntry {
                    page: ReflogPage {
                        generation: row.generation,
                        ordinal: row.ordinal,
                    },
                    name: row.name,
                    old: row.old.as_deref().map(state::object_id).transpose()?,
                    new: row.new.as_deref().map(state::object_id).transpose()?,
                    who: row.who,
                    message: row.message,
                    at_ms: row.at_ms,
                })
            })
            .collect()
    }
}

impl HostedRepository {
    /// Looks through packs once more that were checked before objects were dropped, where other writes do not wait for it.
    /// Returns the generation of the state that these packs are known to build on; it says nothing of the rest of a write.
    async fn check_closure(&self, packs: &[StoredPack]) -> Result<i64, RepoError> {
        if packs.is_empty() {
            return Ok(self.seen);
        }
        let state = self.slot.newest(&self.engine).await?;
        if state.dropped_generation <= self.seen {
            return Ok(self.seen);
        }
        let open: Vec<_> = packs.iter().map(|pack| pack.open.pack.clone()).collect();
        let checked = state.generation();
        let check = move || {
            let all = state.packs.iter().map(|known| known.pack.clone());
            let all = open.iter().cloned().chain(all).collect();
            let database = state.view.database.with_packs(all);
            let mut open = open.iter();
            open.try_for_each(|pack| closure::check_pack(&database, pack))
        };
        let done = tokio::task::spawn_blocking(check).await;
        done.map_err(|_| RepoError::Stopped)??;
        Ok(checked)
    }

    /// Refuses packs for which there is no room, before they are stored. The lane looks again, for others may have
    /// written meanwhile.
    async fn check_room(&self, packs: &[FinishedPack]) -> Result<(), RepoError> {
        if packs.is_empty() || !self.engine.has_quota() {
            return Ok(());
        }
        let state = self.slot.newest(&self.engine).await?;
        let is_new = |pack: &&FinishedPack| state.packs.iter().all(|known| known.key != pack.key);
        let bytes = packs.iter().filter(is_new).map(|pack| pack.pack_bytes);
        if let Some(quota) = self.engine.quota(self.slot.org, &state).await? {
            quota.with(bytes.sum())?;
        }
        Ok(())
    }
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}
