//! Writing what was decided: a constant number of statements, whatever the size of the group.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::audit::Origin;
use crate::bulk::{Bulk, Kind, List, RowArgs, Texts};
use crate::dialect::{Conn, Dialect};
use crate::events;
use crate::ids::RepoId;
use crate::repos::RepoRow;

use super::plan::{Admin, LogEntry, PackWrite, Writes, fold_due};
use super::{Done, hooks, jobs, repack, ssh_keys, sweep, upstreams, write_fork};

use Kind::{Bytes, Int, Text};

pub(super) const UPSERT_REFS: Bulk = Bulk {
    head: "INSERT INTO refs (repo_id, name, target, peeled, created_at_ms, generation) \
           SELECT column1, column2, column3, column4, column5, column6 FROM (VALUES ",
    columns: &[Int, Bytes, Bytes, Bytes, Int, Int],
    foot: ") AS v WHERE column1 IS NOT NULL ON CONFLICT (repo_id, name) DO UPDATE SET \
           target = excluded.target, peeled = excluded.peeled, \
           created_at_ms = excluded.created_at_ms, generation = excluded.generation",
    lock: "",
};

const INSERT_REFLOG: Bulk = Bulk {
    head: "INSERT INTO reflog \
           (repo_id, generation, ordinal, name, old, new, who, message, at_ms, org_id, tick, \
           kind, detail, address, request_id) SELECT column1, column2, column3, column4, column5, column6, column7, \
           column8, column9, column10, column11, column12, column13, column14, column15 FROM (VALUES ",
    columns: &[
        Int, Int, Int, Bytes, Bytes, Bytes, Text, Text, Int, Int, Int, Text, Text, Text, Text,
    ],
    foot: ") AS v WHERE column1 IS NOT NULL",
    lock: "",
};

macro_rules! insert_new {
    ($tick:expr) => {
        Bulk {
            head: concat!(
                "INSERT INTO reflog (repo_id, generation, ordinal, name, new, who, message, \
                 at_ms, org_id, tick, kind, address, request_id) SELECT column1, column2, column3, column4, column5, \
                 column6, column7, column8, column9, ",
                $tick,
                ", column10, column11, column12 FROM (VALUES "
            ),
            columns: &[
                Int, Int, Int, Bytes, Bytes, Text, Text, Int, Int, Text, Text, Text,
            ],
            foot: ") AS v WHERE column1 IS NOT NULL",
            lock: "",
        }
    };
}

// The first events of a repository. There was no row yet to tell what their ticks are, as in `state`.
const INSERT_NEW_SQLITE: Bulk = insert_new!(
    "(SELECT COALESCE(MAX(l.tick), 0) + 1 FROM reflog AS l WHERE l.org_id = v.column9)"
);
const INSERT_NEW_POSTGRES: Bulk = insert_new!(
    "(SELECT base FROM event_clock) + CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)"
);

/// A list for the first events of new repositories.
pub(super) fn first_events(dialect: Dialect) -> List {
    let bulk = match dialect {
        Dialect::Sqlite => &INSERT_NEW_SQLITE,
        Dialect::Postgres => &INSERT_NEW_POSTGRES,
    };
    List::new(dialect, bulk)
}

pub(super) const INSERT_TAIL: Bulk = Bulk {
    head: "INSERT INTO tail (repo_id, generation, objects) \
           SELECT column1, column2, column3 FROM (VALUES ",
    columns: &[Int, Int, Bytes],
    foot: ") AS v WHERE column1 IS NOT NULL",
    lock: "",
};

// A pack that is listed already, as when a push is sent again, stays as it is; but one that was set apart is from now on
// what it is listed as: what a push brings or a ref reaches, or what is set apart once more.
const INSERT_PACKS: Bulk = Bulk {
    head: "INSERT INTO packs \
           (repo_id, key, source, objects, pack_bytes, idx_bytes, generation, apart_at_ms) SELECT column1, \
           column2, column3, column4, column5, column6, column7, column8 FROM (VALUES ",
    columns: &[Int, Bytes, Int, Int, Int, Int, Int, Int],
    foot: ") AS v WHERE column1 IS NOT NULL ON CONFLICT (repo_id, key) DO UPDATE SET \
           source = excluded.source, apart_at_ms = excluded.apart_at_ms \
           WHERE packs.apart_at_ms IS NOT NULL",
    lock: "",
};

const DELETE_REVIVED: Bulk = Bulk {
    head: "DELETE FROM dead_packs WHERE condemned = 0 AND (org_id, key) IN \
           (SELECT column1, column2 FROM (VALUES ",
    columns: &[Int, Bytes],
    foot: ") AS v WHERE column1 IS NOT NULL)",
    lock: "",
};

