//! What is served: a path of a URL, and what is found there in the store.

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::ObjectId;
use packhouse_repo::ref_text;
use packhouse_repo::store::{Entry, FileType, Snapshot, Store, StoreError};

use crate::commands::store::failure::Failure;
use crate::commands::store::flags::{BranchFlag, SnapshotFlags};
use crate::commands::store::select;

/// The store and how it is shown.
pub(super) struct Site {
    pub(super) store: Store,
    pub(super) mode: Mode,
    /// What stands before every path: empty, or `/a/b`.
    pub(super) base: String,
    pub(super) cors: bool,
    pub(super) cache_control: String,
    pub(super) no_store: bool,
    pub(super) blob_etags: bool,
    pub(super) slashes: bool,
    pub(super) upstream: Option<String>,
    pub(super) max_file_bytes: u64,
}

/// Which refs are served.
pub(super) enum Mode {
    /// One commit of one ref.
    One {
        /// What the ref is called in answers.
        label: String,
        branch: BranchFlag,
        flags: Box<SnapshotFlags>,
    },
    /// All branches and tags.
    All,
}

/// What is at a URL.
pub(super) enum Found {
    /// The list of refs.
    Refs {
        branches: Vec<String>,
        tags: Vec<String>,
        etag: String,
    },
    /// A folder.
    Folder {
        at: Spot,
        id: ObjectId,
        entries: Vec<Entry>,
    },
    /// A file, a link, or a submodule's commit id.
    File {
        at: Spot,
        entry: Entry,
    },
    /// A blob asked for by its id.
    Blob {
        id: ObjectId,
    },
    /// A blob that is not here but may be elsewhere.
    Elsewhere(String),
    Nothing,
}

/// A place in a snapshot.
pub(super) struct Spot {
    pub(super) snapshot: Snapshot,
    /// What the ref is called.
    pub(super) label: String,
    /// The part of the URL that names the ref, if any: `/main`.
    pub(super) prefix: String,
    /// The path in the snapshot; empty for its root.
    pub(super) path: BString,
}

/// The base path in the form it is compared and linked in.
pub(super) fn base(text: &str) -> String {
    match text.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

impl Site {
    /// Looks for the decoded path of a URL.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub(super) fn find(&self, path: &[u8]) -> Result<Found, Failure> {
        let Some(path) = path.strip_prefix(self.base.as_bytes()) else {
            return Ok(Found::Nothing);
        };
        if !path.is_empty() && !path.starts_with(b"/") {
            return Ok(Found::Nothing);
        }
        let path = path.trim_with(|char| char == '/');
        if let Some(hash) = path.strip_prefix(b"_/blobs/") {
            return self.blob(hash);
        }
        if let Some(id) = parse_id(path)
            && self.store.has_blob(&id)?
        {
            return Ok(Found::Blob { id });
        }
        match &self.mode {
            Mode::One {
                label,
                branch,
                flags,
            } => {
                let snapshot = match select::chosen(&self.store, branch, flags) {
                    Ok(snapshot) => snapshot,
                    // The branch was there when serving began, and may come back.
                    Err(failure) => {
                        tracing::warn!(%failure, "nothing to serve");
                        return Ok(Found::Nothing);
                    }
                };
                let at = Spot {
                    snapshot,
                    label: label.clone(),
                    prefix: String::new(),
                    path: path.into(),
                };
                found_at(at)
            }
            Mode::All if path.is_empty() => self.refs(),
            Mode::All => self.in_any_ref(path),
        }
    }

    fn blob(&self, hash: &[u8]) -> Result<Found, Failure> {
        let Some(id) = parse_id(hash) else {
            return Ok(Found::Nothing);
        };
        if self.store.has_blob(&id)? {
            return Ok(Found::Blob { id });
        }
        Ok(match &self.upstream {
            Some(url) => Found::Elsewhere(format!("{}/_/blobs/{id}", url.trim_end_matches('/'))),
            None => Found::Nothing,
        })
    }

    fn refs(&self) -> Result<Found, Failure> {
        let (mut branches, mut tags) = (self.store.branches().names()?, self.store.tags().names()?);
        branches.sort_unstable();
        tags.sort_unstable();
        // What the list shows is the names, so that they are what a cached one depends on.
        let text = format!("{branches:?}{tags:?}");
        let etag =
            packhouse_object::hash_object(packhouse_object::ObjectKind::Blob, text.as_bytes());
        let etag = etag.map_err(|error| Failure::because("Could not list the refs", &error))?;
        Ok(Found::Refs {
            branches,
            tags,
            etag: etag.to_string(),
        })
    }

    /// A ref's name may have slashes, and Git allows no ref below another of its kind, but a branch below a tag: of the
    /// beginnings of the path that are refs, the first counts in which there is something. Branches come before tags.
    fn in_any_ref(&self, path: &[u8]) -> Result<Found, Failure> {
        for refs in [self.store.branches(), self.store.tags()] {
            for end in path.find_iter(b"/").chain([path.len()]) {
                let name = ref_text(&path[..end]);
                let snapshot = match refs.get(&name) {
                    Ok(snapshot) => snapshot,
                    Err(error) if is_absence(&error) => continue,
                    Err(error) => return Err(error.into()),
                };
                let at = Spot {
                    snapshot,
                    prefix: format!("/{name}"),
                    label: name,
                    path: path[end..].trim_with(|char| char == '/').into(),
                };
                match found_at(at)? {
                    Found::Nothing => {}
                    found => return Ok(found),
                }
            }
        }
        Ok(Found::Nothing)
    }
}

fn found_at(at: Spot) -> Result<Found, Failure> {
    let entry = match at.path.is_empty() {
        true => None,
        false => match at.snapshot.entry(&at.path) {
            Ok(Some(entry)) => Some(entry),
            Ok(None) => return Ok(Found::Nothing),
            Err(error) if is_absence(&error) => return Ok(Found::Nothing),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(match entry {
        Some(entry) if entry.file_type != FileType::Tree => Found::File { at, entry },
        entry => {
            let id = entry.map_or_else(|| at.snapshot.tree(), |entry| entry.id);
            let entries = at.snapshot.ls(&at.path)?;
            Found::Folder { at, id, entries }
        }
    })
}

/// Whether it only says that nothing is there, or could be.
fn is_absence(error: &StoreError) -> bool {
    use packhouse_repo::store::StoreErrorKind::{Key, NotADirectory, NotFound, Value};
    matches!(error.kind(), Key | NotADirectory | NotFound | Value)
}

fn parse_id(text: &[u8]) -> Option<ObjectId> {
    (text.len() == 40).then(|| ObjectId::from_hex(text).ok())?
}

/// The name of an entry as lists show it.
pub(super) fn shown_name(entry: &Entry, slashes: bool) -> BString {
    let mut name = BStr::new(&entry.name).to_owned();
    if slashes && entry.file_type == FileType::Tree {
        name.push(b'/');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_has_one_slash_before_it_and_none_behind() {
        for (text, expected) in [("", ""), ("/", ""), ("data", "/data"), ("/a/b/", "/a/b")] {
            assert_eq!(base(text), expected);
        }
    }

    #[test]
    fn an_id_has_forty_digits() {
        assert!(parse_id(b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391").is_some());
        assert!(parse_id(b"e69de29").is_none());
        assert!(parse_id(&[b'x'; 40]).is_none());
    }
}
