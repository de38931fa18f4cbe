//! What can be cached, and when two ways to write it mean one thing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use ring::digest;

use super::record::EntryRecord;
use super::root::Root;
use super::{CacheError, CacheType};
use crate::credentials::Credential;
use crate::remote::{RemoteUrl, without_query};

/// A source, checked.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// As it is stored and shown: without user and password of HTTP, and absolute.
    pub(super) shown: String,
    /// The same for all ways to write it, different for all else.
    pub(super) key: String,
    pub(super) cache_type: CacheType,
    pub(super) place: Place,
    /// What proves who the caller is, if the URL had it. It is in nothing else here.
    pub(super) credential: Option<Credential>,
    /// The host, if there is one, and the parts of the path.
    pub(super) parts: Vec<String>,
}

/// Where a source is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A repository without files: what is cached is a working tree of its default branch.
    Repository(Upstream),
    /// A working copy of this machine: its history and its files.
    WorkingCopy { folder: PathBuf, git: Upstream },
    /// A directory that is no repository.
    Folder(PathBuf),
}

/// A repository that is mirrored.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    /// Which mirror is its.
    pub(super) key: String,
    pub(super) url: RemoteUrl,
    /// Whether the author of a repository chose this server, not who asked for the copy. What is meant for every server is
    /// not meant for this one.
    pub(super) is_foreign: bool,
}

impl Source {
    /// Reads a source as somebody wrote it. Local ones have to be there.
    pub(super) fn parse(text: &str, root: &Root) -> Result<Source, CacheError> {
        let source = Source::read(text)?;
        let folder = match &source.place {
            Place::Repository(upstream) => upstream.url.local_path(),
            Place::WorkingCopy { folder, .. } | Place::Folder(folder) => Some(folder.as_path()),
        };
        let refuse = |reason| Err(invalid(text, reason));
        match folder {
            Some(folder) if folder.starts_with(root.path()) => refuse("it is inside the cache"),
            Some(folder) if root.path().starts_with(folder) => {
                refuse("the cache is inside it; choose a cache folder elsewhere")
            }
            _ => Ok(source),
        }
    }

    /// The source of an entry, as it is now. It has to be the same one: where a link took the place of a directory, the files
    /// of another would come under the entry's name.
    pub(super) fn of_entry(record: &EntryRecord, root: &Root) -> Result<Source, CacheError> {
        let text = &record.kept.source_url;
        let source = Source::parse(text, root)?;
        match source.key == record.source_key {
            true => Ok(source),
            false => Err(source.instead_of(text)),
        }
    }

    /// Says that this is where the source of an entry leads, which was another one.
    pub(super) fn instead_of(&self, text: &str) -> CacheError {
        let reason = format!(
            "it leads to '{}' now, as where a symbolic link took its place, and that is another source: add that one, or \
             put back what was there",
            self.shown
        );
        invalid(text, reason)
    }

    fn read(text: &str) -> Result<Source, CacheError> {
        if text.is_empty() {
            return Err(invalid(text, "it is empty"));
        }
        if text.contains(['\0', '\n', '\r']) {
            return Err(invalid(text, "it contains a line break or NUL"));
        }
        if text.contains("://") {
            return of_url(text);
        }
        match scp(text) {
            Some((host, path)) if !Path::new(text).exists() => of_scp(text, host, path),
            _ => of_path(text),
        }
    }

    /// The repository that is mirrored, if there is one.
    pub(super) fn upstream(&self) -> Option<&Upstream> {
        match &self.place {
            Place::Repository(upstream) | Place::WorkingCopy { git: upstream, .. } => {
                Some(upstream)
            }
            Place::Folder(_) => None,
        }
    }
}

