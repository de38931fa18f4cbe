//! A push of 1,000 commits onto a repository that both servers have.

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::corpus::corpus;
use crate::fixture::run;
use crate::lines::clone::create;
use crate::peer::Peer;
use crate::report::Row;
use crate::sample::{median, seconds};
use crate::server::Server;
use crate::{Bench, Result};

const RUNS: usize = 5;
const COMMITS: usize = 1000;
const LIMIT: f64 = 1.5;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = corpus(bench)?;
    let server = Server::start(bench, None)?;
    let peer = Peer::start(bench)?;
    let before = format!("main~{COMMITS}:refs/heads/main");
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for at in 0..RUNS {
        let name = format!("push-{at}");
        create(&server, &name)?;
        run(Command::new("git")
            .args(["init", "-q", "--bare", "-b", "main"])
            .arg(peer.path(&name)))?;
        let (ours, theirs) = (server.git_url(&name)?, peer.git_url(&name));
        for url in [&ours, &theirs] {
            run(Command::new("git")
                .arg("-C")
                .arg(&source)
                .args(["push", "-q", url, &before]))?;
        }
        our_times.push(push(&source, &ours)?);
        their_times.push(push(&source, &theirs)?);
        std::fs::remove_dir_all(peer.root().join(format!("{name}.git")))?;
    }
    let (ours, theirs) = (median(&mut our_times), median(&mut their_times));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    Ok(vec![Row {
        line: format!("push of {COMMITS} commits, wall, median of {RUNS}"),
        target: format!("at most {LIMIT}× the peer"),
        ours: format!("{} ({ratio:.2}×)", seconds(ours)),
        peer: seconds(theirs),
        reached: ratio <= LIMIT,
    }])
}

fn push(source: &std::path::Path, url: &str) -> Result<Duration> {
    let began = Instant::now();
    run(Command::new("git")
        .arg("-C")
        .arg(source)
        .args(["push", "-q", url, "main"]))?;
    Ok(began.elapsed())
}
