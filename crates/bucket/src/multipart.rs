//! A file sent in parts, in bounded memory, and cleaned up after when it fails.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as StorePath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::durable::blocking;
use crate::{BucketError, Key};

/// Bytes of a part, and the size up to which a file is sent in one request. S3 demands at least 5 MiB. Downloads are in
/// pieces of the same size.
pub(crate) const PART_BYTES: u64 = 8 << 20;
/// Parts of one file on their way at the same time: with [`PART_BYTES`] this bounds the memory of a transfer.
pub(crate) const PARTS_AT_ONCE: usize = 4;
/// Parts that S3 allows; a file that needs more gets larger ones.
const PARTS_LIMIT: u64 = 10_000;

/// Stores `file` at `path`.
pub(crate) async fn put_file(
    store: &Arc<dyn ObjectStore>,
    path: &StorePath,
    key: &Key,
    file: &Path,
) -> Result<(), BucketError> {
    let source = Source::open(file)
        .await
        .map_err(BucketError::file("open", file))?;
    if source.size <= PART_BYTES {
        let bytes = source
            .part(0, source.size)
            .await
            .map_err(BucketError::file("read", file))?;
        store
            .put(path, bytes.into())
            .await
            .map_err(|error| BucketError::object("put", key, error))?;
        return Ok(());
    }
    let upload = store
        .put_multipart(path)
        .await
        .map_err(|error| BucketError::object("put", key, error))?;
    let mut upload = Upload {
        upload: Some(upload),
        parts: JoinSet::new(),
    };
    match upload.send(&source).await {
        Ok(()) => {}
        Err(Failure::File(error)) => {
            upload.abort().await;
            return Err(BucketError::file("read", file)(error));
        }
        Err(Failure::Store(error)) => {
            upload.abort().await;
            return Err(BucketError::object("put", key, error));
        }
    }
    match upload.complete().await {
        Ok(()) => Ok(()),
        // The answer to the first attempt may have been lost, and a repeated one finds no upload to complete. What is at
        // the key then is ours, since every writer of a key brings the same bytes.
        Err(error) => match store.head(path).await {
            Ok(meta) if meta.size == source.size => Ok(()),
            _ => {
                upload.abort().await;
                Err(BucketError::object("put", key, error))
            }
        },
    }
}

struct Source {
    file: Arc<File>,
    size: u64,
}

impl Source {
    async fn open(path: &Path) -> io::Result<Source> {
        let path = path.to_owned();
        blocking(move || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "not a plain file",
                ));
            }
            Ok(Source {
                file: Arc::new(file),
                size: metadata.len(),
            })
        })
        .await
    }

    async fn part(&self, start: u64, length: u64) -> io::Result<Bytes> {
        let file = self.file.clone();
        let length = usize::try_from(length).map_err(io::Error::other)?;
        blocking(move || {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, start)?;
            Ok(bytes.into())
        })
        .await
    }
}

enum Failure {
    File(io::Error),
    Store(object_store::Error),
}

/// A multipart upload that is completed, or aborted: also when the future that drives it is dropped. The parts of an
/// upload that is neither would be kept, and paid for, without ever being visible.
struct Upload {
    upload: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<object_store::Result<()>>,
}

impl Upload {
    async fn send(&mut self, source: &Source) -> Result<(), Failure> {
        let part_bytes = part_bytes(source.size);
        let mut start = 0;
        while start < source.size {
            while self.parts.len() >= PARTS_AT_ONCE {
                self.part_sent().await?;
            }
            let length = part_bytes.min(source.size - start);
            let bytes = source.part(start, length).await.map_err(Failure::File)?;
            start += length;
            if let Some(upload) = &mut self.upload {
                self.parts.spawn(upload.put_part(PutPayload::from(bytes)));
            }
        }
        while !self.parts.is_empty() {
            self.part_sent().await?;
        }
        Ok(())
    }

    async fn part_sent(&mut self) -> Result<(), Failure> {
        match self.parts.join_next().await {
            None => Ok(()),
            Some(Ok(sent)) => sent.map_err(Failure::Store),
            Some(Err(error)) => Err(Failure::Store(object_store::Error::JoinError {
                source: error,
            })),
        }
    }

    async fn complete(&mut self) -> object_store::Result<()> {
        match &mut self.upload {
            Some(upload) => upload.complete().await.map(drop)?,
            None => return Ok(()),
        }
        self.upload = None;
        Ok(())
    }

    async fn abort(&mut self) {
        // A part that arrives after the abort would stay.
        self.parts.shutdown().await;
        if let Some(upload) = self.upload.take() {
            abort(upload).await;
        }
    }
}

async fn abort(mut upload: Box<dyn MultipartUpload>) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(%error, "could not abort an upload; the service may keep its parts");
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) {
            let mut parts = std::mem::take(&mut self.parts);
            runtime.spawn(async move {
                parts.shutdown().await;
                abort(upload).await;
            });
        }
    }
}

/// Bytes of each part of a file of `size` bytes, whole MiB.
fn part_bytes(size: u64) -> u64 {
    size.div_ceil(PARTS_LIMIT)
        .next_multiple_of(1 << 20)
        .max(PART_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // S3's largest object has 5 TiB.
        #[test]
        fn no_file_needs_more_parts_than_there_may_be(size in 1_u64..5 << 40) {
            let part = part_bytes(size);
            prop_assert!(part >= PART_BYTES);
            prop_assert!(size.div_ceil(part) <= PARTS_LIMIT);
        }
    }
}
