//! `git-lfs-authenticate`: where the files of a repository are reached over HTTP, and what to show there.
//!
//! The answer is that of the [LFS specification](https://github.com/git-lfs/git-lfs/blob/main/docs/api/server-discovery.md).

use std::sync::Arc;

use packhouse_catalog::Origin;
use serde_json::json;

use super::command::Command;
use super::run::{Asked, Outcome, not_opened, open};
use crate::auth::LfsOperation;
use crate::git::OpenError;
use crate::state::AppState;

/// Tells the client a token for `operation` on the repository that it names.
pub(super) async fn authenticate(
    state: &AppState,
    command: &Command,
    operation: LfsOperation,
    asked: &Asked,
    origin: Arc<Origin>,
) -> Outcome {
    let client = asked.inbound.client();
    let answer = tokio::select! {
        answer = answer(state, command, operation, asked, origin) => answer,
        () = client.gone() => return Outcome::Gone,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return not_opened(command, error),
    };
    let told = asked.channel.data_bytes(answer);
    match tokio::time::timeout(state.limits.write_idle, told).await {
        Ok(Ok(())) => Outcome::Done,
        _ => Outcome::Gone,
    }
}

async fn answer(
    state: &AppState,
    command: &Command,
    operation: LfsOperation,
    asked: &Asked,
    origin: Arc<Origin>,
) -> Result<String, OpenError> {
    let (caller, path, _) = open(state, command, asked, origin).await?;
    let made = state.lfs_tokens.make(&caller, operation).await?;
    let mut answer = json!({
        "header": { "Authorization": format!("Bearer {}", made.token) },
        "expires_in": made.seconds,
    });
    // Without it a client makes the URL from that of the remote, by HTTPS.
    if let Some(base) = state.configured_base() {
        answer["href"] = format!("{base}{}", path.lfs()).into();
    }
    Ok(format!("{answer}\n"))
}
