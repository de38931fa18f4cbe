//! The contents of a commit as they arrive.

use std::path::PathBuf;

use bytes::Bytes;
use packhouse_api::ErrorCode;
use packhouse_object::{FinishedPack, IdSet, NewObject, ObjectId, ObjectKind};
use tokio::sync::OwnedSemaphorePermit;

use super::plan::{ContentUse, Plan};
use super::spool::Spool;
use crate::error::ApiError;
use crate::rest::input::shown;
use crate::rest::ndjson::{
    self, Carries, DataSplitter, Head, LineReader, NextChunk, NotBase64, next_chunk,
};
use crate::state::AppState;
use crate::turns::TurnFor;

/// Contents that may be half-received at a time. The SDKs send one after the other.
const MAX_OPEN: usize = 16;

/// What has become of a content so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    /// Nothing came yet.
    Waiting,
    /// Some of it is in the spool.
    Open,
    /// All of it came and is in the spool, which knows its id.
    Spooled,
    /// All of it came.
    Done(ObjectId),
    /// All of it came, and it is not needed.
    Ignored,
}

/// The contents of one commit.
pub(super) struct Contents<'a> {
    plan: &'a Plan,
    state: &'a AppState,
    of: TurnFor,
    quarantine: PathBuf,
    progress: Vec<Progress>,
    open: usize,
    blobs: Vec<NewObject>,
    /// The ids of `blobs`: a content that comes twice is kept once.
    known: IdSet,
    blob_bytes: usize,
    /// What of `blob_bytes` is paid for, and with what.
    paid_bytes: usize,
    paid: Vec<OwnedSemaphorePermit>,
    /// Where contents go that are too large for memory, once there is one.
    spool: Option<Spool>,
}

/// The contents when all have arrived.
pub(super) struct Stored {
    /// By content: the object it has become.
    pub ids: Vec<Option<ObjectId>>,
    /// Blobs in memory.
    pub blobs: Vec<NewObject>,
    /// Packs with blobs.
    pub packs: Vec<FinishedPack>,
    /// The memory that the blobs take, held until they are stored.
    pub paid: Vec<OwnedSemaphorePermit>,
}

