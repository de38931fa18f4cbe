//! What lanes do to SSH keys.

use crate::dialect::Conn;
use crate::ids::OrgId;
use crate::ssh_keys::NewSshKey;

/// A change of SSH keys.
#[derive(Debug)]
pub(crate) enum SshKeyWork {
    Add {
        org: OrgId,
        key: NewSshKey,
        at_ms: i64,
    },
    Revoke {
        org: OrgId,
        fingerprint: String,
        at_ms: i64,
    },
}

impl SshKeyWork {
    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Add { key, .. } => key.public_key.len() + key.scopes.len(),
            Self::Revoke { fingerprint, .. } => fingerprint.len(),
        }
    }
}

/// Says how many rows were changed.
pub(super) async fn execute(conn: &mut Conn<'_>, work: &SshKeyWork) -> Result<u64, sqlx::Error> {
    let mut args = conn.args();
    let sql = match work {
        SshKeyWork::Add { org, key, at_ms } => {
            args.push(org.0);
            args.push(key.fingerprint.as_str());
            args.push(key.public_key.as_str());
            args.push(key.user.as_deref());
            args.push(key.repo.map(|repo| repo.0));
            args.push(key.scopes.as_str());
            args.push(key.expires_at_ms);
            args.push(*at_ms);
            "INSERT INTO ssh_keys (org_id, fingerprint, public_key, user_name, repo_id, scopes, expires_at_ms, \
             created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (fingerprint, org_id) DO UPDATE SET \
             user_name = excluded.user_name, repo_id = excluded.repo_id, scopes = excluded.scopes, \
             expires_at_ms = excluded.expires_at_ms, created_at_ms = excluded.created_at_ms, revoked_at_ms = NULL \
             WHERE ssh_keys.revoked_at_ms IS NOT NULL OR ssh_keys.expires_at_ms <= excluded.created_at_ms"
        }
        SshKeyWork::Revoke {
            org,
            fingerprint,
            at_ms,
        } => {
            args.push(org.0);
            args.push(fingerprint.as_str());
            args.push(*at_ms);
            "UPDATE ssh_keys SET revoked_at_ms = $3 \
             WHERE org_id = $1 AND fingerprint = $2 AND revoked_at_ms IS NULL"
        }
    };
    conn.execute(sql, args).await
}
