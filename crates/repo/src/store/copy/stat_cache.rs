//! What local files held when they were last read, so that unchanged ones need not be read again.
//!
//! A file is known by its device and number, and taken for unchanged while its size and its times of modification and
//! of change are the same. The time of change cannot be set, so this is what `git` relies on with its index. It is
//! remembered only if it was well in the past when reading began: whatever is written later then has another. Kinds
//! of file systems that are not known to keep such times are never trusted.
//!
//! The cache lies in `packhouse/stat-cache` of the repository, a file for each folder copied. It is a convenience:
//! a file that is missing, damaged or of another version counts as empty.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use packhouse_object::ObjectId;
use parking_lot::Mutex;

use super::ingest::Candidate;
use super::local_file::{FileId, Found, Stamp};
use crate::directory::Sharing;
use crate::directory::durable::create_folders;
use crate::directory::file_system::tells_changes;
use crate::store::Store;

/// Names the format; another format has another name.
const MAGIC: &[u8; 8] = b"phstat1\n";
const RECORD_LEN: usize = 7 * 8 + ID_LEN;
const ID_LEN: usize = 20;
const SUM_LEN: usize = 32;

/// Fewer files with fewer bytes are read faster than a cache.
const MIN_FILES: usize = 64;
const MIN_BYTES: u64 = 4 << 20;
/// A larger cache is not read, and not written: 3.5 million files.
const MAX_BYTES: u64 = 256 << 20;
/// The most folders that are remembered.
const MAX_CACHES: usize = 32;

/// How long before reading a file must have been left alone, on file systems with fine clocks: more than the longest
/// tick of a kernel's clock.
const FINE_MARGIN_NANOS: i128 = 20_000_000;
/// The same where times seem to be cut to seconds or worse.
const COARSE_MARGIN_NANOS: i128 = 3_000_000_000;

impl Stamp {
    /// Whether a write that began at `now` or later is bound to leave another stamp.
    fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(UNIX_EPOCH) else {
            return false;
        };
        let (seconds, nanos) = self.changed;
        let changed = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let margin = match nanos % 1_000_000 {
            0 => COARSE_MARGIN_NANOS,
            _ => FINE_MARGIN_NANOS,
        };
        changed + margin < now.as_nanos().cast_signed()
    }
}

/// What a file held when it had a stamp.
type Record = (FileId, (Stamp, ObjectId));

/// What is known of the files of one folder.
#[derive(Default)]
pub(super) struct StatCache {
    path: Option<PathBuf>,
    /// Whom the folder of caches is for. A cache is for its writer alone: it vouches for what files hold.
    sharing: Sharing,
    /// By file, in ascending order.
    known: Vec<Record>,
    /// Which devices have a file system that is trusted.
    devices: Mutex<HashMap<u64, bool>>,
    /// What this run has found out.
    learned: Mutex<HashMap<FileId, (Stamp, ObjectId)>>,
    /// How many files this run looks at.
    files: usize,
}

/// Whether files of these sizes are read sooner than it is found out that they need not be.
fn are_read_at_once(sizes: impl IntoIterator<Item = u64>) -> bool {
    let (mut files, mut bytes) = (0, 0_u64);
    sizes.into_iter().all(|size| {
        files += 1;
        bytes = bytes.saturating_add(size);
        files < MIN_FILES && bytes < MIN_BYTES
    })
}

