//! Commits one after the other by one client, against the disk's own `fdatasync`.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::http::Connection;
use crate::lines::commits::commit;
use crate::report::Row;
use crate::sample::{median, ms};
use crate::server::Server;
use crate::{Bench, Result};

const COMMITS: u64 = 500;

pub(crate) fn line(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let server = Server::start(bench, None)?;
    let before = sync_time(&server.folder())?;
    let commit_time = runtime.block_on(sequential(&server))?;
    let sync = before.max(sync_time(&server.folder())?);
    let limit = sync + Duration::from_millis(2);
    Ok(vec![Row {
        line: "sequential commits by one client, median".to_owned(),
        target: format!("one `fdatasync` ({}) plus at most 2 ms", ms(sync)),
        ours: ms(commit_time),
        peer: "–".to_owned(),
        reached: commit_time <= limit,
    }])
}

async fn sequential(server: &Server) -> Result<Duration> {
    let token = server.minter.mint("sequential")?;
    let mut connection = Connection::open(server.address).await?;
    connection
        .send("POST", "/api/v1/repos", &token, "application/json", b"{}")
        .await?;
    let mut took = Vec::new();
    for number in 0..COMMITS {
        let began = Instant::now();
        commit(&mut connection, &token, "file.txt", number).await?;
        took.push(began.elapsed());
    }
    Ok(median(&mut took))
}

/// The median time to append 4 KiB to a file and sync its data.
pub(crate) fn sync_time(folder: &Path) -> Result<Duration> {
    let mut file = std::fs::File::create(folder.join("sync-probe"))?;
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        file.write_all(&[0x55; 4096])?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    Ok(median(&mut took))
}
