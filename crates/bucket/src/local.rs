//! A folder on this machine's disk.
//!
//! An object is a plain file at its key. It is written under a temporary name below `.tmp`, made durable, and renamed,
//! so that no reader and no crash ever finds half of it; a file put by [`put_file`](Bucket::put_file) is linked
//! instead where that is possible, which is as atomic and copies nothing. No key starts with a dot, so temporary files
//! are never objects.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use crate::bucket::{check_range, check_read_size, parse_prefix};
use crate::durable::{blocking, folder_of, persist, sync_folder};
use crate::{Bucket, BucketError, Key, Listed};

const TEMP_FOLDER: &str = ".tmp";
/// A temporary file nobody has written to for this long belongs to a process that is gone.
const TEMP_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Listed objects that wait for the reader of the list.
const LIST_AHEAD: usize = 256;
/// Folders remembered as durable. Forgetting them costs a few syncs.
const KNOWN_FOLDERS: usize = 1 << 16;

/// A [`Bucket`] in a local folder.
#[derive(Debug, Clone)]
pub struct LocalBucket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Folders whose whole path from the root this process has made durable. That a folder exists is not enough: whoever
    /// created it may not have come to sync it yet, and our object would vanish with it.
    durable: Mutex<HashSet<PathBuf>>,
}

impl LocalBucket {
    /// Opens the bucket in `root`, which is created if it is not there. Old temporary files are removed.
    pub fn open(root: &Path) -> Result<LocalBucket, BucketError> {
        let failed = |source: io::Error| BucketError::Open {
            bucket: root.display().to_string(),
            source: source.into(),
        };
        let root = std::path::absolute(root).map_err(failed)?;
        create_durably(&root).map_err(failed)?;
        create_durably(&root.join(TEMP_FOLDER)).map_err(failed)?;
        remove_old_temps(&root.join(TEMP_FOLDER), SystemTime::now()).map_err(failed)?;
        Ok(LocalBucket {
            inner: Arc::new(Inner {
                root,
                durable: Mutex::default(),
            }),
        })
    }

    /// Runs `work` on a blocking thread and names the object in its error.
    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        key: &Key,
        work: impl FnOnce(&Inner, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BucketError> {
        let inner = self.inner.clone();
        let path = self.inner.path(key);
        blocking(move || work(&inner, &path))
            .await
            .map_err(|error| {
                if is_missing(&error) && action == "read" {
                    BucketError::NotFound { key: key.clone() }
                } else {
                    BucketError::object(action, key, error)
                }
            })
    }
}

impl Inner {
    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn temp(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new()
            .prefix("put-")
            .tempfile_in(self.root.join(TEMP_FOLDER))
    }

    /// Creates the folder of `path` and makes it durable up to the root.
    fn prepare_folder(&self, path: &Path) -> io::Result<()> {
        let folder = folder_of(path);
        if self.known().contains(folder) && folder.is_dir() {
            return Ok(());
        }
        let mut here = self.root.clone();
        for part in folder.strip_prefix(&self.root).into_iter().flatten() {
            let above = here.clone();
            here.push(part);
            match fs::create_dir(&here) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => sync_folder(&above)?,
            }
        }
        let mut known = self.known();
        if known.len() >= KNOWN_FOLDERS {
            known.clear();
        }
        known.insert(folder.to_owned());
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, path: &Path, content: &mut dyn Read) -> io::Result<()> {
        let mut temp = self.temp()?;
        io::copy(content, temp.as_file_mut())?;
        persist(temp, path)
    }

    /// Links `file` at `path`, or copies it where the file system cannot.
    fn adopt(&self, path: &Path, file: &mut File, name: &Path) -> io::Result<()> {
        file.sync_all()?;
        match fs::hard_link(name, path) {
            Ok(()) => Ok(()),
            // Same key, same bytes. A file of another size is damaged, and the new one heals it.
            Err(error)
                if error.kind() == ErrorKind::AlreadyExists
                    && fs::metadata(path)?.len() == file.metadata()?.len() =>
            {
                Ok(())
            }
            // Another file system, links forbidden, too many links: whatever it is, a copy decides.
            Err(_) => self.write(path, file),
        }
    }
}

#[async_trait]
impl Bucket for LocalBucket {
    async fn put(&self, key: &Key, bytes: Bytes) -> Result<(), BucketError> {
        self.run("put", key, move |inner, path| {
            inner.prepare_folder(path)?;
            inner.write(path, &mut &bytes[..])?;
            sync_folder(folder_of(path))
        })
        .await
    }

