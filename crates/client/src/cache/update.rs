//! Bringing an entry up to date.

use std::collections::HashSet;

use packhouse_object::ObjectId;
use packhouse_repo::store::ExcludeFilter;

use super::budget::Budget;
use super::folder::{Before, FolderCopy, bytes_of, manifest_path, read_manifest};
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::mend::{Damaged, mending};
use super::mirror;
use super::moment::Moment;
use super::name::EntryName;
use super::publish::{Old, publish, settle};
use super::record::{EntryRecord, Identity, MirrorRecord, RemoteHead, TreeRecord};
use super::replace::recover;
use super::seal::Seal;
use super::source::{Place, Source, Upstream};
use super::staging::{Staging, sweep};
use super::state::{Found, entry_of, is_whole, tree_at};
use super::take_over::Older;
use super::tree::{BuiltTree, Files, TreeSpec, build, show_refs, tracked};
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

/// Whether the tree at its place has the refs that were mirrored. Where nothing else changed, it gets them.
fn shows_refs(
    inner: &Inner,
    record: &mut EntryRecord,
    upstream: &Upstream,
    mirrored: &MirrorRecord,
    call: &CallOptions<'_>,
) -> Result<bool, CacheError> {
    let Some(tree) = &record.kept.tree else {
        return Ok(false);
    };
    if tree.refs == mirrored.refs {
        return Ok(true);
    }
    let id = tree.id.clone();
    let spec = spec_of(record, upstream, mirrored, &id, Files::Elsewhere);
    let given = match show_refs(inner, &spec, &inner.root.tree(&record.name), call) {
        // A new tree takes the place of what somebody worked in, or was made from a mirror that is damaged by now.
        Err(CacheError::Occupied { .. } | CacheError::Store(_)) => None,
        shown => shown?,
    };
    let manifests = inner.root.own("manifests");
    let (Some(given), Some(mut seal)) = (given, Seal::read(&manifests, &id)) else {
        return Ok(false);
    };
    seal.add(given);
    // Before the record: refs that it does not know yet are shown again.
    seal.write(&manifests, &id)?;
    if let Some(tree) = &mut record.kept.tree {
        tree.refs.clone_from(&mirrored.refs);
    }
    Ok(true)
}

fn of_repository(
    inner: &Inner,
    record: &mut EntryRecord,
    upstream: &Upstream,
    arrived: &Moment,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let _using = inner.using(&upstream.key, call)?;
    record.kept.mirror = Some(upstream.key.clone());
    let place = inner.root.tree(&record.name);
    let manifests = inner.root.own("manifests");
    let old_id = record.kept.tree.as_ref().map(|tree| tree.id.clone());
    let (mirrored, is_intact) = std::thread::scope(|scope| {
        // Looked at while the remote thinks: somebody may have tidied up among the files, or worked there.
        let look = || {
            let seal = old_id.as_ref().and_then(|id| Seal::read(&manifests, id));
            seal.is_some_and(|seal| seal.holds(&place, Files::OfCommit))
        };
        let looking = std::thread::Builder::new().spawn_scoped(scope, look);
        let mirrored = mirror::update(inner, upstream, arrived, call);
        let is_intact = match looking {
            Ok(looking) => looking.join().unwrap_or(false),
            // The system has no more threads.
            Err(_) => look(),
        };
        (mirrored, is_intact)
    });
    let mut mirrored = mirrored?;
    if !is_intact && let Some(newest) = mend_mirrors(inner, record, upstream, call)? {
        mirrored = newest;
    }
    note_remote(record, &mirrored);
    let manner = inner.manner();
    let is_same = is_intact
        && good_tree(inner, record, &manner).is_some_and(|tree| {
            let is_of_now =
                tree.commit == mirrored.head_commit && tree.branch == mirrored.head_branch;
            // What was not to be had may be by now.
            is_of_now && tree.pointers_left == 0
        });
    if is_same && shows_refs(inner, record, upstream, &mirrored, call)? {
        record.kept.updated = Some(mirrored.asked);
        return Ok(());
    }
    if mirrored.head_commit.is_none()
        && record
            .kept
            .tree
            .as_ref()
            .is_some_and(|tree| tree.commit.is_some())
    {
        return Err(CacheError::NoDefaultBranch {
            url: mirrored.url.clone(),
        });
    }
    let id = tree_id();
    let before = place.join(".git");
    let spare = spare::take(inner, record)?;
    let mut older: Vec<Older> = spare
        .iter()
        .map(|spare| Older::unread(spare.tree()))
        .collect();
    if matches!(tree_at(&inner.root, record), Found::Tree(tree) if is_whole(tree, &place, &Moment::now()))
    {
        older.push(Older::read_by_others(&place));
    }
    // Where what was mirrored cannot be read it is fetched again, while the old tree stays.
    let (mirrored, staging, mut built) = mending(inner, upstream, call, |damaged, newest| {
        let mirrored = newest.unwrap_or_else(|| mirrored.clone());
        let staging = Staging::to_replace(&inner.root)?;
        let spec = TreeSpec {
            before: Some(&before),
            older: &older,
            ..spec_of(record, upstream, &mirrored, &id, Files::OfCommit)
        };
        let built = build(inner, &spec, &staging.tree(), damaged, call)?;
        Ok((mirrored, staging, built))
    })?;
    if mirrored.head_commit.is_none() {
        built
            .notes
            .push("its default branch has no commits yet".to_owned());
    }
    let is_no_news = |tree: &TreeRecord| {
        let is_of_now = tree.commit == mirrored.head_commit && tree.branch == mirrored.head_branch;
        is_of_now && tree.pointers_left == built.pointers_left && tree.refs == mirrored.refs
    };
    if is_intact && good_tree(inner, record, &manner).is_some_and(is_no_news) {
        record.kept.updated = Some(mirrored.asked);
        return Ok(());
    }
    // The catalog notes the tree, and with it the mirrors, before these are given up.
    let _using = std::mem::take(&mut built.using);
    let shares_blocks = built.shares_blocks;
    let seal = Seal(std::mem::take(&mut built.sealed));
    let next = TreeRecord {
        commit: mirrored.head_commit.clone(),
        branch: mirrored.head_branch.clone(),
        refs: mirrored.refs.clone(),
        ..tree_record(inner, &staging, id.clone(), built, manner)?
    };
    // Where blocks can be shared, those of the tree at its place are.
    let old = match shares_blocks {
        true => Old::Read,
        false => Old::Spare,
    };
    make_room(inner, record, &next, call)?;
    publish(inner, record, staging, next, old)?;
    // After the catalog knows the tree: what is of no tree that it knows is swept. One without a seal is made anew.
    let _ = seal.write(&manifests, &id);
    record.kept.updated = Some(mirrored.asked);
    Ok(())
}

