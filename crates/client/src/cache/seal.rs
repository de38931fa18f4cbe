//! What the `.git` of a copy was when the copy was published, those of submodules too: how a refresh notices what became of it.
//!
//! A look reads, and follows no more than names that the cache chose; it is cheap enough to be taken while the remote thinks.
//! What somebody added beside what was published (objects, files that are not tracked) changes nothing of that, and stays.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use packhouse_object::{ConfigItem, ConfigReading, read_config};
use ring::digest;
use serde::{Deserialize, Serialize};

use super::git_dir::{Given, Linked, ORIGIN_HEAD, PACKED_REFS, has_loose_refs, is_folder, write};
use super::index_file::{Trust, are_there, digest_of, digits_of, read_index};
use super::inner::Inner;
use super::object_file::{Kept, look_at};
use super::record::id;
use super::root::Root;
use super::tree::{Files, relative};
use super::{CacheError, CallOptions};

/// Says where the files are, if that is not the folder that a `.git` is in.
const WORKTREE: &[u8] = b"core.worktree";

/// What says, besides refs and objects, what the history of a repository is.
const OTHER_HISTORY: [&str; 3] = ["shallow", "info/grafts", "objects/info/alternates"];

/// All repositories of a copy: its own first, then those of submodules.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal(pub(super) Vec<Sealed>);

/// One repository of a copy. Its paths begin at the copy, and may be no text.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    git: Vec<u8>,
    files: Vec<u8>,
    /// The mirror whose files of objects it shares.
    #[serde(deserialize_with = "id")]
    mirror: String,
    /// What its configuration says.
    config: String,
    /// What names the remote's default branch, if it has one.
    origin_head: Option<String>,
    /// What `HEAD` says.
    head: String,
    /// Where that leads.
    commit: Option<String>,
    /// Stands for the index; `None`: there is none, as there is no commit.
    pub(super) index: Option<String>,
    /// Stands for its refs.
    refs: String,
    /// Its files of objects.
    objects: Vec<Linked>,
    /// Whether some of them were found to be newer, and otherwise the same.
    #[serde(skip)]
    is_news: bool,
}

