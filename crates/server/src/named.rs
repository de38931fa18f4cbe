//! Paths that name the repository, which the token names as well.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use packhouse_api::ErrorCode;

use crate::error::ApiError;
use crate::state::AppState;

/// Refuses a request whose path names another repository than its token.
///
/// The token alone decides what a handler works on, so this keeps nobody out of anything: it keeps a client from
/// reading or writing another repository than the one it believes to.
pub(crate) async fn check(
    State(state): State<AppState>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let params = match params {
        Ok(params) => Some(params),
        Err(RawPathParamsRejection::MissingPathParams(_)) => None,
        Err(error) => return Err(ApiError::invalid(error.body_text())),
    };
    let named = params
        .iter()
        .flatten()
        .find_map(|(key, value)| (key == "repo").then_some(value));
    if let Some(named) = named {
        // Who may not call at all learns that first. A token is verified once and then remembered.
        let caller = state.identify(request.headers()).await?;
        if caller.repo()? != named {
            // The handler, which would count the request, does not see it.
            state.admit(&caller, 1)?;
            return Err(ApiError::new(
                ErrorCode::Forbidden,
                "the path names another repository than the token (claim `repo`)",
            ));
        }
    }
    Ok(next.run(request).await)
}
