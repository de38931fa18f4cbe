//! What the `.git` of a copy was when the copy was published, those of submodules too: how a refresh notices what became of it.
//!
//! A look reads, and follows no more than names that the cache chose; it is cheap enough to be taken while the remote thinks.
//! What somebody added beside what was published (objects, files that are not tracked) changes nothing of that, and stays.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use ring::digest;
use serde::{Deserialize, Serialize};

use super::CacheError;
use super::git_dir::{Given, Linked, PACKED_REFS, has_loose_refs, is_folder, write};
use super::index_file::{are_there, digest_of, digits_of, read_index};
use super::inner::Inner;
use super::tree::{Files, relative};

/// All repositories of a copy: its own first, then those of submodules.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal(pub(super) Vec<Sealed>);

/// One repository of a copy. Its paths begin at the copy, and may be no text.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    git: Vec<u8>,
    files: Vec<u8>,
    /// What `HEAD` says.
    head: String,
    /// Where that leads.
    commit: Option<String>,
    /// Stands for the index; `None`: there is none, as there is no commit.
    pub(super) index: Option<String>,
    /// Stands for its refs.
    refs: String,
    /// Files below `objects`, with their lengths.
    objects: Linked,
}

impl Sealed {
    /// That of a `.git` with its files at `tree`, both in the copy at `top`.
    pub(super) fn of(
        top: &Path,
        git: &Path,
        tree: &Path,
        head: String,
        commit: Option<String>,
    ) -> Sealed {
        let below = |path: &Path| {
            let path = path.strip_prefix(top).unwrap_or(path);
            path.as_os_str().as_bytes().to_vec()
        };
        Sealed {
            git: below(git),
            files: below(tree),
            head,
            commit,
            index: None,
            refs: String::new(),
            objects: Vec::new(),
        }
    }

    /// Notes what it was given.
    pub(super) fn give(&mut self, given: Given) {
        self.refs = given.refs;
        let known: HashSet<String> = self.objects.iter().map(|(name, _)| name.clone()).collect();
        // Of those that it had nothing changes.
        let new = given.objects.into_iter();
        self.objects
            .extend(new.filter(|(name, _)| !known.contains(name)));
    }

    fn holds(&self, top: &Path, files: Files) -> bool {
        let [git, tree] = [&self.git, &self.files].map(|path| joined(top, path));
        is_folder(&git)
            && is_folder(&git.join("refs"))
            && is_file(&git.join("config"))
            && self.leads_to_commit(&git)
            && self.has_refs(&git)
            && self.is_found_from(top, &git, &tree)
            && self.has_objects(&git)
            && self.has_index(&git, &tree, files)
    }

    fn leads_to_commit(&self, git: &Path) -> bool {
        let head = fs::read_to_string(git.join("HEAD"));
        head.is_ok_and(|head| head.trim_end() == self.head)
            && commit_of(git, &self.head) == self.commit
    }

    /// Whether its refs are those that it was given, and nothing else says what its history is.
    fn has_refs(&self, git: &Path) -> bool {
        let packed = fs::read(git.join(PACKED_REFS));
        packed.is_ok_and(|packed| refs_digest(&packed) == self.refs)
            && !has_loose_refs(git)
            && !git.join("shallow").exists()
    }

    /// A submodule's files say where its `.git` is.
    fn is_found_from(&self, top: &Path, git: &Path, tree: &Path) -> bool {
        let says = || fs::read(tree.join(".git"));
        self.files.is_empty() || says().is_ok_and(|said| said == link_to(top, tree, git).as_bytes())
    }

    fn has_objects(&self, git: &Path) -> bool {
        let objects = git.join("objects");
        self.objects.iter().all(|(name, len)| {
            let found = fs::symlink_metadata(objects.join(name));
            found.is_ok_and(|found| found.is_file() && found.len() == *len)
        })
    }

