//! `GET info/refs` (or `HEAD`): what the repository has, before a fetch or a push.

use axum::extract::Request;
use axum::response::Response;
use http::Method;
use packhouse_api::ErrorCode;
use packhouse_repo::{Namespace, Repository};
use packhouse_wire::repository::source_of;
use packhouse_wire::{Service, Version, advertise, advertise_upload_pack};

use super::GitPath;
use crate::error::ApiError;
use crate::state::AppState;
use crate::stream::written_by;

pub(super) async fn serve(
    state: AppState,
    path: GitPath,
    request: Request,
) -> Result<Response, ApiError> {
    let (service, is_head) = asked(&request)?;
    let asked = service.unwrap_or(Service::UploadPack);
    let scope = super::scope_of(asked);
    let (caller, repository) = super::open(
        &state,
        &path,
        super::Asked::by(&request),
        scope,
        super::EXCHANGE,
    )
    .await?;
    // Here `git` shows a person why there is nothing to be had now.
    state.turns_of(asked).check(&caller.turn_for())?;
    let version = super::version(request.headers());
    tell(service, version, repository, path.namespace, is_head).await
}

/// The service that is asked about, and whether nothing but the head of the answer is.
pub(super) fn asked(request: &Request) -> Result<(Option<Service>, bool), ApiError> {
    let is_head = request.method() == Method::HEAD;
    if !is_head {
        super::expect_method(request, Method::GET, "GET, HEAD")?;
    }
    Ok((service(request.uri().query()), is_head))
}

/// Answers someone who may know.
pub(super) async fn tell(
    service: Option<Service>,
    version: Version,
    repository: Repository,
    namespace: Namespace,
    is_head: bool,
) -> Result<Response, ApiError> {
    let service = service.ok_or_else(|| {
        ApiError::new(
            ErrorCode::Forbidden,
            "only Git's smart protocol is served here; ask for ?service=git-upload-pack",
        )
    })?;
    let view = repository.view().await?;
    let body = written_by(move |out| {
        let source = source_of(view.clone(), namespace);
        let advertised = match service {
            _ if is_head => Ok(()),
            Service::UploadPack => {
                let options = super::bundle::fetch_options(&view);
                advertise_upload_pack(version, &source, &options, out)
            }
            Service::ReceivePack => advertise(service, version, &source, out),
        };
        advertised.map_err(std::io::Error::other)
    });
    super::answer(
        format!("application/x-{}-advertisement", service.as_str()),
        body,
    )
}

fn service(query: Option<&str>) -> Option<Service> {
    query?
        .split('&')
        .find_map(|pair| Service::parse(pair.strip_prefix("service=")?))
}
