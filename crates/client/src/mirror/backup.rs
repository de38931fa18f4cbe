//! Making another repository, or a file, hold what the store holds.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use packhouse_object::RefName;
use packhouse_repo::store::Store;

use super::diff::{FoundRefs, MirrorDiff, edits, making_room};
use super::new_target::{NewTarget, remove_left_beside};
use super::publish::targets;
use super::selection::select;
use super::{MirrorError, MirrorFormat, MirrorOptions, RefSelection};
use crate::bundle::{bundle_changes, bundle_export};
use crate::remote::{
    PushConnection, PushEdit, PushRequest, Remote, RemoteError, RemoteUrl, check_complete,
};

/// Makes the refs at `url` those of the store, whatever they were. A local path where nothing is becomes a bare
/// repository; a `.bundle` file is written anew. Paths may be any bytes, URLs are UTF-8.
pub fn backup(
    store: &Store,
    url: impl AsRef<OsStr>,
    options: &MirrorOptions<'_>,
) -> Result<MirrorDiff, MirrorError> {
    let url = RemoteUrl::parse_os(url.as_ref())?;
    if !options.squash {
        check_complete(store)?;
    }
    // A ref that cannot be read is not one that is gone: the other side may have the last good copy of it.
    store.check_refs()?;
    if options.format_of(&url) == MirrorFormat::Bundle {
        return to_bundle(store, &url, options);
    }
    options.check_squash()?;
    let view = store.view()?;
    let wanted = select(&options.refs, &targets(&view))?;
    if let Some(path) = url.local_path().filter(|_| !options.dry_run) {
        remove_left_beside(path);
    }
    let made = match url.local_path().filter(|path| is_free(path)) {
        Some(_) if options.dry_run => {
            return Ok(MirrorDiff::of(&edits(
                &FoundRefs::default(),
                &wanted,
                false,
            )));
        }
        Some(path) => Some(NewTarget::beside(path)?),
        None => None,
    };
    let steps = options.steps();
    let url = match &made {
        Some(made) => made.url(),
        None => url,
    };
    let remote = Remote::at(url, options.remote.clone());
    let connection = remote.connect_to_push(&steps)?;
    let offered = connection.refs();
    let targets = offered
        .refs
        .iter()
        .map(|entry| (entry.name.clone(), entry.target));
    let found = FoundRefs {
        targets: targets.collect(),
        symbolic: offered.symbolic.clone(),
    };
    let delete = options.refs == RefSelection::All && !options.additive;
    let edits = edits(&found, &wanted, delete);
    let diff = MirrorDiff::of(&edits);
    if !diff.in_sync() {
        connection.check_writable()?;
    }
    if options.dry_run {
        return Ok(diff);
    }
    if !diff.in_sync() {
        push(store, &remote, connection, &edits, options)?;
    }
    if let Some(made) = made {
        // The first `HEAD` of a new repository; the branch is there if the selection has it.
        if let Some(name) = store.branches().current_name()?
            && made.store.branches().contains(&name)?
        {
            made.store.branches().set_current(&name)?;
        }
        made.put_in_place()?;
    }
    Ok(diff)
}

/// All edits at once where that can be. What is in the way of a new ref goes before, over a connection of its own.
fn push<'p>(
    store: &Store,
    remote: &'p Remote,
    connection: PushConnection<'p>,
    edits: &[PushEdit],
    options: &MirrorOptions<'_>,
) -> Result<(), MirrorError> {
    let view = store.view()?;
    let room = match remote.url().local_path() {
        // A store of ours sees to it itself.
        Some(_) => Vec::new(),
        None => making_room(edits),
    };
    let steps = options.steps();
    let gone: BTreeSet<&RefName> = room.iter().map(|edit| &edit.name).collect();
    let rest: Vec<PushEdit> = edits
        .iter()
        .filter(|edit| !gone.contains(&edit.name))
        .cloned()
        .collect();
    let mut connection = Some(connection);
    for edits in [&room, &rest] {
        if edits.is_empty() {
            continue;
        }
        let request = PushRequest {
            edits,
            database: view.database(),
            atomic: true,
        };
        let report = match connection.take() {
            Some(connection) => connection.push(&request)?,
            None => remote.push(&request, &steps)?,
        };
        let rejected: Vec<_> = report
            .rejected(edits)
            .map(|(name, reason)| (name.clone(), reason.to_owned()))
            .collect();
        if !rejected.is_empty() {
            return Err(MirrorError::Rejected { refs: rejected });
        }
    }
    Ok(())
}

fn to_bundle(
    store: &Store,
    url: &RemoteUrl,
    options: &MirrorOptions<'_>,
) -> Result<MirrorDiff, MirrorError> {
    let path = bundle_path(url)?;
    if options.dry_run {
        return bundle_changes(store, path, &options.refs, options.squash);
    }
    let changes = bundle_changes(store, path, &options.refs, options.squash)?;
    bundle_export(store, path, &options.refs, options.squash, options.progress)?;
    Ok(changes)
}

pub(super) fn bundle_path(url: &RemoteUrl) -> Result<&Path, MirrorError> {
    url.local_path().ok_or_else(|| {
        MirrorError::Remote(RemoteError::BadUrl {
            reason: format!("'{url}': a bundle is a file on this machine"),
        })
    })
}

/// Whether a repository can be made there.
fn is_free(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
