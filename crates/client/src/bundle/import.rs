//! Taking a bundle in.

use std::path::Path;

use packhouse_object::{Progress, ReceiveError, ReceiveLimits, receive_pack};
use packhouse_repo::store::{Store, StoreProgress};

use super::header::open;
use crate::mirror::diff::edits;
use crate::mirror::publish::publish_decided;
use crate::mirror::selection::select;
use crate::mirror::{MirrorDiff, MirrorError, RefSelection, Steps};
use crate::remote::{RemoteError, RemoteOptions};

/// The most prerequisites that a message names.
const NAMED_MAX: usize = 5;

/// Takes the bundle's refs over, whatever they were, with all they reach. Nothing is deleted.
pub fn bundle_import(
    store: &Store,
    path: impl AsRef<Path>,
    refs: &RefSelection,
    progress: Option<&dyn StoreProgress>,
) -> Result<MirrorDiff, MirrorError> {
    let limits = RemoteOptions::default().limits;
    bundle_import_with(store, path.as_ref(), refs, &limits, &Steps(progress))
}

/// As [`bundle_import`], with other limits.
pub(crate) fn bundle_import_with(
    store: &Store,
    path: &Path,
    refs: &RefSelection,
    limits: &ReceiveLimits,
    progress: &dyn Progress,
) -> Result<MirrorDiff, MirrorError> {
    let (header, mut input) = open(path)?;
    let wanted = select(refs, &header.targets())?;
    let view = store.view()?;
    let database = view.database();
    let mut missing = Vec::new();
    for id in &header.prerequisites {
        if !database.contains(id)? {
            missing.push(id.to_string());
        }
    }
    if !missing.is_empty() {
        missing.truncate(NAMED_MAX);
        return Err(MirrorError::BadBundle {
            path: path.to_owned(),
            reason: format!(
                "the repository lacks commits that it builds on: {}",
                missing.join(", ")
            ),
        });
    }
    let received = receive_pack(
        &mut input,
        store.quarantine_dir(),
        database,
        limits,
        progress,
    )
    .map_err(|error| match error {
        ReceiveError::Cancelled => MirrorError::Remote(RemoteError::Cancelled),
        ReceiveError::Input(source) => MirrorError::file(path)(source),
        ReceiveError::Storage(_) | ReceiveError::Base(_) => {
            MirrorError::Remote(RemoteError::Receive(error))
        }
        error => MirrorError::BadBundle {
            path: path.to_owned(),
            reason: crate::remote::with_reasons(&error),
        },
    })?;
    let moved = publish_decided(store, Some(received), "bundle import", |found| {
        let edits = edits(found, &wanted, false);
        let diff = MirrorDiff::of(&edits);
        Ok::<_, std::convert::Infallible>((edits, diff))
    })?;
    match moved {
        Ok(diff) => Ok(diff),
        Err(never) => match never {},
    }
}