const DELETE_TAILS: Bulk = Bulk {
    head: "DELETE FROM tail WHERE (repo_id, generation) IN \
           (SELECT t.repo_id, t.generation FROM (VALUES ",
    columns: &[Int, Int],
    foot: ") AS v JOIN tail AS t ON t.repo_id = v.column1 AND t.generation <= v.column2)",
    lock: "",
};

const UPDATE_REPOS: Bulk = Bulk {
    head: "UPDATE repos SET deleted_at_ms = v.column2, generation = v.column3, \
           packs_generation = v.column4, folded_through = v.column5, tail_rows = v.column6, \
           tail_bytes = v.column7, fold_due = v.column8, fold_holder = v.column9, \
           fold_until_ms = v.column10, event_tick = COALESCE(v.column11, repos.event_tick), \
           dropped_generation = v.column12 FROM (VALUES ",
    columns: &[Int, Int, Int, Int, Int, Int, Int, Int, Text, Int, Int, Int],
    foot: ") AS v WHERE repos.id = v.column1",
    lock: "",
};

// The conflict names the one index: an id that collides is a failure and no taken name.
const INSERT_REPOS: Bulk = Bulk {
    head: "INSERT INTO repos (id, org_id, name, default_branch, created_at_ms, generation, \
           packs_generation, folded_through, tail_rows, tail_bytes, fold_due) SELECT column1, \
           column2, column3, column4, column5, column6, column7, column8, column9, column10, \
           column11 FROM (VALUES ",
    columns: &[Int, Int, Text, Text, Int, Int, Int, Int, Int, Int, Int],
    foot: ") AS v WHERE column1 IS NOT NULL \
           ON CONFLICT (org_id, name) WHERE deleted_at_ms IS NULL DO NOTHING RETURNING id",
    lock: "",
};

