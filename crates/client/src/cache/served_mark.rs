//! Which mirrors are served to callers, and when they were last.
//!
//! A mirror that is served has a file in `served`, named by its key. As long as the file is there the mirror stays,
//! though no entry needs it; the file's time says when it was used. What it holds is whether everybody may read the
//! repository: the digest of the refs that the remote listed to who brought no credentials, and when. That counts for a
//! week, and not once the remote has refused such a caller.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::CacheError;
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::moment::Moment;
use super::staging::Staging;

/// How long it counts that a repository was listed to who brought no credentials.
const PUBLIC_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// A mark is not written anew for a time that is later by less.
const NOTED_EACH: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Mark {
    public: Option<Public>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Public {
    /// Stands for the refs.
    digest: String,
    /// When they were asked for.
    asked: Moment,
}

fn path(inner: &Inner, key: &str) -> PathBuf {
    inner.root.own("served").join(key)
}

/// Notes that the mirror is served, and that it was now.
pub(super) fn make(inner: &Inner, key: &str) -> Result<(), CacheError> {
    match path(inner, key).is_file() {
        true => {
            touch(inner, key);
            Ok(())
        }
        false => write(inner, key, &Mark::default()),
    }
}

/// Notes that the mirror was used now.
pub(super) fn touch(inner: &Inner, key: &str) {
    // What comes of a time that is not noted is that it is evicted a little early.
    let mut options = File::options();
    options
        .write(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    if let Ok(file) = options.open(path(inner, key)) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// The digest of the refs that everybody may read, if there are any.
pub(super) fn public(inner: &Inner, key: &str) -> Option<String> {
    let public = read(inner, key)?;
    let is_old = public.asked.is_older_than(PUBLIC_FOR, &Moment::now());
    (!is_old).then_some(public.digest)
}

fn read(inner: &Inner, key: &str) -> Option<Public> {
    let text = fs::read(path(inner, key)).ok()?;
    let mark: Mark = serde_json::from_slice(&text).ok()?;
    mark.public
}

/// Whether the mirror is noted as one that is served.
pub(super) fn is_there(inner: &Inner, key: &str) -> bool {
    path(inner, key).is_file()
}

/// Notes which refs everybody may read. A mirror that is not served is left alone when there are none.
pub(super) fn set_public(inner: &Inner, key: &str, digest: Option<&str>) -> Result<(), CacheError> {
    let now = Moment::now();
    let known = read(inner, key);
    let is_noted = match (&known, digest) {
        (None, None) => true,
        (Some(known), Some(digest)) => {
            known.digest == digest && !known.asked.is_older_than(NOTED_EACH, &now)
        }
        _ => false,
    };
    if is_noted {
        touch(inner, key);
        return Ok(());
    }
    let public = digest.map(|digest| Public {
        digest: digest.to_owned(),
        asked: now,
    });
    write(inner, key, &Mark { public })
}

fn write(inner: &Inner, key: &str, mark: &Mark) -> Result<(), CacheError> {
    let staging = Staging::new(&inner.root)?;
    let (new, place) = (staging.path().join("mark"), path(inner, key));
    let text = serde_json::to_vec(mark).unwrap_or_default();
    fs::write(&new, text).map_err(CacheError::file(&new))?;
    fs::rename(&new, &place).map_err(CacheError::file(&place))
}

/// The keys of all mirrors that are served, those first that were not used for longest, with that time in
/// milliseconds since 1970.
pub(super) fn oldest_first(inner: &Inner) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    let files = fs::read_dir(inner.root.own("served"));
    for entry in files.into_iter().flatten().flatten() {
        let used = entry.metadata().and_then(|found| found.modified()).ok();
        let since = used.and_then(|used| used.duration_since(UNIX_EPOCH).ok());
        let used_ms = since.map_or(0, |since| since.as_millis() as i64);
        if let Ok(key) = entry.file_name().into_string() {
            found.push((used_ms, key));
        }
    }
    found.sort();
    found
}

/// Lets go of a mirror, also of one that is being read: it stays until it is not.
pub(super) fn unmark(inner: &Inner, key: &str) -> Result<bool, CacheError> {
    let place = path(inner, key);
    match fs::remove_file(&place) {
        Ok(()) => Ok(true),
        // Somebody else made room with it.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(CacheError::file(&place)(error)),
    }
}

/// Lets go of a mirror, unless it is being read. Returns whether it did.
pub(super) fn release(inner: &Inner, key: &str) -> Result<bool, CacheError> {
    let using = inner.root.lock("use", key);
    let Some(_unused) = FileLock::try_take(&using, Sharing::Exclusive)? else {
        return Ok(false);
    };
    unmark(inner, key)
}

#[cfg(test)]
mod tests {
    use super::super::CacheConfig;
    use super::*;

    #[test]
    fn one_mirror_is_let_go_of_once_and_by_whoever_comes_second_without_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let inner = Inner::open(CacheConfig::at(folder.path())).unwrap();
        make(&inner, "key").unwrap();
        assert!(release(&inner, "key").unwrap());
        assert!(!release(&inner, "key").unwrap());
    }

    #[test]
    fn what_everybody_may_read_is_so_for_a_week_and_until_somebody_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inner = Inner::open(CacheConfig::at(folder.path())).unwrap();
        set_public(&inner, "key", Some("digest")).unwrap();
        assert_eq!(public(&inner, "key").as_deref(), Some("digest"));
        let asked_before = |age: Duration| {
            let mut at = serde_json::to_value(Moment::now()).unwrap();
            at["boot"] = "another".into();
            let now_ms = at["wall_ms"].as_i64().unwrap();
            at["wall_ms"] = (now_ms - age.as_millis() as i64).into();
            let digest = "digest".to_owned();
            let asked = serde_json::from_value(at).unwrap();
            let public = Some(Public { digest, asked });
            write(&inner, "key", &Mark { public }).unwrap();
        };
        asked_before(PUBLIC_FOR - Duration::from_secs(60));
        assert_eq!(public(&inner, "key").as_deref(), Some("digest"));
        asked_before(PUBLIC_FOR + Duration::from_secs(60));
        assert_eq!(public(&inner, "key"), None);
        // It counts from when the remote was asked last.
        set_public(&inner, "key", Some("digest")).unwrap();
        assert_eq!(public(&inner, "key").as_deref(), Some("digest"));
        set_public(&inner, "key", None).unwrap();
        assert_eq!(public(&inner, "key"), None);
    }
}
