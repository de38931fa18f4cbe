//! Git's routes over one repository, for whoever can connect: no tokens, no names.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::Method;
use packhouse_api::ErrorCode;
use packhouse_object::RefName;
use packhouse_programs::PushPlace;
use packhouse_repo::{Namespace, RefChange, RefPolicy, Repository};
use packhouse_wire::{CountCache, Service};

use super::rpc::Access;
use super::{advertise, bundle, rpc};
use crate::config::Limits;
use crate::error::ApiError;
use crate::state::COUNT_CACHE_BYTES;
use crate::turns::{TurnFor, Turns};

/// What callers of [`git_router`] may do.
#[derive(Clone, Debug)]
pub struct GitAccess {
    /// Where pushes go, with the settings and hooks of the repository; `None`: they are not taken.
    pub pushes: Option<PushPlace>,
    /// Who pushes, for the reflog: `Name <address>`.
    pub who: String,
}

/// Fetches from `repository`, and pushes to it if they are allowed, at the root of a server.
pub fn git_router(repository: Repository, access: GitAccess, limits: Limits) -> Router {
    let turns = |kind, what, all| Turns::new(kind, what, limits.turns_of_anyone(all), None);
    let state = Single {
        repository,
        access,
        fetches: turns("fetch", "fetches", limits.fetches),
        pushes: turns("push", "pushes", limits.pushes),
        counts: Arc::new(CountCache::new(COUNT_CACHE_BYTES)),
        limits,
    };
    Router::new().fallback(serve).with_state(Arc::new(state))
}

struct Single {
    repository: Repository,
    access: GitAccess,
    fetches: Turns,
    pushes: Turns,
    counts: Arc<CountCache>,
    limits: Limits,
}

/// Every ref may be moved.
struct Anything;

impl RefPolicy for Anything {
    fn allows(&self, _: &RefName, _: RefChange) -> Result<(), String> {
        Ok(())
    }
}

async fn serve(State(state): State<Arc<Single>>, request: Request) -> Response {
    state
        .answer(request)
        .await
        .unwrap_or_else(ApiError::into_git_response)
}

impl Single {
    async fn answer(&self, request: Request) -> Result<Response, ApiError> {
        let repository = self.repository.clone();
        let path = request.uri().path().trim_start_matches('/');
        if path == "info/refs" {
            let (service, is_head) = advertise::asked(&request)?;
            self.check(service)?;
            let version = super::version(request.headers());
            return advertise::tell(service, version, repository, Namespace::Default, is_head)
                .await;
        }
        if path == bundle::NAME {
            let turn = self.fetches.take(&TurnFor::anyone()).await?;
            let (view, counts) = (repository.view().await?, self.counts.clone());
            return bundle::send(request, view, Namespace::Default, counts, turn).await;
        }
        let service = Service::parse(path).ok_or_else(|| {
            ApiError::new(
                ErrorCode::RouteNotFound,
                "a Git repository is served here; clone it",
            )
        })?;
        super::expect_method(&request, Method::POST, "POST")?;
        self.check(Some(service))?;
        let turns = match service {
            Service::UploadPack => &self.fetches,
            Service::ReceivePack => &self.pushes,
        };
        let access = Access {
            repository,
            namespace: Namespace::Default,
            policy: Arc::new(Anything),
            who: self.access.who.clone(),
            place: self.access.pushes.clone(),
            counts: self.counts.clone(),
        };
        let of = TurnFor::anyone();
        rpc::exchange(service, request, access, (turns, &of), &self.limits).await
    }

    fn check(&self, service: Option<Service>) -> Result<(), ApiError> {
        match service {
            Some(Service::ReceivePack) if self.access.pushes.is_none() => Err(ApiError::new(
                ErrorCode::Forbidden,
                "this repository is served read-only",
            )),
            _ => Ok(()),
        }
    }
}
