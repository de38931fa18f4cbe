//! The git cache: what is unchanged, a crowd, working trees, and many entries.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::runtime::Runtime;

use super::store::python;
use crate::corpus::{corpus, pack_bytes};
use crate::fixture::run;
use crate::link::{Link, Shape};
use crate::peer::{Counting, Peer};
use crate::report::Row;
use crate::sample::{median, ms, seconds};
use crate::settle::settle;
use crate::{Bench, Result};

const SCRIPT: &str = "crates/bench/cache/lines.py";
const RUNS: usize = 5;
const ROUND_TRIP: Duration = Duration::from_millis(60);
const SPARE: Duration = Duration::from_millis(20);

/// What a run of the script says of itself.
#[derive(Debug, Default, Deserialize)]
struct Found {
    /// Seconds of each repetition.
    #[serde(default)]
    seconds: Vec<f64>,
    #[serde(default)]
    commits: Vec<String>,
}

/// A peer with the corpus in it.
fn peer_with_corpus(bench: &Bench) -> Result<Peer> {
    let peer = Peer::start(bench, Counting::Nothing)?;
    run(Command::new("cp")
        .arg("-r")
        .arg(corpus(bench)?)
        .arg(peer.path("corpus")))?;
    Ok(peer)
}

/// Bringing an unchanged repository up to date over a slow link.
pub(crate) fn unchanged(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let peer = peer_with_corpus(bench)?;
    let link = Link::to(
        peer.address(),
        Shape {
            round_trip: ROUND_TRIP,
            bits_per_second: None,
        },
    )?;
    let folder = bench.kept_folder()?;
    let url = url_at(link.address());
    script(bench, "add", &folder, &[&url])?;
    let (fetches, received) = (&link.counts().fetches, &link.counts().received);
    let before = (
        fetches.load(Ordering::Relaxed),
        received.load(Ordering::Relaxed),
    );
    let found = script(bench, "unchanged", &folder, &[&url])?;
    let times = found.seconds.len().max(1) as u64;
    let fetched = fetches.load(Ordering::Relaxed) - before.0;
    let bytes = (received.load(Ordering::Relaxed) - before.1) / times;
    let took = median(&mut durations(&found));
    Ok(vec![Row {
        line: format!(
            "cache: `cache_repository` of an unchanged repository over a link of {} ms",
            ROUND_TRIP.as_millis()
        ),
        target: "one round trip plus 20 ms, 0 object bytes".to_owned(),
        ours: format!(
            "{}, {fetched} fetches, {bytes} bytes of refs each time",
            ms(took)
        ),
        peer: "–".to_owned(),
        reached: took <= ROUND_TRIP + SPARE && fetched == 0,
    }])
}

/// Fifty callers in five processes want what the cache does not have yet.
pub(crate) fn crowd(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let peer = peer_with_corpus(bench)?;
    let link = Link::to(peer.address(), Shape::default())?;
    let folder = bench.kept_folder()?;
    let found = script(bench, "crowd", &folder, &[&url_at(link.address())])?;
    let commits = &found.commits;
    let same = commits.len() == 50 && commits.iter().all(|commit| commit == &commits[0]);
    if !same {
        return Err(format!("the callers got {commits:?}").into());
    }
    let fetches = link.counts().fetches.load(Ordering::Relaxed);
    Ok(vec![Row {
        line: "cache: 50 callers at once in 5 processes, cold".to_owned(),
        target: "exactly one upstream fetch".to_owned(),
        ours: format!(
            "{fetches} fetches, all done after {:.2} s",
            found.seconds.iter().sum::<f64>()
        ),
        peer: "–".to_owned(),
        reached: fetches == 1,
    }])
}

/// A working tree of what the cache has.
pub(crate) fn checkout(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let peer = peer_with_corpus(bench)?;
    let url = peer.git_url("corpus");
    let folder = bench.kept_folder()?;
    script(bench, "add", &folder, &[&url])?;
    let reference = folder.join("reference.git");
    run(Command::new("git")
        .args(["clone", "-q", "--mirror", &url])
        .arg(&reference))?;
    let (mut ours, mut cloned, mut referring) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        settle()?;
        ours.extend(durations(&script(bench, "checkout", &folder, &[&url])?));
        settle()?;
        cloned.push(clone(&folder, &url, None)?);
        settle()?;
        referring.push(clone(&folder, &url, Some(&reference))?);
    }
    let (ours, cloned, referring) = (
        median(&mut ours),
        median(&mut cloned),
        median(&mut referring),
    );
    let row = |target: &str, peer: Duration, name: &str, limit: f64| {
        let ratio = ours.as_secs_f64() / peer.as_secs_f64();
        Row {
            line: format!(
                "cache: warm checkout of a repository with a pack of {} MB",
                pack_bytes(&peer_repo(bench)).unwrap_or_default() / 1_000_000
            ),
            target: target.to_owned(),
            ours: format!("{} ({ratio:.2}×)", seconds(ours)),
            peer: format!("{name} {}", seconds(peer)),
            reached: ratio <= limit,
        }
    };
    Ok(vec![
        row("at most 1/5 of git clone", cloned, "git clone", 0.2),
        row(
            "at most git clone --reference",
            referring,
            "git clone --reference",
            1.0,
        ),
    ])
}

/// What a thousand entries are listed and counted in.
pub(crate) fn many(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    const LIMIT: Duration = Duration::from_millis(50);
    let folder = bench.kept_folder()?;
    let found = script(bench, "many", &folder, &[])?;
    let took = median(&mut durations(&found));
    Ok(vec![Row {
        line: "cache: list and statistics of 1,000 entries, from Python".to_owned(),
        target: "under 50 ms".to_owned(),
        ours: ms(took),
        peer: "–".to_owned(),
        reached: took < LIMIT,
    }])
}

fn peer_repo(bench: &Bench) -> std::path::PathBuf {
    bench.work.join("corpus.git")
}

fn url_at(address: SocketAddr) -> String {
    format!("http://{address}/corpus.git")
}

fn durations(found: &Found) -> Vec<Duration> {
    found
        .seconds
        .iter()
        .copied()
        .map(Duration::from_secs_f64)
        .collect()
}

/// Runs a part of the script in a process of its own, on a cache below `folder`.
fn script(bench: &Bench, part: &str, folder: &Path, arguments: &[&str]) -> Result<Found> {
    let output = Command::new(python(bench)?)
        .args([SCRIPT, part])
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{part}: {text}").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn clone(folder: &Path, url: &str, reference: Option<&Path>) -> Result<Duration> {
    let target = tempfile::tempdir_in(folder)?.keep();
    let mut command = Command::new("git");
    command.args(["clone", "-q"]);
    if let Some(reference) = reference {
        command.arg("--reference").arg(reference);
    }
    let began = Instant::now();
    run(command.arg(url).arg(&target))?;
    let took = began.elapsed();
    Ok(took)
}
