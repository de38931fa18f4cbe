//! A repository: the operations, over whichever backend keeps it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use packhouse_object::{
    BString, FinishedPack, HistoryIndex, LastChange, LastChanges, ObjectId, last_changes,
};
use parking_lot::Mutex;

use crate::change::Change;
use crate::error::{PublishError, RepoError};
use crate::quota::Quota;
use crate::reflog::{ReflogEntry, ReflogPage};
use crate::view::View;

/// What keeps a repository. There are two: a plain bare directory, and catalog with bucket.
///
/// `publish` is the one way to write. It must be atomic: the objects and ref edits of a prepared change
/// become visible together, and are durable when it returns.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The newest acknowledged state.
    async fn view(&self) -> Result<Arc<View>, RepoError>;

    /// Prepares on the newest state and makes the change visible, preparing again as long as others are faster.
    /// `packs` are made part of the object database before preparing. `Ok(None)`: preparing refused.
    async fn publish(
        &self,
        who: String,
        packs: Vec<FinishedPack>,
        prepare: Box<dyn Prepare>,
    ) -> Result<Option<Arc<View>>, RepoError>;

    /// A folder for files under way, on the file system where packs end up.
    fn quarantine_dir(&self) -> &Path;

    /// Past ref edits, oldest first.
    async fn reflog(
        &self,
        name: Option<&[u8]>,
        after: Option<ReflogPage>,
        limit: u32,
    ) -> Result<Vec<ReflogEntry>, RepoError>;

    /// The index of the history, as far as it was made. It is a cache, and may have nothing.
    async fn history(&self) -> HistoryIndex {
        HistoryIndex::default()
    }

    /// The index of the history with what `tip` reaches; still without it where a backend keeps no index.
    async fn extended_history(
        &self,
        _view: &Arc<View>,
        _tip: ObjectId,
    ) -> Result<HistoryIndex, RepoError> {
        Ok(HistoryIndex::default())
    }

    /// How much room the repository has; `None`: there is no limit.
    async fn quota(&self) -> Result<Option<Quota>, RepoError> {
        Ok(None)
    }

    /// Has the index of the history extended when there is time.
    fn extend_history_later(&self, _view: &Arc<View>, _tip: ObjectId) {}
}

/// Commits that the index of a history may lack before it is extended.
const MISSING_COMMITS: usize = 64;

/// Commits whose trees are compared at most where the index lacks them.
const WALKED_COMMITS: usize = 512;

/// The part of a write that depends on the state it lands on. Called again when that state has moved.
pub trait Prepare: Send {
    /// The change to make on `view`, or a refusal that the implementor has noted for its caller.
    fn prepare(&mut self, view: &View) -> Result<Change, Refused>;
}

/// Preparing found a reason not to write.
#[derive(Debug)]
pub struct Refused;

struct Preparing<F, T, E> {
    prepare: F,
    outcome: Arc<Mutex<Option<Result<T, E>>>>,
}

impl<F, T: Send, E: Send> Prepare for Preparing<F, T, E>
where
    F: FnMut(&View) -> Result<(Change, T), E> + Send,
{
    fn prepare(&mut self, view: &View) -> Result<Change, Refused> {
        let (change, outcome) = match (self.prepare)(view) {
            Ok((change, value)) => (Ok(change), Ok(value)),
            Err(refusal) => (Err(Refused), Err(refusal)),
        };
        *self.outcome.lock() = Some(outcome);
        change
    }
}

/// One repository. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    backend: Arc<dyn Backend>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").finish_non_exhaustive()
    }
}

impl Repository {
    /// A repository kept by `backend`.
    pub fn new(backend: Arc<dyn Backend>) -> Repository {
        Repository { backend }
    }

    /// The newest acknowledged state.
    pub async fn view(&self) -> Result<Arc<View>, RepoError> {
        self.backend.view().await
    }

    /// Writes what `prepare` asks for on the newest state, as one change.
    ///
    /// `prepare` sees the writes that were queued before this one and is called again if the state moved
    /// in between, so it must not have effects of its own. The change is durable when this returns.
    pub async fn publish<T, E, F>(
        &self,
        who: &str,
        packs: Vec<FinishedPack>,
        prepare: F,
    ) -> Result<(T, Arc<View>), PublishError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnMut(&View) -> Result<(Change, T), E> + Send + 'static,
    {
        let outcome = Arc::new(Mutex::new(None));
        let preparing = Preparing {
            prepare,
            outcome: outcome.clone(),
        };
        let view = self
            .backend
            .publish(who.to_owned(), packs, Box::new(preparing))
            .await?;
        let outcome = outcome.lock().take();
        match (outcome, view) {
            (Some(Ok(value)), Some(view)) => Ok((value, view)),
            (Some(Err(refusal)), _) => Err(PublishError::Refused(refusal)),
            _ => Err(PublishError::Repo(RepoError::Stopped)),
        }
    }

    /// How much room the repository has; `None`: there is no limit.
    pub async fn quota(&self) -> Result<Option<Quota>, RepoError> {
        self.backend.quota().await
    }

    /// A folder for files under way, on the file system where packs end up.
    pub fn quarantine_dir(&self) -> &Path {
        self.backend.quarantine_dir()
    }

    /// Past edits of `name`, or of every ref, oldest first, starting behind `after`.
    pub async fn reflog(
        &self,
        name: Option<&[u8]>,
        after: Option<ReflogPage>,
        limit: u32,
    ) -> Result<Vec<ReflogEntry>, RepoError> {
        self.backend.reflog(name, after, limit).await
    }

    /// The index of the history, as far as it was made.
    pub async fn history(&self) -> HistoryIndex {
        self.backend.history().await
    }

    /// Has the index of the history extended by what `tip` reaches, when there is time.
    pub fn extend_history_later(&self, view: &Arc<View>, tip: ObjectId) {
        self.backend.extend_history_later(view, tip);
    }

    /// The commits that changed `paths` (files, folders or submodules) last as of the commit `tip`, as
    /// `git log -1 -- PATH` has them. Extends the index of the history first where it lacks too much.
    pub async fn last_changes(
        &self,
        view: &Arc<View>,
        tip: ObjectId,
        paths: Vec<BString>,
    ) -> Result<Vec<Option<LastChange>>, RepoError> {
        let paths = Arc::new(paths);
        let index = self.backend.history().await;
        let near = changes_in(view, index, tip, &paths, WALKED_COMMITS).await?;
        let found = match near {
            Some(found) => found,
            None => {
                let index = self.backend.extended_history(view, tip).await?;
                let found = changes_in(view, index, tip, &paths, usize::MAX).await?;
                found.ok_or(RepoError::Stopped)?
            }
        };
        if found.missing > MISSING_COMMITS {
            self.backend.extend_history_later(view, tip);
        }
        Ok(found.changes)
    }
}

async fn changes_in(
    view: &Arc<View>,
    index: HistoryIndex,
    tip: ObjectId,
    paths: &Arc<Vec<BString>>,
    max_missing: usize,
) -> Result<Option<LastChanges>, RepoError> {
    let (view, paths) = (view.clone(), paths.clone());
    let found = tokio::task::spawn_blocking(move || {
        last_changes(view.database(), &index, tip, &paths, max_missing)
    });
    Ok(found.await.map_err(|_| RepoError::Stopped)??)
}
