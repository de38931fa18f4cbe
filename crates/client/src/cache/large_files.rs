//! Files of Git LFS in a working tree.
//!
//! A file is kept in the tree's `.git/lfs/objects`, where `git lfs` looks for it, and its content takes the place of its
//! pointer. What the tree before has is not fetched again. Where a remote has no file behind a pointer, the pointer stays and
//! a note says so.
//!
//! What always holds: content is put into a tree only after its hash was found to be that of its pointer.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use packhouse_object::EntryMode;
use ring::digest;

use super::budget::Budget;
use super::git_dir::make_folder;
use super::index_file::IndexEntry;
use super::inner::Inner;
use super::source::Upstream;
use super::tree::local_path;
use super::{CacheError, CacheStep, CallOptions};
use crate::remote::{LargeFile, RemoteError};

/// A pointer is not larger than this.
pub(super) const POINTER_BYTES: u64 = 1024;
/// How each begins.
const BEGINNING: &str = "version https://git-lfs.github.com/spec/v1\n";
/// What marks the files in `.gitattributes`.
const ATTRIBUTE: &str = "filter=lfs";
/// A larger `.gitattributes` is not read, as in Git.
pub(super) const ATTRIBUTES_BYTES: u64 = 100 << 20;
const PIECE_BYTES: usize = 64 << 10;

/// The large files of a tree.
pub(super) struct LargeFiles<'a> {
    pub(super) inner: &'a Inner,
    pub(super) upstream: &'a Upstream,
    pub(super) tree: &'a Path,
    pub(super) git: &'a Path,
    /// The `.git` of a tree that may have some of them.
    pub(super) before: Option<&'a Path>,
    /// What the copy that they are in may come to.
    pub(super) budget: &'a Budget,
}

/// A file of the tree that is a pointer.
#[derive(Debug)]
struct Pointer {
    path: PathBuf,
    file: LargeFile,
}

/// What became of the large files of a tree.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filled {
    /// What they take in the `.git`.
    pub(super) bytes: u64,
    /// So many are pointers.
    pub(super) left: u64,
    /// Whether the content of any took the place of its pointer.
    pub(super) has_replaced: bool,
}

impl Filled {
    /// What a reader should know of them.
    pub(super) fn note(self) -> Option<String> {
        let left = self.left;
        (left > 0).then(|| {
            format!("{left} files of Git LFS are pointers: their content was not to be had")
        })
    }
}

impl LargeFiles<'_> {
    /// Puts the content of large files in the place of their pointers.
    pub(super) fn fill_in(
        &self,
        entries: &[IndexEntry],
        call: &CallOptions<'_>,
    ) -> Result<Filled, CacheError> {
        let pointers = self.pointers(entries);
        if pointers.is_empty() {
            return Ok(Filled::default());
        }
        let files: BTreeSet<LargeFile> = pointers
            .iter()
            .map(|pointer| pointer.file.clone())
            .collect();
        if self.inner.config.lfs {
            // Each is in the `.git` once, and wherever there is a pointer to it.
            let all = pointers.iter().map(|pointer| &pointer.file);
            for file in all.chain(&files) {
                self.budget.count_bytes(file.size)?;
            }
            self.gather(files.into_iter().collect(), call)?;
        }
        let mut filled = Filled::default();
        let mut counted = BTreeSet::new();
        for pointer in &pointers {
            call.check()?;
            let kept = stored(self.git, &pointer.file);
            if !kept.is_file() {
                filled.left += 1;
                continue;
            }
            if counted.insert(&pointer.file) {
                filled.bytes += pointer.file.size;
            }
            filled.has_replaced = true;
            replace(&kept, pointer)?;
        }
        Ok(filled)
    }

    /// Brings files into the `.git`, from the tree before, from a directory, or from a server.
    fn gather(&self, mut files: Vec<LargeFile>, call: &CallOptions<'_>) -> Result<(), CacheError> {
        let local = self.upstream.url.local_path();
        for from in self.before.iter().copied().chain(local) {
            let mut missing = Vec::new();
            for file in files {
                let is_kept = match File::open(stored(from, &file)) {
                    Ok(mut content) => self.keep(&file, &mut content)?,
                    Err(_) => false,
                };
                if !is_kept {
                    missing.push(file);
                }
            }
            files = missing;
        }
        if files.is_empty() {
            return Ok(());
        }
        let (total, done) = (files.len() as u64, Cell::new(0));
        call.step(CacheStep::LargeFiles, 0, Some(total));
        let failed = Cell::new(None);
        let mut take = |file: &LargeFile, content: &mut dyn Read| {
            let kept = self.keep(file, content);
            done.set(done.get() + 1);
            call.step(CacheStep::LargeFiles, done.get(), Some(total));
            kept.map(drop).map_err(|error| {
                failed.set(Some(error));
                RemoteError::Cancelled
            })
        };
        let remote = self.inner.remote(self.upstream);
        let taken = remote.large_files(&files, call, &mut take);
        match failed.take() {
            Some(error) => Err(error),
            None => taken.map_err(CacheError::remote(self.inner.root.path())),
        }
    }

    /// Keeps a file's content in the `.git`, if it is its content.
    fn keep(&self, file: &LargeFile, content: &mut dyn Read) -> Result<bool, CacheError> {
        let place = stored(self.git, file);
        if let Some(folder) = place.parent() {
            make_folder(folder)?;
        }
        let under_way = place.with_extension("part");
        let mut out = File::create(&under_way).map_err(CacheError::file(&under_way))?;
        let found = pour(content, &mut out, file.size).map_err(CacheError::file(&under_way))?;
        drop(out);
        let is_it = found == (file.size, file.oid.clone());
        match is_it {
            true => fs::rename(&under_way, &place).map_err(CacheError::file(&place))?,
            false => fs::remove_file(&under_way).map_err(CacheError::file(&under_way))?,
        }
        Ok(is_it)
    }

    /// The pointers of a tree, if it marks files as large at all.
    fn pointers(&self, entries: &[IndexEntry]) -> Vec<Pointer> {
        let is_attributes =
            |entry: &&IndexEntry| entry.path.rsplit_str("/").next() == Some(b".gitattributes");
        let marks = entries.iter().filter(is_attributes).any(|entry| {
            let path = local_path(self.tree, entry.path.as_bstr());
            let text = beginning(&path, ATTRIBUTES_BYTES).unwrap_or_default();
            text.contains_str(ATTRIBUTE)
        });
        if !marks {
            return Vec::new();
        }
        let is_file =
            |entry: &&IndexEntry| matches!(entry.mode, EntryMode::Blob | EntryMode::Executable);
        let pointer = |entry: &IndexEntry| {
            let path = local_path(self.tree, entry.path.as_bstr());
            let size = fs::symlink_metadata(&path).ok()?.len();
            let text = (size <= POINTER_BYTES).then(|| beginning(&path, POINTER_BYTES))??;
            let file = parse(text.to_str().ok()?)?;
            Some(Pointer { path, file })
        };
        entries.iter().filter(is_file).filter_map(pointer).collect()
    }
}

