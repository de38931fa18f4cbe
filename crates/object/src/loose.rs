//! Loose objects: one deflated file each, in a folder named by the first two digits of the id.
//!
//! A file appears under its name only when it is complete and synced, so a reader never sees a
//! part of one, and neither does the next start after a power cut.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;
use tempfile::NamedTempFile;

use crate::hash::{HEADER_ROOM, object_header};
use crate::pack::inflate::inflate_small;
use crate::{
    CollisionError, MAX_IN_MEMORY, NewObject, Object, ObjectHeader, ObjectId, ObjectKind, oid,
};

/// A folder of loose objects: the `objects` folder of a repository.
#[derive(Clone, Debug)]
pub struct LooseStore {
    folder: PathBuf,
}

/// A loose object that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LooseError {
    /// The system said no.
    #[error("could not use loose object file or folder `{path}`")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file that is no object.
    #[error("loose object `{path}` is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An object too large to be read in one piece; stream it.
    #[error("loose object `{path}` has {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes, inflated.
        size: u64,
        /// The most that is read in one piece.
        limit: u64,
    },
    /// The content is a SHA-1 collision attack.
    #[error(transparent)]
    Collision(#[from] CollisionError),
}

impl LooseStore {
    /// The loose objects of an `objects` folder. Nothing is read yet.
    pub fn open(objects: impl Into<PathBuf>) -> LooseStore {
        LooseStore {
            folder: objects.into(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the object is here.
    pub fn contains(&self, id: &oid) -> Result<bool, LooseError> {
        let path = self.path(id);
        path.try_exists()
            .map_err(|source| LooseError::Io { path, source })
    }

    /// An object's kind and size.
    pub fn header(&self, id: &oid) -> Result<Option<ObjectHeader>, LooseError> {
        let stream = self.stream(id)?;
        Ok(stream.map(|stream| ObjectHeader {
            kind: stream.kind,
            size: stream.size,
        }))
    }

    /// An object in one piece; one over [`MAX_IN_MEMORY`] is refused.
    pub fn read(&self, id: &oid) -> Result<Option<Object>, LooseError> {
        self.read_up_to(id, MAX_IN_MEMORY)
    }

    /// The same; one over `limit` is refused.
    pub(crate) fn read_up_to(&self, id: &oid, limit: u64) -> Result<Option<Object>, LooseError> {
        let path = self.path(id);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LooseError::Io { path, source }),
        };
        let small = read_small(&mut file).map_err(|source| LooseError::Io { path, source })?;
        if small.is_some() {
            return Ok(small);
        }
        let mut stream = LooseStream::begin(file).map_err(|error| self.unreadable(id, error))?;
        if stream.size > limit {
            let (path, size) = (self.path(id), stream.size);
            return Err(LooseError::TooLarge { path, size, limit });
        }
        let mut data = Vec::with_capacity(stream.size as usize);
        match stream.read_to_end(&mut data) {
            Ok(_) => Ok(Some(Object {
                kind: stream.kind,
                data: data.into(),
            })),
            Err(error) => Err(self.unreadable(id, error)),
        }
    }

    /// An object of any size, in pieces.
    pub fn stream(&self, id: &oid) -> Result<Option<LooseStream>, LooseError> {
        let path = self.path(id);
        match File::open(&path) {
            Ok(file) => LooseStream::begin(file)
                .map(Some)
                .map_err(|error| self.unreadable(id, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LooseError::Io { path, source }),
        }
    }

    /// Stores an object, synced to disk, and returns its id.
    pub fn write(&self, kind: ObjectKind, data: &[u8]) -> Result<ObjectId, LooseError> {
        let object = NewObject::new(kind, Bytes::copy_from_slice(data))?;
        self.write_all(std::slice::from_ref(&object))?;
        Ok(object.id)
    }

    /// Stores objects, synced to disk. Those that are here already cost a look only.
    pub fn write_all(&self, objects: &[NewObject]) -> Result<(), LooseError> {
        let mut folders = Vec::new();
        for object in objects {
            if self.contains(&object.id)? {
                continue;
            }
            let path = self.path(&object.id);
            let folder = path
                .parent()
                .expect("the path has a folder of two digits")
                .to_owned();
            self.write_file(object, &folder, &path)
                .map_err(|source| LooseError::Io { path, source })?;
            folders.push(folder);
        }
        if folders.is_empty() {
            return Ok(());
        }
        folders.push(self.folder.clone());
        folders.sort_unstable();
        folders.dedup();
        // The names must survive too. Innermost first: a folder is worth something in its parent.
        for folder in folders.into_iter().rev() {
            let synced = File::open(&folder).and_then(|open| open.sync_all());
            synced.map_err(|source| LooseError::Io {
                path: folder,
                source,
            })?;
        }
        Ok(())
    }

    fn write_file(&self, object: &NewObject, folder: &Path, path: &Path) -> io::Result<()> {
        if let Err(error) = fs::create_dir(folder)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        // The prefix is the one `git prune` removes when a crash leaves such a file behind.
        let mut builder = tempfile::Builder::new();
        builder.prefix("tmp_obj_");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o444));
        let mut file = builder.tempfile_in(folder)?;
        deflate(object, &mut file)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// Calls `visit` with the ids that begin with `hex`, lower-case digits, at least two.
    pub fn prefix(
        &self,
        hex: &str,
        visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>,
    ) -> Result<(), LooseError> {
        let Some((start, rest)) = hex.split_at_checked(2) else {
            return Ok(());
        };
        self.folder_ids(start, &mut |id, name| match name.starts_with(rest) {
            true => visit(id),
            false => ControlFlow::Continue(()),
        })
        .map(|_| ())
    }

    /// Calls `visit` with every id until it breaks, and says whether it did.
    pub fn ids(
        &self,
        visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, LooseError> {
        for first in 0..=u8::MAX {
            if self
                .folder_ids(&format!("{first:02x}"), &mut |id, _| visit(id))?
                .is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The ids in one folder, with the names of their files.
    fn folder_ids(
        &self,
        start: &str,
        visit: &mut dyn FnMut(ObjectId, &str) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, LooseError> {
        let folder = self.folder.join(start);
        let io = |source| LooseError::Io {
            path: folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(ControlFlow::Continue(()));
            }
            Err(error) => return Err(io(error)),
        };
        for entry in entries {
            let name = entry.map_err(io)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Ok(id) = ObjectId::from_hex(format!("{start}{name}").as_bytes())
                && visit(id, name).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn path(&self, id: &oid) -> PathBuf {
        let hex = id.to_hex().to_string();
        let (start, rest) = hex.split_at(2);
        self.folder.join(start).join(rest)
    }

    fn unreadable(&self, id: &oid, source: io::Error) -> LooseError {
        let path = self.path(id);
        let damage = source
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Damage>());
        match damage {
            Some(Damage(reason)) => LooseError::Damaged { path, reason },
            // What flate2 says of bytes that are no zlib stream.
            None if source.kind() == io::ErrorKind::InvalidInput => LooseError::Damaged {
                path,
                reason: "it does not inflate",
            },
            None => LooseError::Io { path, source },
        }
    }
}

/// A file of more bytes is read in pieces.
const SMALL_FILE: u64 = 8 << 10;

/// The object in a small file; `None`, the file being at its start again, if that is not what it holds.
fn read_small(file: &mut File) -> io::Result<Option<Object>> {
    let len = file.metadata()?.len();
    if len > SMALL_FILE {
        return Ok(None);
    }
    let mut zlib = Vec::with_capacity(len as usize);
    file.take(SMALL_FILE).read_to_end(&mut zlib)?;
    let found = inflate_small(&zlib).and_then(|object| {
        let start = &object[..object.len().min(HEADER_ROOM)];
        let (ObjectHeader { kind, size }, len) = parse_header(start)?;
        let data = &object[len..];
        (data.len() as u64 == size).then(|| Object {
            kind,
            data: Bytes::copy_from_slice(data),
        })
    });
    if found.is_none() {
        file.rewind()?;
    }
    Ok(found)
}

fn deflate(object: &NewObject, file: &mut NamedTempFile) -> io::Result<()> {
    let (header, len) = object_header(object.kind, object.data.len() as u64);
    let mut zlib = ZlibEncoder::new(io::BufWriter::new(file), Compression::fast());
    zlib.write_all(&header[..len])?;
    zlib.write_all(&object.data)?;
    zlib.finish()?.flush()
}

/// A loose object's content in pieces. It ends after `size` bytes or fails.
pub struct LooseStream {
    /// What the object is.
    pub kind: ObjectKind,
    /// Its size in bytes.
    pub size: u64,
    left: u64,
    /// What was inflated behind the header.
    ahead: Bytes,
    zlib: ZlibDecoder<io::BufReader<File>>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Damage(&'static str);

fn damage(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Damage(reason))
}

impl LooseStream {
    fn begin(file: File) -> io::Result<LooseStream> {
        let mut zlib = ZlibDecoder::new(io::BufReader::new(file));
        let mut start = [0; HEADER_ROOM];
        let mut filled = 0;
        while filled < start.len() {
            match zlib.read(&mut start[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        let (ObjectHeader { kind, size }, len) =
            parse_header(&start[..filled]).ok_or_else(|| damage("its header cannot be read"))?;
        let ahead = Bytes::copy_from_slice(&start[len..filled]);
        Ok(LooseStream {
            kind,
            size,
            left: size,
            ahead,
            zlib,
        })
    }
}

/// Reads `<kind> <size>\0`; also returns its length.
fn parse_header(start: &[u8]) -> Option<(ObjectHeader, usize)> {
    let nul = start.iter().position(|&byte| byte == 0)?;
    let text = std::str::from_utf8(&start[..nul]).ok()?;
    let (kind, digits) = text.split_once(' ')?;
    let is_number = digits == "0" || !digits.starts_with(['0', '+']);
    let size = digits.parse().ok().filter(|_| is_number)?;
    Some((
        ObjectHeader {
            kind: kind.parse().ok()?,
            size,
        },
        nul + 1,
    ))
}

impl Read for LooseStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let n = if self.ahead.is_empty() {
            self.zlib.read(out)?
        } else {
            let n = out.len().min(self.ahead.len());
            out[..n].copy_from_slice(&self.ahead.split_to(n));
            n
        };
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| damage("it is longer than it says"))?;
        match n {
            0 if self.left > 0 => Err(damage("it is shorter than it says")),
            n => Ok(n),
        }
    }
}

impl std::fmt::Debug for LooseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LooseStream({}, {} bytes)", self.kind, self.size)
    }
}
