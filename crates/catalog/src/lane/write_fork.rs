//! Writing what a fork has from the start: its own refs and objects, and the source's packs and tail.
//!
//! The source's row is locked, so its packs and tail are those of the generation the fork's row was made from.

use crate::bulk::{List, Texts};
use crate::dialect::Conn;

use super::plan::ForkWrite;
use super::write::{INSERT_TAIL, UPSERT_REFS, first_events, push_origin};

/// A fork repacks what it adds and not what it shares: 8 is [`PackSource::Fork`](crate::PackSource). What a repack made (6 and
/// 7) stays what it is.
const COPY_PACKS: &str = "INSERT INTO packs \
     (repo_id, key, source, objects, pack_bytes, idx_bytes, generation, apart_at_ms) \
     SELECT $1, key, CASE WHEN source IN (6, 7) THEN source ELSE 8 END, \
     objects, pack_bytes, idx_bytes, generation, apart_at_ms FROM packs \
     WHERE repo_id = $2";

const COPY_TAIL: &str = "INSERT INTO tail (repo_id, generation, objects) \
     SELECT $1, generation, objects FROM tail WHERE repo_id = $2";

pub(super) async fn write(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    write: &ForkWrite<'_>,
) -> Result<(), sqlx::Error> {
    for sql in [COPY_PACKS, COPY_TAIL] {
        let mut args = conn.args();
        args.push(write.repo.0);
        args.push(write.fork.source.0);
        conn.execute(sql, args).await?;
    }
    if let Some(objects) = &write.fork.tail {
        let mut tail = List::new(conn.dialect(), &INSERT_TAIL);
        tail.row(|row| {
            row.push(write.repo.0)
                .push(write.generation)
                .push(objects.as_ref());
        });
        tail.execute(conn, texts).await?;
    }
    write_refs(conn, texts, write).await
}

async fn write_refs(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    write: &ForkWrite<'_>,
) -> Result<(), sqlx::Error> {
    let fork = write.fork;
    let mut refs = List::new(conn.dialect(), &UPSERT_REFS);
    let mut reflog = first_events(conn.dialect());
    for (new, ordinal) in fork.refs.iter().zip(0_i64..) {
        refs.row(|row| {
            row.push(write.repo.0)
                .push(new.name.as_slice())
                .push(new.target.as_slice())
                .push(new.peeled.as_deref());
            row.push(fork.at_ms).push(write.generation);
        });
        reflog.row(|row| {
            row.push(write.repo.0).push(write.generation).push(ordinal);
            row.push(new.name.as_slice());
            row.push(new.target.as_slice());
            row.push(fork.who.as_str())
                .push(fork.message.as_str())
                .push(fork.at_ms);
            row.push(fork.org.0).push(None::<&str>);
            push_origin(row, fork.origin.as_deref());
        });
    }
    refs.execute(conn, texts).await?;
    reflog.execute(conn, texts).await?;
    Ok(())
}
