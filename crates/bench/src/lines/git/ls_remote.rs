//! Listing many refs.

use std::process::{Command, Stdio};

use tokio::runtime::Runtime;

use super::pair::{Cost, Pair, ratio, typical};
use super::raw::Request;
use crate::fixture::{self, Repack, run};
use crate::report::Row;
use crate::sample::ms;
use crate::{Bench, Result};

const REFS: usize = 100_000;
const RUNS: usize = 7;
const LIMIT: f64 = 0.5;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = fixture::repository(bench, "refs.git", Repack::WithBitmap, |out| {
        write!(
            out,
            "commit refs/heads/main\nmark :1\ncommitter Bench <bench@example.com> 1600000000 +0000\ndata 5\nfirst\n"
        )?;
        for number in 0..REFS {
            write!(out, "reset refs/heads/b{number:06}\nfrom :1\n\n")?;
        }
        Ok(())
    })?;
    run(Command::new("git")
        .arg("-C")
        .arg(&source)
        .args(["pack-refs", "--all"]))?;
    let pair = Pair::start(bench)?;
    let [ours, theirs] = pair.serve(bench, "refs", &source)?;
    let list = |url: &str| {
        run(Command::new("git")
            .args(["ls-remote", "-q", url])
            .stdout(Stdio::null()))
    };
    let request = Request::list();
    let read = |url: &str| request.send(url, REFS as u64 * 50);
    let by_git = measure(&pair, [&ours, &theirs], &list)?;
    let by_reader = measure(&pair, [&ours, &theirs], &read)?;
    let row = |line: String, [ours, theirs]: [Cost; 2]| {
        let (wall, cpu) = (ratio(ours.wall, theirs.wall), ratio(ours.cpu, theirs.cpu));
        Row {
            line,
            target: "at most 1/2 of the peer".to_owned(),
            ours: format!(
                "{} ({wall:.2}×; the server's processor time {}, {cpu:.2}×)",
                ms(ours.wall),
                ms(ours.cpu)
            ),
            peer: format!("{} ({})", ms(theirs.wall), ms(theirs.cpu)),
            reached: wall <= LIMIT,
        }
    };
    Ok(vec![
        row(
            format!("list of {REFS} refs: time to the last byte, median of {RUNS}"),
            by_reader,
        ),
        row("the same, wall time of `git ls-remote`".to_owned(), by_git),
    ])
}

fn measure(
    pair: &Pair,
    [ours, theirs]: [&str; 2],
    list: &dyn Fn(&str) -> Result<()>,
) -> Result<[Cost; 2]> {
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        our_costs.push(pair.ours(|| list(ours))?);
        their_costs.push(pair.theirs(|| list(theirs))?);
    }
    Ok([typical(&our_costs), typical(&their_costs)])
}
