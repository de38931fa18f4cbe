//! Upstreams: the repositories elsewhere that repositories follow, and what was last seen there.
//!
//! What an upstream had is kept apart from the repository's own refs: only so is a branch that was deleted
//! there told from one that was never there.

use crate::clock::now_ms;
use crate::dialect::Row;
use crate::git_credentials::{self, NewCredential};
use crate::ids::{OrgId, RepoId};
use crate::jobs::{self, NewJob};
use crate::lane::{Creation, Done, UpstreamWork, Work};
use crate::{Catalog, CatalogError, CreateRepoError, MAX_REPO_NAME_BYTES, RepoRow, text};

/// Longest URL, owner or name that is stored.
const MAX_TEXT_BYTES: usize = 4096;

/// An upstream to follow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewUpstream {
    /// What kind of host it is on, such as `github`.
    pub provider: String,
    /// Organisation or user there.
    pub owner: String,
    /// Repository there.
    pub name: String,
    /// Where Git fetches it; without user and password.
    pub url: String,
    /// How this server proves there who it is: a word.
    pub auth: String,
    /// Whether the default branch is that of the upstream.
    pub follow_head: bool,
    /// Whether what is written here goes to the upstream as well.
    pub push_through: bool,
}

/// An upstream that is followed, and how its syncs went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpstreamRow {
    /// The repository that follows it.
    pub repo: RepoId,
    /// Where it is.
    pub upstream: NewUpstream,
    /// The default branch it last had, a short name.
    pub head: Option<String>,
    /// How many syncs were begun.
    pub runs: i64,
    /// When the last one began.
    pub started_at_ms: Option<i64>,
    /// When one last succeeded.
    pub succeeded_at_ms: Option<i64>,
    /// When one last failed.
    pub failed_at_ms: Option<i64>,
    /// Why, if the last one failed; or what it had to leave out.
    pub error: Option<String>,
    /// The generation of the repository whose branches and tags the upstream has, if they go there.
    pub push_done: i64,
    /// When they last went there.
    pub pushed_at_ms: Option<i64>,
    /// Why some of them could not, the last time.
    pub push_error: Option<String>,
}

/// What is stored together with a repository that follows an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FirstSync {
    /// The request for its first sync.
    pub job: NewJob,
    /// The credential for its upstream.
    pub credential: Option<NewCredential>,
}

/// A ref that the upstream has: its name and target; `None` where it went away.
pub type SeenRef = (Vec<u8>, Option<Vec<u8>>);

/// How a sync ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SyncEnd {
    /// The repository has what the upstream has.
    Succeeded {
        /// What the upstream has now, where that changed.
        refs: Vec<SeenRef>,
        /// The upstream's default branch, a short name.
        head: Option<String>,
        /// What had to be left out, for people.
        left_out: Option<String>,
    },
    /// It does not.
    Failed {
        /// Why, for people.
        error: String,
    },
}

/// The columns that `read` expects, in its order.
macro_rules! columns {
    () => {
        "u.repo_id, u.provider, u.owner, u.name, u.url, u.auth, u.follow_head, u.head, u.runs, \
         u.started_at_ms, u.succeeded_at_ms, u.failed_at_ms, u.error, u.push_through, \
         u.push_done, u.pushed_at_ms, u.push_error"
    };
}

fn read(row: &Row) -> Result<UpstreamRow, CatalogError> {
    Ok(UpstreamRow {
        repo: RepoId(row.get(0)?),
        upstream: NewUpstream {
            provider: row.get(1)?,
            owner: row.get(2)?,
            name: row.get(3)?,
            url: row.get(4)?,
            auth: row.get(5)?,
            follow_head: row.get::<i64>(6)? != 0,
            push_through: row.get::<i64>(13)? != 0,
        },
        head: row.get(7)?,
        runs: row.get(8)?,
        started_at_ms: row.get(9)?,
        succeeded_at_ms: row.get(10)?,
        failed_at_ms: row.get(11)?,
        error: row.get(12)?,
        push_done: row.get(14)?,
        pushed_at_ms: row.get(15)?,
        push_error: row.get(16)?,
    })
}

