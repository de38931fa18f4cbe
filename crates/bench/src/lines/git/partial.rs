//! Clones of less than everything.

use std::process::Command;

use tokio::runtime::Runtime;

use super::pair::{Pair, ratio, typical};
use crate::corpus::corpus;
use crate::fixture::run;
use crate::report::Row;
use crate::sample::seconds;
use crate::{Bench, Result};

const CPU_LIMIT: f64 = 0.5;

/// What is cloned, and how often: what takes a moment only is within one tick of the clock of processor time.
const KINDS: [(&str, usize); 3] = [
    ("--depth=1", 5),
    ("--filter=blob:none", 15),
    ("--filter=tree:0", 50),
];

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = corpus(bench)?;
    let pair = Pair::start(bench)?;
    let [ours, theirs] = pair.serve(bench, "corpus", &source)?;
    let clone = |url: &str, kind: &str| {
        let folder = tempfile::tempdir_in(&bench.work)?;
        run(Command::new("git")
            .args(["clone", "-q", "--bare", kind, url])
            .arg(folder.path().join("clone")))
    };
    let mut rows = Vec::new();
    for (kind, runs) in KINDS {
        let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            our_costs.push(pair.ours(|| clone(&ours, kind))?);
            their_costs.push(pair.theirs(|| clone(&theirs, kind))?);
        }
        let (ours, theirs) = (typical(&our_costs), typical(&their_costs));
        let (wall, cpu) = (ratio(ours.wall, theirs.wall), ratio(ours.cpu, theirs.cpu));
        rows.push(Row {
            line: format!("`git clone --bare {kind}`: wall and the server's processor time"),
            target: "at most the peer; at most 1/2".to_owned(),
            ours: format!(
                "{} ({wall:.2}×); {} ({cpu:.2}×)",
                seconds(ours.wall),
                seconds(ours.cpu)
            ),
            peer: format!("{}; {}", seconds(theirs.wall), seconds(theirs.cpu)),
            reached: wall <= 1.0 && cpu <= CPU_LIMIT,
        });
    }
    Ok(rows)
}
