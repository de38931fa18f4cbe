//! Reading what a group needs to be decided, under the locks that keep it so until the COMMIT.

use std::collections::BTreeSet;

use crate::bulk::{Bulk, Kind, List, Texts};
use crate::dialect::{Conn, Dialect};
use crate::ids::{OrgId, RepoId};
use crate::repos;

use super::Work;
use super::plan::{RefState, RepoState, State};
use super::repack;
use super::sweep::{self, Share};

// In id order, so that nodes that lock the same repositories wait for each other in one direction
// only. The row of a repository is the lock of all it has.
macro_rules! select_repos {
    ($tick:expr) => {
        Bulk {
            head: concat!(
                "SELECT ",
                repos::columns!(),
                ", fold_holder, fold_until_ms, ",
                $tick,
                " FROM repos WHERE id IN (VALUES "
            ),
            columns: &[Kind::Int],
            foot: ")",
            lock: " ORDER BY id FOR UPDATE",
        }
    };
}

// The tick of the events that this transaction adds; `events` says why it is this.
const SELECT_REPOS_SQLITE: Bulk = select_repos!(
    "(SELECT COALESCE(MAX(l.tick), 0) + 1 FROM reflog AS l WHERE l.org_id = repos.org_id)"
);
const SELECT_REPOS_POSTGRES: Bulk = select_repos!(
    "GREATEST(event_tick, (SELECT base FROM event_clock) \
     + CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT))"
);

const SELECT_REFS: Bulk = Bulk {
    head: "SELECT r.repo_id, r.name, r.target, r.created_at_ms FROM (VALUES ",
    columns: &[Kind::Int, Kind::Bytes],
    foot: ") AS v JOIN refs AS r ON r.repo_id = v.column1 AND r.name = v.column2",
    lock: "",
};

const COUNT_TAILS: Bulk = Bulk {
    head: "SELECT t.repo_id, COUNT(*), CAST(SUM(LENGTH(t.objects)) AS BIGINT) FROM (VALUES ",
    columns: &[Kind::Int, Kind::Int],
    foot: ") AS v JOIN tail AS t ON t.repo_id = v.column1 AND t.generation <= v.column2 \
           GROUP BY t.repo_id",
    lock: "",
};

const SELECT_DEAD: Bulk = Bulk {
    head: "SELECT d.org_id, d.key, d.condemned FROM (VALUES ",
    columns: &[Kind::Int, Kind::Bytes],
    foot: ") AS v JOIN dead_packs AS d ON d.org_id = v.column1 AND d.key = v.column2",
    lock: "",
};

/// Locks the repositories of a group and reads what its works name.
pub(super) async fn read(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    works: &[&Work],
) -> Result<State, sqlx::Error> {
    let mut repos = List::new(
        conn.dialect(),
        match conn.dialect() {
            Dialect::Sqlite => &SELECT_REPOS_SQLITE,
            Dialect::Postgres => &SELECT_REPOS_POSTGRES,
        },
    );
    let mut refs = List::new(conn.dialect(), &SELECT_REFS);
    let mut tails = List::new(conn.dialect(), &COUNT_TAILS);
    for work in works {
        if let Some(repo) = work.repo() {
            repos.row(|row| {
                row.push(repo.0);
            });
        }
        match work {
            Work::Publish(publish) => {
                for edit in &publish.edits {
                    refs.row(|row| {
                        row.push(publish.repo.0).push(edit.name.as_slice());
                    });
                }
            }
            Work::Fold(fold) => tails.row(|row| {
                row.push(fold.repo.0).push(fold.through);
            }),
            _ => {}
        }
    }

    let mut state = State::default();
    for row in repos.fetch(conn, texts).await? {
        let repo = RepoState {
            row: repos::read(&row)?,
            fold_holder: row.get(repos::COLUMNS)?,
            fold_until_ms: row.get(repos::COLUMNS + 1)?,
            tick: row.get(repos::COLUMNS + 2)?,
            event_tick: None,
        };
        state.repos.insert(repo.row.id, repo);
    }
    for row in refs.fetch(conn, texts).await? {
        let ref_ = RefState {
            target: row.get(2)?,
            created_at_ms: row.get(3)?,
        };
        state
            .refs
            .entry(RepoId(row.get(0)?))
            .or_default()
            .insert(row.get(1)?, ref_);
    }
    for row in tails.fetch(conn, texts).await? {
        state
            .folding
            .insert(RepoId(row.get(0)?), (row.get(1)?, row.get(2)?));
    }
    repack::read_listed(conn, texts, works, &mut state).await?;
    read_dead_packs(conn, texts, works, &mut state).await?;
    Ok(state)
}

/// Reads which of the packs that works want to list are dead, under the lock that keeps it so.
async fn read_dead_packs(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    works: &[&Work],
    state: &mut State,
) -> Result<(), sqlx::Error> {
    let mut packs = List::new(conn.dialect(), &SELECT_DEAD);
    // In order, so that nodes wait for each other in one direction only.
    let mut orgs = BTreeSet::new();
    for work in works {
        let (repo, new) = match work {
            Work::Publish(publish) => (publish.repo, publish.packs.as_slice()),
            Work::Fold(fold) => (fold.repo, std::slice::from_ref(&fold.pack)),
            Work::Repack(repack) => (repack.repo, repack.packs.as_slice()),
            _ => continue,
        };
        let Some(repo) = state.repos.get(&repo).filter(|_| !new.is_empty()) else {
            continue;
        };
        let org = repo.row.org;
        orgs.insert(org);
        for pack in new {
            packs.row(|row| {
                row.push(org.0).push(pack.key.as_slice());
            });
        }
    }
    for org in orgs {
        sweep::lock_listings(conn, org, Share::Yes).await?;
    }
    for row in packs.fetch(conn, texts).await? {
        let is_condemned = row.get::<i64>(2)? != 0;
        state
            .dead_packs
            .insert((OrgId(row.get(0)?), row.get(1)?), is_condemned);
    }
    Ok(())
}

/// What a test of all statements should look at.
#[cfg(test)]
pub(super) const ALL: [&Bulk; 5] = [
    &SELECT_REPOS_SQLITE,
    &SELECT_REFS,
    &COUNT_TAILS,
    &SELECT_DEAD,
    &repack::SELECT_LISTED,
];
