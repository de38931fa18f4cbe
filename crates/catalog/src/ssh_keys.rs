//! Public keys that may come in by SSH: whose they are, and what they may do.
//!
//! Anybody can show anybody's public key, so one key may be registered by several organisations, and each row says
//! what it may do in its own. A revoked key keeps its row, with the time, so that who could come in when stays known.

use crate::clock::now_ms;
use crate::dialect::Row;
use crate::ids::{OrgId, RepoId};
use crate::lane::{Done, SshKeyWork, Work};
use crate::{Catalog, CatalogError, text};

/// Longest fingerprint that is stored.
const MAX_FINGERPRINT_BYTES: usize = 256;

/// Longest public key that is stored.
const MAX_KEY_BYTES: usize = 16 << 10;

/// Longest user name and list of scopes that are stored.
const MAX_TEXT_BYTES: usize = 1024;

/// A key to register.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewSshKey {
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// Algorithm and key as in a line of `authorized_keys`, without a comment.
    pub public_key: String,
    /// Whose it is; the organisation's if absent.
    pub user: Option<String>,
    /// The one repository it is for; all of the organisation's if absent.
    pub repo: Option<RepoId>,
    /// What it may do, as in a token: words with blanks between.
    pub scopes: String,
    /// When it ends, in milliseconds since the epoch; never if absent.
    pub expires_at_ms: Option<i64>,
}

/// A registered key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SshKeyRow {
    /// The organisation that registered it.
    pub org: OrgId,
    /// That organisation's name.
    pub org_name: String,
    /// What was registered.
    pub key: NewSshKey,
    /// Name of the one repository it is for; `None` if it is for all, or that repository is deleted.
    pub repo_name: Option<String>,
    /// When it was registered, or registered again after it had ended.
    pub created_at_ms: i64,
}

/// The columns that `read` expects; `k` is the key.
macro_rules! keys {
    ($rest:expr) => {
        concat!(
            "SELECT k.org_id, o.name, k.fingerprint, k.public_key, k.user_name, k.repo_id, k.scopes, k.expires_at_ms, \
             r.name, k.created_at_ms FROM ssh_keys AS k JOIN orgs AS o ON o.id = k.org_id \
             LEFT JOIN repos AS r ON r.id = k.repo_id AND r.deleted_at_ms IS NULL \
             WHERE k.revoked_at_ms IS NULL AND ",
            $rest
        )
    };
}

impl Catalog {
    /// Registers a key with an organisation. False if it is registered already, and valid; one that was revoked or has
    /// ended is replaced.
    pub async fn add_ssh_key(&self, org: OrgId, key: NewSshKey) -> Result<bool, CatalogError> {
        text::check("key fingerprint", &key.fingerprint, MAX_FINGERPRINT_BYTES)?;
        text::check("public key", &key.public_key, MAX_KEY_BYTES)?;
        text::check("scopes", &key.scopes, MAX_TEXT_BYTES)?;
        if let Some(user) = &key.user {
            text::check("user", user, MAX_TEXT_BYTES)?;
        }
        let at_ms = now_ms();
        self.ssh_key_lane(org, SshKeyWork::Add { org, key, at_ms })
            .await
    }

    /// Revokes a key of an organisation. False if there is no such key that was not revoked.
    pub async fn revoke_ssh_key(
        &self,
        org: OrgId,
        fingerprint: &str,
    ) -> Result<bool, CatalogError> {
        if text::check("key fingerprint", fingerprint, MAX_FINGERPRINT_BYTES).is_err() {
            return Ok(false);
        }
        let work = SshKeyWork::Revoke {
            org,
            fingerprint: fingerprint.to_owned(),
            at_ms: now_ms(),
        };
        self.ssh_key_lane(org, work).await
    }

    async fn ssh_key_lane(&self, org: OrgId, work: SshKeyWork) -> Result<bool, CatalogError> {
        let done = self.submit_at(org.0, Work::SshKey(Box::new(work))).await?;
        Ok(done == Done::Changed(true))
    }

    /// What a key may do at `now_ms`: a row for each organisation that it is valid in, by its id.
    pub async fn ssh_key(
        &self,
        fingerprint: &str,
        now_ms: i64,
    ) -> Result<Vec<SshKeyRow>, CatalogError> {
        if text::check("key fingerprint", fingerprint, MAX_FINGERPRINT_BYTES).is_err() {
            return Ok(Vec::new());
        }
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(fingerprint);
        args.push(now_ms);
        let sql = keys!(
            "k.fingerprint = $1 AND (k.expires_at_ms IS NULL OR k.expires_at_ms > $2) ORDER BY k.org_id"
        );
        conn.fetch_all(sql, args).await?.iter().map(read).collect()
    }

    /// Keys of an organisation that may do `scope` in the repository of that name at `now_ms`, at most `limit`.
    pub async fn ssh_keys_with_scope(
        &self,
        org: OrgId,
        repo: &str,
        scope: &str,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<SshKeyRow>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        args.push(repo);
        args.push(format!("% {scope} %"));
        args.push(now_ms);
        args.push(i64::from(limit));
        let sql = keys!(
            "k.org_id = $1 AND (k.repo_id IS NULL OR r.name = $2) AND (' ' || k.scopes || ' ') LIKE $3 \
             AND (k.expires_at_ms IS NULL OR k.expires_at_ms > $4) ORDER BY k.fingerprint LIMIT $5"
        );
        conn.fetch_all(sql, args).await?.iter().map(read).collect()
    }

    /// Keys of an organisation with fingerprints after `after`, those that have ended among them, at most `limit`: those
    /// for one repository, or all.
    pub async fn ssh_keys(
        &self,
        org: OrgId,
        repo: Option<RepoId>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SshKeyRow>, CatalogError> {
        if text::check("key fingerprint", after, MAX_FINGERPRINT_BYTES).is_err() {
            return Ok(Vec::new());
        }
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        args.push(after);
        args.push(i64::from(limit));
        let rows = if let Some(repo) = repo {
            args.push(repo.0);
            let sql = keys!(
                "k.org_id = $1 AND k.fingerprint > $2 AND k.repo_id = $4 ORDER BY k.fingerprint LIMIT $3"
            );
            conn.fetch_all(sql, args).await?
        } else {
            let sql = keys!("k.org_id = $1 AND k.fingerprint > $2 ORDER BY k.fingerprint LIMIT $3");
            conn.fetch_all(sql, args).await?
        };
        rows.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<SshKeyRow, CatalogError> {
    Ok(SshKeyRow {
        org: OrgId(row.get(0)?),
        org_name: row.get(1)?,
        key: NewSshKey {
            fingerprint: row.get(2)?,
            public_key: row.get(3)?,
            user: row.get(4)?,
            repo: row.get::<Option<i64>>(5)?.map(RepoId),
            scopes: row.get(6)?,
            expires_at_ms: row.get(7)?,
        },
        repo_name: row.get(8)?,
        created_at_ms: row.get(9)?,
    })
}
