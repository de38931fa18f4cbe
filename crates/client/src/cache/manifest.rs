//! What a copy of a directory was made of, so that the next one need only copy what changed.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bstr::{BString, ByteSlice};

use super::folder::joined;
use super::index_file::keeps_modes;
use super::tree::local_path;

/// The first line.
const HEADER: &str = "packhouse manifest 1";

/// A file that changed within this time before it was looked at may change again without its times telling.
const SETTLED_NS: i64 = 2_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) size: u64,
    modified_ns: i64,
    changed_ns: i64,
    inode: u64,
}

impl Stat {
    /// `None`: it is nothing that can be copied.
    pub(super) fn of(found: &Metadata) -> Option<Stat> {
        let kind = match found.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_symlink() => Kind::Link,
            _ => return None,
        };
        // What a folder says of itself tells nothing that what is in it does not.
        let is_folder = kind == Kind::Folder;
        let unless_folder = |number: i64| if is_folder { 0 } else { number };
        Some(Stat {
            kind,
            mode: found.mode(),
            size: if is_folder { 0 } else { found.len() },
            modified_ns: unless_folder(modified_ns(found)),
            changed_ns: unless_folder(nanoseconds(found.ctime(), found.ctime_nsec())),
            inode: found.ino(),
        })
    }
}

/// What the copy of a file said of itself when it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    inode: u64,
    changed_ns: i64,
    size: u64,
}

impl Copied {
    fn of(found: &Metadata) -> Copied {
        Copied {
            inode: found.ino(),
            changed_ns: nanoseconds(found.ctime(), found.ctime_nsec()),
            size: found.len(),
        }
    }
}

/// Whether `kept` is what a file system says of a file that was given the time `given`: some keep steps of 100 ns (NTFS), of a
/// second, or of two (FAT).
fn is_time_of(kept: i64, given: i64) -> bool {
    let apart = kept.abs_diff(given);
    apart < 100 || (kept % 1_000_000_000 == 0 && apart < 2_000_000_000)
}

/// The mode that a copy of a folder is given: its files can be read and removed.
pub(super) fn folder_mode(mode: u32) -> u32 {
    mode & 0o7777 | 0o700
}

/// When a file was written last, in nanoseconds since 1970.
pub(super) fn modified_ns(found: &Metadata) -> i64 {
    nanoseconds(found.mtime(), found.mtime_nsec())
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// Each file of a copy.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Manifest {
    /// When the copy was begun, in nanoseconds since 1970.
    begun_ns: i64,
    files: HashMap<BString, (Stat, Copied)>,
}

