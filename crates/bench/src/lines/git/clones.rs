//! Many full clones at once.

use tokio::runtime::Runtime;

use super::pair::{Pair, ratio};
use super::raw::{Request, rev_parse};
use crate::corpus::{corpus, pack_bytes};
use crate::report::Row;
use crate::sample::seconds;
use crate::{Bench, Result};

const CLONES: usize = 16;
const LIMIT: f64 = 0.5;
const MEMORY_LIMIT: u64 = 512 << 20;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = corpus(bench)?;
    let pair = Pair::start(bench)?;
    let [ours, theirs] = pair.serve(bench, "corpus", &source)?;
    let request = Request::fetch(&rev_parse(&source, "main")?, &[]);
    // A pack made for the occasion may be smaller than the one on disk, but not by much.
    let bytes = pack_bytes(&source)? * 9 / 10;
    // Once before it counts, for both.
    request.send(&ours, bytes)?;
    request.send(&theirs, bytes)?;
    let their_cost = pair.theirs(|| request.send_many(CLONES, &theirs, bytes))?;
    let our_cost = pair.ours(|| request.send_many(CLONES, &ours, bytes))?;
    let wall = ratio(our_cost.wall, their_cost.wall);
    let memory = pair.server.peak_memory_bytes()?;
    Ok(vec![
        Row {
            line: format!("{CLONES} full clones at once, by clients that keep nothing: wall time"),
            target: "at most 1/2 of the peer".to_owned(),
            ours: format!(
                "{} ({wall:.2}×; processors {})",
                seconds(our_cost.wall),
                seconds(our_cost.cpu)
            ),
            peer: format!(
                "{} (processors {})",
                seconds(their_cost.wall),
                seconds(their_cost.cpu)
            ),
            reached: wall <= LIMIT,
        },
        Row {
            line: "the server's memory after that (peak resident)".to_owned(),
            target: "under 512 MiB".to_owned(),
            ours: format!("{} MiB", memory >> 20),
            peer: "–".to_owned(),
            reached: memory < MEMORY_LIMIT,
        },
    ])
}
