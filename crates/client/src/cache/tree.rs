//! Working trees: the files of a commit, with a `.git` beside them.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{EntryMode, ObjectId};
use packhouse_repo::store::{CopyOut, Snapshot, StoreError};

use super::budget::Budget;
use super::git_dir::{GitDir, Given, default_branch, make_folder};
use super::index_file::{IndexEntry, read_index, write_index};
use super::inner::Inner;
use super::large_files::{LargeFiles, POINTER_BYTES};
use super::line_ends::LineEnds;
use super::lock::{FileLock, Sharing};
use super::mend::Damaged;
use super::mirror;
use super::new_files::{NewFiles, bytes_of};
use super::seal::Sealed;
use super::source::Upstream;
use super::take_over::{Older, Taken, take_over};
use super::{CacheError, CallOptions, submodules};
use crate::remote::RemoteUrl;

/// Gives the tree at `tree`, which has the files of `spec` already, the refs that its mirror has now, and says what it has
/// got. `None`: it is better made anew.
pub(super) fn show_refs(
    inner: &Inner,
    spec: &TreeSpec<'_>,
    tree: &Path,
    call: &CallOptions<'_>,
) -> Result<Option<Given>, CacheError> {
    let key = &spec.upstream.key;
    let _shared = FileLock::take(&inner.root.lock("mirror", key), Sharing::Shared, call)?;
    let mirror = inner.root.mirror(key);
    let store = mirror::open(&mirror).map_err(CacheError::mirror(inner.root.path()))?;
    let view = store.view().map_err(CacheError::store(inner.root.path()))?;
    let origin_branch = default_branch(&view, spec.default_branch);
    let git_dir = GitDir {
        mirror: &mirror,
        view: &view,
        url: spec.url,
        commit: spec.commit,
        branch: spec.branch,
        default_branch: origin_branch.as_deref(),
        settings: &inner.settings.tree,
        worktree: None,
        token: spec.token,
    };
    git_dir.update_refs(&tree.join(".git"))
}

/// What is made.
#[derive(Clone, Debug)]
pub(super) struct TreeSpec<'a> {
    pub(super) upstream: &'a Upstream,
    /// Where `origin` is, as it may be stored.
    pub(super) url: &'a str,
    pub(super) commit: Option<ObjectId>,
    pub(super) branch: Option<&'a str>,
    /// The remote's default branch.
    pub(super) default_branch: Option<&'a str>,
    /// Names the tree.
    pub(super) token: &'a str,
    /// The `.git` of the tree before, if there is one.
    pub(super) before: Option<&'a Path>,
    /// Trees to take files over from, where they are the same.
    pub(super) older: &'a [Older],
    /// Where the files come from.
    pub(super) files: Files,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// From the commit.
    OfCommit,
    /// Somebody else puts them there: only the `.git` is made.
    Elsewhere,
}

/// What was made.
#[derive(Debug, Default)]
pub(super) struct BuiltTree {
    /// What it takes, without what it shares with mirrors.
    pub(super) bytes: u64,
    /// The mirrors that it was made from.
    pub(super) mirrors: Vec<String>,
    pub(super) notes: Vec<String>,
    /// So many files are pointers because their content was not to be had.
    pub(super) pointers_left: u64,
    /// Whether it shares blocks with the tree before.
    pub(super) shares_blocks: bool,
    /// What its repositories are, its own first.
    pub(super) sealed: Vec<Sealed>,
    /// Keep the mirrors of submodules until the tree is noted in the catalog.
    pub(super) using: Vec<FileLock>,
}

/// Makes a tree in the folder `tree`, which is made too. If a mirror cannot be read, `damaged` has whose it is.
pub(super) fn build(
    inner: &Inner,
    spec: &TreeSpec<'_>,
    tree: &Path,
    damaged: &Damaged,
    call: &CallOptions<'_>,
) -> Result<BuiltTree, CacheError> {
    let place = TreePlace {
        top: tree,
        asked_for: &spec.upstream.url,
        damaged,
        budget: &Budget::new(spec.url, inner.config.max_bytes),
        before: spec.before.map(Path::to_owned),
        older: spec.older.to_vec(),
        tree: tree.to_owned(),
        git: tree.join(".git"),
        depth: 0,
    };
    build_at(inner, spec, &place, call)
}