impl Manifest {
    /// That of a copy that begins now.
    pub(super) fn begin() -> Manifest {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Manifest {
            begun_ns: now.map_or(0, |now| now.as_nanos() as i64),
            files: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, path: BString, stat: Stat, copied: Copied) {
        self.files.insert(path, (stat, copied));
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether what is at a path of the source is what was copied.
    pub(super) fn is_of(&self, path: &BString, stat: &Stat) -> bool {
        let known = self.files.get(path);
        known.is_some_and(|(copied, _)| copied == stat)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &BString> {
        self.files.keys()
    }

    /// Notes what the copies say of themselves.
    pub(super) fn look_at_copies(&mut self, tree: &Path) {
        for (path, (stat, copied)) in &mut self.files {
            if stat.kind == Kind::File
                && let Ok(found) = fs::symlink_metadata(local_path(tree, path.as_bstr()))
            {
                *copied = Copied::of(&found);
            }
        }
    }

    /// Whether a file of the source is as it was, beyond doubt.
    pub(super) fn is_unchanged(&self, path: &BString, stat: &Stat) -> bool {
        let settled = self.begun_ns - SETTLED_NS;
        self.files.get(path).is_some_and(|(before, _)| {
            before == stat
                && (stat.kind == Kind::Folder
                    || stat.modified_ns < settled && stat.changed_ns < settled)
        })
    }

    /// Whether nobody touched the copy of a file.
    pub(super) fn is_copy_intact(&self, path: &BString, copy: &Path) -> bool {
        let Some((_, copied)) = self.files.get(path) else {
            return false;
        };
        fs::symlink_metadata(copy)
            .is_ok_and(|found| found.is_file() && Copied::of(&found) == *copied)
    }

    /// Whether it is the very copy of a file, with the time and the mode that it was given: its content may be the same though it
    /// was touched, as by a name that it had beside this one.
    pub(super) fn is_copy(&self, path: &BString, source: &Stat, copy: &Path) -> bool {
        let (Some((_, copied)), Ok(found)) = (self.files.get(path), fs::symlink_metadata(copy))
        else {
            return false;
        };
        found.is_file()
            && (found.ino(), found.len()) == (copied.inode, copied.size)
            && modified_ns(&found) == source.modified_ns
            && found.mode() & 0o777 == source.mode & 0o777
    }

    /// Whether all that was copied is in the copy, as far as a look at each file tells. `source` is as it was then.
    pub(super) fn is_complete(&self, tree: &Path, source: &Path) -> bool {
        // Asked only where one is not as it should be.
        let keeps_modes = LazyCell::new(|| keeps_modes(tree));
        self.files.iter().all(|(path, (stat, copied))| {
            let copy = local_path(tree, path.as_bstr());
            let Ok(found) = fs::symlink_metadata(&copy) else {
                return false;
            };
            let has_mode = |mode: u32| (found.mode() ^ mode) & 0o777 == 0 || !*keeps_modes;
            match stat.kind {
                // It was given the time of its source.
                Kind::File => {
                    found.is_file()
                        && has_mode(stat.mode)
                        && (found.ino(), found.len()) == (copied.inode, copied.size)
                        && is_time_of(modified_ns(&found), stat.modified_ns)
                }
                Kind::Folder => found.is_dir() && has_mode(folder_mode(stat.mode)),
                Kind::Link => {
                    let source = local_path(source, path.as_bstr());
                    let target = fs::read_link(copy).ok();
                    target.is_some() && target == fs::read_link(source).ok()
                }
            }
        })
    }

    /// Whether at least one of the files that were made is in a folder, if there were any.
    pub(super) fn has_one_in(&self, folder: &Path) -> bool {
        let mut files = self
            .files
            .iter()
            .filter(|(_, (stat, _))| stat.kind == Kind::File)
            .peekable();
        files.peek().is_none()
            || files.any(|(path, (_, copied))| {
                let found = fs::symlink_metadata(local_path(folder, path.as_bstr()));
                // The number alone may have gone to a file that was made since. The time of its last change may be that of a
                // hard link.
                found.is_ok_and(|found| {
                    found.ino() == copied.inode && self.is_like(path, Some(found))
                })
            })
    }

    /// Whether a folder has what was copied, as long and as old, and nothing else.
    pub(super) fn is_all_of(&self, folder: &Path) -> bool {
        let mut ahead = vec![BString::default()];
        let mut found = 0;
        while let Some(path) = ahead.pop() {
            let Ok(inside) = fs::read_dir(local_path(folder, path.as_bstr())) else {
                return false;
            };
            for entry in inside {
                let Ok(entry) = entry else {
                    return false;
                };
                let path = joined(&path, &entry.file_name());
                if !self.is_like(&path, entry.metadata().ok()) {
                    return false;
                }
                if self.files[&path].0.kind == Kind::Folder {
                    ahead.push(path);
                }
                found += 1;
            }
        }
        found == self.files.len()
    }

    /// Whether a file may be a copy of that which was copied as `path`.
    fn is_like(&self, path: &BString, found: Option<Metadata>) -> bool {
        let found = found.and_then(|found| Stat::of(&found));
        let (Some((source, _)), Some(found)) = (self.files.get(path), found) else {
            return false;
        };
        (found.kind, found.size) == (source.kind, source.size)
            && (source.kind != Kind::File || is_time_of(found.modified_ns, source.modified_ns))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{HEADER}\n{}\n", self.begun_ns).into_bytes();
        for (path, (stat, copied)) in &self.files {
            let kind = match stat.kind {
                Kind::File => 'f',
                Kind::Folder => 'd',
                Kind::Link => 'l',
            };
            let line = format!(
                "{kind} {} {} {} {} {} {} {} {} ",
                stat.mode,
                stat.size,
                stat.modified_ns,
                stat.changed_ns,
                stat.inode,
                copied.inode,
                copied.changed_ns,
                copied.size
            );
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(path);
            bytes.push(0);
        }
        bytes
    }

    /// `None`: it is none, or one that was cut off.
    pub(super) fn parse(bytes: &[u8]) -> Option<Manifest> {
        let rest = bytes.strip_prefix(format!("{HEADER}\n").as_bytes())?;
        let (begun, rest) = rest.split_once_str("\n")?;
        let mut manifest = Manifest {
            begun_ns: begun.to_str().ok()?.parse().ok()?,
            files: HashMap::new(),
        };
        let Some(lines) = rest.strip_suffix(b"\0") else {
            return rest.is_empty().then_some(manifest);
        };
        for line in lines.split(|byte| *byte == 0) {
            let mut words = line.splitn_str(10, " ");
            let kind = match words.next()? {
                b"f" => Kind::File,
                b"d" => Kind::Folder,
                b"l" => Kind::Link,
                _ => return None,
            };
            let mut number = || words.next()?.to_str().ok()?.parse::<i64>().ok();
            let stat = Stat {
                kind,
                mode: u32::try_from(number()?).ok()?,
                size: u64::try_from(number()?).ok()?,
                modified_ns: number()?,
                changed_ns: number()?,
                inode: number()? as u64,
            };
            let copied = Copied {
                inode: number()? as u64,
                changed_ns: number()?,
                size: u64::try_from(number()?).ok()?,
            };
            manifest.add(words.next()?.into(), stat, copied);
        }
        Some(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &Path) -> Stat {
        Stat::of(&fs::symlink_metadata(path).unwrap()).unwrap()
    }

    #[test]
    fn times_are_kept_in_steps_that_differ() {
        let given = 1_700_000_001_234_567_890;
        for kept in [
            given,
            1_700_000_001_234_567_800,
            1_700_000_001_000_000_000,
            1_700_000_000_000_000_000,
        ] {
            assert!(is_time_of(kept, given), "{kept}");
        }
        for other in [
            given + 1_000_000,
            given + 1_000_000_000,
            1_699_999_999_000_000_000,
        ] {
            assert!(!is_time_of(other, given), "{other}");
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_not_when_it_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "content").unwrap();
        let mut manifest = Manifest::begin();
        for name in ["file", "with space", "new\nline"] {
            manifest.add(name.into(), of(&file), Copied::default());
        }
        manifest.add("folder".into(), of(folder.path()), Copied::default());
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::parse(&bytes), Some(manifest));
        for cut in [0, 5, bytes.len() / 2, bytes.len() - 1] {
            assert_eq!(Manifest::parse(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(
            Manifest::parse(&Manifest::begin().to_bytes())
                .unwrap()
                .len(),
            0
        );
    }

    #[test]
    fn what_changed_just_before_the_copy_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "content").unwrap();
        let mut manifest = Manifest::begin();
        manifest.add("file".into(), of(&file), Copied::default());
        assert!(!manifest.is_unchanged(&"file".into(), &of(&file)));
        manifest.begun_ns += 10 * SETTLED_NS;
        assert!(manifest.is_unchanged(&"file".into(), &of(&file)));
        fs::write(&file, "CONTENT").unwrap();
        assert!(!manifest.is_unchanged(&"file".into(), &of(&file)));
        assert!(!manifest.is_unchanged(&"other".into(), &of(&file)));
    }
}
