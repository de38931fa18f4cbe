//! Folding: the rows of a tail give way to a pack that holds their objects.
//!
//! The pack is in the bucket before `fold` is called. A lease keeps two nodes from doing the same
//! work; what keeps the result right is that a fold whose rows are not exactly those of the tail is
//! refused.

use crate::clock::now_ms;
use crate::ids::RepoId;
use crate::lane::{Done, Work};
use crate::publish::NewPack;
use crate::{Catalog, CatalogError, text};

/// A fold to record.
#[derive(Clone, Debug)]
pub struct Fold {
    /// The repository.
    pub repo: RepoId,
    /// Every tail row of this generation and older is in the pack.
    pub through: i64,
    /// How many rows those are.
    pub rows: u64,
    /// How many bytes those have.
    pub bytes: u64,
    /// The pack they became.
    pub pack: NewPack,
}

/// Why nothing was folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The tail no longer has these rows: somebody else folded, or the repository was deleted.
    #[error("the tail was folded by somebody else meanwhile")]
    Raced,
    /// The pack lay unlisted for so long that its bytes are being deleted. Store them again under another name.
    #[error("the pack is being deleted")]
    Condemned,
    /// The catalog failed.
    #[error("could not fold")]
    Catalog(#[from] CatalogError),
}

/// A tail with fewer rows, and fewer bytes, is not on the index of tails to fold.
pub(crate) const DUE_ROWS: i64 = 32;
pub(crate) const DUE_BYTES: i64 = 1 << 20;

impl Catalog {
    /// Lists the pack, drops the rows, and ends the lease. Returns the new generation.
    pub async fn fold(&self, fold: Fold) -> Result<i64, FoldError> {
        match self.submit(fold.repo, Work::Fold(fold)).await? {
            Done::Generation(generation) => Ok(generation),
            Done::Condemned(_) => Err(FoldError::Condemned),
            _ => Err(FoldError::Raced),
        }
    }

    /// Takes the right to fold a repository for a while, or takes it longer; `for_ms` 0 gives it
    /// back. False if another holder has it, or the repository is gone.
    pub async fn lease_fold(
        &self,
        repo: RepoId,
        holder: &str,
        for_ms: i64,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        text::check("lease holder", holder, 1024)?;
        let work = Work::Lease {
            repo,
            holder: holder.to_owned(),
            for_ms,
            now_ms,
        };
        Ok(matches!(
            self.submit(repo, work).await?,
            Done::Changed(true)
        ))
    }

    /// Repositories whose tail has at least that many rows or bytes and that nobody holds a lease
    /// on, longest first, at most `limit`.
    pub async fn repos_to_fold(
        &self,
        rows: u64,
        bytes: u64,
        limit: u32,
    ) -> Result<Vec<RepoId>, CatalogError> {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(rows);
        args.push(bytes);
        args.push(now_ms());
        args.push(i64::from(limit));
        // The index leads to the repositories that are due; smaller limits, which only a person
        // asks for, look at every row.
        let sql = if rows >= DUE_ROWS && bytes >= DUE_BYTES {
            "SELECT id FROM repos WHERE fold_due = 1 AND (tail_rows >= $1 OR tail_bytes >= $2) \
             AND deleted_at_ms IS NULL AND (fold_until_ms IS NULL OR fold_until_ms <= $3) \
             ORDER BY tail_rows DESC, id LIMIT $4"
        } else {
            "SELECT id FROM repos WHERE tail_rows > 0 AND (tail_rows >= $1 OR tail_bytes >= $2) \
             AND deleted_at_ms IS NULL AND (fold_until_ms IS NULL OR fold_until_ms <= $3) \
             ORDER BY tail_rows DESC, id LIMIT $4"
        };
        let found = conn.fetch_all(sql, args).await?;
        Ok(found
            .iter()
            .map(|row| row.get(0).map(RepoId))
            .collect::<Result<_, _>>()?)
    }
}
