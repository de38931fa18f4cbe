//! A bucket over any store of the `object_store` crate.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as StorePath;
use object_store::{GetOptions, GetResult, ObjectStore, ObjectStoreExt};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use crate::bucket::{check_range, check_read_size, parse_prefix};
use crate::durable::{blocking, folder_of, persist, sync_folder};
use crate::multipart::{self, PART_BYTES, PARTS_AT_ONCE};
use crate::{Bucket, BucketError, Key, Listed};

/// A [`Bucket`] over an [`ObjectStore`], below a prefix of its own.
///
/// Objects are written unconditionally: services were measured that answer 200 to a conditional write and overwrite.
#[derive(Debug)]
pub struct RemoteBucket {
    store: Arc<dyn ObjectStore>,
    prefix: Option<Key>,
    description: String,
}

impl RemoteBucket {
    /// The objects of `store` below `prefix`. `description` is for logs.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        prefix: Option<Key>,
        description: String,
    ) -> RemoteBucket {
        RemoteBucket {
            store,
            prefix,
            description,
        }
    }

    fn path(&self, key: &Key) -> StorePath {
        // A key has only characters that the store's own path type takes unchanged.
        match &self.prefix {
            Some(prefix) => {
                StorePath::from_iter(prefix.as_str().split('/').chain(key.as_str().split('/')))
            }
            None => StorePath::from(key.as_str()),
        }
    }

    fn key(&self, path: &StorePath) -> Option<Key> {
        let text = match &self.prefix {
            Some(prefix) => path
                .as_ref()
                .strip_prefix(prefix.as_str())?
                .strip_prefix('/')?,
            None => path.as_ref(),
        };
        Key::parse(text).ok()
    }

    /// The answer to an empty range, or to one that the store refused, perhaps because it ends after the object.
    async fn check_range(&self, key: &Key, range: &Range<u64>) -> Result<(), BucketError> {
        match self.size(key).await? {
            Some(size) => check_range(key, range, size),
            None => Err(BucketError::NotFound { key: key.clone() }),
        }
    }
}

/// An error of a read, with absence as its own kind.
fn read_error(key: &Key) -> impl Fn(object_store::Error) -> BucketError {
    move |error| match error {
        object_store::Error::NotFound { source, .. } if !is_missing_bucket(&*source) => {
            BucketError::NotFound { key: key.clone() }
        }
        error => BucketError::object("read", key, error),
    }
}

/// S3 answers 404 when the whole bucket is missing, too. Then no object is known to be absent.
fn is_missing_bucket(source: &(dyn std::error::Error + 'static)) -> bool {
    source.to_string().contains("NoSuchBucket")
}

/// The bytes of an answer, which must be all that were promised.
async fn content(key: &Key, found: GetResult, size: u64) -> Result<Bytes, BucketError> {
    let bytes = found.bytes().await.map_err(read_error(key))?;
    if bytes.len() as u64 != size {
        let reason = format!("the answer has {} of {size} bytes", bytes.len());
        return Err(BucketError::object("read", key, reason));
    }
    Ok(bytes)
}

#[async_trait]
impl Bucket for RemoteBucket {
    async fn put(&self, key: &Key, bytes: Bytes) -> Result<(), BucketError> {
        self.store
            .put(&self.path(key), bytes.into())
            .await
            .map_err(|error| BucketError::object("put", key, error))?;
        Ok(())
    }

    async fn put_file(&self, key: &Key, file: &Path) -> Result<(), BucketError> {
        multipart::put_file(&self.store, &self.path(key), key, file).await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, BucketError> {
        let found = self
            .store
            .get(&self.path(key))
            .await
            .map_err(read_error(key))?;
        let size = found.meta.size;
        check_read_size(key, size)?;
        content(key, found, size).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, BucketError> {
        if range.is_empty() {
            self.check_range(key, &range).await?;
            return Ok(Bytes::new());
        }
        check_read_size(key, range.end - range.start)?;
        let options = GetOptions {
            range: Some(range.clone().into()),
            ..GetOptions::default()
        };
        match self.store.get_opts(&self.path(key), options).await {
            Ok(found) => {
                // A store cuts a range at the end of the object without a word.
                check_range(key, &range, found.meta.size)?;
                content(key, found, range.end - range.start).await
            }
            Err(error @ object_store::Error::NotFound { .. }) => Err(read_error(key)(error)),
            Err(error) => {
                self.check_range(key, &range).await?;
                Err(read_error(key)(error))
            }
        }
    }

    async fn get_to_file(&self, key: &Key, file: &Path) -> Result<u64, BucketError> {
        let Some(size) = self.size(key).await? else {
            return Err(BucketError::NotFound { key: key.clone() });
        };
        let failed = || BucketError::file("write", file);
        let folder = folder_of(file).to_owned();
        let temp = blocking(move || NamedTempFile::new_in(folder))
            .await
            .map_err(failed())?;
        let mut writer = tokio::fs::File::from_std(temp.reopen().map_err(failed())?);
        // In pieces, since each request has attempts of its own: one for it all would run out of them on a large object.
        let mut pieces = stream::iter((0..size).step_by(PART_BYTES as usize))
            .map(|start| self.get_range(key, start..size.min(start + PART_BYTES)))
            .buffered(PARTS_AT_ONCE);
        while let Some(piece) = pieces.try_next().await? {
            writer.write_all(&piece).await.map_err(failed())?;
        }
        writer.flush().await.map_err(failed())?;
        let target = file.to_owned();
        blocking(move || persist(temp, &target).and_then(|()| sync_folder(folder_of(&target))))
            .await
            .map_err(failed())?;
        Ok(size)
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, BucketError> {
        match self
            .store
            .head(&self.path(key))
            .await
            .map_err(read_error(key))
        {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) => Ok(()),
            Err(object_store::Error::NotFound { source, .. }) if !is_missing_bucket(&*source) => {
                Ok(())
            }
            Err(error) => Err(BucketError::object("delete", key, error)),
        }
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed, BucketError>> {
        let folder = match parse_prefix(prefix) {
            Ok(Some(folder)) => Some(self.path(&folder)),
            Ok(None) => self
                .prefix
                .as_ref()
                .map(|prefix| StorePath::from(prefix.as_str())),
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        self.store
            .list(folder.as_ref())
            .map_err(move |error| BucketError::list(prefix, error))
            .try_filter_map(move |meta| async move {
                // What is no key was not put by us.
                Ok(self.key(&meta.location).map(|key| Listed {
                    key,
                    size: meta.size,
                    modified_ms: meta.last_modified.timestamp_millis(),
                }))
            })
            .boxed()
    }

    fn local_path(&self, _key: &Key) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}
