//! Git's index of a working tree, version 2.
//!
//! With what the files say of themselves it spares `git status` from reading them all.

use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use bstr::{BString, ByteSlice};
use packhouse_object::{EntryMode, ObjectId};
use ring::digest;
use rustix::fs::FileType;

use super::CacheError;
use super::new_files::Noted;
use super::way::Way;

/// One file of the index.
#[derive(Clone, Debug)]
pub(super) struct IndexEntry {
    pub(super) path: BString,
    pub(super) mode: EntryMode,
    pub(super) id: ObjectId,
}

/// Whether the files are known to be what the index says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// They were written from it just now.
    Files,
    /// Git has to look.
    Nothing,
}

/// What Git notes of a file to know whether it changed. Numbers are cut to 32 bits, as Git cuts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stat([u32; 9]);

impl Stat {
    pub(super) fn of(found: &Metadata) -> Stat {
        Stat([
            found.ctime() as u32,
            found.ctime_nsec() as u32,
            found.mtime() as u32,
            found.mtime_nsec() as u32,
            found.dev() as u32,
            found.ino() as u32,
            found.uid(),
            found.gid(),
            found.len() as u32,
        ])
    }

    /// Whether both are of one content, as far as the time when it was written and its length tell.
    fn is_same_content(&self, found: &rustix::fs::Stat) -> bool {
        let found = [
            found.st_mtime as u32,
            found.st_mtime_nsec as u32,
            found.st_size as u32,
        ];
        self.content() == found
    }

    /// When the content was written, and its length.
    fn content(&self) -> [u32; 3] {
        let Stat(numbers) = self;
        [numbers[2], numbers[3], numbers[8]]
    }
}

/// One file as an index has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indexed<'a> {
    pub(super) path: &'a [u8],
    pub(super) mode: u32,
    pub(super) id: &'a [u8],
    pub(super) stat: Stat,
}

const FOLDER: u32 = EntryMode::Submodule as u32;
const LINK: u32 = EntryMode::Symlink as u32;

/// So much of an entry comes before its path.
const FIXED_BYTES: usize = 62;
/// Length of a path that does not fit into the field for it.
const LONG_PATH: usize = 0xfff;

/// The files of an index of version 2, in the order of their paths. `None`: it is of another version, or cut off.
///
/// Files that are in conflict, or that Git was told to take for unchanged, are left out.
pub(super) fn read_index(bytes: &[u8]) -> Option<Vec<Indexed<'_>>> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    if !bytes.starts_with(b"DIRC") || number(4)? != 2 {
        return None;
    }
    let mut files = Vec::new();
    let mut at = 12;
    for _ in 0..number(8)? {
        let fixed = bytes.get(at..at + FIXED_BYTES)?;
        let flags = u16::from_be_bytes(fixed[60..].try_into().ok()?);
        let rest = &bytes[at + FIXED_BYTES..];
        let len = match usize::from(flags) & LONG_PATH {
            LONG_PATH => rest.find_byte(0)?,
            len => len,
        };
        let path = rest.get(..len)?;
        if flags >> 12 == 0 {
            let mut stat = [0; 9];
            // The mode is in the middle.
            for (to, from) in stat.iter_mut().zip([0, 4, 8, 12, 16, 20, 28, 32, 36]) {
                *to = number(at + from)?;
            }
            files.push(Indexed {
                path,
                mode: number(at + 24)?,
                id: &fixed[40..60],
                stat: Stat(stat),
            });
        }
        at += padded(FIXED_BYTES + len);
    }
    Some(files)
}

/// Stands for what an index has: path, mode and id of each file. Where the files were written with it, it stands for their
/// lengths and times too: what Git wrote in their place since may be something else (a pointer of Git LFS, other ends of
/// lines), though it is of the same id.
pub(super) fn digest_of(files: &[Indexed<'_>], trust: Trust) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for file in files {
        context.update(&file.mode.to_be_bytes());
        context.update(file.id);
        context.update(file.path);
        context.update(b"\0");
        // What a folder says of itself changes with what is in it.
        if trust == Trust::Files && file.mode != FOLDER {
            for number in file.stat.content() {
                context.update(&number.to_be_bytes());
            }
        }
    }
    digits_of(context.finish().as_ref())
}

