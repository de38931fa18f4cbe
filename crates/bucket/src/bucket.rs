//! The seam: what every store of bytes can do.

use std::fmt::Debug;
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::{BucketError, Key};

/// Most bytes that [`Bucket::get`] and [`Bucket::get_range`] read into memory.
pub const READ_LIMIT: u64 = 64 << 20;

/// A store of immutable objects.
///
/// The content of a key never changes, so two writers of one key bring the same bytes, in any order and at the same
/// time, and nobody can tell who won. A key is never also the folder of another key: `a` and `a/b` do not both exist.
///
/// Must be atomic: an object is visible whole or not at all. Need not be: anything that spans two objects. A write that
/// returned an error may have happened, or may still happen.
#[async_trait]
pub trait Bucket: Send + Sync + Debug {
    /// Stores `bytes` at `key`. When it returns, they survive a crash and power loss.
    async fn put(&self, key: &Key, bytes: Bytes) -> Result<(), BucketError>;

    /// Stores the content of `file` at `key`, in bounded memory. When it returns, it survives a crash and power loss.
    ///
    /// The bucket may keep the very file (by a hard link): delete it as you like, but never write to it again.
    async fn put_file(&self, key: &Key, file: &Path) -> Result<(), BucketError>;

    /// The whole object, of at most [`READ_LIMIT`] bytes.
    async fn get(&self, key: &Key) -> Result<Bytes, BucketError>;

    /// Exactly the bytes of `range`, at most [`READ_LIMIT`]; a range that ends after the object does is an error.
    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, BucketError>;

    /// Copies the object to `file`, in bounded memory, and returns its size in bytes.
    ///
    /// `file` is there complete and durable, or untouched; its folder must exist.
    async fn get_to_file(&self, key: &Key, file: &Path) -> Result<u64, BucketError>;

    /// Bytes of the object, or `None` where there is none.
    async fn size(&self, key: &Key) -> Result<Option<u64>, BucketError>;

    /// Removes the object; one that is not there is removed already. A crash may bring it back.
    async fn delete(&self, key: &Key) -> Result<(), BucketError>;

    /// The objects below the folder `prefix` (empty: all of them), in no order.
    ///
    /// An object that is put or deleted meanwhile may be listed or not.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed, BucketError>>;

    /// Where the object is on this machine's disk, if this kind of bucket keeps objects as plain files. Whether it
    /// exists is not looked at. The file must not be written to.
    fn local_path(&self, key: &Key) -> Option<PathBuf>;

    /// The bucket in words for a log, without secrets.
    fn describe(&self) -> String;
}

impl dyn Bucket + '_ {
    /// Whether the bucket answers and lets us in.
    pub async fn ping(&self) -> Result<(), BucketError> {
        // No object has this name, so the answer is short on every store.
        self.list("ping").next().await.transpose().map(drop)
    }
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its bytes.
    pub size: u64,
    /// When it was put, in milliseconds since 1970 by the store's clock; only good for judging age.
    pub modified_ms: i64,
}

/// Refuses an answer that would not fit in memory.
pub(crate) fn check_read_size(key: &Key, size: u64) -> Result<(), BucketError> {
    if size > READ_LIMIT {
        return Err(BucketError::TooLarge {
            key: key.clone(),
            size,
            limit: READ_LIMIT,
        });
    }
    Ok(())
}

/// Refuses a range that is not within an object of `size` bytes.
pub(crate) fn check_range(key: &Key, range: &Range<u64>, size: u64) -> Result<(), BucketError> {
    if range.start > range.end || range.end > size {
        return Err(BucketError::Range {
            key: key.clone(),
            start: range.start,
            end: range.end,
            size,
        });
    }
    Ok(())
}

/// The folder that `prefix` names: a key, or `None` for the root. One slash at the end changes nothing.
pub(crate) fn parse_prefix(prefix: &str) -> Result<Option<Key>, BucketError> {
    match prefix.strip_suffix('/').unwrap_or(prefix) {
        "" if prefix.is_empty() => Ok(None),
        folder => Ok(Some(Key::parse(folder)?)),
    }
}
