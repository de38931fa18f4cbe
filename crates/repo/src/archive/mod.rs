//! Archives of a commit's files, as `git archive` writes them.
//!
//! A tar has the bytes that `git archive --format=tar` gives it: folders before what is in them, times of the commit, its
//! id in front. So an archive of one commit is the same wherever and whenever it is made. What is left out by a filter
//! leaves no empty folder behind. Attributes (`export-ignore`, `export-subst`) have no effect.

mod filter;
mod tar;
mod walk;
mod zip;

use std::io::{self, Write};

use bstr::{BStr, BString};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use packhouse_object::{Database, EntryMode, ObjectId, ObjectStream, ReadError};

pub use self::filter::ArchiveFilter;
use self::tar::TarWriter;
use self::walk::Walk;
use self::zip::ZipArchive;

/// Files up to this size are read in one piece, in bytes.
const WHOLE_BYTES: u64 = 1 << 20;

/// An archive to write.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The commit.
    pub commit: ObjectId,
    /// Its form.
    pub format: ArchiveForm,
    /// What stands before every name; it ends in a slash if that is to be a folder.
    pub prefix: BString,
    /// Which files.
    pub filter: ArchiveFilter,
    /// Leave out larger files, in bytes.
    pub max_blob_size: Option<u64>,
}

/// The form of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArchiveForm {
    /// Tar, as it is.
    Tar,
    /// Tar in gzip.
    #[default]
    TarGz,
    /// Zip, deflated.
    Zip,
}

/// An archive broke off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It could not be written to where it goes.
    #[error("the archive could not be written")]
    Output(#[from] io::Error),
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file ended early.
    #[error("`{path}` could not be read")]
    Content {
        /// The file.
        path: BString,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// So many entries that the tree is not one that somebody made.
    #[error("the commit has more than {limit} entries")]
    TooManyEntries {
        /// How many are looked at.
        limit: u64,
    },
    /// The globs take too long.
    #[error("the globs are too expensive for so many files")]
    TooCostly,
    /// Nobody wants it any more.
    #[error("the archive is not wanted any more")]
    Cancelled,
}

/// A form that takes one entry after the other.
trait Entries {
    /// Adds a folder or a submodule; the name ends in a slash. `id` is what the tree names.
    fn folder(&mut self, name: &BStr, id: &ObjectId) -> Result<(), ArchiveError>;
    /// Adds a symbolic link.
    fn link(&mut self, name: &BStr, id: &ObjectId, target: &[u8]) -> Result<(), ArchiveError>;
    /// Adds a file.
    fn file(&mut self, entry: &FileEntry<'_>, content: Content) -> Result<(), ArchiveError>;
}

/// A file to add.
struct FileEntry<'a> {
    name: &'a BStr,
    id: &'a ObjectId,
    is_executable: bool,
    size: u64,
}

/// Its content.
enum Content {
    Whole(Bytes),
    Stream(Box<ObjectStream>),
}

impl Content {
    fn copy(self, entry: &FileEntry<'_>, out: &mut dyn Write) -> Result<(), ArchiveError> {
        let mut stream = match self {
            Content::Whole(bytes) => return Ok(out.write_all(&bytes)?),
            Content::Stream(stream) => stream,
        };
        let mut piece = vec![0; 64 << 10];
        let mut left = entry.size;
        while left > 0 {
            let wanted = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = match io::Read::read(&mut stream, &mut piece[..wanted]) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                read => read,
            };
            let count = count.map_err(|source| ArchiveError::Content {
                path: entry.name.to_owned(),
                source,
            })?;
            out.write_all(&piece[..count])?;
            left -= count as u64;
        }
        Ok(())
    }
}

impl Archive {
    /// Writes the archive to `out` and returns how many files and links are in it. `is_unwanted` is asked now and then,
    /// also while nothing is written.
    pub fn write(
        &self,
        database: &Database,
        out: &mut dyn Write,
        is_unwanted: &dyn Fn() -> bool,
    ) -> Result<u64, ArchiveError> {
        let commit = database.commit(self.commit)?;
        let seconds = commit.committer.seconds;
        let add = |entries: &mut dyn Entries| {
            let mut walk = Walk::new(database, self, is_unwanted);
            walk.run(commit.tree, entries)
        };
        match self.format {
            ArchiveForm::Tar => {
                let mut tar = TarWriter::begin(out, &self.commit, seconds)?;
                let files = add(&mut tar)?;
                tar.finish()?;
                Ok(files)
            }
            ArchiveForm::TarGz => {
                let gzip = GzEncoder::new(out, Compression::default());
                let mut tar = TarWriter::begin(gzip, &self.commit, seconds)?;
                let files = add(&mut tar)?;
                tar.finish()?.finish()?;
                Ok(files)
            }
            ArchiveForm::Zip => {
                let mut zip = ZipArchive::begin(out, seconds);
                let files = add(&mut zip)?;
                zip.finish()?;
                Ok(files)
            }
        }
    }
}

/// The file of a tree entry, opened; `None`: it is larger than is wanted.
fn open(
    database: &Database,
    id: &ObjectId,
    limit: Option<u64>,
) -> Result<Option<(u64, Content)>, ReadError> {
    let missing = || ReadError::NotFound { id: *id };
    let size = database.header(id)?.ok_or_else(missing)?.size;
    if limit.is_some_and(|limit| size > limit) {
        return Ok(None);
    }
    let content = if size <= WHOLE_BYTES {
        Content::Whole(database.read(id)?.ok_or_else(missing)?.data)
    } else {
        Content::Stream(Box::new(database.stream(id)?.ok_or_else(missing)?))
    };
    Ok(Some((size, content)))
}

/// Whether an entry is added with its content.
fn has_content(mode: EntryMode) -> bool {
    mode.is_blob()
}