    async fn put_file(&self, key: &Key, file: &Path) -> Result<(), BucketError> {
        let name = file.to_owned();
        let mut file =
            blocking(move || open_plain(&name).map_err(BucketError::file("open", &name))).await?;
        let name = file.name;
        self.run("put", key, move |inner, path| {
            inner.prepare_folder(path)?;
            inner.adopt(path, &mut file.file, &name)?;
            sync_folder(folder_of(path))
        })
        .await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, BucketError> {
        let (file, size) = self.run("read", key, |_, path| open_object(path)).await?;
        check_read_size(key, size)?;
        self.run("read", key, move |_, _| read_exact_at(&file, 0, size))
            .await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, BucketError> {
        let (file, size) = self.run("read", key, |_, path| open_object(path)).await?;
        check_range(key, &range, size)?;
        check_read_size(key, range.end - range.start)?;
        self.run("read", key, move |_, _| {
            read_exact_at(&file, range.start, range.end - range.start)
        })
        .await
    }

    async fn get_to_file(&self, key: &Key, file: &Path) -> Result<u64, BucketError> {
        let (mut object, size) = self.run("read", key, |_, path| open_object(path)).await?;
        let target = file.to_owned();
        blocking(move || {
            let folder = folder_of(&target);
            let mut temp = NamedTempFile::new_in(folder)?;
            io::copy(&mut object, temp.as_file_mut())?;
            persist(temp, &target)?;
            sync_folder(folder)
        })
        .await
        .map_err(BucketError::file("write", file))?;
        Ok(size)
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, BucketError> {
        match self
            .run("read", key, |_, path| size_of(fs::metadata(path)?))
            .await
        {
            Ok(size) => Ok(Some(size)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.run("delete", key, |_, path| match fs::remove_file(path) {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        })
        .await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed, BucketError>> {
        let folder = match parse_prefix(prefix) {
            Ok(Some(folder)) => self.inner.path(&folder),
            Ok(None) => self.inner.root.clone(),
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let (sender, mut receiver) = mpsc::channel(LIST_AHEAD);
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = walk(&inner.root, &folder, &sender) {
                // A reader that is gone needs no error.
                let _ = sender.blocking_send(Err(error));
            }
        });
        stream::poll_fn(move |context| receiver.poll_recv(context))
            .map(move |item| item.map_err(|error| BucketError::list(prefix, error)))
            .boxed()
    }

    fn local_path(&self, key: &Key) -> Option<PathBuf> {
        Some(self.inner.path(key))
    }

    fn describe(&self) -> String {
        format!("local folder {}", self.inner.root.display())
    }
}

/// No such file, or a file where a folder would have to be.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn size_of(metadata: Metadata) -> io::Result<u64> {
    // A folder is the beginning of other keys and no object.
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        Err(ErrorKind::NotFound.into())
    }
}

fn open_object(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let size = size_of(file.metadata()?)?;
    Ok((file, size))
}

/// A file of the caller together with its name.
struct Plain {
    file: File,
    name: PathBuf,
}

fn open_plain(name: &Path) -> io::Result<Plain> {
    // A symbolic link would be linked as such: the bucket wants the file it leads to.
    let name = fs::canonicalize(name)?;
    let file = File::open(&name)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"));
    }
    Ok(Plain { file, name })
}

fn read_exact_at(file: &File, start: u64, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes.into())
}

/// Creates `folder` and everything above it, each made durable in the folder that holds it.
fn create_durably(folder: &Path) -> io::Result<()> {
    let above = folder_of(folder);
    if !folder.is_dir() {
        if above != folder {
            create_durably(above)?;
        }
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    match sync_folder(above) {
        // A folder that we may not even open was made by someone else, before us.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

fn remove_old_temps(folder: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // One that vanishes while we look has been finished by its writer.
        let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else {
            continue;
        };
        if now.duration_since(modified).is_ok_and(|age| age > TEMP_AGE) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {
                    tracing::info!(file = %entry.path().display(), "removed a leftover of an unfinished write")
                }
            }
        }
    }
    Ok(())
}

/// Sends every object below `folder`, until the reader is gone. What it holds is bounded by how deep folders are, not by
/// how many there are.
fn walk(root: &Path, folder: &Path, sender: &mpsc::Sender<io::Result<Listed>>) -> io::Result<()> {
    // The folders that are being read, outermost first.
    let mut reading: Vec<fs::ReadDir> = read_folder(folder)?.into_iter().collect();
    while let Some(entries) = reading.last_mut() {
        let Some(entry) = entries.next() else {
            reading.pop();
            continue;
        };
        let path = entry?.path();
        let Some(key) = path
            .strip_prefix(root)
            .ok()
            .and_then(Path::to_str)
            .and_then(|text| Key::parse(text).ok())
        else {
            continue;
        };
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if is_missing(&error) => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            reading.extend(read_folder(&path)?);
        } else if metadata.is_file() {
            let listed = Listed {
                key,
                size: metadata.len(),
                modified_ms: milliseconds(metadata.modified()?),
            };
            if sender.blocking_send(Ok(listed)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// `None`: it is not there, or not any more.
fn read_folder(folder: &Path) -> io::Result<Option<fs::ReadDir>> {
    match fs::read_dir(folder) {
        Err(error) if is_missing(&error) => Ok(None),
        entries => entries.map(Some),
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}
