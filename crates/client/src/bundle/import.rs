//! Taking a bundle in.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use packhouse_object::{
    Database, Pack, Progress, ReceiveError, ReceiveLimits, Received, Wanted, receive_pack,
};
use packhouse_repo::store::{Store, StoreError, StoreProgress};
use packhouse_repo::{RepoError, View, copy_objects};

use super::header::{BundleHeader, open};
use super::squash::squashed;
use crate::mirror::diff::{RefTargets, edits};
use crate::mirror::publish::{found_refs, publish_targets};
use crate::mirror::selection::select;
use crate::mirror::{MirrorDiff, MirrorError, RefSelection, Steps};
use crate::remote::{RemoteError, RemoteOptions, copy_error};

/// The most prerequisites that a message names.
const NAMED_MAX: usize = 5;

/// Takes the bundle's refs over, whatever they were, with all they reach. Nothing is deleted.
pub fn bundle_import(
    store: &Store,
    path: impl AsRef<Path>,
    refs: &RefSelection,
    progress: Option<&dyn StoreProgress>,
) -> Result<MirrorDiff, MirrorError> {
    let import = Import {
        refs,
        squash: false,
        dry_run: false,
        limits: &RemoteOptions::default().limits,
        progress: &Steps(progress),
    };
    import.run(store, path.as_ref())
}

/// How a bundle is taken in.
pub(crate) struct Import<'a> {
    pub(crate) refs: &'a RefSelection,
    /// Leave history out: each ref gets one commit without parents.
    pub(crate) squash: bool,
    /// Only find out what would change.
    pub(crate) dry_run: bool,
    pub(crate) limits: &'a ReceiveLimits,
    pub(crate) progress: &'a dyn Progress,
}

impl Import<'_> {
    /// Takes the bundle in.
    pub(crate) fn run(&self, store: &Store, path: &Path) -> Result<MirrorDiff, MirrorError> {
        let (header, mut input) = open(path)?;
        // What is left out of all refs without a word would be missed when it is too late.
        if *self.refs == RefSelection::All
            && let Err(reason) = header.check_names()
        {
            let path = path.to_owned();
            return Err(MirrorError::BadBundle { path, reason });
        }
        let wanted = select(self.refs, &header.targets())?;
        let view = store.view()?;
        check_prerequisites(&header, view.database(), path)?;
        // A dry run promises nothing that would be refused.
        let planned = |wanted: &RefTargets| {
            let planned = edits(&found_refs(&view), wanted, false);
            match planned.is_empty() {
                true => Ok(planned),
                false => store.check_writable().map(|()| planned),
            }
        };
        if !self.squash {
            let planned = planned(&wanted)?;
            if self.dry_run {
                return Ok(MirrorDiff::of(&planned));
            }
        }
        let received = self.receive(&mut input, store, &view, path)?;
        let (wanted, received) = match self.squash {
            // What the commits without parents are called is known when they are made.
            true => self.without_history(&wanted, received, store, &view)?,
            false => (wanted, received),
        };
        let planned = planned(&wanted)?;
        if self.dry_run {
            return Ok(MirrorDiff::of(&planned));
        }
        Ok(publish_targets(
            store,
            Some(received),
            "bundle import",
            &wanted,
            false,
        )?)
    }

    fn receive(
        &self,
        input: &mut impl BufRead,
        store: &Store,
        view: &View,
        path: &Path,
    ) -> Result<Received, MirrorError> {
        let received = receive_pack(
            input,
            store.quarantine_dir(),
            view.database(),
            self.limits,
            self.progress,
        );
        received.map_err(|error| match error {
            ReceiveError::Cancelled => MirrorError::Remote(RemoteError::Cancelled),
            ReceiveError::Input(source) => MirrorError::file(path)(source),
            ReceiveError::Storage(_) | ReceiveError::Base(_) => {
                MirrorError::Remote(RemoteError::Receive(error))
            }
            error => MirrorError::BadBundle {
                path: path.to_owned(),
                reason: crate::remote::with_reasons(&error),
            },
        })
    }

    /// The refs, each pointing to a commit without parents, and what these reach of what was received.
    fn without_history(
        &self,
        wanted: &RefTargets,
        received: Received,
        store: &Store,
        view: &View,
    ) -> Result<(RefTargets, Received), MirrorError> {
        let all = match &received {
            Received::Small(objects) => view.database().with_objects(objects.iter().cloned()),
            Received::Large(finished) => {
                let pack = Pack::open(&finished.pack, &finished.idx).map_err(RepoError::from);
                let mut packs = vec![Arc::new(pack.map_err(StoreError::from)?)];
                packs.extend(view.database().packs().iter().cloned());
                view.database().with_packs(packs)
            }
        };
        let (squashed, all) = squashed(wanted, &all)?;
        let reached = Wanted {
            wants: squashed.values().copied().collect(),
            haves: view.refs().iter().map(|(_, found)| found.target).collect(),
            include_tags: Vec::new(),
            thin: true,
        };
        let received = copy_objects(
            &all,
            &reached,
            store.quarantine_dir(),
            view.database(),
            self.limits,
            self.progress,
        );
        Ok((squashed, received.map_err(copy_error)?))
    }
}

fn check_prerequisites(
    header: &BundleHeader,
    database: &Database,
    path: &Path,
) -> Result<(), MirrorError> {
    let mut missing = Vec::new();
    for id in &header.prerequisites {
        if !database.contains(id)? {
            missing.push(id.to_string());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    missing.truncate(NAMED_MAX);
    Err(MirrorError::BadBundle {
        path: path.to_owned(),
        reason: format!(
            "the repository lacks commits that it builds on: {}",
            missing.join(", ")
        ),
    })
}
