//! Deciding a repack, and what it reads and writes.

use crate::bulk::{Bulk, Kind, List, Texts};
use crate::dialect::Conn;
use crate::ids::RepoId;
use crate::publish::PackSource;
use crate::repack::Repack;

use super::plan::{PackWrite, State, Writes, live, revive};
use super::{Done, Work};

use Kind::{Bytes, Int};

pub(super) const SELECT_LISTED: Bulk = Bulk {
    head: "SELECT p.repo_id, p.key FROM (VALUES ",
    columns: &[Int, Bytes],
    foot: ") AS v JOIN packs AS p ON p.repo_id = v.column1 AND p.key = v.column2",
    lock: "",
};

pub(super) const DELETE_PACKS: Bulk = Bulk {
    head: "DELETE FROM packs WHERE (repo_id, key) IN (SELECT column1, column2 FROM (VALUES ",
    columns: &[Int, Bytes],
    foot: ") AS v WHERE column1 IS NOT NULL)",
    lock: "",
};

/// Reads which of the packs that repacks are to replace are listed.
pub(super) async fn read_listed(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    works: &[&Work],
    state: &mut State,
) -> Result<(), sqlx::Error> {
    let mut packs = List::new(conn.dialect(), &SELECT_LISTED);
    for work in works {
        let Work::Repack(repack) = work else { continue };
        for key in &repack.replaced {
            packs.row(|row| {
                row.push(repack.repo.0).push(key.as_slice());
            });
        }
    }
    for row in packs.fetch(conn, texts).await? {
        state.listed.insert((RepoId(row.get(0)?), row.get(1)?));
    }
    Ok(())
}

pub(super) fn decide<'a>(state: &State, repack: &'a Repack, writes: &mut Writes<'a>) -> Done {
    let Some(mut repo) = live(state, repack.repo) else {
        return Done::Refused;
    };
    let is_listed = |key: &[u8; 32]| state.listed.contains(&(repack.repo, key.to_vec()));
    if !repack.replaced.iter().all(is_listed) {
        return Done::Refused;
    }
    // Whatever was written since might build on what would go.
    if repack.drops_at.is_some_and(|at| at != repo.row.generation) {
        return Done::Stale;
    }
    // What was made before may have, or name, what is gone.
    if repack.made_at < repo.row.dropped_generation {
        return Done::Stale;
    }
    if let Err(condemned) = revive(state, repo.row.org, &repack.packs, writes) {
        return Done::Condemned(condemned);
    }
    repo.row.generation += 1;
    repo.row.packs_generation = repo.row.generation;
    let generation = repo.row.generation;
    if repack.drops_at.is_some() {
        repo.row.dropped_generation = generation;
    }
    let replaced = repack.replaced.iter().map(|key| (repack.repo, key));
    writes.replaced.extend(replaced);
    let packs = repack.packs.iter().map(|pack| PackWrite {
        repo: repack.repo,
        pack,
        generation,
        apart_at_ms: (pack.source == PackSource::Unreachable).then_some(repack.at_ms),
    });
    writes.packs.extend(packs);
    writes.repos.push(repo);
    Done::Generation(generation)
}

/// Removes the packs that are replaced. What is listed anew under the same key comes after this.
pub(super) async fn write_replaced(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    writes: &Writes<'_>,
) -> Result<(), sqlx::Error> {
    let mut replaced = List::new(conn.dialect(), &DELETE_PACKS);
    for (repo, key) in &writes.replaced {
        replaced.row(|row| {
            row.push(repo.0).push(key.as_slice());
        });
    }
    replaced.execute(conn, texts).await?;
    Ok(())
}