impl<'a> Contents<'a> {
    /// Nothing has arrived. Large contents will go to a pack file in `quarantine`, in a turn for `of`.
    pub(super) fn new(
        plan: &'a Plan,
        state: &'a AppState,
        of: TurnFor,
        quarantine: PathBuf,
    ) -> Contents<'a> {
        Contents {
            plan,
            state,
            of,
            quarantine,
            progress: vec![Progress::Waiting; plan.uses.len()],
            open: 0,
            blobs: Vec::new(),
            known: IdSet::default(),
            blob_bytes: 0,
            paid_bytes: state.limits.commit_free_bytes,
            paid: Vec::new(),
            spool: None,
        }
    }

    /// Reads all lines that follow the first.
    pub(super) async fn read(&mut self, lines: &mut LineReader) -> Result<(), ApiError> {
        let free_bytes = self.state.limits.line_free_bytes;
        loop {
            match next_chunk(lines, Carries::Blobs, free_bytes).await? {
                NextChunk::End => return Ok(()),
                NextChunk::Whole(line) => self.chunk(&line).await?,
                NextChunk::Long(head, start) => self.long_chunk(head, start, lines).await?,
            }
        }
    }

    /// Everything has been read: what it has become.
    pub(super) async fn finish(self) -> Result<Stored, ApiError> {
        for (name, &content) in &self.plan.contents {
            let problem = match self.progress[content] {
                Progress::Waiting if self.plan.uses[content] != ContentUse::Nothing => "never came",
                Progress::Open => "has no last chunk (`eof`)",
                _ => continue,
            };
            return Err(ApiError::invalid(format!(
                "content `{}` {problem}",
                shown(name)
            )));
        }
        let done = |progress: &Progress| match progress {
            Progress::Done(id) => Some(*id),
            _ => None,
        };
        let mut ids: Vec<Option<ObjectId>> = self.progress.iter().map(done).collect();
        let mut packs = Vec::new();
        if let Some(spool) = self.spool {
            let spooled = spool.finish().await?;
            for (content, id) in spooled.ids {
                ids[content] = Some(id);
            }
            packs.push(spooled.pack);
        }
        Ok(Stored {
            ids,
            blobs: self.blobs,
            packs,
            paid: self.paid,
        })
    }

    /// A line that was received whole.
    async fn chunk(&mut self, line: &[u8]) -> Result<(), ApiError> {
        let chunk = ndjson::parse(Carries::Blobs, line)?;
        let content = self.find(&chunk.content_id)?;
        let data = ndjson::decode(&chunk)?.ok_or_else(|| not_base64(&chunk.content_id))?;
        match self.plan.uses[content] {
            ContentUse::Nothing if data.is_empty() => self.progress[content] = Progress::Ignored,
            ContentUse::Nothing => {
                let id = shown(&chunk.content_id);
                return Err(ApiError::invalid(format!(
                    "content `{id}` belongs to a deletion and is not empty"
                )));
            }
            ContentUse::Submodule => self.progress[content] = submodule(&data, chunk.eof)?,
            ContentUse::Blob if chunk.eof && self.progress[content] == Progress::Waiting => {
                self.whole_blob(content, Bytes::from(data)).await?;
            }
            ContentUse::Blob => {
                self.begin(content).await?;
                let spool = self.spool().await?;
                spool.write(content, Bytes::from(data)).await?;
                self.end_chunk(content, chunk.eof).await?;
            }
        }
        Ok(())
    }

    /// A line that is taken apart as it arrives; `start` is its beginning.
    async fn long_chunk(
        &mut self,
        head: Head,
        start: Bytes,
        lines: &mut LineReader,
    ) -> Result<(), ApiError> {
        let content = self.find(&head.content_id)?;
        if self.plan.uses[content] != ContentUse::Blob {
            let id = shown(&head.content_id);
            return Err(ApiError::invalid(format!(
                "content `{id}` is too long for what it is"
            )));
        }
        self.begin(content).await?;
        let mut split = DataSplitter::default();
        let mut piece = Some(start.slice(head.data_at..));
        while let Some(rest) = piece {
            let mut rest = rest;
            while let Some(data) = split.next(&mut rest)? {
                self.spool().await?.base64(content, data).await?;
            }
            piece = lines.rest().await?;
        }
        let eof = ndjson::parse_tail(Carries::Blobs, &split.tail)?;
        self.spool().await?.end_base64(content).await?;
        self.end_chunk(content, eof).await
    }

    fn find(&self, content_id: &str) -> Result<usize, ApiError> {
        let content = self.plan.contents.get(content_id).copied();
        let content = content.ok_or_else(|| {
            ApiError::invalid(format!("unknown `content_id` `{}`", shown(content_id)))
        })?;
        match self.progress[content] {
            Progress::Waiting | Progress::Open => Ok(content),
            Progress::Ignored if self.plan.uses[content] == ContentUse::Nothing => Ok(content),
            _ => Err(ApiError::invalid(format!(
                "content `{}` goes on after its last chunk",
                shown(content_id)
            ))),
        }
    }

    async fn whole_blob(&mut self, content: usize, data: Bytes) -> Result<(), ApiError> {
        check_size(data.len() as u64, self.state.limits.file_bytes)?;
        let blob = match data.len() {
            // Hashing this much takes longer than handing it to another thread.
            LARGE_BLOB_BYTES.. => {
                tokio::task::spawn_blocking(move || NewObject::new(ObjectKind::Blob, data)).await?
            }
            _ => NewObject::new(ObjectKind::Blob, data),
        };
        let blob = blob.map_err(|error| ApiError::invalid(error.to_string()))?;
        self.progress[content] = Progress::Done(blob.id);
        if let Some(spool) = &mut self.spool {
            return spool.add(blob).await;
        }
        if !self.known.insert(blob.id) {
            return Ok(());
        }
        self.blob_bytes += blob.data.len() + size_of::<NewObject>();
        self.blobs.push(blob);
        if self.blob_bytes > self.state.limits.commit_memory_bytes || !self.pay() {
            self.spool().await?;
        }
        Ok(())
    }

    /// Pays for the memory that the blobs take; false if there is none left.
    fn pay(&mut self) -> bool {
        while self.blob_bytes > self.paid_bytes {
            let pool = self.state.commit_pool.clone();
            let Ok(permit) = pool.try_acquire_many_owned((POOL_STEP_BYTES / 1024) as u32) else {
                return false;
            };
            self.paid.push(permit);
            self.paid_bytes += POOL_STEP_BYTES;
        }
        true
    }

    async fn begin(&mut self, content: usize) -> Result<(), ApiError> {
        if self.progress[content] == Progress::Waiting {
            if self.open == MAX_OPEN {
                return Err(ApiError::invalid(format!(
                    "more than {MAX_OPEN} contents are sent at the same time"
                )));
            }
            self.open += 1;
            self.progress[content] = Progress::Open;
            self.spool().await?.open(content).await?;
        }
        Ok(())
    }

    async fn end_chunk(&mut self, content: usize, eof: bool) -> Result<(), ApiError> {
        if eof {
            self.open -= 1;
            self.progress[content] = Progress::Spooled;
            self.spool().await?.close(content).await?;
        }
        Ok(())
    }

    /// The spool, started if there is none; what was in memory goes there, too.
    async fn spool(&mut self) -> Result<&mut Spool, ApiError> {
        if self.spool.is_none() {
            let mut spool = Spool::start(self.state, &self.of, self.quarantine.clone()).await?;
            for blob in self.blobs.drain(..) {
                spool.add(blob).await?;
            }
            self.paid.clear();
            self.spool = Some(spool);
        }
        self.spool
            .as_mut()
            .ok_or_else(|| ApiError::internal("the spool is gone"))
    }
}

/// Bytes that are taken from the pool for contents at a time.
const POOL_STEP_BYTES: usize = 64 << 10;

/// Blobs from this size on are hashed off the asynchronous threads, in bytes.
const LARGE_BLOB_BYTES: usize = 256 << 10;

/// Refuses a file of `size` bytes or more if that is over `limit`.
pub(super) fn check_size(size: u64, limit: u64) -> Result<(), ApiError> {
    if size <= limit {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::TooLarge,
        format!("a file has {size} bytes or more, over the limit of {limit} bytes for one file"),
    ))
}

fn submodule(data: &[u8], eof: bool) -> Result<Progress, ApiError> {
    let id = ObjectId::from_hex(data.trim_ascii())
        .ok()
        .filter(|id| eof && !id.is_null());
    id.map(Progress::Done).ok_or_else(|| {
        ApiError::invalid("a submodule's content is the id of a commit, in one chunk")
    })
}

fn not_base64(content_id: &str) -> ApiError {
    ApiError::invalid(format!("content `{}`: {}", shown(content_id), NotBase64))
}
