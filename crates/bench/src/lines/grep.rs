//! A literal in a tree of 100 MB, once its files have been searched before.

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

const FILES: usize = 10_000;
const FILE_BYTES: usize = 10 << 10;
const RUNS: usize = 9;

pub(crate) fn line(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let source = repository(bench)?;
    let server = Server::start(bench, None)?;
    server.create("text")?;
    run(Command::new("git").arg("-C").arg(&source).args([
        "push",
        "-q",
        &server.git_url("text")?,
        "main",
    ]))?;
    let token = server.minter.mint("text")?;
    let (first, mut later) = runtime.block_on(async {
        let mut connection = Connection::open(server.address).await?;
        let first = search(&mut connection, &token, &literal(0)).await?;
        let mut later = Vec::new();
        // Another literal each time: what is remembered are the files, not the answer.
        for run in 1..=RUNS {
            later.push(search(&mut connection, &token, &literal(run)).await?);
        }
        Result::Ok((first, later))
    })?;
    let ours = median(&mut later);
    let bare = peer(&source, "main")?;
    let checked_out = peer(&checkout(bench, &source)?, "")?;
    Ok(vec![Row {
        line: format!(
            "grep for a literal over a {} MB tree of {FILES} files, second run, over the API",
            (FILES * FILE_BYTES) >> 20
        ),
        target: "at most `git grep`'s time".to_owned(),
        ours: format!("{} (first run {})", ms(ours), ms(first)),
        peer: format!("bare {}, in a working copy {}", ms(bare), ms(checked_out)),
        reached: ours <= bare.min(checked_out),
    }])
}

/// Found twice in the tree.
fn literal(run: usize) -> String {
    format!("needle number {run:02}")
}

async fn search(connection: &mut Connection, token: &str, literal: &str) -> Result<Duration> {
    let body = format!("{{\"query\":{{\"pattern\":\"{literal}\"}}}}");
    let began = Instant::now();
    let answer = connection
        .send(
            "POST",
            "/api/v1/repos/grep",
            token,
            "application/json",
            body.as_bytes(),
        )
        .await?;
    let took = began.elapsed();
    let found: serde_json::Value = serde_json::from_slice(&answer.body)?;
    match found["matches"].as_array().map(Vec::len) {
        Some(2) => Ok(took),
        _ => Err(format!("grep answered {}: {found}", answer.status).into()),
    }
}

/// The median time of `git grep` for the same literals.
fn peer(folder: &Path, commit: &str) -> Result<Duration> {
    let mut took = Vec::new();
    for run_number in 0..=RUNS {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(folder)
            .args(["grep", "-n", "-I", "-F"]);
        command.arg(literal(run_number));
        if !commit.is_empty() {
            command.arg(commit);
        }
        let began = Instant::now();
        run(command.stdout(Stdio::null()))?;
        took.push(began.elapsed());
    }
    took.remove(0);
    Ok(median(&mut took))
}

fn checkout(bench: &Bench, source: &Path) -> Result<PathBuf> {
    let copy = bench.work.join("text");
    if !copy.join(".git/index").exists() {
        run(Command::new("git")
            .args(["clone", "-q"])
            .arg(source)
            .arg(&copy))?;
    }
    Ok(copy)
}

fn repository(bench: &Bench) -> Result<PathBuf> {
    fixture::repository(bench, "text.git", Repack::OnePack, write_tree)
}

fn write_tree(out: &mut dyn Write) -> Result<()> {
    const WORDS: [&str; 16] = [
        "let", "number", "of", "needles", "in", "fn", "return", "value", "string", "index", "=",
        "(x)", "//", "the", "struct", "impl",
    ];
    let mut random = Random(11);
    out.write_all(b"commit refs/heads/main\ncommitter Bench <bench@example.com> 1600000000 +0000\ndata 4\ntext\n")?;
    for file in 0..FILES {
        let mut text = String::with_capacity(FILE_BYTES + 128);
        while text.len() < FILE_BYTES {
            for _ in 0..4 + random.below(8) {
                text.push_str(WORDS[random.below(WORDS.len())]);
                text.push(' ');
            }
            text.push_str(&format!("{}\n", random.below(1 << 20)));
        }
        // Each literal is in two files, one in each half of the tree.
        if file % (FILES / 2) < (RUNS + 1) * 100 && file % 100 == 0 {
            text.push_str(&literal(file % (FILES / 2) / 100));
            text.push('\n');
        }
        let path = format!("d{:02}/e{}/file{file:05}.rs", file / 1000, file / 100 % 10);
        write!(out, "M 100644 inline {path}\ndata {}\n{text}\n", text.len())?;
    }
    Ok(())
}