/// Forty digits that stand for `bytes`.
pub(super) fn hashed(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut text = String::new();
    for byte in &digest.as_ref()[..20] {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

pub(super) fn invalid(text: &str, reason: impl Into<String>) -> CacheError {
    CacheError::InvalidSource {
        source_url: shown(text),
        reason: reason.into(),
    }
}

/// A source that may be none, as it may be shown.
pub(super) fn shown(text: &str) -> String {
    if let Ok(url) = RemoteUrl::parse(text) {
        return url.to_string();
    }
    // What cannot be read may hold a password anywhere before its `@`, and one in its query.
    let text = match text.contains("://") {
        true => without_query(text),
        false => text,
    };
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("***@{}", rest.escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

fn of_url(text: &str) -> Result<Source, CacheError> {
    let url = RemoteUrl::parse(text).map_err(|error| invalid(text, error.to_string()))?;
    if let Some(path) = url.local_path() {
        let (git, is_work) = repository_at(path).ok_or_else(|| CacheError::RepositoryNotFound {
            url: url.to_string(),
            reason: "there is no Git repository".to_owned(),
        })?;
        let shown = match is_work {
            true => fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            false => git.clone(),
        };
        let upstream = local_upstream(&git);
        return Ok(Source {
            shown: format!("file://{}", encoded(&shown)),
            key: hashed(format!("file-url {}", upstream.key).as_bytes()),
            cache_type: CacheType::Git,
            parts: parts_of(&shown.to_string_lossy()),
            place: Place::Repository(upstream),
            credential: None,
        });
    }
    let (bare, credential) = url.without_credential();
    let canonical = bare.canonical();
    let key = hashed(canonical.as_bytes());
    let (_, rest) = canonical.split_once("://").unwrap_or(("", &canonical));
    let upstream = Upstream {
        key: key.clone(),
        url: bare,
        is_foreign: false,
    };
    Ok(Source {
        shown: upstream.url.to_string(),
        key,
        cache_type: CacheType::Git,
        parts: parts_of(rest.strip_prefix("git@").unwrap_or(rest)),
        place: Place::Repository(upstream),
        credential,
    })
}

/// `user@host:path` and `host:path`, taken apart at the colon.
fn scp(text: &str) -> Option<(&str, &str)> {
    let (host, path) = match text.strip_prefix('[') {
        Some(inner) => inner.split_once("]:")?,
        None => text.split_once(':')?,
    };
    (!host.is_empty() && !host.contains('/') && !path.is_empty()).then_some((host, path))
}

fn of_scp(text: &str, host: &str, path: &str) -> Result<Source, CacheError> {
    let url =
        RemoteUrl::of_scp(text, host, path).map_err(|error| invalid(text, error.to_string()))?;
    let canonical = url.canonical();
    let key = hashed(canonical.as_bytes());
    let (_, rest) = canonical.split_once("://").unwrap_or(("", &canonical));
    let parts = parts_of(rest.strip_prefix("git@").unwrap_or(rest));
    let upstream = Upstream {
        key: key.clone(),
        url,
        is_foreign: false,
    };
    Ok(Source {
        shown: text.to_owned(),
        key,
        cache_type: CacheType::Git,
        parts,
        place: Place::Repository(upstream),
        credential: None,
    })
}

fn of_path(text: &str) -> Result<Source, CacheError> {
    let found = match fs::canonicalize(text) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => return Err(invalid(text, "it is no directory")),
        Err(error) => return Err(invalid(text, error.to_string())),
    };
    let Some(shown) = found.to_str().map(str::to_owned) else {
        return Err(invalid(text, "its path is not text"));
    };
    if found.parent().is_none() {
        return Err(invalid(text, "it is the whole file system"));
    }
    let parts = parts_of(&shown);
    let key = hashed(format!("directory {shown}").as_bytes());
    let place = match repository_at(&found) {
        Some((git, false)) => Place::Repository(local_upstream(&git)),
        Some((git, true)) => Place::WorkingCopy {
            git: local_upstream(&git),
            folder: found,
        },
        None => Place::Folder(found),
    };
    Ok(Source {
        shown,
        key,
        cache_type: CacheType::Local,
        parts,
        place,
        credential: None,
    })
}

fn local_upstream(git: &Path) -> Upstream {
    Upstream {
        key: hashed(format!("file {}", git.display()).as_bytes()),
        url: RemoteUrl::from(git),
        is_foreign: false,
    }
}

/// The repository of a directory, and whether that is a working copy.
fn repository_at(path: &Path) -> Option<(PathBuf, bool)> {
    let path = fs::canonicalize(path).ok()?;
    let is_repository = |git: &Path| {
        git.join("HEAD").is_file() && git.join("objects").is_dir() && git.join("refs").is_dir()
    };
    let inner = path.join(".git");
    let inner = named_by(&inner).unwrap_or(inner);
    if is_repository(&inner) {
        return Some((fs::canonicalize(inner).ok()?, true));
    }
    is_repository(&path).then_some((path, false))
}

/// What the file `.git` of a submodule, or of a clone with its repository elsewhere, names.
fn named_by(file: &Path) -> Option<PathBuf> {
    Some(file.parent()?.join(git_dir_of(file)?))
}

/// The same as it stands there, which may be relative.
pub(super) fn git_dir_of(file: &Path) -> Option<PathBuf> {
    const LONGEST: u64 = 4096;
    let found = fs::metadata(file).ok()?;
    if !found.is_file() || found.len() > LONGEST {
        return None;
    }
    let text = fs::read(file).ok()?;
    let target = text.strip_prefix(b"gitdir: ")?.trim_end();
    Some(PathBuf::from(OsStr::from_bytes(target)))
}

/// The host and the path of a canonical URL, or a path, in parts.
fn parts_of(text: &str) -> Vec<String> {
    let parts = text.split('/').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let decoded = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
            decoded.into_owned()
        })
        .collect()
}

/// A path as it stands in a URL.
fn encoded(path: &Path) -> String {
    use percent_encoding::{AsciiSet, CONTROLS};
    const KEPT_OUT: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');
    percent_encoding::percent_encode(path.as_os_str().as_encoded_bytes(), KEPT_OUT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        Source::read(text).unwrap().key
    }

    #[test]
    fn ways_to_write_one_repository_have_one_key() {
        let same = [
            "https://github.com/org/repo",
            "https://GitHub.com:443/org/repo.git",
            "https://me:secret@github.com/org/repo.git/",
            "HTTPS://token@github.com/org/repo/",
        ];
        for url in same {
            assert_eq!(key(url), key(same[0]), "{url}");
        }
        let same = [
            "git@github.com:org/repo.git",
            "git@github.com:/org/repo",
            "ssh://git@github.com/org/repo",
            "ssh://git@GitHub.com:22/org/repo.git",
            "github.com:org/repo",
            "git+ssh://git@github.com/org/repo.git",
        ];
        for url in same {
            assert_eq!(key(url), key(same[0]), "{url}");
        }
        for (one, other) in [
            (
                "https://example.com/a/b",
                "HTTPS://me:x@Example.com:443/a/b/",
            ),
            ("git@example.com:a/b", "git@EXAMPLE.com:a/b/"),
            ("git@example.com:a/b", "ssh://git@example.com:22/~/a/b"),
            ("git@example.com:/a/b", "ssh://git@example.com/a/b"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
    }

    #[test]
    fn what_may_be_another_repository_has_another_key() {
        let different = [
            "https://example.com/orgA/repo",
            "https://example.com/orgB/repo",
            "https://example.com/orga/repo",
            "https://example.com:8443/orgA/repo",
            "http://example.com/orgA/repo",
            "https://example.org/orgA/repo",
            "https://example.com/orgA/repo.git",
            "git://example.com/orgA/repo",
            // In the home of `git`, in one's own, and on the whole machine.
            "git@example.com:orgA/repo",
            "git@example.com:orgA/repo.git",
            "example.com:orgA/repo",
            "ssh://example.com/orgA/repo",
            "ssh://git@example.com/orgA/repo",
            // Below somebody's home.
            "alice@example.com:orgA/repo",
            "bob@example.com:orgA/repo",
        ];
        let keys: std::collections::BTreeSet<String> = different.into_iter().map(key).collect();
        assert_eq!(keys.len(), different.len());
    }

    #[test]
    fn passwords_are_taken_off_and_kept_apart() {
        let source = Source::read("https://me:hunter2@example.com/org/repo.git").unwrap();
        assert_eq!(source.shown, "https://example.com/org/repo.git");
        assert_eq!(source.credential, Some(Credential::basic("me", "hunter2")));
        assert!(!format!("{source:?}").contains("hunter2"));
        let token = Source::read("https://hunter2@example.com/org/repo.git").unwrap();
        assert_eq!(token.shown, source.shown);
        assert_eq!(token.credential, Some(Credential::basic("hunter2", "")));
        for bad in [
            "ftp://me:hunter2@example.com/x",
            "https://me:hunter2@exa mple/x",
            "ssh://me:hunter2@/x",
            "me:hunter2@example.com:org/repo",
            "https://example.com/x?private_token=hunter2",
            "ftp://example.com/x?private_token=hunter2",
        ] {
            let error = Source::read(bad).unwrap_err().to_string();
            assert!(error.starts_with("Invalid source: "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn directories_are_told_apart_by_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for path in [
            "plain/sub",
            "work/.git/objects",
            "work/.git/refs",
            "bare/objects",
            "bare/refs",
        ] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for head in ["work/.git/HEAD", "bare/HEAD"] {
            fs::write(at(head), "ref: refs/heads/main\n").unwrap();
        }
        let place = |name: &str| Source::read(&at(name)).unwrap().place;
        assert!(matches!(place("plain"), Place::Folder(_)));
        assert!(matches!(place("work"), Place::WorkingCopy { .. }));
        assert!(matches!(place("bare"), Place::Repository(_)));
        let url = Source::read(&format!("file://{}", at("work"))).unwrap();
        assert!(matches!(url.place, Place::Repository(_)));
        assert_eq!(url.cache_type, CacheType::Git);
        for bad in ["", "/", "no-such-directory", "a\nb", &at("bare/HEAD")] {
            let error = Source::read(bad).unwrap_err().to_string();
            assert!(error.starts_with("Invalid source: "), "{error}");
        }
    }

    #[test]
    fn a_directory_around_or_in_the_cache_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(&folder.path().join("a/cache")).unwrap();
        let inner = root.path().join("x");
        fs::create_dir(&inner).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("a"), &link).unwrap();
        for path in [folder.path().join("a"), root.path().to_owned(), inner, link] {
            let refused = Source::parse(path.to_str().unwrap(), &root).unwrap_err();
            assert!(refused.to_string().contains("cache"), "{refused}");
        }
    }
}
