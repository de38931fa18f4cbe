//! The `.git` of a working tree: an ordinary repository of its own.
//!
//! It shares the files of its objects with the mirror by hard links, not by alternates. A link keeps its file: whatever
//! becomes of the mirror, be it cleaned up, evicted or rebuilt, the tree's history stays whole, and so it does where the
//! tree is seen without the rest of the cache, as in a container. Git never changes such a file, it replaces it, so that
//! the mirror loses nothing when somebody runs `git gc` in a tree.

use std::fmt::Write as _;
use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use packhouse_object::ObjectId;
use packhouse_repo::View;
use serde::{Deserialize, Serialize};

use super::CacheError;
use super::manifest::modified_ns;
use super::mirror::branch_name;
use super::seal::refs_digest;

/// A `.git` with more files of packs is made anew: those that its mirror has no more use for stay in it.
const FILES_MAX: usize = 250;

/// All refs of a `.git` that was just made.
pub(super) const PACKED_REFS: &str = "packed-refs";

/// Names the remote's default branch, in a file of its own.
pub(super) const ORIGIN_HEAD: &str = "refs/remotes/origin/HEAD";

/// A file below `objects`, of which the mirror's is another name, or a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Linked {
    pub(super) name: String,
    pub(super) len: u64,
    /// When it was written last. Not known of those from before this was noted.
    #[serde(default)]
    pub(super) mtime_ns: Option<i64>,
}

/// What a `.git` was given.
pub(super) struct Given {
    pub(super) objects: Vec<Linked>,
    /// Stands for its refs.
    pub(super) refs: String,
}

/// Says which tree it is, beside Git's own files.
pub(super) const TOKEN: &str = "packhouse-tree";

/// What a `.git` is made of.
#[derive(Debug)]
pub(super) struct GitDir<'a> {
    /// The mirror's folder.
    pub(super) mirror: &'a Path,
    /// Its refs.
    pub(super) view: &'a View,
    /// Where `origin` is; holds no secret.
    pub(super) url: &'a str,
    pub(super) commit: Option<ObjectId>,
    /// The branch that is checked out; `None`: a commit is.
    pub(super) branch: Option<&'a str>,
    /// The remote's default branch.
    pub(super) default_branch: Option<&'a str>,
    /// Settings of the configuration: section, key, value.
    pub(super) settings: &'a [(String, String, String)],
    /// Where the files are, seen from the `.git`, if that is not the folder it is in.
    pub(super) worktree: Option<String>,
    /// Names the tree.
    pub(super) token: &'a str,
}

impl GitDir<'_> {
    /// Writes all but the index into a new folder, and says what that was.
    pub(super) fn write(&self, git: &Path) -> Result<Given, CacheError> {
        for folder in [
            "objects/info",
            "objects/pack",
            "refs/heads",
            "refs/tags",
            "info",
        ] {
            make_folder(&git.join(folder))?;
        }
        let objects = link_objects(&self.mirror.join("objects"), &git.join("objects"))?;
        write(&git.join("config"), self.config().as_bytes())?;
        let refs = self.packed_refs();
        write(&git.join(PACKED_REFS), &refs)?;
        write(&git.join(TOKEN), self.token.as_bytes())?;
        if let Some(name) = self.default_branch {
            make_folder(&git.join("refs/remotes/origin"))?;
            let head = format!("ref: refs/remotes/origin/{name}\n");
            write(&git.join(ORIGIN_HEAD), head.as_bytes())?;
        }
        // Last: without it Git sees no repository.
        write(&git.join("HEAD"), format!("{}\n", self.head()).as_bytes())?;
        Ok(Given {
            objects,
            refs: refs_digest(&refs),
        })
    }

    /// What its `HEAD` says.
    pub(super) fn head(&self) -> String {
        match (self.branch, self.commit) {
            (Some(branch), _) => format!("ref: refs/heads/{branch}"),
            (None, Some(commit)) => commit.to_string(),
            (None, None) => "ref: refs/heads/main".to_owned(),
        }
    }

    /// Brings the refs of a tree that is at its place up to those of the mirror: first the objects come, then all refs in one
    /// step, under Git's own lock. Its files, its index and its `HEAD` stay. Says what it has got.
    ///
    /// `None`: somebody worked in it, or it has gathered too many packs, so that it is better made anew.
    pub(super) fn update_refs(&self, git: &Path) -> Result<Option<Given>, CacheError> {
        let folders = ["objects", "objects/pack", "refs", "refs/tags"];
        let is_ours = is_folder(git)
            && folders.iter().all(|folder| is_folder(&git.join(folder)))
            && fs::read(git.join(TOKEN)).is_ok_and(|token| token == self.token.as_bytes());
        if !is_ours
            || has_loose_refs(git)
            || read_folder(&git.join("objects/pack"))?.len() > FILES_MAX
        {
            return Ok(None);
        }
        let objects = link_objects(&self.mirror.join("objects"), &git.join("objects"))?;
        let refs = self.packed_refs();
        let lock = git.join("packed-refs.lock");
        let mut new = match File::create_new(&lock) {
            Ok(new) => new,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(CacheError::file(&lock)(error)),
        };
        let written = new
            .write_all(&refs)
            .and_then(|()| fs::rename(&lock, git.join(PACKED_REFS)));
        if written.is_err() {
            let _ = fs::remove_file(&lock);
        }
        written.map_err(CacheError::file(&lock))?;
        Ok(Some(Given {
            objects,
            refs: refs_digest(&refs),
        }))
    }

    fn config(&self) -> String {
        let mut text = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n".to_owned();
        match &self.worktree {
            None => text.push_str("\tbare = false\n\tlogallrefupdates = true\n"),
            Some(path) => {
                let _ = writeln!(text, "\tbare = false\n\tworktree = {}", quoted(path));
            }
        }
        let _ = write!(
            text,
            "[remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            quoted(self.url)
        );
        if let Some(branch) = self.branch.filter(|_| self.commit.is_some()) {
            let _ = write!(
                text,
                "[branch {}]\n\tremote = origin\n\tmerge = {}\n",
                quoted(branch),
                quoted(&format!("refs/heads/{branch}"))
            );
        }
        for (section, key, value) in self.settings {
            let _ = write!(text, "[{section}]\n\t{key} = {}\n", quoted(value));
        }
        text
    }

    /// The remote's branches, the tags, and the branch that is checked out.
    fn packed_refs(&self) -> Vec<u8> {
        let mut lines: Vec<(Vec<u8>, ObjectId, Option<ObjectId>)> = Vec::new();
        for (name, value) in self.view.refs().iter() {
            let name = name.as_bytes();
            if let Some(branch) = name.strip_prefix(b"refs/heads/") {
                // Git keeps the name for what the remote's `HEAD` stands for.
                if branch != b"HEAD" {
                    let name = [b"refs/remotes/origin/", branch].concat();
                    lines.push((name, value.target, None));
                }
            } else if name.starts_with(b"refs/tags/") {
                lines.push((name.to_owned(), value.target, value.peeled));
            }
        }
        if let (Some(branch), Some(commit)) = (self.branch, self.commit) {
            lines.push((format!("refs/heads/{branch}").into_bytes(), commit, None));
        }
        lines.sort();
        let mut text = b"# pack-refs with: peeled fully-peeled sorted \n".to_vec();
        for (name, target, peeled) in lines {
            text.extend_from_slice(format!("{target} ").as_bytes());
            text.extend_from_slice(&name);
            text.push(b'\n');
            if let Some(peeled) = peeled.filter(|peeled| *peeled != target) {
                text.extend_from_slice(format!("^{peeled}\n").as_bytes());
            }
        }
        text
    }
}

