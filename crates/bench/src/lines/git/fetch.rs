//! Fetching what is new.

use tokio::runtime::Runtime;

use super::pair::{Pair, medians, ratio};
use super::raw::{Request, rev_parse};
use crate::corpus::corpus;
use crate::peer::Counting;
use crate::report::Row;
use crate::sample::ms;
use crate::{Bench, Result};

const RUNS: usize = 31;
const COMMITS: usize = 10;
const LIMIT: f64 = 0.5;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = corpus(bench)?;
    let pair = Pair::start_with(bench, Counting::Nothing)?;
    let [ours, theirs] = pair.serve(bench, "corpus", &source)?;
    let (want, have) = (
        rev_parse(&source, "main")?,
        rev_parse(&source, &format!("main~{COMMITS}"))?,
    );
    let request = Request::fetch(&want, &[&have]);
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        our_costs.push(pair.ours(|| request.send(&ours, 1000))?);
        their_costs.push(pair.theirs(|| request.send(&theirs, 1000))?);
    }
    let (ours, theirs) = (medians(&our_costs), medians(&their_costs));
    let wall = ratio(ours.wall, theirs.wall);
    Ok(vec![Row {
        line: format!("fetch of {COMMITS} commits: time to the last byte, median of {RUNS}"),
        target: "at most 1/2 of the peer".to_owned(),
        ours: format!("{} ({wall:.2}×)", ms(ours.wall)),
        peer: ms(theirs.wall),
        reached: wall <= LIMIT,
    }])
}