/// Where a tree is made, perhaps as a submodule of another.
#[derive(Debug)]
pub(super) struct TreePlace<'a> {
    /// The tree that all of it is in.
    pub(super) top: &'a Path,
    /// What was asked for; authors of repositories chose all that is inside of it.
    pub(super) asked_for: &'a RemoteUrl,
    /// Told of a mirror that cannot be read.
    pub(super) damaged: &'a Damaged,
    /// What all of it may come to.
    pub(super) budget: &'a Budget,
    /// The `.git` of the tree before, where it may have large files.
    pub(super) before: Option<PathBuf>,
    /// Trees to take files over from, where they are the same.
    pub(super) older: Vec<Older>,
    pub(super) tree: PathBuf,
    pub(super) git: PathBuf,
    /// How many submodules it is inside of.
    pub(super) depth: usize,
}

/// As [`build`], at a place in a tree.
pub(super) fn build_at(
    inner: &Inner,
    spec: &TreeSpec<'_>,
    place: &TreePlace<'_>,
    call: &CallOptions<'_>,
) -> Result<BuiltTree, CacheError> {
    build_all(inner, spec, place, call)
        .inspect_err(|error| place.damaged.note(error, spec.upstream))
}

fn build_all(
    inner: &Inner,
    spec: &TreeSpec<'_>,
    place: &TreePlace<'_>,
    call: &CallOptions<'_>,
) -> Result<BuiltTree, CacheError> {
    let (tree, git) = (place.tree.as_path(), place.git.as_path());
    let worktree = (place.depth > 0).then(|| relative(place.top, git, tree));
    make_folder(tree)?;
    let key = &spec.upstream.key;
    let shared = FileLock::take(&inner.root.lock("mirror", key), Sharing::Shared, call)?;
    let mirror = inner.root.mirror(key);
    let failed = || CacheError::store(inner.root.path());
    let store = mirror::open(&mirror).map_err(CacheError::mirror(inner.root.path()))?;
    let view = store.view().map_err(failed())?;
    let origin_branch = default_branch(&view, spec.default_branch);
    let git_dir = GitDir {
        mirror: &mirror,
        view: &view,
        url: spec.url,
        commit: spec.commit,
        branch: spec.branch,
        default_branch: origin_branch.as_deref(),
        settings: &inner.settings.tree,
        worktree,
        token: spec.token,
    };
    let head = git_dir.head();
    let commit = spec.commit.map(|commit| commit.to_string());
    let mut sealed = Sealed::of(place.top, git, tree, key, head, commit);
    sealed.give(git_dir.write(git)?);
    sealed.look_at_config(git)?;
    let mut built = BuiltTree {
        mirrors: vec![key.clone()],
        ..BuiltTree::default()
    };
    let Some(commit) = spec.commit else {
        built.sealed.push(sealed);
        return Ok(built);
    };
    let snapshot = store.snapshot_at(commit, None, false).map_err(failed())?;
    let entries = entries_of(inner, &snapshot, place.budget)?;
    let index = git.join("index");
    if spec.files == Files::Elsewhere {
        sealed.index = Some(write_index(&index, &entries, None)?);
        built.sealed.push(sealed);
        return Ok(built);
    }
    let has_size = |entry: &&IndexEntry| entry.mode != EntryMode::Submodule;
    let ids: Vec<ObjectId> = entries
        .iter()
        .filter(has_size)
        .map(|entry| entry.id)
        .collect();
    let mut found = snapshot.sizes_of(&ids).map_err(failed())?.into_iter();
    let mut sizes = Vec::with_capacity(entries.len());
    for entry in &entries {
        let size = has_size(&entry).then(|| found.next()).flatten();
        sizes.push(size.unwrap_or(0));
        place.budget.count_bytes(size.unwrap_or(0))?;
    }
    let taken = take_over(&place.older, &entries, &sizes, tree, call)?;
    built.shares_blocks = taken.shared > 0;
    let mut files = NewFiles::new(&entries);
    write_files(&snapshot, tree, taken, &files, call).map_err(failed())?;
    if !files.are_all_noted(taken) {
        files.forget(|_| true);
    }
    for entry in entries
        .iter()
        .filter(|entry| entry.mode == EntryMode::Submodule)
    {
        make_folder(&local_path(tree, entry.path.as_bstr()))?;
    }
    // Another mirror may have to be changed next; nobody waits for one lock while holding the other.
    drop(shared);
    let large_files = LargeFiles {
        inner,
        upstream: spec.upstream,
        tree,
        git,
        before: place.before.as_deref(),
        budget: place.budget,
    };
    let filled = large_files.fill_in(&entries, call)?;
    if filled.has_replaced {
        files.forget(|at| sizes[at] <= POINTER_BYTES);
    }
    let line_ends = LineEnds {
        tree,
        settings: &inner.settings.tree,
        budget: place.budget,
    };
    let converted = line_ends.convert(&entries, call)?;
    let is_converted: HashSet<usize> = converted.files.into_iter().collect();
    files.forget(|at| is_converted.contains(&at));
    let files = files.look(tree);
    sealed.index = Some(write_index(&index, &entries, Some(&files))?);
    // Before those of its submodules.
    built.sealed.push(sealed);
    built.bytes = filled.bytes + bytes_of(&files);
    built.notes.extend(filled.note());
    built.notes.extend(converted.notes);
    built.pointers_left = filled.left;
    submodules::add(inner, spec, place, &entries, &mut built, call)?;
    // Submodules are named in it.
    built.sealed[0].look_at_config(git)?;
    Ok(built)
}

