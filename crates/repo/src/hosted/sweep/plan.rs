//! Deciding what a sweep is to do, a page of the bucket at a time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use packhouse_bucket::{BucketError, Listed};
use packhouse_catalog::{DeletedRepo, PackName, PackStanding, RepoId, UnreachablePacks};

use super::SweepOptions;
use super::names::Named;
use crate::error::RepoError;
use crate::hosted::Hosted;

/// Keys of a page. What a sweep holds in memory is bounded by it.
const PAGE_KEYS: usize = 1000;
/// Repositories of a page, deleted ones or such with something to drop.
const PAGE_REPOSITORIES: u32 = 100;

/// What is to be done about one page. Until it is done, nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepPlan {
    /// Repositories with packs of what no ref has reached for long. What it reaches by now stays.
    pub unreachable: Vec<UnreachablePacks>,
    /// Deleted repositories whose rows are to be removed.
    pub repositories: Vec<DeletedRepo>,
    /// Packs that no repository lists.
    pub packs: Vec<DeadPack>,
    /// Layers of histories of repositories that are not there any more: caches, deleted at once.
    pub layers: Vec<Listed>,
    /// Keys of the page.
    pub keys: u64,
    /// Those of them that are none of Packhouse's, and stay.
    pub foreign: u64,
}

/// A pack that no repository lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadPack {
    /// Its name.
    pub name: PackName,
    /// What the page has of it: the pack, its index, its bitmaps, or some of these.
    pub files: Vec<Listed>,
    /// What becomes of it.
    pub fate: PackFate,
}

impl DeadPack {
    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// What becomes of an unlisted pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackFate {
    /// It is remembered as unlisted from now on.
    Remember,
    /// It was found earlier, and its grace period is not over.
    Wait {
        /// When that is.
        until_ms: i64,
    },
    /// It is condemned and deleted, unless somebody lists it before.
    Delete,
}

impl PackFate {
    /// `None`: it is listed, and stays.
    fn of(standing: PackStanding, grace: Duration, now_ms: i64) -> Option<PackFate> {
        let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let at_ms = match standing {
            PackStanding::Listed => return None,
            PackStanding::Condemned => return Some(PackFate::Delete),
            PackStanding::Found { at_ms } => at_ms,
            PackStanding::Unlisted if grace_ms > 0 => return Some(PackFate::Remember),
            PackStanding::Unlisted => now_ms,
        };
        let until_ms = at_ms.saturating_add(grace_ms);
        Some(if until_ms <= now_ms {
            PackFate::Delete
        } else {
            PackFate::Wait { until_ms }
        })
    }
}

/// Keys of the bucket, sorted by what they belong to.
#[derive(Debug, Default)]
struct Page {
    packs: BTreeMap<PackName, Vec<Listed>>,
    layers: BTreeMap<RepoId, Vec<Listed>>,
    keys: u64,
    foreign: u64,
}

impl Page {
    fn add(&mut self, listed: Listed) {
        self.keys += 1;
        match Named::parse(&listed.key) {
            Named::Pack(name) => self.packs.entry(name).or_default().push(listed),
            Named::Layer(repo) => self.layers.entry(repo).or_default().push(listed),
            Named::Foreign => self.foreign += 1,
        }
    }

    /// What is to be done, by what the catalog says. A pack that it says nothing of stays.
    fn decide(
        self,
        standings: &HashMap<PackName, PackStanding>,
        live: &HashSet<RepoId>,
        grace: Duration,
        now_ms: i64,
    ) -> SweepPlan {
        let fate = |name: &PackName| PackFate::of(*standings.get(name)?, grace, now_ms);
        let packs = self.packs.into_iter().filter_map(|(name, files)| {
            let fate = fate(&name)?;
            Some(DeadPack { name, files, fate })
        });
        let gone = |(repo, layers)| (!live.contains(&repo)).then_some(layers);
        SweepPlan {
            unreachable: Vec::new(),
            repositories: Vec::new(),
            packs: packs.collect(),
            layers: self.layers.into_iter().filter_map(gone).flatten().collect(),
            keys: self.keys,
            foreign: self.foreign,
        }
    }
}

/// The plans of a sweep, one after the other: first what no ref reaches, then deleted repositories, then the bucket.
pub struct SweepPlans<'a> {
    hosted: &'a Hosted,
    options: &'a SweepOptions,
    /// The last repository so far with something to drop; `None`: they are done.
    dropped: Option<RepoId>,
    /// The last deleted repository so far; `None`: they are done.
    after: Option<(i64, RepoId)>,
    /// `None`: it has ended.
    listing: Option<BoxStream<'a, Result<Listed, BucketError>>>,
}

impl std::fmt::Debug for SweepPlans<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SweepPlans").finish_non_exhaustive()
    }
}

impl Hosted {
    /// What a sweep is to do, in plans of a bounded size. Asking for them changes nothing.
    pub fn plan_sweep<'a>(&'a self, options: &'a SweepOptions) -> SweepPlans<'a> {
        SweepPlans {
            hosted: self,
            options,
            dropped: Some(RepoId(i64::MIN)),
            after: Some((i64::MIN, RepoId(i64::MIN))),
            listing: Some(self.engine.packs.list("orgs")),
        }
    }
}