    fn has_index(&self, git: &Path, tree: &Path, files: Files) -> bool {
        let Ok(bytes) = fs::read(git.join("index")) else {
            return self.index.is_none();
        };
        // One that cannot be read here is none that was published.
        let Some(found) = read_index(&bytes) else {
            return false;
        };
        let Some(index) = &self.index else {
            return found.is_empty();
        };
        let entries = found.iter().map(|file| (file.path, file.mode, file.id));
        *index == digest_of(entries) && (files == Files::Elsewhere || are_there(tree, &found))
    }
}

impl Seal {
    /// Whether the copy at `top` is still what was published; its files are looked at too unless they come from elsewhere.
    pub(super) fn holds(&self, top: &Path, files: Files) -> bool {
        !self.0.is_empty() && self.0.iter().all(|sealed| sealed.holds(top, files))
    }

    /// Whether files of a mirror's objects are not as long as they were when the copy got them.
    pub(super) fn contradicts(&self, objects: &Path) -> bool {
        let mut own = self.0.first().into_iter().flat_map(|own| &own.objects);
        own.any(|(name, len)| {
            let found = fs::symlink_metadata(objects.join(name));
            found.is_ok_and(|found| found.len() != *len)
        })
    }

    /// Notes what the copy's own repository has got since.
    pub(super) fn add(&mut self, given: Given) {
        if let Some(own) = self.0.first_mut() {
            own.give(given);
        }
    }

    /// That of a tree, if it can be read.
    pub(super) fn read(manifests: &Path, tree: &str) -> Option<Seal> {
        serde_json::from_slice(&fs::read(seal_path(manifests, tree)).ok()?).ok()
    }

    /// Keeps it for a tree.
    pub(super) fn write(&self, manifests: &Path, tree: &str) -> Result<(), CacheError> {
        let path = seal_path(manifests, tree);
        let bytes =
            serde_json::to_vec(self).map_err(|error| CacheError::file(&path)(error.into()))?;
        write(&path, &bytes)
    }
}

/// Stands for the refs in a file of packed ones.
pub(super) fn refs_digest(packed: &[u8]) -> String {
    digits_of(digest::digest(&digest::SHA256, packed).as_ref())
}

/// Removes seals and manifests of trees that no entry has, which processes left that ended before their time.
pub(super) fn sweep(inner: &Inner) {
    let manifests = inner.root.own("manifests");
    // Listed before the records are read: each is written when its tree is in a record.
    let files = fs::read_dir(&manifests).into_iter().flatten().flatten();
    let names: Vec<_> = files.map(|file| file.file_name()).collect();
    if names.is_empty() {
        return;
    }
    let Ok((entries, _)) = inner.entries() else {
        return;
    };
    let trees = entries
        .iter()
        .flat_map(|entry| entry.kept.tree.iter().chain(&entry.kept.next));
    let known: HashSet<&str> = trees.map(|tree| tree.id.as_str()).collect();
    for name in names.iter().filter_map(|name| name.to_str()) {
        let id = name.strip_suffix(".seal").unwrap_or(name);
        if !known.contains(id) {
            let _ = fs::remove_file(manifests.join(name));
        }
    }
}

/// Where the seal of a tree is, beside its manifest.
pub(super) fn seal_path(manifests: &Path, tree: &str) -> PathBuf {
    manifests.join(format!("{tree}.seal"))
}

/// What the file `.git` of a submodule says.
pub(super) fn link_to(top: &Path, tree: &Path, git: &Path) -> String {
    format!("gitdir: {}\n", relative(top, tree, git))
}

/// The commit that a `HEAD` leads to.
fn commit_of(git: &Path, head: &str) -> Option<String> {
    let Some(name) = head.strip_prefix("ref: ") else {
        return Some(head.to_owned());
    };
    // A ref in a file of its own comes before one that is packed.
    if let Ok(loose) = fs::read_to_string(git.join(name)) {
        return Some(loose.trim_end().to_owned());
    }
    let packed = fs::read(git.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| {
        let id = line.strip_suffix(name.as_bytes())?.strip_suffix(b" ")?;
        id.to_str().ok().map(str::to_owned)
    })
}

fn joined(top: &Path, below: &[u8]) -> PathBuf {
    match below.is_empty() {
        true => top.to_owned(),
        false => top.join(OsStr::from_bytes(below)),
    }
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}
