//! Finding the files of local sources, and where each goes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::{BString, ByteSlice};

use super::{Copy, Source};
use crate::store::copy::FolderId;
use crate::store::copy::destination::split;
use crate::store::copy::overlap::{Pair, Winner, settle, sorted};
use crate::store::copy::source::{Kind, LocalSource, below, last_name, resolve_local};
use crate::store::copy::walk_local::{LocalKind, WalkOptions, walk_local};
use crate::store::path::{check_new_name, join};
use crate::store::{ChangeError, FileType, StoreError};
use crate::under_way::is_under_way;

/// Why what a writer makes, or left when it was killed, is not copied.
const UNDER_WAY: &str = "under way, or left by a command that was killed: skipping";

impl Copy<'_> {
    /// Every file and where it goes, each place once, sorted by place.
    pub(super) fn pairs(&mut self) -> Result<Vec<Pair<Source>>, StoreError> {
        let mut pairs = Vec::new();
        for source in &self.options.sources {
            let resolved = resolve_local(source, self.options.follow_symlinks);
            match self.problems.check(source.as_bytes(), resolved)? {
                Some(source) => self.pairs_of(source, &mut pairs)?,
                None => self.complete = false,
            }
        }
        if self.options.sources.len() == 1 {
            return self.with_legal_names(sorted(pairs));
        }
        let winner = match self.options.delete {
            true => Winner::First,
            false => Winner::Last,
        };
        let (kept, lost) = settle(pairs, winner);
        if self.options.delete {
            for pair in lost {
                let error = format!(
                    "Overlapping destination '{}': skipping (kept earlier source)",
                    pair.target
                );
                self.warn(&pair.source.local, error);
            }
        }
        self.with_legal_names(kept)
    }

    fn pairs_of(
        &mut self,
        source: LocalSource,
        pairs: &mut Vec<Pair<Source>>,
    ) -> Result<(), StoreError> {
        if source.kind == Kind::File {
            let name = last_name(&source.path);
            if is_under_way(OsStr::from_bytes(name)) {
                self.warn(&source.path, UNDER_WAY.to_owned());
                return Ok(());
            }
            let exclude = self.options.exclude.as_ref();
            if !exclude.is_some_and(|exclude| exclude.is_excluded(name, false)) {
                pairs.push(Pair {
                    target: below(&source.below, name)?,
                    source: Source {
                        local: source.path,
                        walked: false,
                        found: None,
                    },
                });
            }
            return Ok(());
        }
        let walked = walk_local(
            &source.path,
            &WalkOptions {
                follow: self.options.follow_symlinks,
                exclude: self
                    .options
                    .exclude
                    .as_ref()
                    .filter(|exclude| exclude.active()),
                kept_out: FolderId::of(self.snapshot.store().path())
                    .map_err(StoreError::local(self.snapshot.store().path()))?,
                passed_over: is_under_way,
            },
        );
        for (folder, error) in walked.errors {
            let path = folder.as_os_str().as_bytes();
            self.problems
                .check(path, Err::<(), _>(StoreError::local(&folder)(error)))?;
            self.complete = false;
        }
        for folder in walked.left_out {
            self.warn(&folder, "the store itself is not copied".to_owned());
        }
        for path in walked.passed_over {
            let local = source.path.join(OsStr::from_bytes(&path));
            self.warn(&local, UNDER_WAY.to_owned());
        }
        for file in walked.files {
            let local = source.path.join(OsStr::from_bytes(&file.path));
            if file.kind == LocalKind::Special {
                self.warn(&local, "not a regular file: skipping".to_owned());
                continue;
            }
            pairs.push(Pair {
                target: join(&source.below, &file.path),
                source: Source {
                    local,
                    walked: true,
                    found: file.found,
                },
            });
        }
        Ok(())
    }

    pub(super) fn warn(&mut self, path: &Path, error: String) {
        self.warnings.push(ChangeError {
            path: path.as_os_str().as_bytes().into(),
            error,
        });
    }

    /// Drops, or refuses, files with names that a tree cannot hold.
    fn with_legal_names(
        &mut self,
        pairs: Vec<Pair<Source>>,
    ) -> Result<Vec<Pair<Source>>, StoreError> {
        let mut legal = Vec::with_capacity(pairs.len());
        // Neighbours mostly share a folder that has been checked.
        let mut checked = BString::default();
        for pair in pairs {
            let (folder, name) = split(&pair.target);
            let unchecked = match folder == checked {
                true => name,
                false => pair.target.as_slice(),
            };
            let mut names = unchecked.split(|&byte| byte == b'/');
            let result = names.try_for_each(|name| match is_plain(name) {
                true => Ok(()),
                false => check_new_name(name, FileType::Blob).map_err(|source| {
                    StoreError::invalid(format!(
                        "'{}' cannot be stored: {source}; to leave it out, exclude '{}'",
                        pair.target,
                        name.as_bstr()
                    ))
                }),
            });
            if result.is_ok() && folder != checked {
                checked = folder.into();
            }
            let local = pair.source.local.as_os_str().as_bytes();
            if self.problems.check(local, result)?.is_some() {
                legal.push(pair);
            }
        }
        Ok(legal)
    }
}

/// Whether nobody can object to a name.
fn is_plain(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    name.first().is_some_and(u8::is_ascii_alphanumeric) && name.iter().all(plain)
}
