//! Pushes onto a repository that both servers have: of 1,000 commits, and of one.

use std::path::Path;
use std::process::Command;

use tokio::runtime::Runtime;

use super::pair::{Pair, medians, ratio};
use crate::corpus::corpus;
use crate::fixture::run;
use crate::peer::Counting;
use crate::report::Row;
use crate::sample::seconds;
use crate::{Bench, Result};

const RUNS: usize = 5;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = corpus(bench)?;
    let pair = Pair::start_with(bench, Counting::Nothing)?;
    Ok(vec![
        pushes(&pair, &source, 1000, ("at most the peer", 1.0))?,
        pushes(&pair, &source, 1, ("at most 1/2 of the peer", 0.5))?,
    ])
}

fn pushes(pair: &Pair, source: &Path, commits: usize, (target, limit): (&str, f64)) -> Result<Row> {
    let before = format!("main~{commits}:refs/heads/main");
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    for at in 0..RUNS {
        let name = format!("push-{commits}-{at}");
        pair.server.create(&name)?;
        run(Command::new("git")
            .args(["init", "-q", "--bare", "-b", "main"])
            .arg(pair.peer.path(&name)))?;
        let (ours, theirs) = (pair.server.git_url(&name)?, pair.peer.git_url(&name));
        for url in [&ours, &theirs] {
            push(source, url, &before)?;
        }
        our_costs.push(pair.ours(|| push(source, &ours, "main"))?);
        their_costs.push(pair.theirs(|| push(source, &theirs, "main"))?);
        std::fs::remove_dir_all(pair.peer.path(&name))?;
    }
    let (ours, theirs) = (medians(&our_costs), medians(&their_costs));
    let wall = ratio(ours.wall, theirs.wall);
    let what = match commits {
        1 => "one commit".to_owned(),
        _ => format!("{commits} commits"),
    };
    Ok(Row {
        line: format!("push of {what}, wall, median of {RUNS}"),
        target: target.to_owned(),
        ours: format!("{} ({wall:.2}×)", seconds(ours.wall)),
        peer: seconds(theirs.wall),
        reached: wall <= limit,
    })
}

fn push(source: &Path, url: &str, refspec: &str) -> Result<()> {
    run(Command::new("git")
        .arg("-C")
        .arg(source)
        .args(["push", "-q", url, refspec]))
}
