//! Entries of directories of this machine.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;

use packhouse_repo::store::ExcludeFilter;

use super::super::budget::Budget;
use super::super::folder::{Before, FolderCopy, bytes_of, manifest_path, read_manifest};
use super::super::git_dir::{make_folder, write};
use super::super::inner::Inner;
use super::super::mend::Damaged;
use super::super::mirror;
use super::super::moment::Moment;
use super::super::publish::{Old, publish};
use super::super::record::{EntryRecord, TreeRecord};
use super::super::seal::{self, Seal};
use super::super::source::Upstream;
use super::super::staging::Staging;
use super::super::still::GitAtRest;
use super::super::tree::{BuiltTree, Files, build, indexed, tracked};
use super::super::{CacheError, CallOptions};
use super::repository::{mend_mirrors, shows_refs};
use super::{commit_of, good_tree, make_room, note_remote, spec_of, tree_id, tree_record};

/// How often a directory is copied that changes meanwhile.
const TRIES: usize = 3;

/// A directory, with the history of its repository if it is a working copy.
pub(super) fn of_folder(
    inner: &Inner,
    record: &mut EntryRecord,
    folder: &Path,
    git: Option<&Upstream>,
    arrived: &Moment,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let mut arrived = arrived.clone();
    for _ in 1..TRIES {
        match copy_once(inner, record, folder, git, &arrived, call) {
            // What was heard of its history may be of before.
            Err(CacheError::Changing { .. }) => arrived = Moment::now(),
            done => return done,
        }
    }
    copy_once(inner, record, folder, git, &arrived, call)
}

fn copy_once(
    inner: &Inner,
    record: &mut EntryRecord,
    folder: &Path,
    git: Option<&Upstream>,
    arrived: &Moment,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let asked = Moment::now();
    let mut notes = Vec::new();
    let (place, manifests) = (inner.root.tree(&record.name), inner.root.own("manifests"));
    let mut mirrored = None;
    let mut is_intact = false;
    let mut using = None;
    let at_rest = git.and_then(GitAtRest::look);
    if let Some(upstream) = git {
        using = Some(inner.using(&upstream.key, call)?);
        record.kept.mirror = Some(upstream.key.clone());
        match mirror::update(inner, upstream, arrived, call) {
            Ok(found) => {
                let tree = record.kept.tree.as_ref();
                is_intact = tree.is_some_and(|tree| {
                    seal::holds(&manifests, &tree.id, &place, Files::Elsewhere, call)
                });
                let newest = match is_intact {
                    true => None,
                    false => mend_mirrors(inner, record, upstream, call)?,
                };
                mirrored = Some((upstream, newest.unwrap_or(found)));
            }
            Err(CacheError::Remote(error)) if error.is_shallow() => {
                record.kept.mirror = None;
                notes.push("its history is cut off, and was left out".to_owned());
            }
            Err(CacheError::Remote(error))
                if error.is_stored_otherwise() && is_partial(upstream) =>
            {
                record.kept.mirror = None;
                notes.push(
                    "it is a partial clone: its history lacks objects, and was left out".to_owned(),
                );
            }
            Err(error) => return Err(error),
        }
    }
    if let Some((_, mirrored)) = &mirrored {
        note_remote(record, mirrored);
    }
    if git.is_none() && folder.join(".git").is_file() {
        let note = "it is a linked working tree of a repository, and was copied as a plain directory: its history was left \
                    out, and what it ignores was not";
        notes.push(note.to_owned());
    }
    let ignore = &inner.config.ignore;
    let gitignore = ignore.gitignore.unwrap_or(git.is_some());
    let tracked = match (&mirrored, gitignore) {
        (Some((upstream, mirrored)), true) => match commit_of(mirrored) {
            Some(commit) => tracked(inner, upstream, commit, call)?,
            None => HashSet::new(),
        },
        (None, true) => git.map(indexed).unwrap_or_default(),
        (_, false) => HashSet::new(),
    };
    let exclude = ExcludeFilter::new(&ignore.patterns, None, gitignore)
        .map_err(CacheError::store(inner.root.path()))?;
    let mut copy = FolderCopy {
        source: folder,
        tracked,
        exclude: exclude.clone(),
        is_working_copy: git.is_some(),
        kept_out: inner.root.path(),
    };
    let listing = copy.list(call)?;
    let manner = format!("{} {gitignore} {:?}", inner.manner(), ignore.patterns);
    let before = good_tree(inner, record, &manner).cloned();
    let manifest = before
        .as_ref()
        .and_then(|tree| read_manifest(&manifests, &tree.id));
    let commit = mirrored
        .as_ref()
        .and_then(|(_, found)| found.head_commit.clone());
    let branch = mirrored
        .as_ref()
        .and_then(|(_, found)| found.head_branch.clone());
    if let (Some(before), Some(manifest)) = (&before, &manifest)
        && (&before.commit, &before.branch) == (&commit, &branch)
        && listing.is_unchanged(manifest)
        && manifest.is_complete(&place, folder)
        && match &mirrored {
            Some((upstream, mirrored)) => {
                is_intact && shows_refs(inner, record, upstream, mirrored, call)?
            }
            None => true,
        }
    {
        record.kept.updated = Some(asked);
        return Ok(());
    }
    let budget = Budget::new(&record.kept.source_url, inner.config.max_bytes);
    budget.count_bytes(bytes_of(&listing))?;
    let staging = Staging::to_replace(&inner.root)?;
    let id = tree_id();
    let tree = staging.tree();
    let mut built = match &mirrored {
        Some((upstream, mirrored)) => {
            let spec = spec_of(record, upstream, mirrored, &id, Files::Elsewhere);
            build(inner, &spec, &tree, &Damaged::default(), call)?
        }
        None => {
            make_folder(&tree)?;
            BuiltTree::default()
        }
    };
    let before = manifest.as_ref().map(|manifest| Before {
        tree: &place,
        manifest,
    });
    let (manifest, shared_bytes) = copy.copy(&listing, &tree, before.as_ref(), call)?;
    copy.exclude = exclude;
    copy.check_still(&manifest, call)?;
    if let (Some(upstream), Some(at_rest)) = (git, at_rest) {
        let mirrored = mirrored.as_ref().map(|(_, found)| found);
        notes.extend(at_rest.check_still(inner, upstream, mirrored, call)?);
    }
    let seal = mirrored
        .is_some()
        .then(|| Seal(std::mem::take(&mut built.sealed)));
    notes.extend(listing.notes.iter().cloned());
    built.bytes = bytes_of(&listing);
    built.notes.extend(notes);
    let next = TreeRecord {
        commit,
        branch,
        refs: mirrored.map_or_else(String::new, |(_, found)| found.refs),
        ..tree_record(inner, &staging, id.clone(), built, manner)?
    };
    make_room(inner, record, &next, call)?;
    publish(inner, record, staging, next, Old::Read { shared_bytes })?;
    drop(using);
    // As the seal of a repository: without them all is copied the next time.
    let _ = write(&manifest_path(&manifests, &id), &manifest.to_bytes());
    let _ = seal.map(|seal| seal.write(&manifests, &id));
    record.kept.updated = Some(asked);
    Ok(())
}

/// Whether a repository of this machine has objects of a remote that did not send all that they name.
fn is_partial(upstream: &Upstream) -> bool {
    let packs = upstream
        .url
        .local_path()
        .map(|git| git.join("objects/pack"));
    let packs = packs.and_then(|packs| packs.read_dir().ok());
    let mut names = packs.into_iter().flatten().flatten();
    names.any(|file| Path::new(&file.file_name()).extension() == Some(OsStr::new("promisor")))
}
