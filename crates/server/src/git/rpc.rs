//! `POST git-upload-pack` and `git-receive-pack`: one step of a fetch, one push.
//!
//! The protocol runs on a thread of its own that reads the request and writes the answer. It ends when the client is
//! gone: its next read or write fails.

use std::io;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::Method;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use packhouse_api::ErrorCode;
use packhouse_object::ReceiveLimits;
use packhouse_programs::PushPlace;
use packhouse_repo::{Namespace, RefPolicy, Repository, View};
use packhouse_wire::pktline::PacketWriter;
use packhouse_wire::repository::{PushTarget, sink_of, source_of};
use packhouse_wire::{
    CountCache, FetchOptions, ReceiveOptions, Service, Version, WireError, receive_pack,
    upload_pack,
};
use tokio::runtime::Handle;

use super::GitPath;
use super::bundle::fetch_options;
use super::inflate::Encoding;
use crate::config::Limits;
use crate::error::ApiError;
use crate::state::AppState;
use crate::stream::{BlockingBody, BodyWriter, written_by};
use crate::turns::{Crowded, Turn, TurnFor, Turns};

pub(super) async fn serve(
    state: AppState,
    path: GitPath,
    service: Service,
    request: Request,
) -> Result<Response, ApiError> {
    super::expect_method(&request, Method::POST, "POST")?;
    let (caller, repository) = super::open(
        &state,
        &path,
        super::Asked::by(&request),
        super::scope_of(service),
        1,
    )
    .await?;
    let access = Access {
        repository,
        namespace: path.namespace,
        policy: state.policy(&caller).await?,
        who: caller.who().to_owned(),
        place: None,
        counts: state.counts.clone(),
    };
    let (turns, of) = (state.turns_of(service), caller.turn_for());
    exchange(service, request, access, (turns, &of), &state.limits).await
}

/// Which refs of a repository are used, by whom, and what may be done to them.
pub(super) struct Access {
    pub repository: Repository,
    pub namespace: Namespace,
    pub policy: Arc<dyn RefPolicy>,
    pub who: String,
    /// Where pushes go if the repository is a folder whose settings and hooks have a say.
    pub place: Option<PushPlace>,
    /// What fetches counted.
    pub counts: Arc<CountCache>,
}

/// Answers a request from someone who may make it, once it is its turn.
pub(super) async fn exchange(
    service: Service,
    request: Request,
    access: Access,
    (turns, of): (&Turns, &TurnFor),
    limits: &Limits,
) -> Result<Response, ApiError> {
    let expected = format!("application/x-{}-request", service.as_str());
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .map(|value| value.as_bytes());
    if content_type != Some(expected.as_bytes()) {
        return Err(ApiError::new(
            ErrorCode::UnsupportedMediaType,
            format!("the body has to be {expected}"),
        ));
    }
    let encoding = Encoding::of(request.headers())?;
    let version = super::version(request.headers());
    let view = access.repository.view().await?;
    let mut body = BlockingBody::new(request.into_body());
    let waited = body.while_waiting_for(turns.take(of)).await;
    let taken = waited.map_err(|_| ApiError::invalid("the request body broke off"))?;
    let turn = match taken {
        Ok(turn) => turn,
        Err(crowded) if service == Service::UploadPack => return refused_fetch(&crowded),
        Err(crowded) => return Err(crowded.into()),
    };
    let exchange = Exchange {
        access,
        view,
        body,
        encoding,
        turn,
    };
    let body = match service {
        Service::UploadPack => {
            let limit = limits.fetch_request_bytes;
            written_by(move |out| exchange.fetch(version, limit, out))
        }
        Service::ReceivePack => {
            let runtime = Handle::current();
            let limits = receive_limits(limits);
            written_by(move |out| exchange.push(runtime, limits, out))
        }
    };
    super::answer(format!("application/x-{}-result", service.as_str()), body)
}

/// The refusal of a fetch as `git` shows it to a person: of any status but 200 it shows the number alone.
fn refused_fetch(crowded: &Crowded) -> Result<Response, ApiError> {
    let mut body = Vec::new();
    let mut line = PacketWriter::new(&mut body);
    let written = line.text(format_args!("ERR {crowded}"));
    written
        .and_then(|()| line.send())
        .map_err(ApiError::internal)?;
    drop(line);
    let kind = format!("application/x-{}-result", Service::UploadPack.as_str());
    let mut response = super::answer(kind, body.into())?;
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, crowded.retry_seconds.into());
    Ok(response)
}

/// What the pack of a push may cost.
pub(crate) fn receive_limits(limits: &Limits) -> ReceiveLimits {
    limits.of_pack(ReceiveLimits {
        pack_bytes: limits.push_bytes,
        ..ReceiveLimits::default()
    })
}

/// One request and its answer.
struct Exchange {
    access: Access,
    view: Arc<View>,
    body: BlockingBody,
    encoding: Encoding,
    turn: Turn,
}

impl Exchange {
    fn fetch(self, version: Version, limit: u64, out: &mut BodyWriter) -> io::Result<()> {
        let options = FetchOptions {
            counts: Some(self.access.counts),
            ..fetch_options(&self.view)
        };
        let source = source_of(self.view, self.access.namespace);
        let mut input = self.encoding.decode(self.body, limit);
        let served = upload_pack(version, &mut input, &source, out, &options);
        drop(self.turn);
        ended(served)
    }

    fn push(self, runtime: Handle, limits: ReceiveLimits, out: &mut BodyWriter) -> io::Result<()> {
        // Commands stand before the pack and have a limit of their own.
        let limit = limits
            .pack_bytes
            .saturating_add(ReceiveOptions::default().max_command_bytes as u64);
        let options = ReceiveOptions::default();
        let mut input = self.encoding.decode(self.body, limit);
        if let Some(place) = self.access.place {
            let mut sink = place
                .within(limits)
                .sink()
                .map_err(|error| io::Error::other(crate::error::chain(&error)))?;
            let served = receive_pack(&mut input, &mut sink, out, &options);
            drop(self.turn);
            return ended(served.map(drop));
        }
        let target = PushTarget {
            repository: self.access.repository,
            namespace: self.access.namespace,
            policy: self.access.policy,
            who: self.access.who,
            limits,
        };
        let mut sink = sink_of(target, self.view, runtime);
        let served = receive_pack(&mut input, &mut sink, out, &options);
        drop(self.turn);
        ended(served.map(drop))
    }
}

/// What is left to do when the protocol has ended: errors have been told to the client in its own terms.
pub(crate) fn ended(served: Result<(), WireError>) -> io::Result<()> {
    match served {
        Ok(()) => Ok(()),
        Err(WireError::Gone(error)) => Err(error),
        Err(error @ (WireError::Refused(_) | WireError::Verbatim(_) | WireError::Packet(_))) => {
            tracing::debug!(%error, "git request refused");
            Ok(())
        }
        Err(error) => {
            tracing::error!(error = crate::error::chain(&error), "git request failed");
            Ok(())
        }
    }
}
