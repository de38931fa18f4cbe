//! Credentials for upstreams: stored, never shown.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /repos/git-credentials`.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct CreateGitCredential {
    /// The repository that the token names, once more; it may be left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repo_id: String,
    /// A password or token for its upstream.
    pub password: String,
    /// The user it is of, where the host wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub username: Option<String>,
}

/// Body of `PUT /repos/git-credentials`.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct UpdateGitCredential {
    /// Which credential.
    pub id: String,
    /// The new password or token.
    pub password: String,
    /// The user it is of, where the host wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub username: Option<String>,
}

/// Body of `PUT /api/repos/{repo}/git-credentials/{id}`, where the path says which credential.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct GitCredentialLogin {
    /// The new password or token.
    pub password: String,
    /// The user it is of, where the host wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub username: Option<String>,
}

/// Body of `DELETE /repos/git-credentials`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DeleteGitCredential {
    /// Which credential.
    pub id: String,
}

/// A stored credential, as far as it is shown.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct GitCredentialInfo {
    /// Its id.
    pub id: String,
    /// When it was first stored, RFC 3339 in UTC.
    #[serde(default)]
    #[schema(required = true)]
    pub created_at: String,
}

/// Answer of `DELETE /repos/git-credentials`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DeletedGitCredential {
    /// Its id.
    pub id: String,
    /// For a person.
    pub message: String,
}

impl fmt::Debug for CreateGitCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateGitCredential")
            .field("repo_id", &self.repo_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GitCredentialLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitCredentialLogin").finish_non_exhaustive()
    }
}

impl fmt::Debug for UpdateGitCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateGitCredential")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
