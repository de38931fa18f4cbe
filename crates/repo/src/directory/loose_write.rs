//! Writing loose objects with as few system calls as it takes.
//!
//! A file is written under a name that `git prune` knows to remove, and gets its own name by renaming: whole, and in
//! full durability synced, before it is an object. `git gc --prune=now` removes it also while it is written; it stays
//! open, so that its content is there still.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use flate2::read::ZlibDecoder;
use packhouse_object::{
    NewObject, ObjectHasher, ObjectId, ObjectKind, ProcessMark, WritePackFileError,
};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW};

use super::deflate::{Deflater, deflate_to};
use super::error::DirectoryError;
use super::layout::ObjectsDir;
use super::permissions::Sharing;
use super::side_by_side::Job;

/// How often a folder is made again because `git gc` found it empty and removed it.
const FOLDER_ATTEMPTS: u32 = 100;

/// How often a file is written again because `git gc --prune=now` removed it before it was in its place.
const STAGE_ATTEMPTS: u32 = 20;

/// Streams pass through memory in pieces of this size.
const PIECE_LEN: usize = 256 << 10;

/// Over what stands before the content of any object.
const HEADER_BYTES_MAX: u64 = 32;

/// A loose object that is complete but not in its place; dropping it removes the file, in the process that made it.
#[derive(Debug)]
pub(crate) struct StagedObject {
    id: ObjectId,
    temporary: PathBuf,
    file: Arc<File>,
    /// Whether the object's folder was made for it.
    made_folder: bool,
    placed: Option<Placed>,
    made_in: ProcessMark,
}

/// A file that has got its name.
#[derive(Debug)]
struct Placed {
    path: PathBuf,
    /// How many names it had then, and when that was changed last, if that could be asked.
    names: Option<Names>,
}

/// What the system says of the names of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Names {
    count: u64,
    changed: (i64, i64),
}

