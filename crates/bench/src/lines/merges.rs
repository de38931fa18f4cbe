//! Merges over the API: previews on a large tree, and many clients merging into one branch.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::fixture::{self, Repack, run};
use crate::http::{Answer, Connection};
use crate::report::Row;
use crate::sample::{ms, quantile};
use crate::server::Server;
use crate::{Bench, Result};

const JSON: &str = "application/json";

/// Folders of the tree, and files in each.
const FOLDERS: usize = 316;
const FILES: usize = 317;
/// Files that each of the two branches changes, and that one of them renames.
const CHANGED: usize = 200;
const RENAMED: usize = 50;
const PREVIEWS: usize = 50;
const PREVIEW_LIMIT: Duration = Duration::from_millis(50);

const CLIENTS: usize = 32;
const RATE: f64 = 200.0;

/// Previews of a merge on a tree of 100,000 files.
pub(crate) fn preview(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let server = Server::start(bench, None)?;
    let source = repository(bench)?;
    server.create("preview")?;
    run(Command::new("git").arg("-C").arg(&source).args([
        "push",
        "-q",
        &server.git_url("preview")?,
        "main",
        "topic",
    ]))?;
    let token = server.minter.mint("preview")?;
    let mut took = runtime.block_on(async {
        let mut connection = Connection::open(server.address).await?;
        let path = "/api/v1/repos/merge/preview?source_branch=topic&target_branch=main";
        let mut took = Vec::new();
        for at in 0..=PREVIEWS {
            let began = Instant::now();
            let answer = connection.send("GET", path, &token, JSON, b"").await?;
            expect(&answer, 200, br#""status":"clean""#)?;
            // The first one warms the caches.
            if at > 0 {
                took.push(began.elapsed());
            }
        }
        Result::Ok(took)
    })?;
    let mut peer = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let merge = ["merge-tree", "--write-tree", "main", "topic"];
        run(Command::new("git")
            .arg("-C")
            .arg(&source)
            .args(merge)
            .stdout(Stdio::null()))?;
        peer.push(began.elapsed());
    }
    let (p50, p99) = (quantile(&mut took, 0.5), quantile(&mut took, 0.99));
    Ok(vec![Row {
        line: format!(
            "merge preview on a tree of 100,000 files, {CHANGED} changed on each side and {RENAMED} renamed, warm"
        ),
        target: format!("under {} ms", PREVIEW_LIMIT.as_millis()),
        ours: format!("p50 {}, p99 {}", ms(p50), ms(p99)),
        peer: format!("{} (git merge-tree)", ms(quantile(&mut peer, 0.5))),
        reached: p50 < PREVIEW_LIMIT,
    }])
}

/// Many clients at once, each of which over and over branches off, commits, and merges that.
pub(crate) fn crowd(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let server = Server::start(bench, None)?;
    server.create("crowd")?;
    let token = server.minter.mint("crowd")?;
    let (elapsed, mut took) = runtime.block_on(async {
        let mut connection = Connection::open(server.address).await?;
        commit(&mut connection, &token, "main", "start").await?;
        let began = Instant::now();
        let deadline = began + Duration::from_secs(bench.seconds);
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let (token, address) = (token.clone(), server.address);
            clients.push(tokio::spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut took = Vec::new();
                while Instant::now() < deadline {
                    let branch = format!("topic-{client}-{}", took.len());
                    let path = format!("src/{client}/{}.txt", took.len());
                    commit(&mut connection, &token, &branch, &path).await?;
                    let began = Instant::now();
                    merge(&mut connection, &token, &branch).await?;
                    took.push(began.elapsed());
                }
                Result::Ok(took)
            }));
        }
        let mut took = Vec::new();
        for client in clients {
            took.extend(client.await??);
        }
        let elapsed = began.elapsed();
        let path = "/api/v1/repos/files?ref=main";
        let listed = connection.send("GET", path, &token, JSON, b"").await?;
        let listed: serde_json::Value = serde_json::from_slice(&listed.body)?;
        let files = listed["paths"].as_array().map_or(0, Vec::len);
        if files != 1 + took.len() {
            return Err(format!("{files} files after {} merges", took.len()).into());
        }
        Result::Ok((elapsed, took))
    })?;
    let rate = took.len() as f64 / elapsed.as_secs_f64();
    Ok(vec![Row {
        line: format!(
            "merges into one branch by {CLIENTS} clients, each after a commit on a branch of its own; none lost of {}",
            took.len()
        ),
        target: format!("{RATE:.0}/s"),
        ours: format!(
            "{rate:.0}/s, p50 {}, p99 {}",
            ms(quantile(&mut took, 0.5)),
            ms(quantile(&mut took, 0.99))
        ),
        peer: "–".to_owned(),
        reached: rate >= RATE,
    }])
}

