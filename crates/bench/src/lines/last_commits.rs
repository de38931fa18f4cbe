//! The last commit of every entry of a folder of 1,000 files, in a history of 50,000 commits.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::corpus::Random;
use crate::fixture::{self, Repack, run};
use crate::http::Connection;
use crate::report::Row;
use crate::sample::{median, ms, seconds};
use crate::server::Server;
use crate::{Bench, Result};

const COMMITS: usize = 50_000;
const FILES: usize = 1000;
/// A fifth of the files stays as the first commits left it, so that the whole history has to be looked at.
const LIVELY_FILES: usize = 800;
/// One commit in so many is the merge of a branch.
const MERGE_EVERY: usize = 50;
const TARGET: Duration = Duration::from_millis(50);
/// Paths that `git log` is asked for; it takes too long for all.
const PEER_PATHS: usize = 10;

pub(crate) fn line(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let source = repository(bench)?;
    let server = Server::start(bench, None)?;
    server.create("history")?;
    run(Command::new("git").arg("-C").arg(&source).args([
        "push",
        "-q",
        &server.git_url("history")?,
        "main",
    ]))?;
    let token = server.minter.mint("history")?;
    let (cold, warm) = runtime.block_on(async {
        let mut connection = Connection::open(server.address).await?;
        let began = Instant::now();
        // The index is being made since the push; a request that finds it unfinished is told to come back.
        while !list(&mut connection, &token).await? {
            if began.elapsed() > Duration::from_secs(600) {
                return Err("waited ten minutes for the index of the history".into());
            }
        }
        let cold = began.elapsed();
        let mut took = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            if !list(&mut connection, &token).await? {
                return Err("the index of the history is gone".into());
            }
            took.push(began.elapsed());
        }
        Result::Ok((cold, median(&mut took)))
    })?;
    Ok(vec![Row {
        line: format!(
            "last commit of every entry of a folder of {FILES} files, {COMMITS} commits, over the API"
        ),
        target: format!("under {} warm", ms(TARGET)),
        ours: format!("{} ({} just after the push)", ms(warm), ms(cold)),
        peer: peers(&source)?,
        reached: warm < TARGET,
    }])
}

/// Asks for the folder; whether it was answered.
async fn list(connection: &mut Connection, token: &str) -> Result<bool> {
    let path = "/api/v1/repos/files/metadata?path=src&limit=1000";
    connection.request_only("GET", path, token).await?;
    let answer = connection.answer().await?;
    match answer.status {
        200 => {
            let body: serde_json::Value = serde_json::from_slice(&answer.body)?;
            let files = body["files"].as_array().map_or(0, Vec::len);
            if files == FILES {
                Ok(true)
            } else {
                Err(format!("{files} files were listed").into())
            }
        }
        503 => Ok(false),
        status => Err(format!("listing answered {status}").into()),
    }
}

fn peers(source: &Path) -> Result<String> {
    let began = Instant::now();
    for number in 0..PEER_PATHS {
        let path = format!("src/f{:04}", number * FILES / PEER_PATHS);
        run(Command::new("git")
            .arg("-C")
            .arg(source)
            .args(["log", "-1", "--format=%H", "main", "--", &path])
            .stdout(Stdio::null()))?;
    }
    let each = began.elapsed() / PEER_PATHS as u32;
    let log = format!(
        "`git log -1` {} a path, so {} in all",
        ms(each),
        seconds(each * FILES as u32)
    );
    let began = Instant::now();
    let known = Command::new("git")
        .arg("-C")
        .arg(source)
        .args(["last-modified", "main", "--", "src"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(if known.success() {
        format!("{log}; `git last-modified` {}", ms(began.elapsed()))
    } else {
        format!("{log}; this git has no `last-modified`")
    })
}

fn repository(bench: &Bench) -> Result<PathBuf> {
    fixture::repository(bench, "history.git", Repack::WithBitmap, write_history)
}

fn write_history(out: &mut dyn Write) -> Result<()> {
    let mut random = Random(7);
    let mut number = 0;
    while number < COMMITS {
        commit(out, "main", number, "")?;
        if number == 0 {
            for file in 0..FILES {
                change(out, file, number)?;
            }
        }
        edit(out, &mut random, number)?;
        number += 1;
        if number % MERGE_EVERY == 0 && number + 3 < COMMITS {
            writeln!(out, "reset refs/heads/side\nfrom :{}\n", number - 1)?;
            commit(out, "side", number, "")?;
            edit(out, &mut random, number)?;
            commit(out, "main", number + 1, "merge refs/heads/side\n")?;
            edit(out, &mut random, number + 1)?;
            number += 2;
        }
    }
    Ok(())
}

fn commit(out: &mut dyn Write, branch: &str, number: usize, merge: &str) -> Result<()> {
    let time = 1_600_000_000 + number * 60;
    write!(
        out,
        "commit refs/heads/{branch}\nmark :{}\ncommitter Bench <bench@example.com> {time} +0000\ndata 4\nedit\n{merge}",
        number + 1
    )?;
    Ok(())
}

/// A file or two of the folder, and one elsewhere.
fn edit(out: &mut dyn Write, random: &mut Random, number: usize) -> Result<()> {
    for _ in 0..1 + random.below(2) {
        change(out, random.below(LIVELY_FILES), number)?;
    }
    let other = format!("docs/d{}/page{}", random.below(50), random.below(40));
    let content = format!("{number}\n");
    write!(
        out,
        "M 100644 inline {other}\ndata {}\n{content}\n",
        content.len()
    )?;
    Ok(())
}

fn change(out: &mut dyn Write, file: usize, number: usize) -> Result<()> {
    let content = format!("file {file}\nrevision {number}\n");
    write!(
        out,
        "M 100644 inline src/f{file:04}\ndata {}\n{content}\n",
        content.len()
    )?;
    Ok(())
}
