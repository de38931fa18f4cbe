//! `/repos/archive`: the files of a commit in one file, streamed.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use packhouse_api::{ArchiveFormat, ArchiveRequest, ErrorBody};
use packhouse_object::RepoPath;
use packhouse_repo::{Archive, ArchiveFilter, ArchiveForm, PathFilterError};

use super::input::{parse_json, read_body, shown};
use super::{namespace, resolve};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;
use crate::stream::begun_by;

const COMMIT_SHA: HeaderName = HeaderName::from_static("x-commit-sha");

/// Sends the files of a commit as one archive, as `git archive` makes it. The same commit and request give the same
/// bytes.
#[utoipa::path(
    post, path = "/api/v1/repos/archive", operation_id = "get_archive", tag = "files", request_body = Option<ArchiveRequest>,
    responses(
        (
            status = 200, description = "the archive",
            content((String = "application/gzip"), (String = "application/x-tar"), (String = "application/zip")),
        ),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 408, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(crate) async fn send(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let repository = state.open(&caller, Scope::GitRead).await?;
    let body = read_body(body, state.limits.json_bytes).await?;
    let request: ArchiveRequest = if body.trim_ascii().is_empty() {
        ArchiveRequest::default()
    } else {
        parse_json(&body)?
    };
    let options = request.archive.clone().unwrap_or_default();
    let format = options.format.unwrap_or_default();
    let prefix = prefix(options.prefix.unwrap_or_default())?;
    let filter = filter(&request)?;
    let view = repository.view().await?;
    let turn = state.archives.take(&caller.turn_for()).await?;
    let begun = tokio::task::spawn_blocking(move || {
        let ephemeral = namespace(Some(request.ephemeral));
        let commit = resolve(&view, request.r#ref.as_deref(), ephemeral)?.id;
        let archive = Archive {
            commit,
            format: match format {
                ArchiveFormat::TarGz => ArchiveForm::TarGz,
                ArchiveFormat::Tar => ArchiveForm::Tar,
                ArchiveFormat::Zip => ArchiveForm::Zip,
            },
            prefix: prefix.into(),
            filter,
            max_blob_size: request.max_blob_size,
        };
        Ok::<_, ApiError>((archive, view, headers(format, &commit.to_string())))
    });
    let (archive, view, headers) = begun.await??;
    let body = begun_by(move |out| {
        let _turn = turn;
        let is_unwanted = out.watch();
        let written = archive.write(view.database(), out, &is_unwanted);
        written.map(drop)
    });
    Ok((StatusCode::OK, headers, body.await?).into_response())
}

fn headers(format: ArchiveFormat, commit: &str) -> HeaderMap {
    // Never `Content-Encoding`: clients would unpack the gzip on the way.
    let (kind, ending) = match format {
        ArchiveFormat::TarGz => ("application/gzip", "tar.gz"),
        ArchiveFormat::Tar => ("application/x-tar", "tar"),
        ArchiveFormat::Zip => ("application/zip", "zip"),
    };
    let name = format!("attachment; filename=\"{}.{ending}\"", &commit[..12]);
    let text = |text: &str| HeaderValue::try_from(text).expect("ids are visible ASCII");
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_DISPOSITION, text(&name));
    headers.insert(COMMIT_SHA, text(commit));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    headers
}

/// Names must stay where the archive is unpacked.
fn prefix(prefix: String) -> Result<String, ApiError> {
    let names = prefix.strip_suffix('/').unwrap_or(&prefix);
    if names.is_empty() && prefix.is_empty() {
        return Ok(prefix);
    }
    match RepoPath::parse(names) {
        Ok(_) => Ok(prefix),
        Err(error) => Err(ApiError::invalid(format!(
            "`archive.prefix` `{}`: {error}",
            shown(&prefix)
        ))),
    }
}

fn filter(request: &ArchiveRequest) -> Result<ArchiveFilter, ApiError> {
    let invalid = |field: &'static str| {
        move |error: PathFilterError| ApiError::invalid(format!("`{field}`: {error}"))
    };
    let include = request.include_globs.as_deref().unwrap_or_default();
    let exclude = request.exclude_globs.as_deref().unwrap_or_default();
    ArchiveFilter::default()
        .include(include)
        .map_err(invalid("include_globs"))?
        .exclude(exclude)
        .map_err(invalid("exclude_globs"))
}
