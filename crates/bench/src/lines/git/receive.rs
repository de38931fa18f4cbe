//! What it costs to take in a pack.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::pair::{Pair, ratio};
use crate::corpus::{corpus, pack_bytes};
use crate::cpu::cpu_of_children;
use crate::fixture::run;
use crate::report::Row;
use crate::sample::{median, seconds};
use crate::{Bench, Result};

const RUNS: usize = 3;
const LIMIT: f64 = 0.5;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = corpus(bench)?;
    let pair = Pair::start(bench)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for at in 0..RUNS {
        let name = format!("receive-{at}");
        pair.server.create(&name)?;
        let url = pair.server.git_url(&name)?;
        // Or what is left to do for the push before would count for this one: its history, and packing it better.
        pair.server.wait_until_idle()?;
        let cost = pair.ours(|| {
            run(Command::new("git")
                .arg("-C")
                .arg(&source)
                .args(["push", "-q", &url, "main"]))
        })?;
        ours.push(cost.cpu);
        theirs.push(index_pack(bench, &source)?);
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    let cpu = ratio(ours, theirs);
    Ok(vec![Row {
        line: format!(
            "receiving a pack of {} MB: the server's processor time, median of {RUNS}",
            pack_bytes(&source)? / 1_000_000
        ),
        target: "at most 1/2 of `git index-pack --strict`".to_owned(),
        ours: format!("{} ({cpu:.2}×)", seconds(ours)),
        peer: seconds(theirs),
        reached: cpu <= LIMIT,
    }])
}

/// The processor time of `git index-pack --strict` on the same pack.
fn index_pack(bench: &Bench, source: &Path) -> Result<Duration> {
    let folder = tempfile::tempdir_in(&bench.work)?;
    run(Command::new("git")
        .args(["init", "-q", "--bare"])
        .arg(folder.path()))?;
    let pack = std::fs::read_dir(source.join("objects/pack"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "pack"))
        .ok_or("the corpus has no pack")?;
    let before = cpu_of_children()?;
    run(Command::new("git")
        .arg("-C")
        .arg(folder.path())
        .args(["index-pack", "--strict", "--stdin"])
        .stdin(std::fs::File::open(pack)?)
        .stdout(Stdio::null()))?;
    Ok(cpu_of_children()?.saturating_sub(before))
}
