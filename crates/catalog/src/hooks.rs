//! Hooks: who is told of events, and at which address.

use std::fmt;

use crate::clock::now_ms;
use crate::dialect::Row;
use crate::ids::{HookId, OrgId, RepoId};
use crate::lane::{Done, HookWork};
use crate::{Catalog, CatalogError, text};

/// Longest URL that is stored.
const MAX_URL_BYTES: usize = 2048;

/// Longest secret that is stored.
const MAX_SECRET_BYTES: usize = 1024;

/// Longest list of events that is stored.
const MAX_EVENTS_BYTES: usize = 4096;

/// A hook to create.
#[derive(Clone)]
pub struct NewHook {
    /// Whose.
    pub org: OrgId,
    /// Of which repository; `None`: of every one of the organisation.
    pub repo: Option<RepoId>,
    /// Where events are sent.
    pub url: String,
    /// Kinds of events, with spaces between them.
    pub events: String,
    /// What deliveries are signed with.
    pub secret: String,
}

/// A hook.
#[derive(Clone, Eq, PartialEq)]
pub struct Hook {
    /// Its id.
    pub id: HookId,
    /// Whose.
    pub org: OrgId,
    /// Of which repository; `None`: of every one of the organisation.
    pub repo: Option<RepoId>,
    /// Where events are sent.
    pub url: String,
    /// Kinds of events, with spaces between them.
    pub events: String,
    /// What deliveries are signed with.
    pub secret: String,
    /// When it was created.
    pub created_at_ms: i64,
    /// Only events with a later tick are delivered.
    pub start_tick: i64,
}

// A URL may hold a password and the secret is one: neither is for a log.
impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("id", &self.id)
            .field("org", &self.org)
            .field("repo", &self.repo)
            .field("events", &self.events)
            .field("start_tick", &self.start_tick)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NewHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewHook")
            .field("org", &self.org)
            .field("repo", &self.repo)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

/// The columns that `read` expects.
macro_rules! columns {
    () => {
        "SELECT id, org_id, repo_id, url, events, secret, created_at_ms, start_tick FROM hooks "
    };
}

impl Catalog {
    /// Creates a hook. It gets the events of transactions that begin after this returns.
    pub async fn create_hook(&self, hook: NewHook) -> Result<Hook, CatalogError> {
        match self.submit_new_hook(hook, None).await? {
            Done::HookCreated(hook) => Ok(hook),
            done => Err(unknown(&done)),
        }
    }

    /// Creates a hook unless there are `at_most` already: of its repository, or for all of its organisation. `None`: there
    /// are. However many are created at once, there are never more.
    pub async fn create_hook_of(
        &self,
        hook: NewHook,
        at_most: i64,
    ) -> Result<Option<Hook>, CatalogError> {
        match self.submit_new_hook(hook, Some(at_most)).await? {
            Done::HookCreated(hook) => Ok(Some(hook)),
            Done::Refused => Ok(None),
            done => Err(unknown(&done)),
        }
    }

    async fn submit_new_hook(
        &self,
        hook: NewHook,
        at_most: Option<i64>,
    ) -> Result<Done, CatalogError> {
        text::check("webhook URL", &hook.url, MAX_URL_BYTES)?;
        text::check("webhook events", &hook.events, MAX_EVENTS_BYTES)?;
        text::check("webhook secret", &hook.secret, MAX_SECRET_BYTES)?;
        let at_ms = now_ms();
        let work = HookWork::Create {
            id: HookId(self.ids().next(at_ms)),
            hook,
            at_most,
            at_ms,
        };
        self.submit_hook(work).await
    }

    /// Deletes a hook with all that waits for it. False if there is none.
    pub async fn delete_hook(&self, org: OrgId, id: HookId) -> Result<bool, CatalogError> {
        let work = HookWork::Delete { org, id };
        Ok(self.submit_hook(work).await? == Done::Changed(true))
    }

    /// The hook with that id.
    pub async fn hook(&self, id: HookId) -> Result<Option<Hook>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(id.0);
        let sql = concat!(columns!(), "WHERE id = $1");
        let row = conn.fetch_optional(sql, args).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Hooks of an organisation with ids after `after`, oldest first, at most `limit`: those of one repository, or all.
    pub async fn hooks(
        &self,
        org: OrgId,
        repo: Option<RepoId>,
        after: HookId,
        limit: u32,
    ) -> Result<Vec<Hook>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        args.push(after.0);
        args.push(i64::from(limit));
        let rows = if let Some(repo) = repo {
            args.push(repo.0);
            let sql = concat!(
                columns!(),
                "WHERE org_id = $1 AND id > $2 AND repo_id = $4 ORDER BY id LIMIT $3"
            );
            conn.fetch_all(sql, args).await?
        } else {
            let sql = concat!(
                columns!(),
                "WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3"
            );
            conn.fetch_all(sql, args).await?
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Every hook there is, by id alone: which organisation, which repository (`None`: all of them).
    pub async fn hook_targets(&self) -> Result<Vec<(HookId, OrgId, Option<RepoId>)>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let args = conn.args();
        let rows = conn
            .fetch_all("SELECT id, org_id, repo_id FROM hooks ORDER BY id", args)
            .await?;
        rows.iter()
            .map(|row| {
                let repo: Option<i64> = row.get(2)?;
                Ok((HookId(row.get(0)?), OrgId(row.get(1)?), repo.map(RepoId)))
            })
            .collect()
    }
}

fn unknown(done: &Done) -> CatalogError {
    CatalogError::Unknown {
        what: format!("the answer {done:?} to the creation of a hook"),
    }
}

fn read(row: &Row) -> Result<Hook, sqlx::Error> {
    let repo: Option<i64> = row.get(2)?;
    Ok(Hook {
        id: HookId(row.get(0)?),
        org: OrgId(row.get(1)?),
        repo: repo.map(RepoId),
        url: row.get(3)?,
        events: row.get(4)?,
        secret: row.get(5)?,
        created_at_ms: row.get(6)?,
        start_tick: row.get(7)?,
    })
}
