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
use std::str::FromStr;

use bstr::BString;
use packhouse_object::ObjectId;

use super::StoreError;

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

/// What each form is called: first by itself, which is also how names of files end, then by others.
const NAMES: [(ArchiveFormat, &[&str]); 5] = [
    (ArchiveFormat::Zip, &["zip"]),
    (ArchiveFormat::Tar, &["tar"]),
    (ArchiveFormat::TarGz, &["tar.gz", "tgz", "taz"]),
    (ArchiveFormat::TarBz2, &["tar.bz2", "tbz2", "tbz", "tb2"]),
    (ArchiveFormat::TarXz, &["tar.xz", "txz"]),
];

/// What Python's standard library calls them.
const PYTHON_NAMES: [(&str, ArchiveFormat); 3] = [
    ("gztar", ArchiveFormat::TarGz),
    ("bztar", ArchiveFormat::TarBz2),
    ("xztar", ArchiveFormat::TarXz),
];

impl ArchiveFormat {
    /// The form that a file's name tells; `None` if it tells none.
    pub fn from_path(path: impl AsRef<Path>) -> Option<ArchiveFormat> {
        let name = path.as_ref().file_name()?.to_str()?.to_ascii_lowercase();
        let ends = |ending: &&str| {
            name.strip_suffix(ending)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        let found = NAMES.iter().find(|(_, names)| names.iter().any(ends));
        found.map(|(format, _)| *format)
    }

    /// What it is called: `zip`, `tar`, `tar.gz`, `tar.bz2` or `tar.xz`.
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(format, _)| *format == self);
        found.map_or("", |(_, names)| names[0])
    }
}

impl FromStr for ArchiveFormat {
    type Err = StoreError;

    /// By one of its names, in any case, with or without a dot before it: `tgz`, `.tar.gz`, `gztar`.
    fn from_str(text: &str) -> Result<ArchiveFormat, StoreError> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix('.').unwrap_or(&lower);
        let mut pythons = PYTHON_NAMES.iter();
        if let Some((_, format)) = pythons.find(|(known, _)| *known == name) {
            return Ok(*format);
        }
        let found = NAMES.iter().find(|(_, names)| names.contains(&name));
        found.map(|(format, _)| *format).ok_or_else(|| {
            StoreError::invalid(format!(
                "an archive is zip, tar, tar.gz (tgz), tar.bz2 (tbz2) or tar.xz (txz), not '{text}'"
            ))
        })
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
    /// Only report.
    pub dry_run: bool,
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
        assert_eq!(of("b.TAZ"), Some(ArchiveFormat::TarGz));
        assert_eq!(of("b.tbz"), Some(ArchiveFormat::TarBz2));
        assert_eq!(of(".tar"), Some(ArchiveFormat::Tar));
        assert_eq!(of("b.gz"), None);
        assert_eq!(of("tar"), None);
        assert_eq!(of("guitar"), None);
        assert_eq!(of("b.gztar"), None);
        assert_eq!(of("-"), None);
    }

    #[test]
    fn every_name_is_understood() {
        for (format, names) in NAMES {
            assert_eq!(format.name(), names[0]);
            for name in names {
                let (upper, dotted) = (name.to_uppercase(), format!(".{name}"));
                for name in [name, upper.as_str(), &dotted] {
                    assert_eq!(name.parse::<ArchiveFormat>().unwrap(), format, "{name}");
                }
                let file = format!("x.{name}");
                assert_eq!(ArchiveFormat::from_path(&file), Some(format), "{file}");
            }
        }
        assert_eq!(
            "gztar".parse::<ArchiveFormat>().unwrap(),
            ArchiveFormat::TarGz
        );
        for none in ["", ".", "rar", "gz", "tar gz"] {
            let error = none.parse::<ArchiveFormat>().unwrap_err().to_string();
            assert!(error.contains(&format!("'{none}'")), "{error}");
        }
    }
}