impl SweepPlans<'_> {
    /// The next plan; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<SweepPlan>, RepoError> {
        if let Some(unreachable) = self.unreachable().await? {
            return Ok(Some(SweepPlan {
                unreachable,
                ..SweepPlan::default()
            }));
        }
        if let Some(repositories) = self.deleted_repositories().await? {
            return Ok(Some(SweepPlan {
                repositories,
                ..SweepPlan::default()
            }));
        }
        let page = self.page().await?;
        if page.keys == 0 {
            return Ok(None);
        }
        let catalog = self.hosted.catalog();
        let names: Vec<_> = page.packs.keys().copied().collect();
        let repos: Vec<_> = page.layers.keys().copied().collect();
        let standings = catalog.pack_standings(&names).await?.into_iter().collect();
        let live = catalog.live_repos(&repos).await?.into_iter().collect();
        let options = self.options;
        let plan = page.decide(&standings, &live, options.grace, options.now_ms());
        Ok(Some(plan))
    }

    async fn unreachable(&mut self) -> Result<Option<Vec<UnreachablePacks>>, RepoError> {
        let Some(after) = self.dropped else {
            return Ok(None);
        };
        let by_ms = self.options.before_ms(self.options.keep_unreachable);
        let catalog = self.hosted.catalog();
        let page = catalog.unreachable_packs(by_ms, after, PAGE_REPOSITORIES);
        let page = page.await?;
        self.dropped = page.last().map(|last| last.repo);
        Ok((!page.is_empty()).then_some(page))
    }

    async fn deleted_repositories(&mut self) -> Result<Option<Vec<DeletedRepo>>, RepoError> {
        let Some(after) = self.after else {
            return Ok(None);
        };
        let by_ms = self.options.before_ms(self.options.keep_deleted);
        let catalog = self.hosted.catalog();
        let page = catalog.deleted_repos(by_ms, after, PAGE_REPOSITORIES);
        let page = page.await?;
        self.after = page.last().map(|last| (last.deleted_at_ms, last.id));
        Ok((!page.is_empty()).then_some(page))
    }

    async fn page(&mut self) -> Result<Page, RepoError> {
        let mut page = Page::default();
        while let Some(listing) = &mut self.listing {
            match listing.next().await {
                Some(listed) => page.add(listed?),
                None => self.listing = None,
            }
            if page.keys >= PAGE_KEYS as u64 {
                break;
            }
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packhouse_bucket::Key;
    use packhouse_catalog::OrgId;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn a_pack_is_deleted_only_once_it_was_known_unlisted_for_the_grace_period() {
        let fate = |standing| PackFate::of(standing, HOUR, NOW);
        assert_eq!(fate(PackStanding::Listed), None);
        assert_eq!(fate(PackStanding::Unlisted), Some(PackFate::Remember));
        let found = |at_ms| fate(PackStanding::Found { at_ms });
        let wait = |until_ms| Some(PackFate::Wait { until_ms });
        assert_eq!(found(NOW), wait(NOW + 3_600_000));
        assert_eq!(found(NOW - 3_599_999), wait(NOW + 1));
        assert_eq!(found(NOW - 3_600_000), Some(PackFate::Delete));
        // Found by a node whose clock is ahead.
        assert_eq!(found(i64::MAX), wait(i64::MAX));
        assert_eq!(fate(PackStanding::Condemned), Some(PackFate::Delete));
        let at_once = PackFate::of(PackStanding::Unlisted, Duration::ZERO, NOW);
        assert_eq!(at_once, Some(PackFate::Delete));
        let listed = PackFate::of(PackStanding::Listed, Duration::ZERO, NOW);
        assert_eq!(listed, None);
    }

    fn listed(text: &str) -> Listed {
        Listed {
            key: Key::parse(text).unwrap(),
            size: 10,
            modified_ms: 0,
        }
    }

    #[test]
    fn a_page_keeps_what_is_listed_live_or_not_known() {
        let names = [1, 2, 3].map(|number: u8| PackName {
            org: OrgId(1),
            key: [number; 32],
        });
        let mut page = Page::default();
        for name in &names {
            let stem = crate::hosted::packs::pack_stem(name.org, &name.key);
            page.add(listed(&format!("{stem}.idx")));
            page.add(listed(&format!("{stem}.pack")));
        }
        let layer = |repo| {
            format!(
                "orgs/1/repos/{repo}/history/00000001-{}.layer",
                "0".repeat(64)
            )
        };
        page.add(listed(&layer(5)));
        page.add(listed(&layer(6)));
        page.add(listed("orgs/1/notes"));
        // Nothing is known of the third one: a listing may show what was put after the catalog was asked.
        let standings = HashMap::from([
            (names[0], PackStanding::Listed),
            (names[1], PackStanding::Unlisted),
        ]);
        let plan = page.decide(&standings, &HashSet::from([RepoId(5)]), HOUR, NOW);
        assert_eq!((plan.keys, plan.foreign), (9, 1));
        assert_eq!(plan.layers, [listed(&layer(6))]);
        let packs: Vec<_> = plan
            .packs
            .iter()
            .map(|pack| (pack.name, pack.bytes(), pack.fate))
            .collect();
        assert_eq!(packs, [(names[1], 20, PackFate::Remember)]);
    }
}
