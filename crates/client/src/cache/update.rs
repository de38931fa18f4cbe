//! Bringing an entry up to date.

mod folder;
mod repository;

use packhouse_object::ObjectId;

use self::folder::of_folder;
use self::repository::of_repository;
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::moment::Moment;
use super::name::EntryName;
use super::publish::settle;
use super::record::{EntryRecord, Identity, MirrorRecord, RemoteHead, TreeRecord};
use super::replace::recover;
use super::source::{Place, Source, Upstream};
use super::staging::{Staging, sweep};
use super::state::{Found, entry_of, is_whole, tree_at};
use super::tree::{BuiltTree, Files, TreeSpec};
use super::{CacheError, CallOptions, Entry, note, room, spare};

/// Makes the entry what its source is. On failure the entry says why, and keeps what it had.
pub(super) fn bring_up_to_date(
    inner: &Inner,
    name: &EntryName,
    source: &Source,
    arrived: &Moment,
    call: &CallOptions<'_>,
) -> Result<Entry, CacheError> {
    let lock = inner.root.lock("entry", &name.lock_key());
    let _lock = FileLock::take(&lock, Sharing::Exclusive, call)?;
    recover(inner, Some(name));
    sweep(&inner.root, inner.config.grace);
    let found = inner.index.entry(name)?;
    let mut record = found
        .filter(|record| record.source_key == source.key)
        .ok_or_else(|| CacheError::NotFound {
            name: name.to_string(),
        })?;
    let (tree, error) = (record.kept.tree.clone(), record.kept.error.clone());
    settle(inner, &mut record);
    record.kept.source_url.clone_from(&source.shown);
    let is_taken = tree_at(&inner.root, &record) == Found::Unknown;
    let done = match &source.place {
        // Nothing can take its place.
        _ if is_taken => Err(CacheError::Occupied {
            path: inner.root.tree(name),
        }),
        Place::Repository(upstream) => of_repository(inner, &mut record, upstream, arrived, call),
        Place::WorkingCopy { folder, git } => {
            of_folder(inner, &mut record, folder, Some(git), arrived, call)
        }
        Place::Folder(folder) => of_folder(inner, &mut record, folder, None, arrived, call),
    };
    match done {
        Ok(()) => {
            record.kept.error = None;
            record.accessed_ms = Moment::now().wall_ms;
            if !note::is_there(&inner.root, &record.kept.id) {
                // It was made when there were no notes.
                let _ = Staging::new(&inner.root)
                    .map(|staging| note::of_entry(&inner.root, &record, &staging));
            }
            match record.kept.tree == tree && error.is_none() {
                true => inner.index.update_times(&record)?,
                false => inner.index.update(&record)?,
            }
            if record.kept.tree != tree {
                // The one that was replaced counts from here on. That it stays is no failure.
                let _ = room::trim(inner);
            }
            // While nobody else can put another tree there.
            Ok(entry_of(inner, &record, &Moment::now()))
        }
        Err(CacheError::Cancelled) => {
            // Nothing failed: an entry that has never had a copy is as if it had not been asked for.
            match record.kept.tree.is_none() && record.kept.next.is_none() {
                true => drop(inner.index.remove(name)?),
                // What is known of its folders stays right.
                false => inner.index.update_times(&record)?,
            }
            Err(CacheError::Cancelled)
        }
        Err(error) => {
            record.kept.error = Some(error.to_string());
            if record.kept.tree.is_none() && matches!(error, CacheError::Full { .. }) {
                // What does not fit does not stay in part.
                record.kept.mirror = None;
            }
            inner.index.update(&record)?;
            if record.kept.tree.is_none() {
                room::drop_mirrors(inner)?;
            }
            Err(error)
        }
    }
}

/// Notes on an entry why it could not be brought up to date.
pub(super) fn note_failure(
    inner: &Inner,
    record: &EntryRecord,
    error: &CacheError,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let lock = inner.root.lock("entry", &record.name.lock_key());
    let _lock = FileLock::take(&lock, Sharing::Exclusive, call)?;
    recover(inner, Some(&record.name));
    if let Some(mut newest) = inner.index.entry(&record.name)?
        && newest.kept.id == record.kept.id
    {
        newest.kept.error = Some(error.to_string());
        inner.index.update(&newest)?;
    }
    Ok(())
}

/// The tree that is at its place, if it is whole and made in this manner.
fn good_tree<'a>(inner: &Inner, record: &'a EntryRecord, manner: &str) -> Option<&'a TreeRecord> {
    let place = inner.root.tree(&record.name);
    let Found::Tree(tree) = tree_at(&inner.root, record) else {
        return None;
    };
    (tree.manner == manner && is_whole(tree, &place, &Moment::now())).then_some(tree)
}

/// The tree at a mirror's default branch.
fn spec_of<'a>(
    record: &'a EntryRecord,
    upstream: &'a Upstream,
    mirrored: &'a MirrorRecord,
    token: &'a str,
    files: Files,
) -> TreeSpec<'a> {
    let branch = mirrored.head_branch.as_deref();
    TreeSpec {
        upstream,
        url: &record.kept.source_url,
        commit: commit_of(mirrored),
        branch,
        default_branch: branch,
        token,
        before: None,
        older: &[],
        files,
    }
}

/// What the catalog notes of a tree that was made.
fn tree_record(
    inner: &Inner,
    staging: &Staging,
    id: String,
    built: BuiltTree,
    manner: String,
) -> Result<TreeRecord, CacheError> {
    let tree = staging.tree();
    let identity = Identity::of(&tree).ok_or_else(|| CacheError::Missing { path: tree })?;
    let history_bytes = history_bytes(inner, &built.mirrors)?;
    Ok(TreeRecord {
        id,
        identity,
        made: Moment::now(),
        commit: None,
        branch: None,
        refs: String::new(),
        bytes: built.bytes,
        history_bytes,
        mirrors: built.mirrors,
        notes: built.notes,
        pointers_left: match inner.config.lfs {
            true => built.pointers_left,
            false => 0,
        },
        manner,
    })
}

/// What these mirrors take.
fn history_bytes(inner: &Inner, mirrors: &[String]) -> Result<u64, CacheError> {
    mirrors.iter().try_fold(0u64, |bytes, key| {
        let mirror = inner.index.mirror(key)?;
        Ok(bytes.saturating_add(mirror.map_or(0, |mirror| mirror.bytes)))
    })
}

fn make_room(
    inner: &Inner,
    record: &mut EntryRecord,
    next: &TreeRecord,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let more = next.bytes.saturating_sub(record.tree_bytes);
    let needed = inner.bytes()?.saturating_add(more);
    if record.kept.spare_bytes > 0 && needed > inner.config.max_bytes && spare::free(inner, record)
    {
        inner.index.update_times(record)?;
    }
    let known = record.kept.tree.as_ref().map(|tree| tree.history_bytes);
    let has_grown = Some(next.history_bytes) > known;
    room::make_room(inner, &record.name, more, has_grown, call)
}

fn note_remote(record: &mut EntryRecord, mirrored: &MirrorRecord) {
    record.kept.remote = Some(RemoteHead::of(mirrored));
}

fn commit_of(mirrored: &MirrorRecord) -> Option<ObjectId> {
    let text = mirrored.head_commit.as_deref()?;
    ObjectId::from_hex(text.as_bytes()).ok()
}

fn tree_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
