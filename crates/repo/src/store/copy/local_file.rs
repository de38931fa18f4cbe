//! Reading one local file or link.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use packhouse_object::{NewObject, ObjectHasher, ObjectId, ObjectKind};
use rustix::fs::OFlags;

use crate::store::{FileType, StoreError};

/// Larger files are read in pieces.
pub(super) const WHOLE_BYTES_MAX: u64 = 1 << 20;
const TYPE_BITS: u32 = 0o170000;
const FILE: u32 = 0o100000;
const LINK: u32 = 0o120000;
const PIECE_LEN: usize = 256 << 10;
/// How often a file that changes is read again.
const TRIES: u32 = 3;

/// Which file it is, under whatever name: device and number.
pub(super) type FileId = (u64, u64);

/// What `stat` says of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

/// What `stat` says of a local file: the part that is of use here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) file: FileId,
    pub(super) stamp: Stamp,
    mode: u32,
}

impl From<&Metadata> for Found {
    fn from(found: &Metadata) -> Self {
        Found {
            file: (found.dev(), found.ino()),
            stamp: Stamp {
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            },
            mode: found.mode(),
        }
    }
}

impl Found {
    pub(super) fn is_file(&self) -> bool {
        self.mode & TYPE_BITS == FILE
    }

    pub(super) fn is_link(&self) -> bool {
        self.mode & TYPE_BITS == LINK
    }

    /// What becomes of the file in a store.
    pub(super) fn file_type(&self) -> FileType {
        match self.mode & 0o111 {
            _ if self.is_link() => FileType::Link,
            0 => FileType::Blob,
            _ => FileType::Executable,
        }
    }

    /// Whether it is a file whose time is before the second that `seconds` names. What was written within that second can
    /// have been before or after whatever else happened in it.
    pub(super) fn is_older_than(&self, seconds: i64) -> bool {
        self.is_file() && self.stamp.modified.0 < seconds
    }
}

/// What a local file has in it.
pub(super) enum Content {
    /// All of it.
    Whole(NewObject),
    /// It is large, and its id has to be found out.
    Hashing(Box<Hashing>),
    /// It is large and nobody asked for its id.
    Large,
}

/// What `path` is, or what it leads to.
pub(super) fn look_at(path: &Path, follow: bool) -> Result<Found, StoreError> {
    let found = match follow {
        true => fs::metadata(path),
        false => fs::symlink_metadata(path),
    };
    let found = found.map_err(StoreError::local(path))?;
    Ok(Found::from(&found))
}

/// Opens a plain file: never a link unless `follow`, and without waiting for the other end of a pipe.
pub(in crate::store) fn open(path: &Path, follow: bool) -> Result<(File, Metadata), StoreError> {
    let mut flags = OFlags::NONBLOCK;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let opened = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .and_then(|file| file.metadata().map(|found| (file, found)));
    let (file, found) = opened.map_err(StoreError::local(path))?;
    match found.is_file() {
        true => Ok((file, found)),
        false if found.is_dir() => Err(StoreError::local(path)(io::ErrorKind::IsADirectory.into())),
        false => Err(StoreError::local(path)(io::Error::other(
            "not a regular file",
        ))),
    }
}

/// The target of a link as an object.
pub(super) fn read_link(path: &Path) -> Result<NewObject, StoreError> {
    let target = fs::read_link(path).map_err(StoreError::local(path))?;
    let target = target.into_os_string().into_vec();
    Ok(NewObject::new(ObjectKind::Blob, target)?)
}

/// Reads a file; of a large one it is begun to find out the id, if that is asked for. What is found of it is found before
/// reading.
pub(super) fn read(path: &Path, follow: bool, hash: bool) -> Result<(Content, Found), StoreError> {
    let (mut file, found) = open(path, follow)?;
    if found.len() <= WHOLE_BYTES_MAX {
        let mut data = Vec::with_capacity(found.len() as usize + 1);
        let limit = WHOLE_BYTES_MAX + 1;
        (&mut file)
            .take(limit)
            .read_to_end(&mut data)
            .map_err(StoreError::local(path))?;
        if (data.len() as u64) < limit {
            let object = NewObject::new(ObjectKind::Blob, data)?;
            return Ok((Content::Whole(object), Found::from(&found)));
        }
    }
    if !hash {
        return Ok((Content::Large, Found::from(&found)));
    }
    let hashing = Hashing::begin(path, follow, TRIES)?;
    Ok((Content::Hashing(Box::new(hashing)), Found::from(&found)))
}

