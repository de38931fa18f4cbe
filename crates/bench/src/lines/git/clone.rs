//! A full clone of a real repository by `git clone`, from both servers in turn, and what it takes without any.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::pair::{Pair, medians, ratio};
use crate::corpus::{corpus, large_corpus, pack_bytes};
use crate::fixture::run;
use crate::report::Row;
use crate::sample::{median, seconds};
use crate::settle::settle;
use crate::{Bench, Result};

const RUNS: usize = 3;
const CPU_LIMIT: f64 = 1.0 / 3.0;
const ALONE_LIMIT: f64 = 1.1;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    rows(bench, &corpus(bench)?, RUNS)
}

/// The same with a larger repository, once.
pub(crate) fn large(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    rows(bench, &large_corpus(bench)?, 1)
}

fn rows(bench: &Bench, source: &Path, runs: usize) -> Result<Vec<Row>> {
    let pair = Pair::start(bench)?;
    let [ours, theirs] = pair.serve(bench, "corpus", source)?;
    let (mut our_costs, mut their_costs, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        our_costs.push(pair.ours(|| clone(bench, &ours))?);
        their_costs.push(pair.theirs(|| clone(bench, &theirs))?);
        alone.push(without_server(bench, source)?);
    }
    let (ours, theirs, alone) = (
        medians(&our_costs),
        medians(&their_costs),
        median(&mut alone),
    );
    let megabytes = pack_bytes(source)? / 1_000_000;
    let measured = match runs {
        1 => String::new(),
        _ => format!(", median of {runs}"),
    };
    let cpu = ratio(ours.cpu, theirs.cpu);
    let wall = ratio(ours.wall, theirs.wall);
    let of_alone = ratio(ours.wall, alone);
    Ok(vec![
        Row {
            line: format!("full clone, {megabytes} MB pack: the server's processor time"),
            target: "at most 1/3 of the peer".to_owned(),
            ours: format!("{} ({cpu:.2}×)", seconds(ours.cpu)),
            peer: seconds(theirs.cpu),
            reached: cpu <= CPU_LIMIT,
        },
        Row {
            line: format!("the same, wall time of `git clone`{measured}"),
            target: "at most the peer".to_owned(),
            ours: format!("{} ({wall:.2}×)", seconds(ours.wall)),
            peer: seconds(theirs.wall),
            reached: wall <= 1.0,
        },
        Row {
            line: "the same".to_owned(),
            target: "within 10 % of `git index-pack` and checkout alone".to_owned(),
            ours: format!("{} ({of_alone:.2}×)", seconds(ours.wall)),
            peer: format!("index-pack and checkout {}", seconds(alone)),
            reached: of_alone <= ALONE_LIMIT,
        },
    ])
}

fn clone(bench: &Bench, url: &str) -> Result<()> {
    let folder = bench.kept_folder()?;
    run(Command::new("git")
        .args(["clone", "-q", url])
        .arg(folder.join("clone")))
}

/// What a clone does besides getting a pack: it is indexed from a pipe, and the files are checked out.
fn without_server(bench: &Bench, source: &Path) -> Result<Duration> {
    let folder = bench.kept_folder()?;
    let pack = std::fs::read_dir(source.join("objects/pack"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "pack"))
        .ok_or("the corpus has no pack")?;
    let head = Command::new("git")
        .arg("-C")
        .arg(source)
        .args(["rev-parse", "main"])
        .output()?;
    let head = String::from_utf8(head.stdout)?;
    settle()?;
    let began = Instant::now();
    run(Command::new("git")
        .args(["init", "-q", "-b", "main"])
        .arg(&folder))?;
    let git = || {
        let mut git = Command::new("git");
        git.arg("-C").arg(&folder);
        git
    };
    run(git()
        .args(["index-pack", "--stdin", "--fix-thin"])
        .stdin(std::fs::File::open(pack)?)
        .stdout(Stdio::null()))?;
    run(git().args(["update-ref", "refs/heads/main", head.trim()]))?;
    run(git().args(["checkout", "-q", "main"]))?;
    Ok(began.elapsed())
}
