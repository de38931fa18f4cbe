//! Forks of a large repository.

use std::path::Path;
use std::time::Instant;

use tokio::runtime::Runtime;

use super::large;
use crate::http::Connection;
use crate::report::Row;
use crate::sample::{median, ms, quantile};
use crate::server::Server;
use crate::{Bench, Result};

/// Of 4 MiB: the source has 1 GiB.
const CHUNKS: u64 = 256;
const FORKS: usize = 10_000;
const TARGET_MS: u128 = 10;

pub(crate) fn line(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let server = Server::start(bench, None)?;
    runtime.block_on(large::commit(&server, "source", CHUNKS))?;
    let bucket = server.folder().join("data/bucket");
    let before = files_below(&bucket)?;
    let mut took = runtime.block_on(fork(&server))?;
    let written = files_below(&bucket)?.saturating_sub(before);
    let (p50, p99) = (median(&mut took), quantile(&mut took, 0.99));
    Ok(vec![Row {
        line: format!("fork of a 1 GiB repository, {FORKS} times in a row"),
        target: format!("under {TARGET_MS} ms, no bucket write"),
        ours: format!(
            "p50 {}, p99 {}, {written} files written to the bucket",
            ms(p50),
            ms(p99)
        ),
        peer: "–".to_owned(),
        reached: p99.as_millis() < TARGET_MS && written == 0,
    }])
}

async fn fork(server: &Server) -> Result<Vec<std::time::Duration>> {
    let source = server.minter.mint("source")?;
    let body = format!(
        r#"{{"base_repo":{{"provider":"code","owner":"dev","name":"source","operation":"fork","auth":{{"token":"{source}"}}}}}}"#
    );
    let mut connection = Connection::open(server.address).await?;
    let mut took = Vec::with_capacity(FORKS);
    for at in 0..FORKS {
        let token = server.minter.mint(&format!("fork-{at}"))?;
        let began = Instant::now();
        let answer = connection
            .send(
                "POST",
                "/api/v1/repos",
                &token,
                "application/json",
                body.as_bytes(),
            )
            .await?;
        if answer.status != 201 {
            return Err(format!("forking answered {}", answer.status).into());
        }
        took.push(began.elapsed());
    }
    Ok(took)
}

fn files_below(folder: &Path) -> Result<usize> {
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files += match entry.file_type()?.is_dir() {
            true => files_below(&entry.path())?,
            false => 1,
        };
    }
    Ok(files)
}
