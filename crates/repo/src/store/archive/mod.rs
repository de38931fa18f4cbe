//! Archives of a snapshot's files, and archives taken in as one commit.
//!
//! What always holds:
//! - files pass through in pieces, both ways, whatever their size;
//! - an archive is a stranger's: nothing it says is believed before it is read, and
//!   [`ArchiveLimits`] bounds what it may unfold to;
//! - what is taken in ends up inside the destination, or nothing is taken in at all;
//! - an archive of the same files is the same bytes: times and owners are left out.

mod decode;
mod encode;
mod intake;
mod tar_in;
mod tar_out;
mod to_file;
mod zip_in;
mod zip_out;

use std::path::Path;

use bstr::BString;
use packhouse_object::ObjectId;

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArchiveFormat {
    /// Zip, deflated.
    Zip,
    /// Tar.
    Tar,
    /// Tar in gzip.
    TarGz,
    /// Tar in bzip2.
    TarBz2,
    /// Tar in xz.
    TarXz,
}

impl ArchiveFormat {
    /// The form that a file's name tells; `None` if it tells none.
    pub fn from_path(path: impl AsRef<Path>) -> Option<ArchiveFormat> {
        let name = path.as_ref().file_name()?.to_str()?.to_ascii_lowercase();
        let endings = [
            (".zip", ArchiveFormat::Zip),
            (".tar", ArchiveFormat::Tar),
            (".tar.gz", ArchiveFormat::TarGz),
            (".tgz", ArchiveFormat::TarGz),
            (".tar.bz2", ArchiveFormat::TarBz2),
            (".tbz2", ArchiveFormat::TarBz2),
            (".tar.xz", ArchiveFormat::TarXz),
            (".txz", ArchiveFormat::TarXz),
        ];
        let found = endings
            .into_iter()
            .find(|(ending, _)| name.ends_with(ending));
        found.map(|(_, format)| format)
    }
}

/// How an archive is taken in.
#[derive(Clone, Debug, Default)]
pub struct ArchiveIn {
    /// The folder that the files go to; empty for the root.
    pub dest: BString,
    /// The message, perhaps with placeholders; automatic if missing or empty.
    pub message: Option<String>,
    /// Further parents of the commit, after the branch's tip.
    pub parents: Vec<ObjectId>,
    /// What the archive may unfold to.
    pub limits: ArchiveLimits,
}

/// What an archive may unfold to. One that goes beyond is refused, and nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// The most bytes that all files have together.
    pub bytes: u64,
    /// The most entries.
    pub entries: u64,
}

impl Default for ArchiveLimits {
    /// 1 TiB in five million entries.
    fn default() -> Self {
        ArchiveLimits {
            bytes: 1 << 40,
            entries: 5_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_form() {
        let of = ArchiveFormat::from_path;
        assert_eq!(of("a/b.ZIP"), Some(ArchiveFormat::Zip));
        assert_eq!(of("b.tar"), Some(ArchiveFormat::Tar));
        assert_eq!(of("b.tgz"), Some(ArchiveFormat::TarGz));
        assert_eq!(of("b.1.tar.gz"), Some(ArchiveFormat::TarGz));
        assert_eq!(of("b.tbz2"), Some(ArchiveFormat::TarBz2));
        assert_eq!(of("b.txz"), Some(ArchiveFormat::TarXz));
        assert_eq!(of("b.gz"), None);
        assert_eq!(of("-"), None);
    }
}
