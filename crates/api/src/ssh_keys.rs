//! SSH keys: public keys that may come in by SSH, or whose signatures of commits count.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Body of `POST /ssh-keys`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct AddSshKey {
    /// The public key, as `ssh-keygen` writes it: `ssh-ed25519 AAAA…`. Ed25519 and ECDSA keys are taken.
    pub public_key: String,
    /// Whose key it is, as the reflog will say; the organisation's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// The one repository it is for. Absent: the one that the token names, or all of the organisation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub repo_id: Option<String>,
    /// What it may do, no more than the token may: `git:read` to fetch, `git:write` to fetch and push; both if absent.
    /// With `git:sign` its signatures of commits count where a ref policy says `verify-sig`; a token that may push may
    /// give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scopes: Option<Vec<String>>,
    /// When it ends, RFC 3339; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expires_at: Option<String>,
}

/// A registered key.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct SshKey {
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The public key, without a comment.
    pub public_key: String,
    /// Whose key it is; absent: the organisation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// The one repository it is for, if it is for one; empty if that is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub repo_id: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was registered, RFC 3339 in UTC.
    pub created_at: String,
    /// When it ends, RFC 3339 in UTC; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expires_at: Option<String>,
}

/// Query of `GET /ssh-keys`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListSshKeysQuery {
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Keys per page: 20 if absent or 0, 100 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
}

/// Answer of `GET /ssh-keys`, by fingerprint. Keys that have ended are in it until they are revoked.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedSshKeys {
    /// One page.
    pub ssh_keys: Vec<SshKey>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// Answer of `DELETE /ssh-keys/{fingerprint}`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RevokedSshKey {
    /// Its fingerprint.
    pub fingerprint: String,
    /// For a person.
    pub message: String,
}