/// The branch of a mirror that is the remote's default, as Git writes it.
pub(super) fn default_branch(view: &View, branch: Option<&str>) -> Option<String> {
    let wanted = branch?;
    let mut names = view.refs().iter().filter_map(|(name, _)| branch_name(name));
    names.find(|name| name == wanted)
}

/// A value of a config file.
pub(super) fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

fn link_objects(from: &Path, to: &Path) -> Result<Vec<Linked>, CacheError> {
    let mut linked = Vec::new();
    for entry in read_folder(from)? {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        let is_loose = name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if name != "pack" && !is_loose {
            continue;
        }
        let (folder, from, to) = (name, from.join(name), to.join(name));
        make_folder(&to)?;
        // In a tree that others work in, a link may lead elsewhere.
        if !is_folder(&to) {
            return Err(CacheError::Occupied { path: to });
        }
        for entry in read_folder(&from)? {
            let file = entry.file_name();
            let Some(name) = file.to_str() else {
                continue;
            };
            // Whatever else is there is under way, or only speeds Git up.
            let is_object = match is_loose {
                true => name.bytes().all(|byte| byte.is_ascii_hexdigit()),
                false => name.ends_with(".pack") || name.ends_with(".idx"),
            };
            if is_object {
                let file = from.join(name);
                link(&file, &to.join(name))?;
                let found = fs::symlink_metadata(&file).map_err(CacheError::file(&file))?;
                linked.push(Linked {
                    name: format!("{folder}/{name}"),
                    len: found.len(),
                    mtime_ns: Some(modified_ns(&found)),
                });
            }
        }
    }
    Ok(linked)
}

/// Another name for a file that nobody changes; a copy where there can be no other name.
fn link(from: &Path, to: &Path) -> Result<(), CacheError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        // It is called by its content.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::NotFound
            ) =>
        {
            Err(CacheError::file(to)(error))
        }
        Err(_) => copy_whole(from, to).map_err(CacheError::file(to)),
    }
}

/// Copies a file that is in its place at once: it may be read already, and who finds it there takes it for whole.
fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let mut copy = tempfile::Builder::new()
        .prefix("tmp_")
        .tempfile_in(folder)?;
    io::copy(&mut File::open(from)?, copy.as_file_mut())?;
    let found = fs::metadata(from)?;
    // As old as it is, since what is noted of one goes for both.
    let modified = FileTimes::new().set_modified(found.modified()?);
    copy.as_file().set_times(modified)?;
    copy.as_file().set_permissions(found.permissions())?;
    copy.persist(to)?;
    Ok(())
}

/// Whether there are refs in files of their own, which come before those that are packed: whoever fetches there makes some.
pub(super) fn has_loose_refs(git: &Path) -> bool {
    let head = git.join(ORIGIN_HEAD);
    let folders = ["refs/remotes", "refs/tags", "refs/replace"];
    let mut ahead: Vec<_> = folders.map(|folder| git.join(folder)).into();
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => ahead.push(entry.path()),
                false if entry.path() == head => {}
                false => return true,
            }
        }
    }
    false
}

pub(super) fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn read_folder(path: &Path) -> Result<Vec<fs::DirEntry>, CacheError> {
    let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    entries.map_err(CacheError::file(path))
}

pub(super) fn make_folder(path: &Path) -> Result<(), CacheError> {
    fs::create_dir_all(path).map_err(CacheError::file(path))
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    fs::write(path, bytes).map_err(CacheError::file(path))
}
