//! The same repository on both servers.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::run;
use crate::peer::{Counting, Peer};
use crate::server::Server;
use crate::settle::settle;
use crate::{Bench, Result};

/// Both servers, running.
pub(crate) struct Pair {
    /// Ours.
    pub server: Server,
    /// `git http-backend`.
    pub peer: Peer,
}

/// What something took on one server.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// From beginning to end.
    pub wall: Duration,
    /// Of the server's processors.
    pub cpu: Duration,
}

impl Pair {
    /// Starts both, empty.
    pub(crate) fn start(bench: &Bench) -> Result<Pair> {
        Pair::start_with(bench, Counting::All)
    }

    /// Starts both, empty.
    pub(crate) fn start_with(bench: &Bench, counting: Counting) -> Result<Pair> {
        Ok(Pair {
            server: Server::start(bench, None)?,
            peer: Peer::start(bench, counting)?,
        })
    }

    /// Puts a bare repository on both, as it is for the peer and repacked for ours. Returns their URLs, ours first.
    pub(crate) fn serve(&self, bench: &Bench, name: &str, source: &Path) -> Result<[String; 2]> {
        run(Command::new("cp")
            .arg("-r")
            .arg(source)
            .arg(self.peer.path(name)))?;
        // Not by `git push`, which takes minutes for a hundred thousand refs.
        self.maintain(bench, |ours| ours.arg("import").arg(source), name)?;
        self.repack(bench, name)?;
        Ok([self.server.git_url(name)?, self.peer.git_url(name)])
    }

    /// Has maintenance make one pack of what ours has.
    pub(crate) fn repack(&self, bench: &Bench, name: &str) -> Result<()> {
        self.maintain(bench, |ours| ours.args(["maintain", "repack"]), name)
    }

    /// Runs a command of ours on a repository, beside the server.
    fn maintain(
        &self,
        bench: &Bench,
        command: impl FnOnce(&mut Command) -> &mut Command,
        name: &str,
    ) -> Result<()> {
        let mut ours = Command::new(&bench.binary);
        run(command(&mut ours)
            .arg(format!("dev/{name}"))
            .arg("--data")
            .arg(self.server.folder().join("data"))
            .stdout(Stdio::null()))
    }

    /// Does something to ours.
    pub(crate) fn ours(&self, work: impl FnOnce() -> Result<()>) -> Result<Cost> {
        measure(|| self.server.cpu(), work)
    }

    /// Does something to the peer.
    pub(crate) fn theirs(&self, work: impl FnOnce() -> Result<()>) -> Result<Cost> {
        measure(|| self.peer.cpu(), work)
    }
}

fn measure(cpu: impl Fn() -> Result<Duration>, work: impl FnOnce() -> Result<()>) -> Result<Cost> {
    settle()?;
    let (before, began) = (cpu()?, Instant::now());
    work()?;
    let wall = began.elapsed();
    // A CGI program is counted when it has been waited for, which may be a moment after its last byte.
    std::thread::sleep(Duration::from_millis(50));
    Ok(Cost {
        wall,
        cpu: cpu()?.saturating_sub(before),
    })
}

/// The medians of both.
pub(crate) fn medians(costs: &[Cost]) -> Cost {
    let median = |of: fn(&Cost) -> Duration| {
        crate::sample::median(&mut costs.iter().map(of).collect::<Vec<_>>())
    };
    Cost {
        wall: median(|cost| cost.wall),
        cpu: median(|cost| cost.cpu),
    }
}

/// The median of the time from beginning to end, and the mean of the processor time.
pub(crate) fn typical(costs: &[Cost]) -> Cost {
    let cpu: Duration = costs.iter().map(|cost| cost.cpu).sum();
    Cost {
        wall: medians(costs).wall,
        cpu: cpu / costs.len().max(1) as u32,
    }
}

/// How many times of another duration one is.
pub(crate) fn ratio(ours: Duration, theirs: Duration) -> f64 {
    ours.as_secs_f64() / theirs.as_secs_f64().max(1e-9)
}