impl StatCache {
    /// The cache of a store for sources that have these files.
    pub(super) fn load<'a>(
        store: &Store,
        sources: impl IntoIterator<Item = &'a Path>,
        candidates: &[Candidate],
    ) -> StatCache {
        let files = candidates.len();
        let sizes = candidates.iter().map(Candidate::size);
        match are_read_at_once(sizes) || store.options().read_only {
            true => StatCache::default(),
            false => StatCache {
                files,
                sharing: store.inner.directory.objects_dir().sharing,
                ..StatCache::load_from(store.path(), sources)
            },
        }
    }

    fn load_from<'a>(repository: &Path, sources: impl IntoIterator<Item = &'a Path>) -> StatCache {
        let mut name = blake3::Hasher::new();
        for source in sources {
            let Ok(source) = source.canonicalize() else {
                return StatCache::default();
            };
            name.update(source.as_os_str().as_bytes());
            name.update(&[0]);
        }
        let path = repository
            .join("packhouse/stat-cache")
            .join(&name.finalize().to_hex().as_str()[..32]);
        StatCache {
            known: read(&path).unwrap_or_default(),
            path: Some(path),
            ..StatCache::default()
        }
    }

    /// What a file holds, if it is still as it was.
    pub(super) fn get(&self, found: &Found) -> Option<ObjectId> {
        let same = |known: &Record| known.0;
        let at = self.known.binary_search_by_key(&found.file, same).ok()?;
        let (stamp, id) = &self.known[at].1;
        (*stamp == found.stamp).then_some(*id)
    }

    /// Remembers what a file held when it was read after `began`, and after `found` was found of the open file. A
    /// write since then has changed what is found now.
    pub(super) fn learn(&self, path: &Path, found: &Found, began: SystemTime, id: ObjectId) {
        let Found { file, stamp, .. } = *found;
        if self.path.is_some() && stamp.is_settled(began) && self.trusts(file.0, path) {
            self.learned.lock().insert(file, (stamp, id));
        }
    }

    fn trusts(&self, device: u64, path: &Path) -> bool {
        let mut devices = self.devices.lock();
        *devices.entry(device).or_insert_with(|| tells_changes(path))
    }

    /// Writes down what was learned. That it cannot be written is no error.
    pub(super) fn save(self) {
        let mut next = self.learned.into_inner();
        let Some(path) = self.path.filter(|_| !next.is_empty()) else {
            return;
        };
        // What is known of files that are gone does no harm, but must not pile up.
        let room = (self.files * 2).saturating_sub(next.len());
        for (file, known) in self.known.into_iter().take(room) {
            next.entry(file).or_insert(known);
        }
        if (next.len() * RECORD_LEN) as u64 <= MAX_BYTES
            && let Err(error) = write(&path, &next, self.sharing)
        {
            tracing::debug!(%error, path = %path.display(), "could not write a stat cache");
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<Record>> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_BYTES {
        return Err(damaged());
    }
    let mut data = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut data)?;
    let (body, sum) = data.split_last_chunk::<SUM_LEN>().ok_or_else(damaged)?;
    if blake3::hash(body) != *sum {
        return Err(damaged());
    }
    let records = body.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let mut known: Vec<Record> = records
        .chunks(RECORD_LEN)
        .map(|record| parse(record).ok_or_else(damaged))
        .collect::<Result<_, _>>()?;
    known.sort_unstable_by_key(|known| known.0);
    Ok(known)
}

fn parse(record: &[u8]) -> Option<Record> {
    let (numbers, id) = record.split_last_chunk::<ID_LEN>()?;
    let (numbers, []) = numbers.as_chunks::<8>() else {
        return None;
    };
    let [device, number, size, modified @ .., changed, changed_nanos] = numbers else {
        return None;
    };
    let [modified, modified_nanos] = modified else {
        return None;
    };
    let unsigned = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let signed = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes);
    let stamp = Stamp {
        size: unsigned(size),
        modified: (signed(modified), signed(modified_nanos)),
        changed: (signed(changed), signed(changed_nanos)),
    };
    let file = (unsigned(device), unsigned(number));
    Some((file, (stamp, ObjectId::Sha1(*id))))
}

/// Writes a cache beside its place and moves it there, so that no reader finds half of one.
fn write(
    path: &Path,
    known: &HashMap<FileId, (Stamp, ObjectId)>,
    sharing: Sharing,
) -> io::Result<()> {
    let mut data = Vec::with_capacity(MAGIC.len() + known.len() * RECORD_LEN + SUM_LEN);
    data.extend_from_slice(MAGIC);
    for ((device, number), (stamp, id)) in known {
        data.extend_from_slice(&device.to_le_bytes());
        data.extend_from_slice(&number.to_le_bytes());
        data.extend_from_slice(&stamp.size.to_le_bytes());
        for (seconds, nanos) in [stamp.modified, stamp.changed] {
            data.extend_from_slice(&seconds.to_le_bytes());
            data.extend_from_slice(&nanos.to_le_bytes());
        }
        data.extend_from_slice(id.as_slice());
    }
    let sum = blake3::hash(&data);
    data.extend_from_slice(sum.as_bytes());
    let dir = path.parent().unwrap_or(Path::new("."));
    create_folders(Path::new("/"), dir, sharing)?;
    forget_oldest(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&data)?;
    file.persist(path).map_err(io::Error::from)?;
    Ok(())
}