/// Fetches mirrors again into whose files of objects somebody wrote by way of the entry's copy, those of its submodules too.
/// Returns the new record of `upstream`'s, if it was one of them.
fn mend_mirrors(
    inner: &Inner,
    record: &EntryRecord,
    upstream: &Upstream,
    call: &CallOptions<'_>,
) -> Result<Option<MirrorRecord>, CacheError> {
    let tree = record.kept.tree.as_ref();
    let seal = tree.and_then(|tree| Seal::read(&inner.root.own("manifests"), &tree.id));
    let mut own = None;
    for key in seal.iter().flat_map(|seal| seal.contradicted(&inner.root)) {
        if key == upstream.key {
            own = Some(mirror::rebuild(inner, upstream, call)?);
            continue;
        }
        let _using = inner.using(key, call)?;
        let Some(known) = inner.index.mirror(key)? else {
            continue;
        };
        let source = Source::parse(&known.url, &inner.root).ok();
        let found = source.as_ref().and_then(Source::upstream);
        if let Some(found) = found.filter(|found| found.key == key) {
            let module = Upstream {
                // As when it was made: its URL is an author's.
                is_foreign: !found.url.is_same_server(&upstream.url),
                ..found.clone()
            };
            mirror::rebuild(inner, &module, call)?;
        }
    }
    Ok(own)
}

/// A directory, with the history of its repository if it is a working copy.
fn of_folder(
    inner: &Inner,
    record: &mut EntryRecord,
    folder: &std::path::Path,
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
    if let Some(upstream) = git {
        using = Some(inner.using(&upstream.key, call)?);
        record.kept.mirror = Some(upstream.key.clone());
        match mirror::update(inner, upstream, arrived, call) {
            Ok(found) => {
                let seal = record.kept.tree.as_ref();
                let seal = seal.and_then(|tree| Seal::read(&manifests, &tree.id));
                is_intact = seal.is_some_and(|seal| seal.holds(&place, Files::Elsewhere));
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
        _ => HashSet::new(),
    };
    let mut copy = FolderCopy {
        source: folder,
        tracked,
        exclude: ExcludeFilter::new(&ignore.patterns, None, gitignore)
            .map_err(CacheError::store(inner.root.path()))?,
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
        && manifest.is_complete(&place)
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
            super::git_dir::make_folder(&tree)?;
            BuiltTree::default()
        }
    };
    let before = manifest.as_ref().map(|manifest| Before {
        tree: &place,
        manifest,
    });
    let manifest = copy.copy(&listing, &tree, before.as_ref(), call)?;
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
    publish(inner, record, staging, next, Old::Read)?;
    drop(using);
    // As the seal of a repository: without them all is copied the next time.
    let _ = super::git_dir::write(&manifest_path(&manifests, &id), &manifest.to_bytes());
    let _ = seal.map(|seal| seal.write(&manifests, &id));
    record.kept.updated = Some(asked);
    Ok(())
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
    let mut history_bytes = 0;
    for key in &built.mirrors {
        history_bytes += inner.index.mirror(key)?.map_or(0, |mirror| mirror.bytes);
    }
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
    room::make_room(inner, &record.name, more, call)
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
