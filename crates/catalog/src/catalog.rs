//! The catalog's handle: opening, closing, and handing work to the lanes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::audit::{self, NewAuditEntry};
use crate::changes::Teller;
use crate::dialect::Pool;
use crate::ids::{IdSource, RepoId};
use crate::lane::{Done, HookWork, Lane, Work};
use crate::open::Place;
use crate::{CatalogError, events, migrate};

/// A connected catalog. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Catalog {
    inner: Arc<Inner>,
    /// What the audit log says of the next change.
    audit: Option<Arc<NewAuditEntry>>,
}

#[derive(Debug)]
struct Inner {
    pool: Pool,
    /// Where the file of the database is.
    folder: Option<PathBuf>,
    lanes: Vec<Lane>,
    /// For work on hooks and dead packs, where there can be a lane of its own: what it waits for, no publish waits for.
    hook_lane: Option<Lane>,
    teller: Teller,
    ids: Arc<IdSource>,
}

impl Catalog {
    /// Opens the catalog at `sqlite:/path/catalog.db` (created if missing, its folder must exist) or
    /// `postgres://user@host/database`, and brings its tables up to date.
    pub async fn open(url: &str) -> Result<Self, CatalogError> {
        let place = Place::parse(url)?;
        let failed = |source| place.failed(source);
        let mut writer = place.connect_writer().await.map_err(failed)?;
        migrate::run(&mut writer)
            .await
            .map_err(|source| CatalogError::Migrate {
                place: place.describe(),
                source: Arc::new(source),
            })?;
        events::set_clock(&mut writer.conn())
            .await
            .map_err(failed)?;
        writer.close().await.map_err(failed)?;
        let pool = place.connect_readers().await.map_err(failed)?;
        let ids = Arc::new(IdSource::default());
        let teller = Teller::default();
        let lanes = (0..place.lanes())
            .map(|_| Lane::start(place.clone(), ids.clone(), teller.clone()))
            .collect();
        let hook_lane =
            (!place.is_sqlite()).then(|| Lane::start(place.clone(), ids.clone(), teller.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                folder: place.local_folder(),
                lanes,
                hook_lane,
                teller,
                ids,
            }),
            audit: None,
        })
    }

    /// Finishes the writes that wait, refuses later ones with [`CatalogError::Closed`], and closes
    /// every connection.
    pub async fn close(&self) {
        for lane in self.inner.lanes.iter().chain(&self.inner.hook_lane) {
            lane.close().await;
        }
        self.inner.pool.close().await;
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let args = conn.args();
        conn.fetch_optional("SELECT 1", args).await?;
        Ok(())
    }

    /// The folder of the database, if it is a file of this machine.
    pub fn local_folder(&self) -> Option<&Path> {
        self.inner.folder.as_deref()
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    /// Where ids come from.
    pub(crate) fn ids(&self) -> &IdSource {
        &self.inner.ids
    }

    pub(crate) fn teller(&self) -> &Teller {
        &self.inner.teller
    }

    /// Has the lane of a repository do something.
    pub(crate) async fn submit(&self, repo: RepoId, work: Work) -> Result<Done, CatalogError> {
        self.submit_at(repo.0, work).await
    }

    /// Has a lane do something; the same `place` is always the same lane.
    pub(crate) async fn submit_at(&self, place: i64, work: Work) -> Result<Done, CatalogError> {
        let lanes = &self.inner.lanes;
        lanes[place.unsigned_abs() as usize % lanes.len()]
            .submit(work, self.audit_entry()?)
            .await
    }

    /// Has something done about hooks.
    pub(crate) async fn submit_hook(&self, work: HookWork) -> Result<Done, CatalogError> {
        self.submit_aside(Work::Hook(work)).await
    }

    /// Has something done that no publish should wait for, where there can be a lane for such.
    pub(crate) async fn submit_aside(&self, work: Work) -> Result<Done, CatalogError> {
        let lane = self.inner.hook_lane.as_ref();
        lane.unwrap_or(&self.inner.lanes[0])
            .submit(work, self.audit_entry()?)
            .await
    }

    /// A handle whose change is put into the audit log.
    pub(crate) fn with_audit(&self, entry: NewAuditEntry) -> Catalog {
        Catalog {
            inner: self.inner.clone(),
            audit: Some(Arc::new(entry)),
        }
    }

    fn audit_entry(&self) -> Result<Option<Arc<NewAuditEntry>>, CatalogError> {
        if let Some(entry) = &self.audit {
            audit::check(entry)?;
        }
        Ok(self.audit.clone())
    }
}
