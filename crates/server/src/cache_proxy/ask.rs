//! Asking an upstream what a caller asks, as the caller.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use packhouse_api::ErrorCode;
use packhouse_client::{Egress, EgressError};
use packhouse_wire::Service;
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};

use super::path::Target;
use crate::error::ApiError;
use crate::server::StartError;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an upstream may think, and how long it may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

const PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");

/// What of a caller's request an upstream sees.
const PASSED_ON: [HeaderName; 4] = [AUTHORIZATION, USER_AGENT, ACCEPT, PROTOCOL];

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The upstream cannot be reached, or does not answer in time.
    Down(String, StatusCode),
    /// It may not be asked.
    Refused(ApiError),
}

/// The way to upstreams.
#[derive(Debug)]
pub(super) struct Upstreams {
    client: Client,
    egress: Egress,
}

impl Upstreams {
    pub(super) fn new(
        egress: Egress,
        certificates: Option<&[u8]>,
    ) -> Result<Upstreams, StartError> {
        let mut builder = egress
            .http_client()
            .connect_timeout(CONNECT)
            .read_timeout(PATIENCE);
        if let Some(pem) = certificates {
            let certificates = Certificate::from_pem_bundle(pem).map_err(StartError::Http)?;
            builder = builder.tls_certs_merge(certificates);
        }
        Ok(Upstreams {
            client: builder.build().map_err(StartError::Http)?,
            egress,
        })
    }

    /// `info/refs` of upload-pack.
    pub(super) async fn refs(
        &self,
        target: &Target,
        caller: &HeaderMap,
    ) -> Result<Response, NoAnswer> {
        let mut url = target.below("info/refs");
        url.set_query(Some("service=git-upload-pack"));
        self.send(&url, self.client.get(url.clone()), caller).await
    }

    /// `git-upload-pack` with this body.
    pub(super) async fn upload_pack(
        &self,
        target: &Target,
        caller: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, NoAnswer> {
        let url = target.below(Service::UploadPack.as_str());
        let kind = HeaderValue::from_static("application/x-git-upload-pack-request");
        let request = self.client.post(url.clone());
        let request = request.header(CONTENT_TYPE, kind).body(body);
        self.send(&url, request, caller).await
    }

    async fn send(
        &self,
        url: &Url,
        request: RequestBuilder,
        caller: &HeaderMap,
    ) -> Result<Response, NoAnswer> {
        let refused = |error: &EgressError| {
            NoAnswer::Refused(ApiError::new(ErrorCode::Forbidden, error.to_string()))
        };
        self.egress
            .check_url(url)
            .map_err(|error| refused(&error))?;
        let mut headers = HeaderMap::new();
        for name in PASSED_ON {
            if let Some(value) = caller.get(&name) {
                let mut value = value.clone();
                value.set_sensitive(name == AUTHORIZATION);
                headers.insert(name, value);
            }
        }
        let sent = tokio::time::timeout(PATIENCE, request.headers(headers).send()).await;
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let error = error.without_url();
                let mut cause: Option<&dyn std::error::Error> = Some(&error);
                while let Some(found) = cause {
                    if let Some(found @ EgressError::Refused { .. }) = found.downcast_ref() {
                        return Err(refused(found));
                    }
                    cause = found.source();
                }
                let status = match error.is_timeout() {
                    true => StatusCode::GATEWAY_TIMEOUT,
                    false => StatusCode::BAD_GATEWAY,
                };
                Err(NoAnswer::Down(crate::error::chain(&error), status))
            }
            Err(_) => Err(NoAnswer::Down(
                "it does not answer".to_owned(),
                StatusCode::GATEWAY_TIMEOUT,
            )),
        }
    }
}

/// Whether an answer says that the upstream is not at work.
pub(super) fn is_down(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Whether an answer is a refusal of the caller.
pub(super) fn is_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 404 | 410)
}