impl Sealed {
    /// That of a `.git` with its files at `tree`, both in the copy at `top`.
    pub(super) fn of(
        top: &Path,
        git: &Path,
        tree: &Path,
        mirror: &str,
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
            mirror: mirror.to_owned(),
            config: String::new(),
            origin_head: None,
            head,
            commit,
            index: None,
            refs: String::new(),
            objects: Vec::new(),
            is_news: false,
        }
    }

    /// Notes how it is set up.
    pub(super) fn look_at_config(&mut self, git: &Path) -> Result<(), CacheError> {
        let path = git.join("config");
        self.config = fs::read_to_string(&path).map_err(CacheError::file(&path))?;
        self.origin_head = fs::read_to_string(git.join(ORIGIN_HEAD)).ok();
        Ok(())
    }

    /// Notes what it was given.
    pub(super) fn give(&mut self, given: Given) {
        self.refs = given.refs;
        let known: HashSet<String> = self.objects.iter().map(|file| file.name.clone()).collect();
        // Of those that it had nothing changes.
        let new = given.objects.into_iter();
        self.objects
            .extend(new.filter(|file| !known.contains(&file.name)));
    }

    fn holds(&mut self, top: &Path, files: Files, call: &CallOptions<'_>) -> bool {
        let [git, tree] = [&self.git, &self.files].map(|path| joined(top, path));
        is_folder(&git)
            && is_folder(&git.join("refs"))
            && self.has_config(&git)
            && self.leads_to_commit(&git)
            && self.has_refs(&git)
            && self.is_found_from(top, &git, &tree)
            && self.has_objects(&git, call)
            && self.has_index(&git, &tree, files)
    }

    fn leads_to_commit(&self, git: &Path) -> bool {
        let head = fs::read_to_string(git.join("HEAD"));
        head.is_ok_and(|head| head.trim_end() == self.head)
            && commit_of(git, &self.head) == self.commit
    }

    /// Whether its configuration says what it said, whatever else somebody set: and whether Git can read it at all.
    fn has_config(&self, git: &Path) -> bool {
        let path = git.join("config");
        let Some(found) = fs::read(&path).ok().filter(|_| is_file(&path)) else {
            return false;
        };
        if found == self.config.as_bytes() {
            return true;
        }
        let (Some(ours), Some(found)) = (settings_of(self.config.as_bytes()), settings_of(&found))
        else {
            return false;
        };
        let leads_away = |settings: &Settings| settings.contains_key(WORKTREE.as_bstr());
        ours.iter()
            .all(|(key, value)| found.get(key) == Some(value))
            && (leads_away(&ours) || !leads_away(&found))
    }

    /// Whether its refs are those that it was given, and nothing else says what its history is.
    fn has_refs(&self, git: &Path) -> bool {
        let packed = fs::read(git.join(PACKED_REFS));
        let head = || fs::read_to_string(git.join(ORIGIN_HEAD)).ok();
        packed.is_ok_and(|packed| refs_digest(&packed) == self.refs)
            && (self.origin_head.is_none() || self.origin_head == head())
            && !has_loose_refs(git)
            && !OTHER_HISTORY.iter().any(|name| git.join(name).exists())
    }

    /// A submodule's files say where its `.git` is.
    fn is_found_from(&self, top: &Path, git: &Path, tree: &Path) -> bool {
        let says = || fs::read(tree.join(".git"));
        self.files.is_empty() || says().is_ok_and(|said| said == link_to(top, tree, git).as_bytes())
    }

    /// Whether its files of objects are there as they were. Git makes them newer, where it was to write what they have.
    fn has_objects(&mut self, git: &Path, call: &CallOptions<'_>) -> bool {
        let objects = git.join("objects");
        self.objects
            .iter_mut()
            .all(|file| match look_at(&objects, file, call) {
                Kept::AsItWas => true,
                Kept::Newer(mtime_ns) => {
                    file.mtime_ns = Some(mtime_ns);
                    self.is_news = true;
                    true
                }
                Kept::Not | Kept::Missing => false,
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
        match files {
            Files::Elsewhere => *index == digest_of(&found, Trust::Nothing),
            Files::OfCommit => *index == digest_of(&found, Trust::Files) && are_there(tree, &found),
        }
    }
}

impl Seal {
    /// The mirrors of which files of objects are not what they were when the copy got them. Both have the same files: what was
    /// written into one in the copy is in the mirror too.
    pub(super) fn contradicted(&self, root: &Root, call: &CallOptions<'_>) -> Vec<&str> {
        let is_contradicted = |sealed: &&Sealed| {
            let objects = root.mirror(&sealed.mirror).join("objects");
            let mut files = sealed.objects.iter();
            files.any(|file| matches!(look_at(&objects, file, call), Kept::Not))
        };
        let contradicted = self.0.iter().filter(is_contradicted);
        let mut keys: Vec<&str> = contradicted.map(|sealed| sealed.mirror.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The commits of a mirror that the copy has checked out.
    pub(super) fn commits_of(&self, mirror: &str) -> impl Iterator<Item = String> {
        let of_mirror = self.0.iter().filter(move |sealed| sealed.mirror == mirror);
        of_mirror.filter_map(|sealed| sealed.commit.clone())
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

/// Whether the copy of a tree, at `top`, is still what was published; its files are looked at too unless they come from
/// elsewhere. Its caller has the lock of the entry.
pub(super) fn holds(
    manifests: &Path,
    tree: &str,
    top: &Path,
    files: Files,
    call: &CallOptions<'_>,
) -> bool {
    let Some(mut seal) = Seal::read(manifests, tree) else {
        return false;
    };
    let mut all = seal.0.iter_mut();
    let holds = all.len() > 0 && all.all(|sealed| sealed.holds(top, files, call));
    // What was read in full once is not read again.
    if seal.0.iter().any(|sealed| sealed.is_news) {
        let _ = seal.write(manifests, tree);
    }
    holds
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

/// Each setting of a configuration with its last value, which is the one that counts.
type Settings = HashMap<BString, Option<BString>>;

/// `None`: Git cannot read it.
fn settings_of(text: &[u8]) -> Option<Settings> {
    let (mut settings, mut section) = (HashMap::new(), BString::default());
    let read = read_config(text, ConfigReading::File, &mut |_, item| {
        match item {
            ConfigItem::Section(name) => section = name.into(),
            ConfigItem::Setting { key, value } => {
                let key = [section.as_slice(), b".", key].concat();
                settings.insert(key.into(), value.map(BString::from));
            }
        }
        Ok(())
    });
    read.is_ok().then_some(settings)
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
