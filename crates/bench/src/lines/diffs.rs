//! The diff of a branch that changes a few hundred files of a large tree, against `git diff` in the same repository.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::corpus::Random;
use crate::fixture::{self, Repack, run};
use crate::http::Connection;
use crate::report::Row;
use crate::sample::{median, ms};
use crate::server::Server;
use crate::{Bench, Result};

const FILES: usize = 100_000;
const CHANGED: usize = 500;
const LINES: usize = 60;
const RUNS: usize = 15;

pub(crate) fn line(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let source = repository(bench)?;
    let server = Server::start(bench, None)?;
    server.create("diff")?;
    run(Command::new("git").arg("-C").arg(&source).args([
        "push",
        "-q",
        &server.git_url("diff")?,
        "main",
        "side",
    ]))?;
    let ours = runtime.block_on(ours(&server))?;
    let theirs = theirs(&source)?;
    Ok(vec![Row {
        line: format!("branch diff, {CHANGED} of {FILES} files changed, median of {RUNS}"),
        target: "at most `git diff`'s time".to_owned(),
        ours: ms(ours),
        peer: ms(theirs),
        reached: ours <= theirs,
    }])
}

async fn ours(server: &Server) -> Result<Duration> {
    let token = server.minter.mint("diff")?;
    let mut connection = Connection::open(server.address).await?;
    let path = "/api/v1/repos/branches/diff?branch=side&base=main";
    let mut took = Vec::new();
    // The first one warms both sides.
    for run in 0..=RUNS {
        let began = Instant::now();
        let answer = connection.send("GET", path, &token, "", b"").await?;
        let files = answer
            .body
            .windows(11)
            .filter(|at| at == b"diff --git ")
            .count();
        if (answer.status, files) != (200, CHANGED) {
            return Err(format!("the diff answered {} with {files} files", answer.status).into());
        }
        if run > 0 {
            took.push(began.elapsed());
        }
    }
    Ok(median(&mut took))
}

fn theirs(source: &Path) -> Result<Duration> {
    let mut took = Vec::new();
    for run_number in 0..=RUNS {
        let began = Instant::now();
        run(Command::new("git")
            .arg("-C")
            .arg(source)
            .args(["diff", "-b", "--full-index", "main...side"])
            .stdout(Stdio::null()))?;
        if run_number > 0 {
            took.push(began.elapsed());
        }
    }
    Ok(median(&mut took))
}

/// A bare repository whose branch `side` changes every 200th file of `main`.
fn repository(bench: &Bench) -> Result<PathBuf> {
    fixture::repository(bench, "diff.git", Repack::OnePack, write_branches)
}

fn write_branches(out: &mut dyn Write) -> Result<()> {
    let mut random = Random(7);
    begin(out, "main", "")?;
    for number in 0..FILES {
        modify(out, number, &text(&mut random, number, None))?;
    }
    begin(out, "side", "from refs/heads/main\n")?;
    for number in (0..FILES).step_by(FILES / CHANGED) {
        let edited = random.below(LINES);
        // The same start as before, so that the files differ in a few lines.
        modify(out, number, &text(&mut random, number, Some(edited)))?;
    }
    Ok(())
}

fn begin(stream: &mut dyn Write, branch: &str, from: &str) -> Result<()> {
    writeln!(stream, "commit refs/heads/{branch}")?;
    write!(
        stream,
        "committer Bench <bench@example.com> 1600000000 +0000\ndata 0\n{from}"
    )?;
    Ok(())
}

fn modify(stream: &mut dyn Write, number: usize, text: &str) -> Result<()> {
    let path = format!(
        "d{}/d{}/file{number}.txt",
        number / 10_000,
        number / 100 % 100
    );
    write!(
        stream,
        "M 100644 inline {path}\ndata {}\n{text}\n",
        text.len()
    )?;
    Ok(())
}

/// A file's lines; `edited` differs, and one line is new behind it.
fn text(random: &mut Random, number: usize, edited: Option<usize>) -> String {
    let mut text = String::new();
    for line in 0..LINES {
        let _ = match edited == Some(line) {
            true => writeln!(
                text,
                "fn edited_{number}() {{\n    let x = {};",
                random.below(1000)
            ),
            false => writeln!(text, "    let value_{line} = of({number}, {line});"),
        };
    }
    text
}
