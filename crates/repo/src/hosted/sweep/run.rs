//! Doing what a plan of a sweep says.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use packhouse_bucket::Listed;
use packhouse_catalog::{DeletedRepo, OrgId, UnreachablePacks};

use super::plan::{DeadPack, PackFate, SweepPlan};
use super::{SweepOptions, SweepWatch};
use crate::error::RepoError;
use crate::hosted::stats::Stats;
use crate::hosted::{Engine, Hosted};

/// Rows that one transaction removes.
const ROWS: u32 = 500;
/// Repositories whose rows are removed at a time, and keys that are deleted at a time.
const AT_ONCE: usize = 8;
/// How many times as long as a transaction took the next one is waited with, so that the catalog's writers have most of
/// the time for others.
const REST: u32 = 3;
/// How often it is asked whether to stop.
const LOOK: Duration = Duration::from_millis(200);
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How long after packs were condemned their deletion may begin. A node that slept in between leaves them to the next
/// sweep: it must not come back when the catalog has forgotten them.
const ORDER_HOLDS: Duration = Duration::from_secs(600);
/// How long the catalog remembers condemned packs: far longer than a deletion takes to arrive, or a writer from storing a
/// pack to listing it.
const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 3600);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Objects dropped that no ref has reached for long.
    pub objects: u64,
    /// Repositories whose objects could not be looked at, left for the next sweep.
    pub undropped: u64,
    /// Deleted repositories whose rows were removed to the last.
    pub repositories: u64,
    /// Those with a job that runs or a webhook still to be told, left for the next sweep.
    pub busy: u64,
    /// Rows removed.
    pub rows: u64,
    /// Keys of the bucket that were looked at.
    pub keys_seen: u64,
    /// Those of them that are none of Packhouse's, and stay.
    pub foreign: u64,
    /// Unlisted packs whose grace period is not over.
    pub waiting: u64,
    /// Keys deleted.
    pub keys: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Keys that the bucket did not delete, left for the next sweep.
    pub failed: u64,
    /// Audit entries removed.
    pub audit_entries: u64,
}

impl SweepReport {
    fn add(&mut self, more: &SweepReport) {
        self.objects += more.objects;
        self.undropped += more.undropped;
        self.repositories += more.repositories;
        self.busy += more.busy;
        self.rows += more.rows;
        self.keys_seen += more.keys_seen;
        self.foreign += more.foreign;
        self.waiting += more.waiting;
        self.keys += more.keys;
        self.bytes += more.bytes;
        self.failed += more.failed;
        self.audit_entries += more.audit_entries;
    }
}

impl Hosted {
    /// Sweeps: makes one plan after the other, and does it. A failure to delete a key or to look through a repository is
    /// counted, and leaves it to the next sweep; any other ends this one. [`RepoError::Stopped`] if the watch says so.
    pub async fn sweep(
        &self,
        options: &SweepOptions,
        watch: &dyn SweepWatch,
    ) -> Result<SweepReport, RepoError> {
        let mut report = SweepReport::default();
        let mut plans = self.plan_sweep(options);
        while let Some(plan) = plans.next().await? {
            if watch.is_stopped() {
                return Err(RepoError::Stopped);
            }
            report.add(&self.run_sweep(plan, options, watch).await?);
            watch.swept(&report);
        }
        report.audit_entries = self.engine.expire_audit(options, watch).await?;
        self.engine.forget_dead_packs(options).await?;
        Ok(report)
    }

    /// Does what a plan says. It may be old: what was listed since stays.
    pub async fn run_sweep(
        &self,
        plan: SweepPlan,
        options: &SweepOptions,
        watch: &dyn SweepWatch,
    ) -> Result<SweepReport, RepoError> {
        let engine = &self.engine;
        let mut report = SweepReport {
            keys_seen: plan.keys,
            foreign: plan.foreign,
            ..SweepReport::default()
        };
        for apart in plan.unreachable {
            report.add(&self.drop_apart(apart, options, watch).await?);
        }
        let mut swept = stream::iter(plan.repositories)
            .map(|repo| engine.sweep_rows(repo, options, watch))
            .buffer_unordered(AT_ONCE);
        while let Some(swept) = swept.next().await {
            report.add(&swept?);
        }
        drop(swept);
        report.add(&engine.delete_all(plan.layers).await);
        report.add(&engine.sweep_packs(plan.packs, options).await?);
        Ok(report)
    }
}

impl Hosted {
    /// Drops what a repository has set apart long ago.
    async fn drop_apart(
        &self,
        apart: UnreachablePacks,
        options: &SweepOptions,
        watch: &dyn SweepWatch,
    ) -> Result<SweepReport, RepoError> {
        let stop = Arc::new(AtomicBool::new(false));
        let by_ms = options.before_ms(options.keep_unreachable);
        let dropping = self.drop_unreachable(apart.repo, by_ms, stop.clone());
        tokio::pin!(dropping);
        let dropped = loop {
            tokio::select! {
                dropped = &mut dropping => break dropped,
                () = tokio::time::sleep(LOOK) => stop.store(watch.is_stopped(), Ordering::Relaxed),
            }
        };
        let mut report = SweepReport::default();
        match dropped {
            Ok(Some(dropped)) => {
                report.objects = dropped.objects;
                tracing::info!(
                    repo = apart.repo.0,
                    name = apart.name,
                    ?dropped,
                    "dropped what no ref reaches"
                );
            }
            Ok(None) | Err(RepoError::Gone) => {}
            Err(RepoError::Stopped) if watch.is_stopped() || self.engine.is_stopping() => {
                return Err(RepoError::Stopped);
            }
            // One that is damaged, or brings the look down, keeps no other from being swept.
            Err(error) => {
                report.undropped = 1;
                tracing::warn!(repo = apart.repo.0, name = apart.name, %error, "could not drop what no ref reaches; the next sweep will try again");
            }
        }
        Ok(report)
    }
}

