//! Repositories: one row each, with the generation that everything else hangs on.

use crate::clock::now_ms;
use crate::dialect::Row;
use crate::ids::{OrgId, RepoId};
use crate::lane::{Done, Work};
use crate::{Catalog, CatalogError, text};

/// Longest repository name that is stored.
pub const MAX_REPO_NAME_BYTES: usize = 1024;

/// A repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RepoRow {
    /// Its id.
    pub id: RepoId,
    /// Its owner.
    pub org: OrgId,
    /// Its name within the organisation, compared bytewise; unique among those not deleted.
    pub name: String,
    /// Short name of the branch HEAD points to; the branch need not exist.
    pub default_branch: String,
    /// When it was created.
    pub created_at_ms: i64,
    /// When it was deleted. A deleted repository takes no write.
    pub deleted_at_ms: Option<i64>,
    /// Grows by one with each publish or fold.
    pub generation: i64,
    /// Generation of the last change to the list of packs.
    pub packs_generation: i64,
    /// Tail rows of this generation and older are in packs and gone.
    pub folded_through: i64,
    /// Rows in the tail.
    pub tail_rows: i64,
    /// Bytes in the tail.
    pub tail_bytes: i64,
    /// It follows an upstream and has not got anything of it yet.
    pub syncing: bool,
    /// Generation in which objects that no ref reached were last dropped; 0: never.
    pub dropped_generation: i64,
}

/// Why a repository was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateRepoError {
    /// The organisation has a repository of that name.
    #[error("repository `{name}` exists already")]
    Exists {
        /// The name that was asked for.
        name: String,
    },
    /// The catalog failed.
    #[error("could not create repository `{name}`")]
    Catalog {
        /// The name that was asked for.
        name: String,
        /// What failed.
        #[source]
        source: CatalogError,
    },
}

/// Why a repository was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRepoError {
    /// The organisation never had a repository of that name.
    #[error("there is no repository `{name}`")]
    NotFound {
        /// The name that was asked for.
        name: String,
    },
    /// It was deleted before.
    #[error("repository `{name}` is deleted already")]
    AlreadyDeleted {
        /// The name that was asked for.
        name: String,
    },
    /// The catalog failed.
    #[error("could not delete repository `{name}`")]
    Catalog {
        /// The name that was asked for.
        name: String,
        /// What failed.
        #[source]
        source: CatalogError,
    },
}

/// The columns that `read` expects first, in its order.
macro_rules! columns {
    () => {
        "id, org_id, name, default_branch, created_at_ms, deleted_at_ms, generation, \
         packs_generation, folded_through, tail_rows, tail_bytes, syncing, dropped_generation"
    };
}
pub(crate) use columns;

/// How many columns `columns!` names.
pub(crate) const COLUMNS: usize = 13;

pub(crate) fn read(row: &Row) -> Result<RepoRow, sqlx::Error> {
    Ok(RepoRow {
        id: RepoId(row.get(0)?),
        org: OrgId(row.get(1)?),
        name: row.get(2)?,
        default_branch: row.get(3)?,
        created_at_ms: row.get(4)?,
        deleted_at_ms: row.get(5)?,
        generation: row.get(6)?,
        packs_generation: row.get(7)?,
        folded_through: row.get(8)?,
        tail_rows: row.get(9)?,
        tail_bytes: row.get(10)?,
        syncing: row.get::<i64>(11)? != 0,
        dropped_generation: row.get(12)?,
    })
}

impl Catalog {
    /// Creates an empty repository at generation 0. `default_branch` is a short name, such as `main`.
    pub async fn create_repo(
        &self,
        org: OrgId,
        name: &str,
        default_branch: &str,
    ) -> Result<RepoRow, CreateRepoError> {
        let failed = |source| CreateRepoError::Catalog {
            name: name.to_owned(),
            source,
        };
        text::check("repository name", name, MAX_REPO_NAME_BYTES).map_err(failed)?;
        text::check("default branch", default_branch, MAX_REPO_NAME_BYTES).map_err(failed)?;
        let work = Work::CreateRepo {
            org,
            name: name.to_owned(),
            default_branch: default_branch.to_owned(),
            at_ms: now_ms(),
        };
        // Any lane will do, and all should have their share.
        match self
            .submit_at(rand::random::<i64>() >> 1, work)
            .await
            .map_err(failed)?
        {
            Done::RepoCreated(repo) => Ok(repo),
            _ => Err(CreateRepoError::Exists {
                name: name.to_owned(),
            }),
        }
    }