async fn merge(connection: &mut Connection, token: &str, branch: &str) -> Result<()> {
    let body = format!(
        concat!(
            r#"{{"source_branch":"{}","target_branch":"main","strategy":"merge","commit_message":"Merge","#,
            r#""author":{{"name":"Bench","email":"bench@example.com"}}}}"#
        ),
        branch
    );
    let path = "/api/v1/repos/merge";
    let answer = connection
        .send("POST", path, token, JSON, body.as_bytes())
        .await?;
    expect(&answer, 200, br#""new_sha""#)
}

fn expect(answer: &Answer, status: u16, part: &[u8]) -> Result<()> {
    let has_part = answer.body.windows(part.len()).any(|window| window == part);
    if answer.status == status && has_part {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&answer.body);
    Err(format!("a merge answered {}: {body}", answer.status).into())
}

/// A commit of one file on a branch, which is made from `main` if it is not there.
async fn commit(connection: &mut Connection, token: &str, branch: &str, path: &str) -> Result<()> {
    let base = if branch == "main" {
        ""
    } else {
        r#""base_branch":"main","#
    };
    let body = format!(
        concat!(
            r#"{{"metadata":{{"target_branch":"{}",{}"commit_message":"m","author":{{"name":"Bench","email":"bench@example.com"}},"#,
            r#""files":[{{"path":"{}","content_id":"a","operation":"upsert","mode":"100644"}}]}}}}"#,
            "\n",
            r#"{{"blob_chunk":{{"content_id":"a","data":"aGVsbG8K","eof":true}}}}"#,
            "\n"
        ),
        branch, base, path
    );
    let path = "/api/v1/repos/commit-pack";
    let kind = "application/x-ndjson";
    let answer = connection
        .send("POST", path, token, kind, body.as_bytes())
        .await?;
    expect(&answer, 201, b"commit_sha")
}

/// A bare repository with the branches `main` and `topic`.
fn repository(bench: &Bench) -> Result<PathBuf> {
    fixture::repository(bench, "merges.git", Repack::WithBitmap, write_branches)
}

fn write_branches(out: &mut dyn Write) -> Result<()> {
    let mut time = 1_600_000_000;
    let mut begin = |out: &mut dyn Write, branch: &str, from: &str| -> Result<()> {
        time += 60;
        writeln!(out, "commit refs/heads/{branch}")?;
        writeln!(
            out,
            "committer Bench <bench@example.com> {time} +0000\ndata 2\nc"
        )?;
        writeln!(out, "{from}")?;
        Ok(())
    };
    begin(out, "main", "")?;
    for at in 0..FOLDERS * FILES {
        modify(out, &path(at), &content(at, ""))?;
    }
    begin(out, "topic", "from refs/heads/main")?;
    for at in (0..CHANGED).map(|at| at * 397) {
        modify(out, &path(at), &content(at, "on topic"))?;
    }
    for at in (0..RENAMED).map(|at| at * 1009 + 5) {
        writeln!(out, "R {} moved/file{at}.txt", path(at))?;
    }
    begin(out, "main", "")?;
    for at in (0..CHANGED).map(|at| at * 311 + 1) {
        modify(out, &path(at), &content(at, "on main"))?;
    }
    // What the other branch renames is changed here, so that it has to be found.
    for at in (0..RENAMED).map(|at| at * 1009 + 5) {
        modify(out, &path(at), &content(at, "on main"))?;
    }
    Ok(())
}

fn path(at: usize) -> String {
    format!("folder{}/file{}.txt", at % FOLDERS, at / FOLDERS)
}

/// Twenty lines, the last of which can be told apart.
fn content(at: usize, last: &str) -> String {
    let mut text: String = (0..20)
        .map(|line| format!("line {line} of file {at}\n"))
        .collect();
    text += &format!("{last}\n");
    text
}

fn modify(out: &mut dyn Write, path: &str, content: &str) -> Result<()> {
    write!(
        out,
        "M 100644 inline {path}\ndata {}\n{content}\n",
        content.len()
    )?;
    Ok(())
}
