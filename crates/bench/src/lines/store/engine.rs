//! Runs one measurement in a process of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::sample::median;
use crate::settle::settle;
use crate::{Bench, Result};

const SCRIPT: &str = "crates/bench/store/lines.py";

/// What the runs leave behind, below the work folder.
pub(super) const FOLDER: &str = "store-runs";

/// Odd, so that the median is a run that was made.
const RUNS: usize = 3;

/// What a run says of itself. Seconds of wall time.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Found {
    #[serde(default)]
    pub(super) seconds: f64,
    #[serde(default)]
    pub(super) count: u64,
    /// The second and later times of the same.
    #[serde(default)]
    pub(super) again: f64,
    #[serde(default, rename = "in")]
    pub(super) into: f64,
    #[serde(default)]
    pub(super) out: f64,
    #[serde(default)]
    pub(super) found: u64,
    #[serde(default)]
    pub(super) history: u64,
    pub(super) peak_kib: u64,
}

impl Found {
    /// How many a second.
    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }
}

/// The Python environment with Packhouse's wheel and its peers.
pub(in crate::lines) fn python(bench: &Bench) -> Result<PathBuf> {
    let python = bench
        .python
        .clone()
        .ok_or("no Python environment was named with --python")?;
    match python.exists() {
        true => Ok(python),
        false => Err(format!(
            "{}: not there; run scripts/setup.sh bench",
            python.display()
        )
        .into()),
    }
}

/// One run of `line` with `engine`, on a disk that is done with what the runs before have written: what they left to be
/// written later would be written at the cost of this one.
pub(super) fn run(bench: &Bench, line: &str, engine: &str) -> Result<Found> {
    let runs = bench.work.join(FOLDER);
    std::fs::create_dir_all(&runs)?;
    settle()?;
    let output = Command::new(python(bench)?)
        .args([SCRIPT, line, engine])
        .arg(&runs)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{line} with {engine}: {text}").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A few runs of two engines in turn, and of each the one with the middle time.
pub(super) fn pair(bench: &Bench, line: &str, engines: [&str; 2]) -> Result<[Found; 2]> {
    let mut runs = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (engine, runs) in engines.iter().zip(&mut runs) {
            runs.push(run(bench, line, engine)?);
        }
    }
    Ok(runs.map(middle))
}

/// The middle of a few runs of one engine.
pub(super) fn alone(bench: &Bench, line: &str, engine: &str) -> Result<Found> {
    let runs: Result<Vec<Found>> = (0..RUNS).map(|_| run(bench, line, engine)).collect();
    Ok(middle(runs?))
}

fn middle(mut runs: Vec<Found>) -> Found {
    // The two ways of a file are measured apart.
    let mut middle_of = |part: fn(&Found) -> f64| {
        runs.sort_by(|a, b| part(a).total_cmp(&part(b)));
        part(&runs[runs.len() / 2])
    };
    let (into, out) = (middle_of(|run| run.into), middle_of(|run| run.out));
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let middle = runs.swap_remove(runs.len() / 2);
    Found {
        into,
        out,
        ..middle
    }
}

/// The median wall time of a command's runs, each on a disk that is done with what was written before.
pub(super) fn time(mut command: impl FnMut() -> Command) -> Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..RUNS {
        let mut command = command();
        settle()?;
        let began = std::time::Instant::now();
        let status = command.stdout(Stdio::null()).status()?;
        took.push(began.elapsed());
        if !status.success() {
            return Err(format!("{command:?}: {status}").into());
        }
    }
    Ok(median(&mut took))
}
