//! The sweep: objects that no ref has reached for long, rows of repositories deleted long ago, and keys of the bucket that
//! no repository lists.
//!
//! What always holds, at every moment and after any crash:
//! - a pack that is listed is in the bucket, whole;
//! - a pack is deleted only after it was found unlisted, again a grace period later, and condemned by the catalog: from
//!   then on no transaction lists it (`packhouse_catalog::Catalog::condemn_packs` says how). Who stored its bytes to
//!   list them stores them once more, under a name of their own;
//! - who opens a state of a repository has the grace period to open its packs; a pack that is open stays readable;
//! - doing it twice, on two nodes at once, or half of it, does no harm.
//!
//! A sweep goes through the bucket's listing once, a page at a time. A page becomes a [`SweepPlan`], which says what is to
//! be done; [`Hosted::run_sweep`] does it. Whether a listing misses keys or shows deleted ones only decides which sweep
//! finds them.

mod names;
mod plan;
mod run;

use std::sync::Arc;
use std::time::Duration;

pub use self::plan::{DeadPack, PackFate, SweepPlan, SweepPlans};
pub use self::run::SweepReport;

use super::now_ms;

/// How to sweep.
#[derive(Clone)]
pub struct SweepOptions {
    /// How long the rows of a deleted repository are kept.
    pub keep_deleted: Duration,
    /// How long objects that no ref reaches are kept after a full repack found them.
    pub keep_unreachable: Duration,
    /// How long a pack must have been unlisted before it is deleted. Longer than any node takes from reading which packs
    /// a repository has to opening them, or from storing a pack to listing it, and than the clocks of nodes differ.
    pub grace: Duration,
    /// How long entries of the audit log are kept; for good if absent.
    pub keep_audit: Option<Duration>,
    /// The time, in milliseconds since 1970.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl SweepOptions {
    /// The shortest grace period while nodes are at work.
    pub const LEAST_GRACE: Duration = Duration::from_secs(3600);

    fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    /// The last moment that is at least `age` ago.
    pub fn before_ms(&self, age: Duration) -> i64 {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        self.now_ms().saturating_sub(age_ms)
    }
}

impl Default for SweepOptions {
    /// Two weeks for what no ref reaches, one for deleted repositories, and a day's grace.
    fn default() -> SweepOptions {
        SweepOptions {
            keep_unreachable: Duration::from_secs(14 * 24 * 3600),
            keep_deleted: Duration::from_secs(7 * 24 * 3600),
            grace: Duration::from_secs(24 * 3600),
            keep_audit: None,
            clock: Arc::new(now_ms),
        }
    }
}

impl std::fmt::Debug for SweepOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SweepOptions")
            .field("keep_unreachable", &self.keep_unreachable)
            .field("keep_deleted", &self.keep_deleted)
            .field("grace", &self.grace)
            .field("keep_audit", &self.keep_audit)
            .finish_non_exhaustive()
    }
}

/// Told how a sweep goes on, and asked whether it shall.
pub trait SweepWatch: Sync {
    /// What was done so far.
    fn swept(&self, report: &SweepReport) {
        let _ = report;
    }

    /// Whether to stop. What is not done is left for the next sweep.
    fn is_stopped(&self) -> bool {
        false
    }
}

impl SweepWatch for () {}