/// Makes room for one more cache.
fn forget_oldest(dir: &Path) -> io::Result<()> {
    let mut caches = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        caches.push((entry.metadata()?.modified()?, entry.path()));
    }
    caches.sort_unstable();
    let excess = (caches.len() + 1).saturating_sub(MAX_CACHES);
    caches
        .into_iter()
        .take(excess)
        .try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn files(dir: &Path) -> Vec<PathBuf> {
        let names = (0..8).map(|n| dir.join(n.to_string()));
        let paths: Vec<PathBuf> = names.collect();
        for path in &paths {
            fs::write(path, path.as_os_str().as_bytes()).unwrap();
        }
        paths
    }

    fn id(n: u8) -> ObjectId {
        ObjectId::Sha1([n; ID_LEN])
    }

    fn look_at(path: &Path) -> Found {
        super::super::local_file::look_at(path, false).unwrap()
    }

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_was_learned_is_known_until_the_file_changes() {
        let (repo, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let paths = files(dir.path());
        let mut cache = StatCache::load_from(repo.path(), [dir.path()]);
        cache.files = paths.len();
        for path in &paths {
            let found = look_at(path);
            assert_eq!(cache.get(&found), None);
            cache.learn(path, &found, later(), id(1));
        }
        cache.save();

        std::thread::sleep(Duration::from_millis(20));
        let metadata = fs::metadata(&paths[1]).unwrap();
        let was = fs::read(&paths[1]).unwrap();
        fs::write(&paths[1], vec![b'x'; was.len()]).unwrap();
        // Same size, and the time of modification put back.
        let file = File::options().write(true).open(&paths[1]).unwrap();
        file.set_modified(metadata.modified().unwrap()).unwrap();
        fs::rename(&paths[2], dir.path().join("moved")).unwrap();

        let cache = StatCache::load_from(repo.path(), [dir.path()]);
        let get = |path: &Path| cache.get(&look_at(path));
        if !tells_changes(dir.path()) {
            return;
        }
        assert_eq!(get(&paths[0]), Some(id(1)));
        assert_eq!(get(&paths[1]), None);
        cache.learn(&paths[1], &look_at(&paths[1]), later(), id(2));
        let cache = StatCache { files: 8, ..cache };
        cache.save();
        let cache = StatCache::load_from(repo.path(), [dir.path()]);
        assert_eq!(cache.get(&look_at(&paths[1])), Some(id(2)));
        assert_eq!(cache.get(&look_at(&paths[5])), Some(id(1)));
    }

    #[test]
    fn a_file_written_just_now_is_not_remembered() {
        let (repo, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let paths = files(dir.path());
        let cache = StatCache::load_from(repo.path(), [dir.path()]);
        let now = SystemTime::now();
        fs::write(&paths[0], "new").unwrap();
        let found = look_at(&paths[0]);
        cache.learn(&paths[0], &found, now, id(1));
        cache.save();
        assert!(!repo.path().join("packhouse").exists());
    }

    #[test]
    fn a_damaged_cache_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let stamp = Stamp {
            size: 1,
            modified: (-2, 3),
            changed: (4, 5),
        };
        let known = HashMap::from([((6, 7), (stamp, id(8))), ((9, 7), (stamp, id(1)))]);
        write(&path, &known, Sharing::Umask).unwrap();
        let mut sorted: Vec<Record> = known.into_iter().collect();
        sorted.sort_unstable_by_key(|known| known.0);
        assert_eq!(read(&path).unwrap(), sorted);
        let whole = fs::read(&path).unwrap();
        for cut in [0, 1, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path).is_err());
        }
        for at in [0, 20, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            assert!(read(&path).is_err());
        }
    }

    #[test]
    fn few_caches_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..MAX_CACHES + 5 {
            let path = dir.path().join(n.to_string());
            write(&path, &HashMap::new(), Sharing::Umask).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MAX_CACHES);
    }
}