/// Where a `.git` has a large file.
fn stored(git: &Path, file: &LargeFile) -> PathBuf {
    let oid = &file.oid;
    git.join("lfs/objects")
        .join(&oid[..2])
        .join(&oid[2..4])
        .join(oid)
}

/// What a pointer names.
fn parse(text: &str) -> Option<LargeFile> {
    let rest = text.strip_prefix(BEGINNING)?;
    let value = |name: &str| rest.lines().find_map(|line| line.strip_prefix(name));
    let oid = value("oid sha256:")?;
    let is_oid = oid.len() == 64
        && oid
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    Some(LargeFile {
        oid: is_oid.then(|| oid.to_owned())?,
        size: value("size ")?.parse().ok()?,
    })
}

/// So much of a file; `None` for what is no file.
pub(super) fn beginning(path: &Path, bytes: u64) -> Option<Vec<u8>> {
    fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_file)?;
    let mut text = Vec::new();
    File::open(path)
        .ok()?
        .take(bytes)
        .read_to_end(&mut text)
        .ok()?;
    Some(text)
}

/// Writes content until it is longer than it may be. Returns its length and hash.
fn pour(content: &mut dyn Read, out: &mut File, size: u64) -> io::Result<(u64, String)> {
    let mut context = digest::Context::new(&digest::SHA256);
    let (mut written, mut piece) = (0, vec![0; PIECE_BYTES]);
    while written <= size {
        let n = match content.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        context.update(&piece[..n]);
        out.write_all(&piece[..n])?;
        written += n as u64;
    }
    let digits = context.finish();
    let digits = digits.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Ok((written, digits.collect()))
}

/// Puts content where its pointer is, with the pointer's mode. Blocks are shared where the file system can.
fn replace(kept: &Path, pointer: &Pointer) -> Result<(), CacheError> {
    let path = &pointer.path;
    let mut from = File::open(kept).map_err(CacheError::file(kept))?;
    let mut to = OpenOptions::new()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(CacheError::file(path))?;
    let modified = to.metadata().and_then(|found| found.modified());
    to.set_len(0).map_err(CacheError::file(path))?;
    io::copy(&mut from, &mut to).map_err(CacheError::file(path))?;
    // As old as the pointer was: Git looks into files that are as new as its index, and finds another content.
    modified
        .and_then(|modified| to.set_times(FileTimes::new().set_modified(modified)))
        .map_err(CacheError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_read_and_nothing_else_is_one() {
        let oid = "a".repeat(64);
        let text = format!("{BEGINNING}oid sha256:{oid}\nsize 5\n");
        let file = LargeFile {
            oid: oid.clone(),
            size: 5,
        };
        assert_eq!(parse(&text), Some(file.clone()));
        let place = stored(Path::new("/x"), &file);
        assert_eq!(place, PathBuf::from(format!("/x/lfs/objects/aa/aa/{oid}")));
        for bad in [
            "",
            "oid sha256:x",
            &format!("{BEGINNING}oid sha256:../../../../x\nsize 5\n"),
            &format!("{BEGINNING}oid sha256:{oid}\nsize many\n"),
            &format!("{BEGINNING}oid sha256:{}\nsize 5\n", "A".repeat(64)),
            &text[..60],
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