    /// The repository of that name that is not deleted: one indexed read.
    pub async fn repo(&self, org: OrgId, name: &str) -> Result<Option<RepoRow>, CatalogError> {
        if text::check("repository name", name, MAX_REPO_NAME_BYTES).is_err() {
            return Ok(None);
        }
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        args.push(name);
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM repos WHERE org_id = $1 AND name = $2 AND deleted_at_ms IS NULL"
        );
        Ok(conn
            .fetch_optional(sql, args)
            .await?
            .as_ref()
            .map(read)
            .transpose()?)
    }

    /// The repository with that id, deleted or not.
    pub async fn repo_by_id(&self, id: RepoId) -> Result<Option<RepoRow>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(id.0);
        let sql = concat!("SELECT ", columns!(), " FROM repos WHERE id = $1");
        Ok(conn
            .fetch_optional(sql, args)
            .await?
            .as_ref()
            .map(read)
            .transpose()?)
    }

    /// The names of the organisation and of the repository with that id, deleted or not.
    pub async fn repo_names(&self, id: RepoId) -> Result<Option<(String, String)>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(id.0);
        let sql = "SELECT o.name, r.name FROM repos AS r JOIN orgs AS o ON o.id = r.org_id \
                   WHERE r.id = $1";
        let Some(row) = conn.fetch_optional(sql, args).await? else {
            return Ok(None);
        };
        Ok(Some((row.get(0)?, row.get(1)?)))
    }

    /// The bytes that the repositories of an organisation have together: of each pack once, and of their tails.
    pub async fn org_bytes(&self, org: OrgId) -> Result<u64, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        let sql = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM (\
                   SELECT tail_bytes AS bytes FROM repos WHERE org_id = $1 AND deleted_at_ms IS NULL \
                   UNION ALL SELECT bytes FROM (SELECT p.key, MAX(p.pack_bytes) AS bytes FROM packs AS p \
                   JOIN repos AS r ON r.id = p.repo_id WHERE r.org_id = $1 AND r.deleted_at_ms IS NULL \
                   GROUP BY p.key) AS of_packs) AS of_all";
        let row = conn.fetch_optional(sql, args).await?;
        let bytes = row.map_or(Ok(0), |row| row.get::<i64>(0))?;
        Ok(bytes.max(0).cast_unsigned())
    }

    /// Repositories of an organisation that are not deleted, by name, at most `limit`. Only names
    /// after `after`, and only names that contain `query`, where ASCII letters match in any case.
    pub async fn list_repos(
        &self,
        org: OrgId,
        query: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RepoRow>, CatalogError> {
        if query.is_some_and(|query| query.contains('\0')) {
            return Ok(Vec::new());
        }
        if after.is_some_and(|after| after.contains('\0')) {
            return Err(CatalogError::Nul {
                what: "the name to list after",
            });
        }
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        args.push(after.unwrap_or(""));
        args.push(i64::from(limit));
        let rows = if let Some(query) = query {
            args.push(text::contains_pattern(&query.to_ascii_lowercase()));
            let sql = concat!(
                "SELECT ",
                columns!(),
                " FROM repos WHERE org_id = $1 AND name > $2 AND deleted_at_ms IS NULL \
                 AND lower(name) LIKE $4 ESCAPE '\\' ORDER BY name LIMIT $3"
            );
            conn.fetch_all(sql, args).await?
        } else {
            let sql = concat!(
                "SELECT ",
                columns!(),
                " FROM repos WHERE org_id = $1 AND name > $2 AND deleted_at_ms IS NULL \
                 ORDER BY name LIMIT $3"
            );
            conn.fetch_all(sql, args).await?
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Deletes a repository: its name is free at once, its rows stay and take no more writes.
    pub async fn delete_repo(&self, org: OrgId, name: &str) -> Result<(), DeleteRepoError> {
        let failed = |source| DeleteRepoError::Catalog {
            name: name.to_owned(),
            source,
        };
        let Some(repo) = self.repo(org, name).await.map_err(failed)? else {
            let gone = self.was_deleted(org, name).await.map_err(failed)?;
            let name = name.to_owned();
            return Err(if gone {
                DeleteRepoError::AlreadyDeleted { name }
            } else {
                DeleteRepoError::NotFound { name }
            });
        };
        let work = Work::DeleteRepo {
            repo: repo.id,
            at_ms: now_ms(),
        };
        match self.submit(repo.id, work).await.map_err(failed)? {
            Done::Changed(true) => Ok(()),
            _ => Err(DeleteRepoError::AlreadyDeleted {
                name: name.to_owned(),
            }),
        }
    }

    async fn was_deleted(&self, org: OrgId, name: &str) -> Result<bool, CatalogError> {
        if text::check("repository name", name, MAX_REPO_NAME_BYTES).is_err() {
            return Ok(false);
        }
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        args.push(name);
        let sql = "SELECT id FROM repos \
                   WHERE org_id = $1 AND name = $2 AND deleted_at_ms IS NOT NULL LIMIT 1";
        Ok(conn.fetch_optional(sql, args).await?.is_some())
    }
}
