//! A full clone of a real repository, by `git clone`, from both servers in turn.

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::corpus::{corpus, pack_bytes};
use crate::fixture::run;
use crate::peer::Peer;
use crate::report::Row;
use crate::sample::{median, seconds};
use crate::server::Server;
use crate::{Bench, Result};

const RUNS: usize = 3;
const LIMIT: f64 = 1.5;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = corpus(bench)?;
    let server = Server::start(bench, None)?;
    let peer = Peer::start(bench)?;
    run(Command::new("cp")
        .arg("-r")
        .arg(&source)
        .arg(peer.path("corpus")))?;
    let ours = server.git_url("corpus")?;
    create(&server, "corpus")?;
    run(Command::new("git")
        .arg("-C")
        .arg(&source)
        .args(["push", "-q", &ours, "main"]))?;
    let theirs = peer.git_url("corpus");
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        our_times.push(clone(bench, &ours)?);
        their_times.push(clone(bench, &theirs)?);
    }
    let (ours, theirs) = (median(&mut our_times), median(&mut their_times));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    Ok(vec![Row {
        line: format!(
            "full clone, {} MB pack, wall time of `git clone`, median of {RUNS}",
            pack_bytes(&source)? / 1_000_000
        ),
        target: format!("at most {LIMIT}× the peer"),
        ours: format!("{} ({ratio:.2}×)", seconds(ours)),
        peer: seconds(theirs),
        reached: ratio <= LIMIT,
    }])
}

fn clone(bench: &Bench, url: &str) -> Result<Duration> {
    let folder = tempfile::tempdir_in(&bench.work)?;
    let began = Instant::now();
    run(Command::new("git")
        .args(["clone", "-q", url])
        .arg(folder.path().join("clone")))?;
    Ok(began.elapsed())
}

/// Creates an empty repository over the API.
pub(crate) fn create(server: &Server, repo: &str) -> Result<()> {
    let token = server.minter.mint(repo)?;
    let answer = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            crate::http::Connection::open(server.address)
                .await?
                .send("POST", "/api/v1/repos", &token, "application/json", b"{}")
                .await
        })?;
    if answer.status == 201 {
        Ok(())
    } else {
        Err(format!("creating {repo} answered {}", answer.status).into())
    }
}
