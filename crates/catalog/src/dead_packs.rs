//! Dead packs: those in the bucket that no repository lists, on their way to being deleted.
//!
//! A pack is first found unlisted, then, a grace period later, condemned. Only the bytes of condemned packs are deleted.
//!
//! What always holds: **a condemned pack is not listed, and no transaction lists it.** So its bytes can be deleted at
//! leisure, and a deletion that arrives late does no harm. Two transactions see to that. The one that condemns checks
//! that nobody lists the pack; every one that lists packs checks that none is condemned, and is refused if one is: its
//! writer stores the bytes again under another name. On SQLite one transaction runs at a time. On PostgreSQL both hold
//! an advisory lock of the organisation from before their check to their COMMIT, the one that condemns alone, the others
//! together. Forks need no check: what they list is listed by their source, whose row they have locked.
//!
//! A row stays long after its pack is gone (`forget_dead_packs`), for deletions and writers that are late.

use crate::bulk::{Bulk, Kind, List, Texts};
use crate::dialect::{Conn, Row};
use crate::ids::OrgId;
use crate::lane::{Done, SweepWork};
use crate::{Catalog, CatalogError};

/// A pack in the bucket.
#[derive(Copy, Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PackName {
    /// Whose it is.
    pub org: OrgId,
    /// Its key.
    pub key: [u8; 32],
}

/// What the catalog says of a pack in the bucket.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum PackStanding {
    /// A repository lists it, maybe one that was deleted and still has its rows.
    Listed,
    /// Nobody lists it, and nobody has noticed before.
    Unlisted,
    /// It was found unlisted.
    Found {
        /// When.
        at_ms: i64,
    },
    /// It is to be deleted.
    Condemned,
}

/// Whether some repository of the organisation lists the pack of a row of `v`.
macro_rules! listed {
    ($org:literal, $key:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM packs AS p JOIN repos AS r ON r.id = p.repo_id WHERE p.key = ",
            $key,
            " AND r.org_id = ",
            $org,
            ")"
        )
    };
}
pub(crate) use listed;

const SELECT_STANDINGS: Bulk = Bulk {
    head: concat!(
        "SELECT v.column1, v.column2, CAST(CASE WHEN ",
        listed!("v.column1", "v.column2"),
        " THEN 1 ELSE 0 END AS BIGINT), d.condemned, d.at_ms FROM (VALUES "
    ),
    columns: &[Kind::Int, Kind::Bytes],
    foot: ") AS v LEFT JOIN dead_packs AS d ON d.org_id = v.column1 AND d.key = v.column2 \
           WHERE v.column1 IS NOT NULL",
    lock: "",
};

impl Catalog {
    /// What is known of packs, in no order.
    pub async fn pack_standings(
        &self,
        packs: &[PackName],
    ) -> Result<Vec<(PackName, PackStanding)>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        standings(&mut conn, packs).await
    }

    /// Remembers which of an organisation's packs are unlisted, and condemns those that were found so at
    /// `found_by_ms` or before. Returns the condemned ones, those condemned earlier among them: their bytes may be
    /// deleted. It is one transaction: name a bounded number of packs.
    pub async fn condemn_packs(
        &self,
        org: OrgId,
        keys: Vec<[u8; 32]>,
        found_by_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<[u8; 32]>, CatalogError> {
        if keys.is_empty() {
            return Ok(keys);
        }
        let work = SweepWork::Condemn {
            org,
            keys,
            found_by_ms,
            now_ms,
        };
        match self.submit_aside(work.into()).await? {
            Done::Condemned(keys) => Ok(keys),
            _ => Ok(Vec::new()),
        }
    }

    /// Forgets dead packs last heard of before then, at most `limit`; returns how many.
    ///
    /// A condemned pack must not be forgotten while a deletion of its bytes may still arrive, or a writer that stored
    /// them earlier may still list it.
    pub async fn forget_dead_packs(&self, before_ms: i64, limit: u32) -> Result<u64, CatalogError> {
        let work = SweepWork::Forget { before_ms, limit };
        match self.submit_aside(work.into()).await? {
            Done::Count(count) => Ok(count),
            _ => Ok(0),
        }
    }
}

async fn standings(
    conn: &mut Conn<'_>,
    packs: &[PackName],
) -> Result<Vec<(PackName, PackStanding)>, CatalogError> {
    let mut list = List::new(conn.dialect(), &SELECT_STANDINGS);
    for pack in packs {
        list.row(|row| {
            row.push(pack.org.0).push(pack.key.as_slice());
        });
    }
    let rows = list.fetch(conn, &mut Texts::default()).await?;
    rows.iter().map(read_standing).collect()
}

fn read_standing(row: &Row) -> Result<(PackName, PackStanding), CatalogError> {
    let name = PackName {
        org: OrgId(row.get(0)?),
        key: read_key(row, 1)?,
    };
    let found = row.get::<Option<i64>>(3)?.zip(row.get::<Option<i64>>(4)?);
    let standing = match (row.get::<i64>(2)?, found) {
        (1, _) => PackStanding::Listed,
        (_, None) => PackStanding::Unlisted,
        (_, Some((0, at_ms))) => PackStanding::Found { at_ms },
        (_, Some(_)) => PackStanding::Condemned,
    };
    Ok((name, standing))
}

/// The key of a pack in a column.
pub(crate) fn read_key(row: &Row, index: usize) -> Result<[u8; 32], CatalogError> {
    let key: Vec<u8> = row.get(index)?;
    let length = key.len();
    key.try_into().map_err(|_| CatalogError::Unknown {
        what: format!("a pack key of {length} bytes"),
    })
}

/// What a test of all statements should look at.
#[cfg(test)]
pub(crate) const ALL: [&Bulk; 1] = [&SELECT_STANDINGS];