impl Catalog {
    /// Creates a repository that follows an upstream, and asks for its first sync, in one transaction. Until
    /// that is done the repository is [`RepoRow::syncing`]. `first` is asked what goes with the new repository.
    pub async fn create_following(
        &self,
        org: OrgId,
        name: &str,
        default_branch: &str,
        upstream: NewUpstream,
        first: impl FnOnce(RepoId) -> FirstSync,
    ) -> Result<RepoRow, CreateRepoError> {
        let failed = |source| CreateRepoError::Catalog {
            name: name.to_owned(),
            source,
        };
        text::check("repository name", name, MAX_REPO_NAME_BYTES).map_err(failed)?;
        text::check("default branch", default_branch, MAX_REPO_NAME_BYTES).map_err(failed)?;
        check(&upstream).map_err(failed)?;
        let at_ms = now_ms();
        let id = RepoId(self.ids().next(at_ms));
        let first = first(id);
        jobs::check(&first.job).map_err(failed)?;
        if let Some(credential) = &first.credential {
            git_credentials::check(credential).map_err(failed)?;
        }
        let row = RepoRow {
            id,
            org,
            name: name.to_owned(),
            default_branch: default_branch.to_owned(),
            created_at_ms: at_ms,
            deleted_at_ms: None,
            generation: 0,
            packs_generation: 0,
            folded_through: 0,
            tail_rows: 0,
            tail_bytes: 0,
            syncing: true,
            dropped_generation: 0,
        };
        let work = UpstreamWork::Create(Box::new(Creation {
            row,
            upstream,
            first,
        }));
        match self.upstream_lane(id, work).await.map_err(failed)? {
            Done::RepoCreated(repo) => Ok(repo),
            _ => Err(CreateRepoError::Exists {
                name: name.to_owned(),
            }),
        }
    }

    /// The upstream of a repository.
    pub async fn upstream(&self, repo: RepoId) -> Result<Option<UpstreamRow>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(repo.0);
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM upstreams AS u WHERE u.repo_id = $1"
        );
        let row = conn.fetch_optional(sql, args).await?;
        row.as_ref().map(read).transpose()
    }

    /// The upstreams of an organisation's repositories with names from `first` to `last`.
    pub async fn upstreams_between(
        &self,
        org: OrgId,
        first: &str,
        last: &str,
    ) -> Result<Vec<UpstreamRow>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        args.push(first);
        args.push(last);
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM repos AS r JOIN upstreams AS u ON u.repo_id = r.id \
             WHERE r.org_id = $1 AND r.name >= $2 AND r.name <= $3 AND r.deleted_at_ms IS NULL"
        );
        conn.fetch_all(sql, args).await?.iter().map(read).collect()
    }

    /// What the upstream of a repository had when it was last looked at, by name.
    pub async fn upstream_refs(
        &self,
        repo: RepoId,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(repo.0);
        let sql = "SELECT name, target FROM upstream_refs WHERE repo_id = $1 ORDER BY name";
        let rows = conn.fetch_all(sql, args).await?;
        rows.iter()
            .map(|row| Ok((row.get(0)?, row.get(1)?)))
            .collect()
    }

    /// Notes that a sync begins. Its number, from 1; `None` if the repository follows nothing any more.
    pub async fn begin_sync(&self, repo: RepoId, at_ms: i64) -> Result<Option<i64>, CatalogError> {
        let work = UpstreamWork::Begin { repo, at_ms };
        match self.upstream_lane(repo, work).await? {
            Done::Generation(runs) => Ok(Some(runs)),
            _ => Ok(None),
        }
    }

    /// Notes how a sync ended. False if the repository follows nothing any more.
    pub async fn end_sync(
        &self,
        repo: RepoId,
        mut end: SyncEnd,
        at_ms: i64,
    ) -> Result<bool, CatalogError> {
        match &mut end {
            SyncEnd::Succeeded {
                left_out: Some(text),
                ..
            }
            | SyncEnd::Failed { error: text } => *text = text::storable(std::mem::take(text)),
            SyncEnd::Succeeded { .. } => {}
        }
        let work = UpstreamWork::End { repo, end, at_ms };
        let done = self.upstream_lane(repo, work).await?;
        Ok(matches!(done, Done::Changed(true)))
    }

    /// Has a repository follow nothing any more; its refs stay. Its credential is forgotten. False if it
    /// followed nothing.
    pub async fn detach_upstream(&self, repo: RepoId) -> Result<bool, CatalogError> {
        let done = self
            .upstream_lane(repo, UpstreamWork::Detach { repo })
            .await?;
        Ok(matches!(done, Done::Changed(true)))
    }

    /// Names another branch as the default one. False if the repository is gone.
    pub async fn set_default_branch(
        &self,
        repo: RepoId,
        branch: &str,
    ) -> Result<bool, CatalogError> {
        text::check("default branch", branch, MAX_REPO_NAME_BYTES)?;
        let branch = branch.to_owned();
        let work = UpstreamWork::SetDefaultBranch { repo, branch };
        let done = self.upstream_lane(repo, work).await?;
        Ok(matches!(done, Done::Changed(true)))
    }

    pub(crate) async fn upstream_lane(
        &self,
        repo: RepoId,
        work: UpstreamWork,
    ) -> Result<Done, CatalogError> {
        self.submit(repo, Work::Upstream(Box::new(work))).await
    }
}

fn check(upstream: &NewUpstream) -> Result<(), CatalogError> {
    for (what, text) in [
        ("upstream provider", &upstream.provider),
        ("upstream owner", &upstream.owner),
        ("upstream name", &upstream.name),
        ("upstream URL", &upstream.url),
        ("upstream auth", &upstream.auth),
    ] {
        text::check(what, text, MAX_TEXT_BYTES)?;
    }
    Ok(())
}
