//! Which objects may be wanted by their ids.

use packhouse_object::{IdSet, ObjectId, ObjectKind, ReadError, unreached_commits};

use crate::error::WireError;
use crate::shown::Shown;
use crate::upload_pack::{FetchOptions, Rounds};
use crate::walk_progress::WalkProgress;

/// Which objects versions 0 and 1 may want besides those that refs name. In version 2 any object may be wanted that is
/// there, as from git: whoever knows an id has seen what leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantRules {
    /// What hidden refs name: `uploadpack.allowTipSHA1InWant`.
    pub tip: bool,
    /// What any ref reaches: `uploadpack.allowReachableSHA1InWant`.
    pub reachable: bool,
    /// Anything that is there: `uploadpack.allowAnySHA1InWant`. It includes the other two.
    pub any: bool,
}

impl Default for WantRules {
    /// What any ref reaches.
    fn default() -> WantRules {
        WantRules {
            tip: false,
            reachable: true,
            any: false,
        }
    }
}

impl WantRules {
    /// Only what is advertised, which is git's own default.
    pub fn advertised_only() -> WantRules {
        WantRules {
            tip: false,
            reachable: false,
            any: false,
        }
    }

    /// What a client is told that it may want, in the order of git.
    pub(crate) fn capabilities(self) -> impl Iterator<Item = &'static str> {
        let tip = (self.tip || self.any).then_some("allow-tip-sha1-in-want");
        let reachable = (self.reachable || self.any).then_some("allow-reachable-sha1-in-want");
        tip.into_iter().chain(reachable)
    }

    /// Whether hidden refs count when it is asked what refs name or reach.
    pub(crate) fn sees_hidden(self) -> bool {
        self.tip || self.reachable || self.any
    }

    /// Checks wants of version 0 or 1.
    ///
    /// What no ref names may be wanted where `reachable` says so, and over HTTP: there a ref may have moved between the
    /// advertisement and this request. Git then looks at history alone, so trees and blobs pass; these are what lazy fetches
    /// of partial clones want.
    pub(crate) fn check(
        self,
        wants: &[ObjectId],
        shown: &Shown<'_>,
        options: &FetchOptions,
    ) -> Result<(), WireError> {
        let db = shown.database();
        for want in wants {
            if !db.contains(want)? {
                return Err(not_our_ref(*want));
            }
        }
        if self.any {
            return Ok(());
        }
        let tips = shown.tips(self.sees_hidden());
        let others = || wants.iter().filter(|want| !tips.contains(*want));
        let Some(first) = others().next() else {
            return Ok(());
        };
        if !self.reachable && options.rounds == Rounds::Many {
            return Err(not_our_ref(*first));
        }
        let mut commits = IdSet::default();
        for want in others() {
            let (id, kind) = db.peel(want)?;
            if kind == ObjectKind::Commit {
                commits.insert(id);
            }
        }
        let own: IdSet = shown.shallow().iter().copied().collect();
        let starts: Vec<ObjectId> = tips.iter().copied().collect();
        let silent = WalkProgress::silent(options);
        let foreign = unreached_commits(db, &commits, &starts, &own, &silent)?;
        let is_foreign = |want: &&ObjectId| -> Result<bool, ReadError> {
            Ok(!foreign.is_empty() && foreign.contains(&db.peel(*want)?.0))
        };
        for want in others() {
            if is_foreign(&want)? {
                return Err(not_our_ref(*want));
            }
        }
        Ok(())
    }
}

/// The refusal of a want, in the words that clients know.
pub(crate) fn not_our_ref(id: ObjectId) -> WireError {
    WireError::refused(format!("not our ref {id}"))
}