/// Writes it all. Answers of creations that found their name taken become refusals.
pub(super) async fn write(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    writes: Writes<'_>,
    answers: &mut [Done],
) -> Result<(), sqlx::Error> {
    write_refs(conn, texts, &writes).await?;
    write_objects(conn, texts, &writes).await?;
    write_repos(conn, texts, &writes).await?;
    // After the updates: a name given up in this group can be taken in it.
    insert_repos(conn, texts, &writes, answers).await?;
    for (place, work) in &writes.hooks {
        answers[*place] = hooks::run(conn, texts, work).await?;
    }
    for (place, admin) in &writes.admin {
        match admin {
            Admin::Jobs { work, new_id } => {
                answers[*place] = jobs::write(conn, work, *new_id).await?;
            }
            Admin::Upstream { work, job_id } => {
                answers[*place] = upstreams::write(conn, texts, work, *job_id).await?;
            }
            Admin::Sweep(work) => answers[*place] = sweep::write(conn, texts, work).await?,
            admin => {
                let changed = write_admin(conn, admin).await?;
                match &mut answers[*place] {
                    Done::Count(count) => *count = changed,
                    answer if changed == 0 => *answer = Done::Refused,
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

async fn write_refs(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    writes: &Writes<'_>,
) -> Result<(), sqlx::Error> {
    let mut refs = List::new(conn.dialect(), &UPSERT_REFS);
    for ref_ in &writes.refs {
        refs.row(|row| {
            row.push(ref_.repo.0)
                .push(ref_.name)
                .push(ref_.target)
                .push(ref_.peeled);
            row.push(ref_.created_at_ms).push(ref_.generation);
        });
    }
    refs.execute(conn, texts).await?;

    let mut reflog = List::new(conn.dialect(), &INSERT_REFLOG);
    for entry in &writes.reflog {
        reflog.row(|row| {
            row.push(entry.repo.0)
                .push(entry.generation)
                .push(entry.ordinal);
            match &entry.what {
                LogEntry::Move(edit) => row
                    .push(edit.name.as_slice())
                    .push(edit.old.as_deref())
                    .push(edit.new.as_deref())
                    .push(entry.who)
                    .push(edit.message.as_str()),
                LogEntry::Event(..) => row
                    .push(&b""[..])
                    .push(None::<&[u8]>)
                    .push(None::<&[u8]>)
                    .push(entry.who)
                    .push(""),
            };
            row.push(entry.at_ms).push(entry.org.0).push(entry.tick);
            match &entry.what {
                LogEntry::Move(_) => row.push(None::<&str>).push(None::<&str>),
                LogEntry::Event(kind, detail) => row.push(*kind).push(*detail),
            };
            push_origin(row, entry.origin);
        });
    }
    reflog.execute(conn, texts).await?;
    Ok(())
}

/// Each pack of a repository once, as the statement would leave it that wrote one row after the other: no statement may
/// meet a row twice.
fn listed_once<'w, 'a>(packs: &'w [PackWrite<'a>]) -> Vec<PackWrite<'a>> {
    let mut places: HashMap<(RepoId, &'w [u8; 32]), usize> = HashMap::new();
    let mut once: Vec<PackWrite<'a>> = Vec::with_capacity(packs.len());
    for entry in packs {
        match places.entry((entry.repo, &entry.pack.key)) {
            Entry::Vacant(place) => {
                place.insert(once.len());
                once.push(*entry);
            }
            Entry::Occupied(place) => {
                let first = &mut once[*place.get()];
                if first.apart_at_ms.is_some() {
                    *first = PackWrite {
                        generation: first.generation,
                        ..*entry
                    };
                }
            }
        }
    }
    once
}

async fn write_objects(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    writes: &Writes<'_>,
) -> Result<(), sqlx::Error> {
    let mut tail = List::new(conn.dialect(), &INSERT_TAIL);
    for (repo, generation, objects) in &writes.tail {
        tail.row(|row| {
            row.push(repo.0).push(*generation).push(*objects);
        });
    }
    tail.execute(conn, texts).await?;

    repack::write_replaced(conn, texts, writes).await?;
    let mut packs = List::new(conn.dialect(), &INSERT_PACKS);
    for entry in listed_once(&writes.packs) {
        packs.row(|row| {
            row.push(entry.repo.0).push(entry.pack.key.as_slice());
            row.push(entry.pack.source.number())
                .push(entry.pack.objects);
            row.push(entry.pack.pack_bytes)
                .push(entry.pack.idx_bytes)
                .push(entry.generation)
                .push(entry.apart_at_ms);
        });
    }
    packs.execute(conn, texts).await?;

    let mut revived = List::new(conn.dialect(), &DELETE_REVIVED);
    for (org, key) in &writes.revived {
        revived.row(|row| {
            row.push(org.0).push(key.as_slice());
        });
    }
    revived.execute(conn, texts).await?;

    let mut folds = List::new(conn.dialect(), &DELETE_TAILS);
    for (repo, through) in &writes.folds {
        folds.row(|row| {
            row.push(repo.0).push(*through);
        });
    }
    folds.execute(conn, texts).await?;
    Ok(())
}

async fn write_repos(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    writes: &Writes<'_>,
) -> Result<(), sqlx::Error> {
    let mut repos = List::new(conn.dialect(), &UPDATE_REPOS);
    for repo in &writes.repos {
        repos.row(|row| {
            row.push(repo.row.id.0)
                .push(repo.row.deleted_at_ms)
                .push(repo.row.generation);
            row.push(repo.row.packs_generation)
                .push(repo.row.folded_through);
            row.push(repo.row.tail_rows).push(repo.row.tail_bytes);
            row.push(i64::from(fold_due(&repo.row)));
            row.push(repo.fold_holder.as_deref())
                .push(repo.fold_until_ms)
                .push(repo.event_tick)
                .push(repo.row.dropped_generation);
        });
    }
    let changed = repos.execute(conn, texts).await?;
    if changed != writes.repos.len() as u64 {
        // They are locked, so this cannot be; if it is, nothing of the group may stay.
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(())
}

async fn insert_repos(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    writes: &Writes<'_>,
    answers: &mut [Done],
) -> Result<(), sqlx::Error> {
    let mut new: Vec<_> = writes.new_repos.iter().collect();
    // In one order, so that nodes that want the same names wait for each other in one direction.
    new.sort_by(|(_, a), (_, b)| (a.org, &a.name).cmp(&(b.org, &b.name)));
    let mut list = List::new(conn.dialect(), &INSERT_REPOS);
    for (_, repo) in &new {
        list.row(|row| {
            row.push(repo.id.0)
                .push(repo.org.0)
                .push(repo.name.as_str());
            row.push(repo.default_branch.as_str())
                .push(repo.created_at_ms);
            row.push(repo.generation)
                .push(repo.packs_generation)
                .push(repo.folded_through);
            row.push(repo.tail_rows).push(repo.tail_bytes);
            row.push(i64::from(fold_due(repo)));
        });
    }
    let inserted: HashSet<i64> = list
        .fetch(conn, texts)
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect::<Result<_, _>>()?;
    let mut created = first_events(conn.dialect());
    for (place, repo) in new {
        if !inserted.contains(&repo.id.0) {
            answers[*place] = Done::Refused;
            continue;
        }
        created.row(|row| push_created(row, repo));
    }
    created.execute(conn, texts).await?;
    for fork in &writes.forks {
        if inserted.contains(&fork.repo.0) {
            write_fork::write(conn, texts, fork).await?;
        }
    }
    Ok(())
}

/// The event that a repository was created, as a row of [`first_events`].
pub(super) fn push_created(row: &mut RowArgs<'_>, repo: &RepoRow) {
    row.push(repo.id.0).push(0_i64).push(0_i64);
    row.push(&b""[..]).push(None::<&[u8]>).push("").push("");
    row.push(repo.created_at_ms)
        .push(repo.org.0)
        .push(events::CREATED);
    push_origin(row, None);
}

/// Where a move came from: the last columns of its row.
pub(super) fn push_origin(row: &mut RowArgs<'_>, origin: Option<&Origin>) {
    row.push(origin.and_then(|origin| origin.address.as_deref()))
        .push(origin.map(|origin| origin.request_id.as_str()));
}

/// One of the rare things; says how many rows it changed.
async fn write_admin(conn: &mut Conn<'_>, admin: &Admin<'_>) -> Result<u64, sqlx::Error> {
    let mut args = conn.args();
    let sql = match admin {
        Admin::DropOldEvents { before_ms, limit } => {
            args.push(*before_ms);
            args.push(i64::from(*limit));
            "DELETE FROM reflog WHERE (repo_id, generation, ordinal) IN \
             (SELECT repo_id, generation, ordinal FROM reflog \
             WHERE kind IS NOT NULL AND at_ms < $1 LIMIT $2)"
        }
        Admin::CreateOrg(org) => {
            args.push(org.id.0);
            args.push(org.name.as_str());
            args.push(org.created_at_ms);
            "INSERT INTO orgs (id, name, created_at_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO NOTHING"
        }
        Admin::AddKey { org, key, at_ms } => {
            args.push(org.0);
            args.push(key.fingerprint.as_str());
            args.push(key.algorithm.as_str());
            args.push(key.public_pem.as_str());
            args.push(*at_ms);
            "INSERT INTO org_keys (org_id, fingerprint, algorithm, public_pem, created_at_ms) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (org_id, fingerprint) DO UPDATE SET \
             algorithm = excluded.algorithm, public_pem = excluded.public_pem, \
             created_at_ms = excluded.created_at_ms, revoked_at_ms = NULL \
             WHERE org_keys.revoked_at_ms IS NOT NULL"
        }
        Admin::RevokeKey {
            org,
            fingerprint,
            at_ms,
        } => {
            args.push(org.0);
            args.push(*fingerprint);
            args.push(*at_ms);
            "UPDATE org_keys SET revoked_at_ms = $3 \
             WHERE org_id = $1 AND fingerprint = $2 AND revoked_at_ms IS NULL"
        }
        Admin::SshKey(work) => return ssh_keys::execute(conn, work).await,
        Admin::Jobs { .. } | Admin::Upstream { .. } | Admin::Sweep(_) => {
            unreachable!("they have statements of their own")
        }
    };
    conn.execute(sql, args).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::lane::{audit, state};
    use crate::open::Place;

    /// Every statement of a lane finds its rows by key: cost follows the group, not the tables.
    #[tokio::test]
    async fn no_statement_reads_a_table_through() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let mut owned = Place::parse(&url).unwrap().connect_writer().await.unwrap();
        crate::migrate::run(&mut owned).await.unwrap();
        let mut conn = owned.conn();
        let written = [
            &UPSERT_REFS,
            &INSERT_REFLOG,
            &INSERT_TAIL,
            &INSERT_PACKS,
            &DELETE_REVIVED,
            &repack::DELETE_PACKS,
            &DELETE_TAILS,
            &UPDATE_REPOS,
            &INSERT_REPOS,
            &INSERT_NEW_SQLITE,
        ];
        let all = written
            .into_iter()
            .chain(state::ALL)
            .chain(hooks::ALL)
            .chain(audit::ALL)
            .chain(sweep::ALL)
            .chain(crate::dead_packs::ALL);
        for bulk in all.chain(upstreams::ALL) {
            let text = crate::bulk::build(Dialect::Sqlite, bulk, 4);
            let explain = crate::dialect::Sql::Built(format!("EXPLAIN QUERY PLAN {text}").into());
            let args = conn.args();
            let steps = conn.fetch_all(explain, args).await.unwrap();
            assert!(!steps.is_empty());
            for step in steps {
                let step: String = step.get(3).unwrap();
                let allowed = step == "SCAN v" || step.ends_with("VALUES CLAUSE");
                assert!(allowed || !step.starts_with("SCAN"), "{step}: {text}");
            }
        }
    }
}
