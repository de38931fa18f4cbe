//! `includeIf`: the conditions under which a file of settings is included, as `git config` documents them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::{BStr, ByteSlice};
use packhouse_repo::directory::ServedHead;
use packhouse_repo::store::Wildmatch;

use super::expanded;
use super::read::{Origin, Reading};
use crate::error::ProgramError;

impl Reading<'_> {
    /// Whether a condition holds. One that is not known never does.
    pub(super) fn holds(
        &mut self,
        condition: &BStr,
        origin: Origin<'_>,
    ) -> Result<bool, ProgramError> {
        Ok(match condition.split_once_str(":") {
            Some((b"gitdir", pattern)) => self.is_in(pattern, origin, false),
            Some((b"gitdir/i", pattern)) => self.is_in(pattern, origin, true),
            Some((b"onbranch", pattern)) => self.is_on(pattern),
            Some((b"hasconfig", rest)) => match rest.strip_prefix(b"remote.*.url:") {
                // The URLs that this depends on are being read.
                Some(_) if self.gathers_urls => true,
                Some(pattern) => {
                    let pattern = Wildmatch::new(pattern);
                    let urls = self.remote_urls()?;
                    urls.iter().any(|url| pattern.matches(url))
                }
                None => false,
            },
            _ => false,
        })
    }

    /// Whether the repository's folder is one that the pattern names.
    fn is_in(&self, pattern: &[u8], origin: Origin<'_>, ignores_case: bool) -> bool {
        let Some(repository) = self.repository else {
            return false;
        };
        let home = self
            .home
            .as_deref()
            .and_then(|home| fs::canonicalize(home).ok());
        let expanded = expanded(pattern.as_bstr(), home.as_deref());
        let pattern = expanded
            .as_deref()
            .map_or(pattern, |path| path.as_os_str().as_bytes());
        // What stands in the place of a dot is no pattern.
        let (literal, pattern) = match pattern.strip_prefix(b"./") {
            Some(rest) => match origin.file.and_then(folder_of) {
                Some(folder) => ([&folder[..], b"/"].concat(), rest.to_vec()),
                None => return false,
            },
            None if pattern.starts_with(b"/") => (Vec::new(), pattern.to_vec()),
            None => (Vec::new(), [&b"**/"[..], pattern].concat()),
        };
        let folder = repository.own_dir().as_os_str().as_bytes();
        let (start, rest) = match folder.split_at_checked(literal.len()) {
            Some(parts) => parts,
            None => return false,
        };
        let pattern = with_all_below(pattern);
        match ignores_case {
            true => {
                start.eq_ignore_ascii_case(&literal)
                    && Wildmatch::new(&pattern.to_ascii_lowercase())
                        .matches(&rest.to_ascii_lowercase())
            }
            false => start == literal && Wildmatch::new(&pattern).matches(rest),
        }
    }

    /// Whether `HEAD` is a branch that the pattern names, which need not exist.
    fn is_on(&self, pattern: &[u8]) -> bool {
        let head = self
            .repository
            .and_then(|repository| repository.head().ok());
        let Some(ServedHead::Branch(name)) = head else {
            return false;
        };
        let pattern = Wildmatch::new(&with_all_below(pattern.to_vec()));
        let branch = name.as_bytes().strip_prefix(b"refs/heads/");
        branch.is_some_and(|branch| pattern.matches(branch))
    }
}

/// A pattern that ends with a slash is for all that is below.
fn with_all_below(mut pattern: Vec<u8>) -> Vec<u8> {
    if pattern.ends_with(b"/") {
        pattern.extend_from_slice(b"**");
    }
    pattern
}

fn folder_of(file: &Path) -> Option<Vec<u8>> {
    let file = fs::canonicalize(file).ok()?;
    Some(file.parent()?.as_os_str().as_bytes().to_vec())
}