/// A digest in hexadecimal digits.
pub(super) fn digits_of(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the files of a working tree are there as they were written, as far as a look at each tells.
pub(super) fn are_there(tree: &Path, files: &[Indexed<'_>]) -> bool {
    let Ok(mut way) = Way::into(tree) else {
        return files.is_empty();
    };
    files.iter().all(|file| {
        let found = way.look_at(file.path);
        found.is_ok_and(|found| is_as(tree, file, &found))
    })
}

fn is_as(tree: &Path, file: &Indexed<'_>, found: &rustix::fs::Stat) -> bool {
    let kind = FileType::from_raw_mode(found.st_mode);
    let is_kind = match file.mode {
        FOLDER => return kind.is_dir(),
        LINK => kind.is_symlink(),
        mode => {
            let may_run = found.st_mode & 0o100 != 0;
            let as_noted = may_run == (mode == EntryMode::Executable as u32);
            kind.is_file() && (as_noted || !keeps_modes(tree))
        }
    };
    is_kind && file.stat.is_same_content(found)
}

fn may_run(found: &Metadata) -> bool {
    found.mode() & 0o100 != 0
}

/// Whether the file system keeps apart which files may be run. It is asked only where one is not as it should be.
pub(super) fn keeps_modes(tree: &Path) -> bool {
    let keeps = |mode: u32| {
        let mut options = tempfile::Builder::new();
        let made = options
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(tree)?;
        made.as_file().metadata()
    };
    // Where nothing can be written, nothing is made anew either.
    match (keeps(0o700), keeps(0o600)) {
        (Ok(runs), Ok(rests)) => may_run(&runs) && !may_run(&rests),
        _ => true,
    }
}

/// With one to eight NULs behind it, so that the next one begins at a multiple of eight.
fn padded(len: usize) -> usize {
    (len / 8 + 1) * 8
}

/// Writes the index of a tree, and says what stands for it ([`digest_of`]). The entries are in Git's order; `files` are what
/// theirs say of themselves, which were written just now, or else Git has to look.
pub(super) fn write_index(
    index: &Path,
    entries: &[IndexEntry],
    files: Option<&[Option<Noted>]>,
) -> Result<String, CacheError> {
    let mut bytes = Vec::with_capacity(entries.len() * 96 + 32);
    bytes.extend_from_slice(b"DIRC");
    bytes.extend_from_slice(&2u32.to_be_bytes());
    let count = u32::try_from(entries.len()).map_err(|_| CacheError::Config {
        reason: "the tree has more files than an index can have".to_owned(),
    })?;
    bytes.extend_from_slice(&count.to_be_bytes());
    let noted = files.unwrap_or_default().iter().copied();
    for (entry, noted) in entries.iter().zip(noted.chain(std::iter::repeat(None))) {
        push(&mut bytes, entry, noted.map(|noted| noted.stat));
    }
    let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    bytes.extend_from_slice(sum.as_ref());
    fs::write(index, &bytes).map_err(CacheError::file(index))?;
    let trust = match files {
        Some(_) => Trust::Files,
        None => Trust::Nothing,
    };
    Ok(digest_of(&read_index(&bytes).unwrap_or_default(), trust))
}

fn push(bytes: &mut Vec<u8>, entry: &IndexEntry, stat: Option<Stat>) {
    let begun = bytes.len();
    let Stat(stat) = stat.unwrap_or_default();
    for (at, number) in stat.into_iter().enumerate() {
        if at == 6 {
            bytes.extend_from_slice(&(entry.mode as u32).to_be_bytes());
        }
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(entry.id.as_bytes());
    let name_len = entry.path.len().min(LONG_PATH) as u16;
    bytes.extend_from_slice(&name_len.to_be_bytes());
    bytes.extend_from_slice(&entry.path);
    let len = bytes.len() - begun;
    bytes.resize(begun + padded(len), 0);
}

#[cfg(test)]
mod tests {
    use super::super::new_files::NewFiles;
    use super::*;

    #[test]
    fn an_index_is_read_as_it_was_written_and_not_when_it_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let long = "l".repeat(200);
        let paths = ["a", "b/c", "b/seven77", &[long.as_str(); 24].join("/")];
        let entries = paths.map(|path| IndexEntry {
            path: path.into(),
            mode: EntryMode::Executable,
            id: ObjectId::from_hex(&[b'7'; 40]).unwrap(),
        });
        fs::write(folder.path().join("a"), "content").unwrap();
        let index = folder.path().join("index");
        let files = NewFiles::new(&entries).look(folder.path());
        write_index(&index, &entries, Some(&files)).unwrap();
        let bytes = fs::read(&index).unwrap();
        let found = read_index(&bytes).unwrap();
        for (found, entry) in found.iter().zip(&entries) {
            assert_eq!(found.path, entry.path.as_slice());
            assert_eq!((found.mode, found.id), (0o100755, entry.id.as_bytes()));
        }
        assert_eq!(found.len(), entries.len());
        let stat = Stat::of(&fs::metadata(folder.path().join("a")).unwrap());
        assert_eq!(found[0].stat, stat);
        assert_eq!(found[1].stat, Stat::default());
        for cut in [0, 4, 11, 12, 70, 80, bytes.len() - 40] {
            assert!(read_index(&bytes[..cut]).is_none(), "{cut}");
        }
        // Of a file that Git was told to take for unchanged nothing is known.
        let mut told = bytes.clone();
        told[12 + 60] |= 0x80;
        assert_eq!(read_index(&told).unwrap()[0].path, b"b/c");
        told[7] = 3;
        assert!(read_index(&told).is_none());
    }
}