impl Engine {
    async fn sweep_rows(
        &self,
        repo: DeletedRepo,
        options: &SweepOptions,
        watch: &dyn SweepWatch,
    ) -> Result<SweepReport, RepoError> {
        let mut report = SweepReport::default();
        loop {
            let begun = Instant::now();
            let step = self.catalog.sweep_repo(repo.id, ROWS, options.now_ms());
            let step = step.await?;
            report.rows += step.rows;
            if step.is_last {
                report.busy = u64::from(step.is_busy);
                report.repositories = u64::from(!step.is_busy);
                if !step.is_busy {
                    tracing::info!(
                        repo = repo.id.0,
                        org = repo.org.0,
                        name = repo.name,
                        rows = report.rows,
                        "swept the rows of a deleted repository"
                    );
                }
                Stats::add(&self.stats.swept_repositories, report.repositories);
                return Ok(report);
            }
            if watch.is_stopped() {
                return Err(RepoError::Stopped);
            }
            tokio::time::sleep((begun.elapsed() * REST).min(LONGEST_REST)).await;
        }
    }

    /// Condemns what may be, and deletes that.
    async fn sweep_packs(
        &self,
        packs: Vec<DeadPack>,
        options: &SweepOptions,
    ) -> Result<SweepReport, RepoError> {
        let mut report = SweepReport::default();
        let mut by_org: Vec<(OrgId, Vec<DeadPack>)> = Vec::new();
        for pack in packs {
            if matches!(pack.fate, PackFate::Wait { .. }) {
                report.waiting += 1;
                continue;
            }
            match by_org.last_mut().filter(|(org, _)| *org == pack.name.org) {
                Some((_, packs)) => packs.push(pack),
                None => by_org.push((pack.name.org, vec![pack])),
            }
        }
        for (org, packs) in by_org {
            let begun = Instant::now();
            let keys = packs.iter().map(|pack| pack.name.key).collect();
            let (found_by_ms, now_ms) = (options.before_ms(options.grace), options.now_ms());
            let condemned = self.catalog.condemn_packs(org, keys, found_by_ms, now_ms);
            let condemned: HashSet<_> = condemned.await?.into_iter().collect();
            let is_remembered = |pack: &&DeadPack| pack.fate == PackFate::Remember;
            report.waiting += packs.iter().filter(is_remembered).count() as u64;
            if begun.elapsed() > ORDER_HOLDS {
                continue;
            }
            let files = packs
                .into_iter()
                .filter(|pack| condemned.contains(&pack.name.key))
                .flat_map(|pack| pack.files);
            report.add(&self.delete_all(files.collect()).await);
        }
        Ok(report)
    }

    async fn delete_all(&self, files: Vec<Listed>) -> SweepReport {
        let begun = Instant::now();
        let mut report = SweepReport::default();
        let mut deleted = stream::iter(files)
            .map(|file| self.delete(file, begun))
            .buffer_unordered(AT_ONCE);
        while let Some((file, deleted)) = deleted.next().await {
            match deleted {
                Some(Ok(())) => {
                    report.keys += 1;
                    report.bytes += file.size;
                    tracing::debug!(key = %file.key, bytes = file.size, "deleted from the bucket");
                }
                None => report.failed += 1,
                Some(Err(error)) => {
                    report.failed += 1;
                    tracing::warn!(key = %file.key, %error, "could not delete from the bucket; the next sweep will try again");
                }
            }
        }
        Stats::add(&self.stats.swept_keys, report.keys);
        Stats::add(&self.stats.swept_bytes, report.bytes);
        report
    }

    /// Deletes one, unless it is too late for that.
    async fn delete(
        &self,
        file: Listed,
        begun: Instant,
    ) -> (Listed, Option<Result<(), RepoError>>) {
        if begun.elapsed() > ORDER_HOLDS {
            return (file, None);
        }
        let deleted = self.packs.delete(&file.key).await;
        (file, Some(deleted))
    }

    /// Removes audit entries that have been kept long enough.
    async fn expire_audit(
        &self,
        options: &SweepOptions,
        watch: &dyn SweepWatch,
    ) -> Result<u64, RepoError> {
        let Some(keep) = options.keep_audit else {
            return Ok(0);
        };
        let mut removed = 0;
        for org in self.catalog.list_orgs().await? {
            loop {
                if watch.is_stopped() {
                    return Err(RepoError::Stopped);
                }
                let begun = Instant::now();
                let step = self
                    .catalog
                    .expire_audit(org.id, options.before_ms(keep), ROWS);
                let step = step.await?;
                removed += step;
                if step < u64::from(ROWS) {
                    break;
                }
                tokio::time::sleep((begun.elapsed() * REST).min(LONGEST_REST)).await;
            }
        }
        Ok(removed)
    }

    async fn forget_dead_packs(&self, options: &SweepOptions) -> Result<(), RepoError> {
        let before_ms = options.before_ms(REMEMBERED);
        while self.catalog.forget_dead_packs(before_ms, ROWS).await? >= u64::from(ROWS) {}
        Ok(())
    }
}
