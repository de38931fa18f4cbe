//! How a backup or restore is made.

use packhouse_object::Progress;
use packhouse_repo::store::StoreProgress;

use super::MirrorError;
use crate::bundle::read_bundle_header;
use crate::remote::{RemoteOptions, RemoteUrl};

/// How a backup or restore is made. The default is an exact mirror of all refs.
#[derive(Clone, Default)]
pub struct MirrorOptions<'a> {
    /// Only find out what would change.
    pub dry_run: bool,
    /// Which refs.
    pub refs: RefSelection,
    /// Leave history out: each ref gets one commit without parents. Only for bundles.
    pub squash: bool,
    /// What the URL names; by default what it looks like.
    pub format: Option<MirrorFormat>,
    /// Delete nothing that only the target has.
    pub additive: bool,
    /// Told how far the work is, and asked whether to go on.
    pub progress: Option<&'a dyn StoreProgress>,
    /// How a remote is talked to.
    pub remote: RemoteOptions,
}

/// Which refs are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RefSelection {
    /// All, and what the target has besides is deleted, but for those of a bundle, which need not hold everything.
    #[default]
    All,
    /// These, each under its own name or another one. A short name is that of a branch, else a tag, else a notes ref.
    /// Nothing is deleted. Names are as [`ref_text`](packhouse_repo::ref_text) has them.
    Names(Vec<(String, Option<String>)>),
}

impl RefSelection {
    /// These refs, under their own names.
    pub fn names(names: impl IntoIterator<Item = impl Into<String>>) -> RefSelection {
        RefSelection::Names(names.into_iter().map(|name| (name.into(), None)).collect())
    }
}

/// What a backup is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorFormat {
    /// A Git repository.
    Repository,
    /// A bundle: one file.
    Bundle,
}

impl MirrorOptions<'_> {
    /// What the URL names: a path that ends in `.bundle`, or a file that is one, is a bundle. No other file is, so that
    /// none is overwritten.
    pub(crate) fn format_of(&self, url: &RemoteUrl) -> MirrorFormat {
        if let Some(format) = self.format {
            return format;
        }
        let is_bundle = url.local_path().is_some_and(|path| {
            let is_named_so = path.extension().is_some_and(|end| end == "bundle");
            (is_named_so && !path.is_dir()) || read_bundle_header(path).is_ok()
        });
        match is_bundle {
            true => MirrorFormat::Bundle,
            false => MirrorFormat::Repository,
        }
    }

    /// Between repositories, history is what is moved.
    pub(crate) fn check_squash(&self) -> Result<(), MirrorError> {
        match self.squash {
            true => Err(MirrorError::Invalid {
                reason: "squash is for bundles only".to_owned(),
            }),
            false => Ok(()),
        }
    }

    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps(self.progress)
    }
}

impl std::fmt::Debug for MirrorOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorOptions")
            .field("dry_run", &self.dry_run)
            .field("refs", &self.refs)
            .field("squash", &self.squash)
            .field("format", &self.format)
            .field("additive", &self.additive)
            .finish_non_exhaustive()
    }
}

/// The store's kind of progress, told by those who count objects.
#[derive(Clone, Copy)]
pub(crate) struct Steps<'a>(pub(crate) Option<&'a dyn StoreProgress>);

impl Steps<'_> {
    fn step(&self, done: u64, total: Option<u64>) {
        if let Some(progress) = self.0 {
            progress.step(done, total);
        }
    }
}

impl Progress for Steps<'_> {
    fn receiving(&self, done: u64, total: u64) {
        self.step(done, Some(total));
    }

    fn resolving(&self, done: u64, total: u64) {
        self.step(done, Some(total));
    }

    fn counting(&self, n: u64) {
        self.step(n, None);
    }

    fn writing(&self, done: u64, total: u64) {
        self.step(done, Some(total));
    }

    fn cancelled(&self) -> bool {
        self.0.is_some_and(StoreProgress::cancelled)
    }
}