/// The files of a commit of a mirror, and the folders they are in.
pub(super) fn tracked(
    inner: &Inner,
    upstream: &Upstream,
    commit: ObjectId,
    call: &CallOptions<'_>,
) -> Result<HashSet<BString>, CacheError> {
    let lock = inner.root.lock("mirror", &upstream.key);
    let _shared = FileLock::take(&lock, Sharing::Shared, call)?;
    let store = mirror::open(&inner.root.mirror(&upstream.key))
        .map_err(CacheError::mirror(inner.root.path()))?;
    let snapshot = store
        .snapshot_at(commit, None, false)
        .map_err(CacheError::store(inner.root.path()))?;
    let budget = Budget::new(&upstream.url.to_string(), inner.config.max_bytes);
    let entries = entries_of(inner, &snapshot, &budget)?;
    Ok(with_folders(entries.into_iter().map(|entry| entry.path)))
}

/// The same by the index of a repository of this machine, as far as it can be read: where its history is left out.
pub(super) fn indexed(upstream: &Upstream) -> HashSet<BString> {
    let git = upstream.url.local_path();
    let index = git.and_then(|git| fs::read(git.join("index")).ok());
    let files = index.as_deref().and_then(read_index).unwrap_or_default();
    with_folders(files.into_iter().map(|file| file.path.into()))
}

/// Paths, and the folders they are in.
fn with_folders(files: impl Iterator<Item = BString>) -> HashSet<BString> {
    let mut paths = HashSet::new();
    for path in files {
        for at in path.find_iter("/") {
            paths.insert(path[..at].into());
        }
        paths.insert(path);
    }
    paths
}

/// Everything that the index has, in its order.
fn entries_of(
    inner: &Inner,
    snapshot: &Snapshot,
    budget: &Budget,
) -> Result<Vec<IndexEntry>, CacheError> {
    let failed = || CacheError::store(inner.root.path());
    let mut entries = Vec::new();
    for file in snapshot.files("").map_err(failed())? {
        let (path, mode, id) = file.map_err(failed())?;
        budget.count_file(&path)?;
        entries.push(IndexEntry { path, mode, id });
    }
    Ok(entries)
}

/// Writes the files that are not there.
fn write_files(
    snapshot: &Snapshot,
    tree: &Path,
    taken: Taken,
    files: &NewFiles<'_>,
    call: &CallOptions<'_>,
) -> Result<(), StoreError> {
    snapshot.copy_out(&CopyOut {
        sources: vec![BString::default()],
        dest: tree.to_owned(),
        // Otherwise what is there is in the way, and refused.
        ignore_existing: !taken.is_nothing(),
        // It gets its name when it is whole.
        in_place: true,
        made: Some(&|path, found| files.note(path, found)),
        progress: Some(call),
        ..CopyOut::default()
    })?;
    Ok(())
}

/// The way from one folder below `top` to another.
pub(super) fn relative(top: &Path, from: &Path, to: &Path) -> String {
    let below = |path: &Path| path.strip_prefix(top).unwrap_or(path).to_owned();
    let up = "../".repeat(below(from).components().count());
    format!("{up}{}", below(to).display())
}

/// Where a path of a repository is below a folder.
pub(super) fn local_path(tree: &Path, path: &BStr) -> PathBuf {
    tree.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}
