//! A store in memory whose uploads and downloads fail as told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The part of this number, counted from one, fails.
    Part(usize),
    /// The parts from this number on are never answered.
    PartsHang(usize),
    /// The upload is not completed, and says so.
    Complete,
    /// The upload is completed, but the answer is lost.
    CompleteAnswerLost,
    /// A download ends after its first half without an error.
    ShortRead,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) aborts: AtomicUsize,
    pub(crate) parts: AtomicUsize,
    pub(crate) parts_at_once: AtomicUsize,
    pub(crate) most_parts_at_once: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct BrokenStore {
    pub(crate) inner: InMemory,
    pub(crate) fault: Fault,
    pub(crate) seen: Arc<Seen>,
}

impl BrokenStore {
    pub(crate) fn new(fault: Fault) -> Arc<BrokenStore> {
        Arc::new(BrokenStore {
            inner: InMemory::new(),
            fault,
            seen: Arc::default(),
        })
    }
}

fn injected() -> Error {
    Error::Generic {
        store: "broken",
        source: "injected".into(),
    }
}

#[derive(Debug)]
struct BrokenUpload {
    inner: Box<dyn MultipartUpload>,
    fault: Fault,
    seen: Arc<Seen>,
}

#[async_trait]
impl MultipartUpload for BrokenUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (fault, seen) = (self.fault, self.seen.clone());
        let sent = self.inner.put_part(data);
        let now = seen.parts_at_once.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most_parts_at_once.fetch_max(now, Ordering::SeqCst);
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let number = seen.parts.fetch_add(1, Ordering::SeqCst) + 1;
            let result = match fault {
                Fault::Part(failing) if failing == number => Err(injected()),
                Fault::PartsHang(first) if first <= number => std::future::pending().await,
                _ => sent.await,
            };
            seen.parts_at_once.fetch_sub(1, Ordering::SeqCst);
            result
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        match self.fault {
            Fault::Complete => Err(injected()),
            Fault::CompleteAnswerLost => self.inner.complete().await.and(Err(injected())),
            _ => self.inner.complete().await,
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.seen.aborts.fetch_add(1, Ordering::SeqCst);
        self.inner.abort().await
    }
}

impl fmt::Display for BrokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken store")
    }
}

#[async_trait]
impl ObjectStore for BrokenStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(BrokenUpload {
            inner,
            fault: self.fault,
            seen: self.seen.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.inner.get_opts(location, options).await?;
        if self.fault == Fault::ShortRead {
            let bytes = self
                .inner
                .get_opts(location, GetOptions::default())
                .await?
                .bytes()
                .await?;
            let half = bytes.slice(..bytes.len() / 2);
            found.payload = GetResultPayload::Stream(stream::iter([Ok(half)]).boxed());
        }
        Ok(found)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
