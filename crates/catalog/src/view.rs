//! Loading: all that a view of a repository needs, from one generation.

use bytes::Bytes;

use crate::dead_packs::read_key;
use crate::dialect::{Conn, Row};
use crate::ids::RepoId;
use crate::publish::PackSource;
use crate::repos::{self, RepoRow};
use crate::{Catalog, CatalogError};

/// What a view has already: the three numbers of the [`RepoRow`] it was loaded with.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Since {
    /// Its generation.
    pub generation: i64,
    /// Its packs generation.
    pub packs_generation: i64,
    /// What was folded.
    pub folded_through: i64,
}

impl From<&RepoRow> for Since {
    fn from(repo: &RepoRow) -> Self {
        Self {
            generation: repo.generation,
            packs_generation: repo.packs_generation,
            folded_through: repo.folded_through,
        }
    }
}

/// A repository at one generation, or what changed up to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loaded {
    /// The repository.
    pub repo: RepoRow,
    /// Without `Since`: every ref there is. With it: those that moved since, deleted ones included.
    /// By name.
    pub refs: Vec<RefRow>,
    /// Tail rows newer than `Since`, oldest first.
    pub tail: Vec<TailRow>,
    /// Every pack, newest first; `None`: as at `Since`.
    pub packs: Option<Vec<PackRow>>,
}

/// A ref.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefRow {
    /// Full name.
    pub name: Vec<u8>,
    /// Where it points; `None`: it was deleted.
    pub target: Option<Vec<u8>>,
    /// What that peels to if it is a tag object.
    pub peeled: Option<Vec<u8>>,
    /// When it was created, since it was last deleted.
    pub created_at_ms: i64,
    /// When it last moved.
    pub generation: i64,
}

/// The objects of one publish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TailRow {
    /// Its generation.
    pub generation: i64,
    /// The objects, as they were published.
    pub objects: Bytes,
}

/// A listed pack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PackRow {
    /// Names it in the bucket.
    pub key: [u8; 32],
    /// What made it.
    pub source: PackSource,
    /// Objects in it.
    pub objects: i64,
    /// Size of the pack file.
    pub pack_bytes: i64,
    /// Size of its index.
    pub idx_bytes: i64,
    /// When it was listed.
    pub generation: i64,
    /// When it was set apart, if it has what no ref reached.
    pub apart_at_ms: Option<i64>,
}

/// Up to this many generations behind, the reflog says which refs moved; further behind, it may be
/// longer than the list of refs, which is then read through instead.
const MANY_GENERATIONS: i64 = 4096;

impl Catalog {
    /// Loads a repository, or what changed in it since. `None` if it is deleted or never was.
    pub async fn load(
        &self,
        repo: RepoId,
        since: Option<Since>,
    ) -> Result<Option<Loaded>, CatalogError> {
        let mut tx = self.pool().begin_snapshot().await?;
        let loaded = load(&mut tx.conn(), repo, since).await?;
        tx.commit().await?;
        Ok(loaded)
    }
}

async fn load(
    conn: &mut Conn<'_>,
    id: RepoId,
    since: Option<Since>,
) -> Result<Option<Loaded>, CatalogError> {
    let mut args = conn.args();
    args.push(id.0);
    let sql = concat!(
        "SELECT ",
        repos::columns!(),
        " FROM repos WHERE id = $1 AND deleted_at_ms IS NULL"
    );
    let Some(row) = conn.fetch_optional(sql, args).await? else {
        return Ok(None);
    };
    let repo = repos::read(&row)?;
    if since.is_some_and(|since| since.generation == repo.generation) {
        return Ok(Some(Loaded {
            repo,
            refs: Vec::new(),
            tail: Vec::new(),
            packs: None,
        }));
    }
    let refs = match since {
        None => all_refs(conn, id).await?,
        Some(since) => moved_refs(conn, id, since.generation, repo.generation).await?,
    };
    let tail = if repo.tail_rows == 0 {
        Vec::new()
    } else {
        tail(
            conn,
            id,
            since.map_or(repo.folded_through, |since| since.generation),
        )
        .await?
    };
    let packs = if since.is_some_and(|since| since.packs_generation == repo.packs_generation) {
        None
    } else {
        Some(packs(conn, id).await?)
    };
    Ok(Some(Loaded {
        repo,
        refs,
        tail,
        packs,
    }))
}

async fn all_refs(conn: &mut Conn<'_>, id: RepoId) -> Result<Vec<RefRow>, CatalogError> {
    let mut args = conn.args();
    args.push(id.0);
    let sql = "SELECT name, target, peeled, created_at_ms, generation FROM refs \
               WHERE repo_id = $1 AND target IS NOT NULL ORDER BY name";
    conn.fetch_all(sql, args)
        .await?
        .iter()
        .map(read_ref)
        .collect()
}

async fn moved_refs(
    conn: &mut Conn<'_>,
    id: RepoId,
    since: i64,
    generation: i64,
) -> Result<Vec<RefRow>, CatalogError> {
    let mut args = conn.args();
    args.push(id.0);
    args.push(since);
    let sql = if generation - since <= MANY_GENERATIONS {
        "SELECT r.name, r.target, r.peeled, r.created_at_ms, r.generation FROM \
         (SELECT DISTINCT name FROM reflog WHERE repo_id = $1 AND generation > $2) AS moved \
         JOIN refs AS r ON r.repo_id = $1 AND r.name = moved.name ORDER BY r.name"
    } else {
        "SELECT name, target, peeled, created_at_ms, generation FROM refs \
         WHERE repo_id = $1 AND generation > $2 ORDER BY name"
    };
    conn.fetch_all(sql, args)
        .await?
        .iter()
        .map(read_ref)
        .collect()
}

fn read_ref(row: &Row) -> Result<RefRow, CatalogError> {
    Ok(RefRow {
        name: row.get(0)?,
        target: row.get(1)?,
        peeled: row.get(2)?,
        created_at_ms: row.get(3)?,
        generation: row.get(4)?,
    })
}

async fn tail(conn: &mut Conn<'_>, id: RepoId, after: i64) -> Result<Vec<TailRow>, CatalogError> {
    let mut args = conn.args();
    args.push(id.0);
    args.push(after);
    let sql = "SELECT generation, objects FROM tail \
               WHERE repo_id = $1 AND generation > $2 ORDER BY generation";
    let rows = conn.fetch_all(sql, args).await?;
    rows.iter()
        .map(|row| {
            Ok(TailRow {
                generation: row.get(0)?,
                objects: Bytes::from(row.get::<Vec<u8>>(1)?),
            })
        })
        .collect()
}

async fn packs(conn: &mut Conn<'_>, id: RepoId) -> Result<Vec<PackRow>, CatalogError> {
    let mut args = conn.args();
    args.push(id.0);
    let sql = "SELECT key, source, objects, pack_bytes, idx_bytes, generation, apart_at_ms FROM packs \
               WHERE repo_id = $1 ORDER BY generation DESC, key";
    conn.fetch_all(sql, args)
        .await?
        .iter()
        .map(read_pack)
        .collect()
}

fn read_pack(row: &Row) -> Result<PackRow, CatalogError> {
    Ok(PackRow {
        key: read_key(row, 0)?,
        source: PackSource::from_number(row.get(1)?)?,
        objects: row.get(2)?,
        pack_bytes: row.get(3)?,
        idx_bytes: row.get(4)?,
        generation: row.get(5)?,
        apart_at_ms: row.get(6)?,
    })
}