impl Names {
    fn of(file: &File) -> Option<Names> {
        let found = file.metadata().ok()?;
        Some(Names {
            count: found.nlink(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl StagedObject {
    /// The object.
    pub(crate) fn id(&self) -> ObjectId {
        self.id
    }

    /// Whether its file has the name it was given still.
    pub(super) fn is_there(&self) -> bool {
        let Some(placed) = &self.placed else {
            return false;
        };
        // Asking the open file takes a tenth of looking its name up. Nobody who links or unlinks it leaves this as it was.
        let unchanged = placed.names.is_some() && placed.names == Names::of(&self.file);
        unchanged || fs::symlink_metadata(&placed.path).is_ok()
    }

    /// The object's kind, its size in bytes, and its content, also where somebody removed the file.
    pub(crate) fn content(&self) -> io::Result<(ObjectKind, u64, impl Read + use<>)> {
        let mut stream = BufReader::new(ZlibDecoder::new(FromStart::of(&self.file)));
        let mut header = Vec::new();
        (&mut stream)
            .take(HEADER_BYTES_MAX)
            .read_until(0, &mut header)?;
        let (kind, size) = parse_header(&header).ok_or(ErrorKind::InvalidData)?;
        Ok((kind, size, stream))
    }

    /// The content, to be made durable.
    pub(super) fn to_sync(&self) -> Job {
        Job::Content(self.file.clone(), self.temporary.clone())
    }

    /// Moves the file to its place. Returns its folder, and whether that had to be made.
    fn place(
        &mut self,
        objects: &ObjectsDir,
        durable: bool,
    ) -> Result<(PathBuf, bool), DirectoryError> {
        let (folder, path) = place_of(&objects.path, &self.id);
        for _ in 0..STAGE_ATTEMPTS {
            let (is_placed, made) = in_folder(&folder, objects.sharing, || {
                match fs::rename(&self.temporary, &path) {
                    Err(error) if error.kind() == ErrorKind::NotFound && self.is_removed() => {
                        Ok(false)
                    }
                    renamed => renamed.map(|()| true),
                }
            })
            .map_err(DirectoryError::io("make", &path))?;
            self.made_folder |= made;
            if is_placed {
                let names = Names::of(&self.file).filter(|names| names.count > 0);
                self.placed = Some(Placed { path, names });
                return Ok((folder, self.made_folder));
            }
            self.stage_again(&folder, objects.sharing, durable)?;
        }
        Err(DirectoryError::io("make", &path)(io::Error::new(
            ErrorKind::NotFound,
            format!(
                "its file was removed {STAGE_ATTEMPTS} times before it was in its place: is `git gc --prune=now` at work again and again?"
            ),
        )))
    }

    fn is_removed(&self) -> bool {
        let found = fs::symlink_metadata(&self.temporary);
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// Writes the file anew from what is open still.
    fn stage_again(
        &mut self,
        folder: &Path,
        sharing: Sharing,
        durable: bool,
    ) -> Result<(), DirectoryError> {
        let (temporary, file, made_folder) = create(folder, sharing)?;
        let removed = std::mem::replace(&mut self.file, Arc::new(file));
        self.temporary = temporary;
        self.made_folder |= made_folder;
        let copied = io::copy(&mut FromStart::of(&removed), &mut &*self.file);
        copied
            .and_then(|_| match durable {
                true => self.file.sync_data(),
                false => Ok(()),
            })
            .map_err(DirectoryError::io("write", &self.temporary))
    }
}

/// Reads an open file from its first byte on, wherever others are in it.
pub(super) struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl FromStart {
    pub(super) fn of(file: &Arc<File>) -> FromStart {
        FromStart {
            file: file.clone(),
            at: 0,
        }
    }
}

impl Read for FromStart {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// What stands before the content of an object: its kind and its size.
fn parse_header(header: &[u8]) -> Option<(ObjectKind, u64)> {
    let header = std::str::from_utf8(header).ok()?.strip_suffix('\0')?;
    let (kind, size) = header.split_once(' ')?;
    Some((kind.parse().ok()?, size.parse().ok()?))
}

/// Moves all of these to their places; with `durable`, what has to be written again is synced. Returns the folders whose
/// names are new.
pub(super) fn place_all(
    staged: &mut [StagedObject],
    objects: &ObjectsDir,
    durable: bool,
) -> Result<BTreeSet<PathBuf>, DirectoryError> {
    let mut folders = BTreeSet::new();
    for object in staged {
        let (folder, made) = object.place(objects, durable)?;
        if made {
            folders.insert(objects.path.clone());
        }
        folders.insert(folder);
    }
    Ok(folders)
}

/// The folder and the file of a loose object.
pub(super) fn place_of(objects: &Path, id: &ObjectId) -> (PathBuf, PathBuf) {
    let hex = id.to_string();
    let folder = objects.join(&hex[..2]);
    let path = folder.join(&hex[2..]);
    (folder, path)
}

/// Does something that needs a folder, making the folder if it is not there. Returns whether it was made.
pub(super) fn in_folder<T>(
    folder: &Path,
    sharing: Sharing,
    mut work: impl FnMut() -> io::Result<T>,
) -> io::Result<(T, bool)> {
    let (mut made, mut attempts) = (false, 1);
    loop {
        match work() {
            Err(error) if error.kind() == ErrorKind::NotFound && attempts < FOLDER_ATTEMPTS => {
                attempts += 1;
                match sharing.create_folder(folder) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                    _ => made = true,
                }
            }
            done => return done.map(|value| (value, made)),
        }
    }
}

impl Drop for StagedObject {
    fn drop(&mut self) {
        if self.placed.is_none() && self.made_in.is_here() {
            // `git prune` removes what is left.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes a file that is not an object yet.
fn create(folder: &Path, sharing: Sharing) -> Result<(PathBuf, File, bool), DirectoryError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("tmp_obj_{:x}_{number:x}", std::process::id()));
        let made = in_folder(folder, sharing, || sharing.create_read_only(&path));
        match made {
            // A process of this number was killed.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(DirectoryError::io("make", &path)(error)),
            Ok((file, made_folder)) => return Ok((path, file, made_folder)),
        }
    }
}

/// Writes an object that is in memory, into the folder it will be in.
pub(crate) fn stage(
    objects: &ObjectsDir,
    object: &NewObject,
    level: Option<u32>,
) -> Result<StagedObject, DirectoryError> {
    let (folder, _) = place_of(&objects.path, &object.id);
    let (temporary, file, made_folder) = create(&folder, objects.sharing)?;
    let staged = StagedObject {
        id: object.id,
        temporary,
        file: Arc::new(file),
        made_folder,
        placed: None,
        made_in: ProcessMark::here(),
    };
    let level = level.or_else(|| is_better_stored(object).then_some(0));
    let header = format!("{} {}\0", object.kind, object.data.len());
    let written = deflate_to(&staged.file, level, header.as_bytes(), &object.data);
    written.map_err(DirectoryError::io("write", &staged.temporary))?;
    Ok(staged)
}

/// Whether a loose object is there. It counts as written just now, so that nothing collects it as left over.
///
/// For writes that need not be durable: what is there may not be. An empty file is what a crash of the system leaves.
pub(crate) fn is_there(objects: &ObjectsDir, object: &NewObject) -> bool {
    let (_, path) = place_of(&objects.path, &object.id);
    let now = Timestamps {
        last_access: NOW,
        last_modification: NOW,
    };
    // One call where it is not there, which is the rule.
    rustix::fs::utimensat(CWD, &path, &now, AtFlags::empty()).is_ok()
        && fs::metadata(&path).is_ok_and(|file| file.len() > 0)
}

const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: UTIME_NOW,
};

/// A file takes a whole block of the disk, however small it is.
const BLOCK_BYTES: usize = 4 << 10;

/// Whether deflating would gain nothing, or little for what it costs: trees are mostly ids, which are random.
fn is_better_stored(object: &NewObject) -> bool {
    object.data.len() + 64 < BLOCK_BYTES || object.kind == ObjectKind::Tree
}

/// Writes a blob of any size, which must end after `size` bytes.
pub(crate) fn stage_stream(
    objects: &ObjectsDir,
    size: u64,
    data: &mut dyn Read,
    level: Option<u32>,
) -> Result<StagedObject, WritePackFileError> {
    let made = create(&objects.path, objects.sharing);
    let (temporary, file, _) = made.map_err(|error| match error {
        DirectoryError::Io { source, .. } => WritePackFileError::Io(source),
        other => WritePackFileError::Io(io::Error::other(other)),
    })?;
    let mut staged = StagedObject {
        id: ObjectId::null(packhouse_object::HashKind::Sha1),
        temporary,
        file: Arc::new(file),
        made_folder: false,
        placed: None,
        made_in: ProcessMark::here(),
    };
    let file = staged.file.clone();
    let file = &*file;
    let mut hasher = ObjectHasher::new(ObjectKind::Blob, size);
    let header = format!("{} {size}\0", ObjectKind::Blob);
    let mut deflater = Deflater::new();
    let mut found = 0;
    // One thread deflates and writes what another one hashes.
    thread::scope(|scope| -> Result<(), WritePackFileError> {
        let (pieces, hashed) = std::sync::mpsc::sync_channel::<Vec<u8>>(2);
        let (back, spare) = std::sync::mpsc::channel::<Vec<u8>>();
        let hashing = scope.spawn(move || {
            for piece in hashed {
                hasher.update(&piece);
                let _ = back.send(piece);
            }
            hasher
        });
        let mut first = true;
        loop {
            let mut piece = match spare.try_recv() {
                Ok(piece) => piece,
                Err(_) => vec![0; PIECE_LEN],
            };
            piece.resize(PIECE_LEN, 0);
            let n = read_full(data, &mut piece).map_err(WritePackFileError::Source)?;
            piece.truncate(n);
            found += n as u64;
            if first {
                deflater.begin(level, &piece);
                deflater.push(header.as_bytes(), false, Some(file))?;
                first = false;
            }
            if found > size || (n < PIECE_LEN && found < size) {
                let expected = size;
                return Err(WritePackFileError::Size { expected, found });
            }
            let is_last = n < PIECE_LEN;
            deflater.push(&piece, is_last, Some(file))?;
            let sent = pieces.send(piece);
            sent.map_err(|_| io::Error::other("the hashing thread is gone"))?;
            if is_last {
                break;
            }
        }
        drop(pieces);
        let hasher = hashing
            .join()
            .map_err(|_| io::Error::other("the hashing thread is gone"))?;
        staged.id = hasher.finish()?;
        Ok(())
    })?;
    Ok(staged)
}

fn read_full(from: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match from.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use packhouse_object::LooseStore;

    use super::super::side_by_side::sync_side_by_side;
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn what_is_staged_is_read_back_after_it_is_placed() {
        let folder = tempfile::tempdir().unwrap();
        let objects = ObjectsDir {
            path: folder.path().to_owned(),
            sharing: Sharing::Umask,
            reverse_indexes: false,
        };
        let loose = LooseStore::open(&objects.path);
        for data in [
            Vec::new(),
            b"x".to_vec(),
            vec![7; 200_000],
            noise(300_000),
            noise(40_000),
        ] {
            for level in [None, Some(0), Some(6)] {
                let object = NewObject::new(ObjectKind::Blob, data.clone()).unwrap();
                let mut staged = stage(&objects, &object, level).unwrap();
                sync_side_by_side(vec![staged.to_sync()]).unwrap();
                staged.place(&objects, true).unwrap();
                assert_eq!(loose.read(&object.id).unwrap().unwrap().data, data);

                let size = data.len() as u64;
                let mut staged =
                    stage_stream(&objects, size, &mut Cursor::new(&data), level).unwrap();
                assert_eq!(staged.id(), object.id);
                staged.place(&objects, true).unwrap();
                assert_eq!(loose.read(&object.id).unwrap().unwrap().data, data);
            }
        }
    }

    #[test]
    fn what_is_removed_before_it_is_placed_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let objects = ObjectsDir {
            path: folder.path().to_owned(),
            sharing: Sharing::Umask,
            reverse_indexes: false,
        };
        let loose = LooseStore::open(&objects.path);
        for data in [Vec::new(), noise(300_000)] {
            for durable in [false, true] {
                let object = NewObject::new(ObjectKind::Blob, data.clone()).unwrap();
                let size = data.len() as u64;
                let staged = [
                    stage(&objects, &object, None).unwrap(),
                    stage_stream(&objects, size, &mut Cursor::new(&data), None).unwrap(),
                ];
                for mut staged in staged {
                    fs::remove_file(&staged.temporary).unwrap();
                    let (its_folder, path) = place_of(&objects.path, &object.id);
                    let _ = fs::remove_dir(&its_folder);
                    let (kind, found, mut content) = staged.content().unwrap();
                    assert_eq!((kind, found), (ObjectKind::Blob, size));
                    let mut read = Vec::new();
                    content.read_to_end(&mut read).unwrap();
                    assert!(read == data);
                    staged.place(&objects, durable).unwrap();
                    assert!(loose.read(&object.id).unwrap().unwrap().data == data);
                    // Nothing else is left.
                    drop(staged);
                    assert_eq!(fs::read_dir(&its_folder).unwrap().count(), 1);
                    fs::remove_file(path).unwrap();
                }
            }
        }
    }

    #[test]
    fn whether_an_object_has_its_name_is_known_whatever_links_it() {
        let folder = tempfile::tempdir().unwrap();
        let objects = ObjectsDir {
            path: folder.path().to_owned(),
            sharing: Sharing::Umask,
            reverse_indexes: false,
        };
        let object = NewObject::new(ObjectKind::Blob, &b"x"[..]).unwrap();
        let (_, path) = place_of(&objects.path, &object.id);
        let second = folder.path().join("second");
        let mut staged = stage(&objects, &object, None).unwrap();
        assert!(!staged.is_there());
        staged.place(&objects, false).unwrap();
        assert!(staged.is_there());
        // As `git clone --local` links it, and a collection then removes it.
        fs::hard_link(&path, &second).unwrap();
        assert!(staged.is_there());
        fs::remove_file(&path).unwrap();
        assert!(!staged.is_there());
        fs::remove_file(&second).unwrap();
        assert!(!staged.is_there());
    }

    #[test]
    fn streams_of_another_size_and_dropped_objects_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let objects = ObjectsDir {
            path: folder.path().to_owned(),
            sharing: Sharing::Umask,
            reverse_indexes: false,
        };
        for size in [0, 4, 6, 1 << 20] {
            let error = stage_stream(&objects, size, &mut Cursor::new(b"hello"), None);
            assert!(matches!(error, Err(WritePackFileError::Size { .. })));
        }
        let object = NewObject::new(ObjectKind::Blob, &b"x"[..]).unwrap();
        drop(stage(&objects, &object, None).unwrap());
        let (its_folder, _) = place_of(folder.path(), &object.id);
        assert_eq!(fs::read_dir(&its_folder).unwrap().count(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
