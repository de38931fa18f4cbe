//! The OpenAPI document: made from the handlers and the types of `packhouse_api`, so it cannot drift from them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{HeaderBuilder, Object, RefOr};
use utoipa::{Modify, OpenApi};

use crate::state::AppState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Packhouse",
        description = "Git storage for programs. The repository of a call is the one its token names. Whatever is at `/api/v1/repos/…` is also at `/api/repos/{repo}/…`, where `{repo}` is that repository's id with `/` as `%2F`; `/api/repos` is `/api/v1/repos`, and `GET` and `DELETE /api/repos/{repo}` are `GET /api/v1/repo` and `DELETE /api/v1/repos/delete`. A tag to delete and a credential to change are named by such a path, and described with it.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        super::repos::create,
        super::repos::list,
        super::repos::find,
        super::repos::delete,
        super::file::read,
        super::files::list,
        super::files_metadata::list,
        super::grep::search,
        super::archive::send,
        super::branches::list,
        super::branches::find,
        super::branches::create,
        super::branches::delete,
        super::tags::list,
        super::tags::find,
        super::tags::create,
        super::tags::delete,
        super::tags::delete_named,
        super::notes::read,
        super::notes::write,
        super::notes::delete,
        super::notes::list_refs,
        super::commits::list,
        super::commits::find,
        super::diffs::branch,
        super::diffs::commit,
        super::blame::blame,
        super::commit_pack::commit,
        super::upstreams::pull,
        super::upstreams::change,
        super::upstreams::detach,
        super::git_credentials::create,
        super::git_credentials::update,
        super::git_credentials::delete,
        super::git_credentials::update_named,
        super::git_credentials::delete_named,
        super::jobs::list_all,
        super::jobs::list,
        super::audit::list_all,
        super::audit::list,
        super::ssh_keys::add,
        super::ssh_keys::list,
        super::ssh_keys::revoke,
        super::webhooks::create,
        super::webhooks::list,
        super::webhooks::find,
        super::webhooks::delete,
        super::webhooks::replay,
        super::deliveries::list,
        super::deliveries::redeliver,
        super::events::stream,
        super::diff_commit::commit,
        super::restore::restore,
        super::merge::merge,
        super::merge::preview,
        super::replay::cherry_pick,
        super::replay::revert,
    ),
    components(schemas(
        packhouse_api::MetadataLine,
        packhouse_api::BlobChunkLine<'static>,
        packhouse_api::PushEvent,
        packhouse_api::DiffChunkLine<'static>,
    )),
    security(("token" = [])),
    modifiers(&Token, &Everywhere),
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("A JWT signed with a key of the organisation that `iss` names; `repo` names the repository."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Whatever needs a token is counted, and may be refused for it, or for want of room, and a body for how it came, in
/// the shape of its other refusals. What is in a repository is not there before its first sync.
struct Everywhere;

/// The parts of the document about what is in a repository. A search is refused in its own way.
const IN_A_REPOSITORY: [&str; 7] = [
    "files", "branches", "tags", "notes", "commits", "diffs", "merges",
];

impl Modify for Everywhere {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let seconds = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::Integer)))
            .description(Some("Seconds until the request may come again."))
            .build();
        for path in document.paths.paths.values_mut() {
            let methods = [
                &mut path.get,
                &mut path.put,
                &mut path.post,
                &mut path.delete,
                &mut path.patch,
            ];
            for operation in methods.into_iter().flatten() {
                let tags = operation.tags.iter().flatten();
                let is_within = tags
                    .into_iter()
                    .any(|tag| IN_A_REPOSITORY.contains(&&**tag))
                    && operation.operation_id.as_deref() != Some("grep");
                let responses = &mut operation.responses.responses;
                let Some(RefOr::T(refused)) = responses.get("401") else {
                    continue;
                };
                let refused = refused.clone();
                let mut later = refused.clone();
                later
                    .headers
                    .insert("Retry-After".to_owned(), RefOr::T(seconds.clone()));
                for status in ["429", "503"] {
                    responses
                        .entry(status.to_owned())
                        .or_insert_with(|| RefOr::T(later.clone()));
                }
                if is_within {
                    responses
                        .entry("409".to_owned())
                        .or_insert_with(|| RefOr::T(refused.clone()));
                }
                if operation.request_body.is_some() {
                    for status in ["408", "413", "415"] {
                        responses
                            .entry(status.to_owned())
                            .or_insert_with(|| RefOr::T(refused.clone()));
                    }
                }
            }
        }
    }
}

/// The document as JSON.
pub(crate) fn document() -> String {
    Document::openapi()
        .to_pretty_json()
        .expect("the document holds only text and numbers")
}

/// `GET /api/openapi.json`.
pub(crate) async fn openapi(State(state): State<AppState>) -> Response {
    ([(CONTENT_TYPE, "application/json")], state.openapi.clone()).into_response()
}
