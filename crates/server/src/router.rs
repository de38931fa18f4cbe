//! Every route of the server, in one table.
//!
//! A resource of a repository has two paths: that of version 1, and one that names the repository. The table has the
//! first; the second is made from it.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use packhouse_api::{ErrorCode, paths};

use crate::error::ApiError;
use crate::state::AppState;
use crate::{decoded, git, named, observe, ops, rest};

/// The server's routes over `state`.
pub(crate) fn router(state: AppState) -> Router {
    Routes::new(&state)
        .route(
            paths::REPOS,
            get(rest::repos::list).post(rest::repos::create),
        )
        .route(paths::REPO, get(rest::repos::find))
        .route(paths::DELETE_REPO, delete(rest::repos::delete))
        .named(
            paths::NAMED_REPO,
            get(rest::repos::find).delete(rest::repos::delete),
        )
        .route(paths::FILE, get(rest::file::read))
        .route(paths::FILES, get(rest::files::list))
        .route(paths::FILES_METADATA, get(rest::files_metadata::list))
        .route(paths::GREP, post(rest::grep::search))
        .route(paths::ARCHIVE, post(rest::archive::send))
        .route(
            paths::BRANCHES,
            get(rest::branches::list).delete(rest::branches::delete),
        )
        .route(paths::BRANCH, get(rest::branches::find))
        .route(paths::CREATE_BRANCH, post(rest::branches::create))
        .route(
            paths::TAGS,
            get(rest::tags::list)
                .post(rest::tags::create)
                .delete(rest::tags::delete),
        )
        .route(paths::TAG, get(rest::tags::find))
        .named(paths::NAMED_TAG, delete(rest::tags::delete_named))
        .route(
            paths::NOTES,
            get(rest::notes::read)
                .post(rest::notes::write)
                .delete(rest::notes::delete),
        )
        .route(paths::NOTES_REFS, get(rest::notes::list_refs))
        .route(paths::COMMITS, get(rest::commits::list))
        .route(paths::COMMIT, get(rest::commits::find))
        .route(paths::BRANCH_DIFF, get(rest::diffs::branch))
        .route(paths::DIFF, get(rest::diffs::commit))
        .route(paths::BLAME, get(rest::blame::blame))
        .route(paths::COMMIT_PACK, post(rest::commit_pack::commit))
        .route(paths::PULL_UPSTREAM, post(rest::upstreams::pull))
        .route(
            paths::BASE,
            patch(rest::upstreams::change).delete(rest::upstreams::detach),
        )
        .route(
            paths::GIT_CREDENTIALS,
            post(rest::git_credentials::create)
                .put(rest::git_credentials::update)
                .delete(rest::git_credentials::delete),
        )
        .named(
            paths::NAMED_GIT_CREDENTIAL,
            put(rest::git_credentials::update_named).delete(rest::git_credentials::delete_named),
        )
        .route(paths::JOBS, get(rest::jobs::list_all))
        .route(paths::REPO_JOBS, get(rest::jobs::list))
        .route(paths::AUDIT, get(rest::audit::list_all))
        .route(paths::REPO_AUDIT, get(rest::audit::list))
        .route(
            paths::SSH_KEYS,
            get(rest::ssh_keys::list).post(rest::ssh_keys::add),
        )
        .route(paths::SSH_KEY, delete(rest::ssh_keys::revoke))
        .route(
            paths::WEBHOOKS,
            get(rest::webhooks::list).post(rest::webhooks::create),
        )
        .route(
            paths::WEBHOOK,
            get(rest::webhooks::find).delete(rest::webhooks::delete),
        )
        .route(paths::REPLAY, post(rest::webhooks::replay))
        .route(paths::DELIVERIES, get(rest::deliveries::list))
        .route(paths::REDELIVER, post(rest::deliveries::redeliver))
        .route(paths::EVENTS, get(rest::events::stream))
        .route(paths::DIFF_COMMIT, post(rest::diff_commit::commit))
        .route(paths::RESTORE_COMMIT, post(rest::restore::restore))
        .route(paths::MERGE, post(rest::merge::merge))
        .route(paths::MERGE_PREVIEW, get(rest::merge::preview))
        .route(paths::CHERRY_PICK, post(rest::replay::cherry_pick))
        .route(paths::REVERT, post(rest::replay::revert))
        .route(paths::OPENAPI, get(rest::openapi))
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .into_router()
        // Git's own routes read compressed bodies in their own way.
        .route_layer(from_fn(decoded::decode))
        // Git's paths hold repository ids with slashes, which no route pattern can express.
        .fallback(git_or_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

/// The table while it is being filled.
struct Routes<'a> {
    router: Router<AppState>,
    state: &'a AppState,
}

impl Routes<'_> {
    fn new(state: &AppState) -> Routes<'_> {
        Routes {
            router: Router::new(),
            state,
        }
    }

    /// Serves `methods` at `path`, and at the path that names the repository if it is a resource of one.
    fn route(mut self, path: &str, methods: MethodRouter<AppState>) -> Self {
        if let Some(named) = paths::of_named_repo(path) {
            self = self.named(&named, methods.clone());
        }
        self.router = self.router.route(path, methods);
        self
    }

    /// Serves `methods` at a path that names the repository, and there only.
    fn named(mut self, path: &str, methods: MethodRouter<AppState>) -> Self {
        let checked = methods.route_layer(from_fn_with_state(self.state.clone(), named::check));
        self.router = self.router.route(path, checked);
        self
    }

    fn into_router(self) -> Router<AppState> {
        self.router
    }
}

async fn git_or_not_found(State(state): State<AppState>, request: Request) -> Response {
    match git::GitPath::parse(request.uri().path()) {
        Some(path) => git::serve(state, path, request).await,
        None => ApiError::new(ErrorCode::RouteNotFound, "no such route").into_response(),
    }
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        ErrorCode::MethodNotAllowed,
        "this route does not take this method",
    )
}
