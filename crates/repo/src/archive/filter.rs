//! Which files go into an archive, and what it costs to find that out.

use crate::path_filter::{PathFilter, PathFilterError};

/// Chooses files by globs. The default takes all.
#[derive(Clone, Debug, Default)]
pub struct ArchiveFilter {
    filter: PathFilter,
    /// Bytes of globs that are held against names, one by one.
    name_globs: u64,
    /// Bytes of globs that are held against whole paths, and every folder on the way.
    path_globs: u64,
}

impl ArchiveFilter {
    /// Only what matches one of these globs, if there are any.
    pub fn include(mut self, globs: &[impl AsRef<str>]) -> Result<ArchiveFilter, PathFilterError> {
        self.filter = self.filter.include(globs)?;
        self.weigh(globs);
        Ok(self)
    }

    /// Nothing that matches one of these globs.
    pub fn exclude(mut self, globs: &[impl AsRef<str>]) -> Result<ArchiveFilter, PathFilterError> {
        self.filter = self.filter.exclude(globs)?;
        self.weigh(globs);
        Ok(self)
    }

    fn weigh(&mut self, globs: &[impl AsRef<str>]) {
        for glob in globs.iter().map(AsRef::as_ref) {
            let bytes = glob.len() as u64 + 1;
            match glob.trim_end_matches('/').contains('/') {
                true => self.path_globs += bytes,
                false => self.name_globs += bytes,
            }
        }
    }

    /// Whether it takes every path.
    pub(super) fn takes_all(&self) -> bool {
        self.name_globs + self.path_globs == 0
    }

    /// Whether it takes a file.
    pub(super) fn takes(&self, path: &[u8]) -> bool {
        self.filter.takes(path)
    }

    /// At most so many steps, each a matter of a nanosecond, it takes to say that of a path of this length below so many
    /// folders.
    pub(super) fn cost(&self, path_len: usize, folders: usize) -> u64 {
        let globs = self.name_globs + self.path_globs * (folders as u64 + 1);
        (path_len as u64 + 1) * globs
    }
}
