//! Making the store hold what another repository, or a file, holds.

use std::ffi::OsStr;

use packhouse_object::{Database, ObjectId, Progress, Wanted, count_objects};
use packhouse_repo::store::Store;
use packhouse_repo::{View, ref_text};

use super::backup::bundle_path;
use super::diff::{MirrorDiff, edits};
use super::publish::{found_refs, publish_targets};
use super::selection::{damaged_one, select};
use super::{MirrorError, MirrorFormat, MirrorOptions, RefSelection};
use crate::bundle::Import;
use crate::remote::{FetchRequest, PushEdit, Remote, RemoteUrl};

/// Makes the refs of the store those at `url`, whatever they were; refs that only the store has are deleted, unless
/// the options say otherwise or it is a bundle, which need not hold everything. Paths may be any bytes, URLs are UTF-8.
pub fn restore(
    store: &Store,
    url: impl AsRef<OsStr>,
    options: &MirrorOptions<'_>,
) -> Result<MirrorDiff, MirrorError> {
    let url = RemoteUrl::parse_os(url.as_ref())?;
    let steps = options.steps();
    if options.format_of(&url) == MirrorFormat::Bundle {
        let import = Import {
            refs: &options.refs,
            squash: options.squash,
            dry_run: options.dry_run,
            limits: &options.remote.limits,
            progress: &steps,
        };
        return import.run(store, bundle_path(&url)?);
    }
    options.check_squash()?;
    let delete = options.refs == RefSelection::All && !options.additive;
    let remote = Remote::at(url, options.remote.clone());
    let connection = remote.connect_to_fetch(&steps)?;
    let offered = connection.refs();
    let damaged = &offered.damaged;
    let offered = offered.refs.iter();
    let offered = offered
        .map(|entry| (entry.name.clone(), entry.target))
        .collect();
    // A ref that cannot be read is not one that is gone: the store may have the last good copy of it.
    if let Some(name) = damaged_one(&options.refs, &offered, damaged) {
        return Err(MirrorError::DamagedRef {
            name: ref_text(name),
            url: remote.url().to_string(),
        });
    }
    let wanted = select(&options.refs, &offered)?;
    let view = store.view()?;
    let planned = edits(&found_refs(&view), &wanted, delete);
    if !planned.is_empty() {
        store.check_writable()?;
    }
    if options.dry_run || planned.is_empty() {
        return Ok(MirrorDiff::of(&planned));
    }
    let haves: Vec<ObjectId> = view.refs().iter().map(|(_, value)| value.target).collect();
    let request = FetchRequest {
        wants: lacking(&view, &planned, &haves, &steps)?,
        haves,
        database: view.database(),
        quarantine: store.quarantine_dir(),
    };
    let received = connection.fetch(&request)?;
    Ok(publish_targets(
        store, received, "restore", &wanted, delete,
    )?)
}

/// The new targets that are not here yet with all they reach.
pub(crate) fn lacking(
    view: &View,
    edits: &[PushEdit],
    haves: &[ObjectId],
    progress: &dyn Progress,
) -> Result<Vec<ObjectId>, MirrorError> {
    let mut wants: Vec<ObjectId> = edits.iter().filter_map(|edit| edit.new).collect();
    wants.sort_unstable();
    wants.dedup();
    let mut lacking = Vec::new();
    let mut maybe = Vec::new();
    for want in wants {
        match view.database().contains(&want)? {
            true => maybe.push(want),
            false => lacking.push(want),
        }
    }
    // What no ref names may have been cleaned up in part.
    match is_complete(view.database(), &maybe, haves, progress) {
        true => Ok(lacking),
        false => {
            lacking.extend(maybe);
            Ok(lacking)
        }
    }
}

fn is_complete(
    database: &Database,
    wants: &[ObjectId],
    haves: &[ObjectId],
    progress: &dyn Progress,
) -> bool {
    let wanted = Wanted {
        wants: wants.to_vec(),
        haves: haves.to_vec(),
        ..Wanted::default()
    };
    let Ok(counted) = count_objects(database, &wanted, progress) else {
        return false;
    };
    let mut ids = counted.ids.iter();
    ids.all(|id| database.contains(id).unwrap_or(false))
}