/// A large file whose id is found out part by part, so that in between whoever waits for it can be asked.
pub(super) struct Hashing {
    path: PathBuf,
    follow: bool,
    file: File,
    /// What was found of it before reading.
    found: Metadata,
    hasher: ObjectHasher,
    done: u64,
    /// How often it may be read from its beginning.
    tries: u32,
}

/// How far a file was hashed.
pub(super) enum Hashed {
    /// To its end, and this was found of it before reading.
    Whole(ObjectId, Found),
    /// There is more.
    Part(Box<Hashing>),
}

impl Hashing {
    fn begin(path: &Path, follow: bool, tries: u32) -> Result<Hashing, StoreError> {
        let (file, found) = open(path, follow)?;
        Ok(Hashing {
            path: path.to_owned(),
            follow,
            file,
            hasher: ObjectHasher::new(ObjectKind::Blob, found.len()),
            found,
            done: 0,
            tries,
        })
    }

    /// Reads on until a point in time, at least a piece.
    pub(super) fn go_on(mut self: Box<Self>, until: Instant) -> Result<Hashed, StoreError> {
        let mut piece = vec![0; PIECE_LEN];
        loop {
            let n = match self.file.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                n => n.map_err(StoreError::local(&self.path))?,
            };
            self.done += n as u64;
            let size = self.found.len();
            if n == 0 && self.done == size {
                let found = Found::from(&self.found);
                return Ok(Hashed::Whole(self.hasher.finish()?, found));
            }
            if n > 0 && self.done <= size {
                self.hasher.update(&piece[..n]);
            } else if self.tries > 1 {
                *self = Hashing::begin(&self.path, self.follow, self.tries - 1)?;
            } else {
                return Err(StoreError::local(&self.path)(io::Error::other(
                    "the file changes while it is read",
                )));
            }
            if Instant::now() >= until {
                return Ok(Hashed::Part(self));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packhouse_object::hash_object;

    #[test]
    fn a_file_is_hashed_part_by_part_and_again_if_its_size_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let data: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
        for (size, becomes) in [
            (2_000_000, 2_000_000),
            (2_000_000, 1_500_000),
            (1_500_000, 2_000_000),
        ] {
            fs::write(&path, &data[..size]).unwrap();
            let mut hashing = Box::new(Hashing::begin(&path, false, TRIES).unwrap());
            let mut parts = 0;
            let (id, found) = loop {
                match hashing.go_on(Instant::now()).unwrap() {
                    Hashed::Whole(id, found) => break (id, found),
                    Hashed::Part(part) => hashing = part,
                }
                parts += 1;
                if parts == 2 {
                    let file = File::options().write(true).open(&path).unwrap();
                    file.set_len(becomes as u64).unwrap();
                }
            };
            let mut now = data[..size.min(becomes)].to_vec();
            now.resize(becomes, 0);
            assert_eq!(id, hash_object(ObjectKind::Blob, &now).unwrap());
            assert_eq!(found.stamp.size, becomes as u64);
            assert_eq!(parts == 8, size == becomes, "{parts}");
        }
    }

    #[test]
    fn a_file_that_changes_all_the_time_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        let mut hashing = Box::new(Hashing::begin(&path, false, TRIES).unwrap());
        let error = loop {
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(hashing.found.len() - 1).unwrap();
            match hashing.go_on(Instant::now()) {
                Ok(Hashed::Part(part)) => hashing = part,
                Ok(Hashed::Whole(..)) => panic!("it was never as it was found"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("changes"), "{error}");
    }

    #[test]
    fn a_file_is_older_if_its_time_is_before_the_second() {
        let is_older = |modified, mode| {
            let stamp = Stamp {
                size: 1,
                modified: (modified, 999_999_999),
                changed: (5000, 0),
            };
            let file = (1, 2);
            Found { file, stamp, mode }.is_older_than(100)
        };
        assert!(is_older(99, FILE));
        assert!(is_older(-1, FILE));
        // Written in the second, after it, or in the future.
        for modified in [100, 101, 5000] {
            assert!(!is_older(modified, FILE));
        }
        assert!(!is_older(99, LINK));
    }
}
