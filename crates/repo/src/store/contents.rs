//! What a folder of a few small files holds, and whether it still is what it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The files in a folder and in those below it. Empty folders do not count: there is nothing in them to be lost.
#[derive(Debug, Default)]
pub(super) struct Contents {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Contents {
    /// Reads all of a folder, which holds files and folders alone.
    pub(super) fn read(folder: &Path) -> io::Result<Contents> {
        let mut files = BTreeMap::new();
        visit(folder, Path::new(""), &mut |name, is_file| {
            if !is_file {
                return Err(ErrorKind::Unsupported.into());
            }
            let content = fs::read(folder.join(&name))?;
            files.insert(name, content);
            Ok(true)
        })?;
        Ok(Contents { files })
    }

    /// Whether a folder holds exactly these files, byte for byte, and otherwise only those that `may_be_there` allows.
    pub(super) fn is_all_of(
        &self,
        folder: &Path,
        may_be_there: impl Fn(&Path) -> bool,
    ) -> io::Result<bool> {
        let mut found = 0;
        let is_same = visit(folder, Path::new(""), &mut |name, is_file| {
            let Some(content) = self.files.get(&name) else {
                return Ok(is_file && may_be_there(&name));
            };
            found += 1;
            let path = folder.join(&name);
            // A file of another length need not be read, however long it is.
            Ok(is_file
                && path.symlink_metadata()?.len() == content.len() as u64
                && fs::read(&path)? == *content)
        })?;
        Ok(is_same && found == self.files.len())
    }
}

/// Shows everything but folders to `visitor` until that returns `false`, and returns whether it did not.
fn visit(
    root: &Path,
    below: &Path,
    visitor: &mut impl FnMut(PathBuf, bool) -> io::Result<bool>,
) -> io::Result<bool> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let (name, kind) = (below.join(entry.file_name()), entry.file_type()?);
        let goes_on = match kind.is_dir() {
            true => visit(root, &name, visitor)?,
            false => visitor(name, kind.is_file())?,
        };
        if !goes_on {
            return Ok(false);
        }
    }
    Ok(true)
}
