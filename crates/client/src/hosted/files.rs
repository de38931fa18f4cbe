//! Files: read, list, search, in an archive.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::stream::{BoxStream, StreamExt};
use packhouse_api::{
    ArchiveRequest, BlameQuery, BlamedFile, FileQuery, FilesMetadata, FilesMetadataQuery,
    GrepRequest, GrepResponse, ListFilesQuery, ListedFiles, paths,
};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde::Deserialize;

use super::call::{Call, Caller};
use super::error::{ApiError, HostedError};
use super::repo::HostedRepo;

/// Which part of a file is wanted, and under which conditions: the values of the headers of these names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FileConditions {
    /// Such as `bytes=0-99`.
    pub range: Option<String>,
    /// Answer 412 unless the file has one of these tags.
    pub if_match: Option<String>,
    /// Answer 304 if the file has one of these tags.
    pub if_none_match: Option<String>,
    /// Answer 304 if the file did not change since.
    pub if_modified_since: Option<String>,
    /// Answer 412 if the file changed since.
    pub if_unmodified_since: Option<String>,
    /// Send a range only if the file still has this tag.
    pub if_range: Option<String>,
}

/// Statuses of a file that are answers: not modified, condition not met, no such range.
const FILE_STATUSES: &[u16] = &[304, 412, 416];

/// A body that is read while it comes: a [`Stream`] of its pieces.
pub struct Download {
    status: u16,
    headers: HeaderMap,
    pieces: BoxStream<'static, Result<Bytes, HostedError>>,
}

impl Download {
    fn new(caller: Caller, response: Response, silence: Duration) -> Download {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let pieces = futures::stream::unfold(Some(response), move |response| {
            let caller = caller.clone();
            async move {
                let mut response = response?;
                match caller.chunk(&mut response, silence).await {
                    Ok(Some(piece)) => Some((Ok(piece), Some(response))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        Download {
            status,
            headers,
            pieces: pieces.boxed(),
        }
    }

    /// HTTP status: 200, 206 for a range, and 304, 412 or 416 where conditions say so.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Headers, among them `ETag`, `Last-Modified`, `X-Blob-Sha` and `X-Last-Commit-Sha` of a file.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The whole body, in memory.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub async fn bytes(mut self) -> Result<Vec<u8>, HostedError> {
        let mut body = Vec::new();
        while let Some(piece) = self.next().await {
            body.extend_from_slice(&piece?);
        }
        Ok(body)
    }
}

impl Stream for Download {
    type Item = Result<Bytes, HostedError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_next_unpin(context)
    }
}

impl HostedRepo {
    /// A file's bytes, as they come.
    pub async fn read_file(
        &self,
        query: &FileQuery,
        conditions: &FileConditions,
    ) -> Result<Download, HostedError> {
        self.file(Method::GET, query, conditions).await
    }

    /// A file's headers: its size, tag, blob and last commit.
    pub async fn head_file(
        &self,
        query: &FileQuery,
        conditions: &FileConditions,
    ) -> Result<Download, HostedError> {
        match self.file(Method::HEAD, query, conditions).await {
            // An answer without a body does not say what failed.
            Err(HostedError::Api(error)) if error.body.is_empty() => {
                Err(self.missing_file(query, *error).into())
            }
            answer => answer,
        }
    }

    /// The files of a commit: all of them, or a page if `cursor` or `limit` is set.
    pub async fn list_files(&self, query: &ListFilesQuery) -> Result<ListedFiles, HostedError> {
        self.caller.get(paths::FILES, &["git:read"], query).await
    }

    /// A page of files, each with the commit that changed it last.
    pub async fn list_files_with_metadata(
        &self,
        query: &FilesMetadataQuery,
    ) -> Result<FilesMetadata, HostedError> {
        self.caller
            .get(paths::FILES_METADATA, &["git:read"], query)
            .await
    }

    /// The files of a commit in one archive, as it comes.
    pub async fn archive(&self, request: &ArchiveRequest) -> Result<Download, HostedError> {
        let call = Call::new(Method::POST, paths::ARCHIVE, &["git:read"]).body(request)?;
        let silence = self.caller.silence(&call);
        let response = self.caller.send(call).await?;
        Ok(Download::new(self.caller.clone(), response, silence))
    }

    /// A page of the lines that match a pattern.
    pub async fn grep(&self, request: &GrepRequest) -> Result<GrepResponse, HostedError> {
        let call = Call::new(Method::POST, paths::GREP, &["git:read"]);
        self.caller.json(call.body(request)?).await
    }

    /// Which commit each line of a file came from.
    pub async fn blame(&self, query: &BlameQuery) -> Result<BlamedFile, HostedError> {
        self.caller.get(paths::BLAME, &["git:read"], query).await
    }

    async fn file(
        &self,
        method: Method,
        query: &FileQuery,
        conditions: &FileConditions,
    ) -> Result<Download, HostedError> {
        let mut call = Call::new(method, paths::FILE, &["git:read"]).query(query)?;
        call.headers = conditions.headers()?;
        call.accepted = FILE_STATUSES;
        let silence = self.caller.silence(&call);
        let response = self.caller.send(call).await?;
        Ok(Download::new(self.caller.clone(), response, silence))
    }

    fn missing_file(&self, query: &FileQuery, mut error: ApiError) -> ApiError {
        if error.status == 404 {
            error.message = format!("no file `{}` there in `{}`", query.path, self.id());
        }
        error
    }
}

impl FileConditions {
    fn headers(&self) -> Result<HeaderMap, HostedError> {
        let given = [
            (header::RANGE, &self.range),
            (header::IF_MATCH, &self.if_match),
            (header::IF_NONE_MATCH, &self.if_none_match),
            (header::IF_MODIFIED_SINCE, &self.if_modified_since),
            (header::IF_UNMODIFIED_SINCE, &self.if_unmodified_since),
            (header::IF_RANGE, &self.if_range),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            if let Some(value) = value {
                headers.insert(name.clone(), of_header(&name, value)?);
            }
        }
        Ok(headers)
    }
}

fn of_header(name: &HeaderName, value: &str) -> Result<HeaderValue, HostedError> {
    HeaderValue::from_str(value)
        .map_err(|_| HostedError::Invalid(format!("`{name}` is not one line of text")))
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
