//! Repositories created over the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::http::Connection;
use crate::report::Row;
use crate::sample::{ms, quantile};
use crate::server::Server;
use crate::{Bench, Result};

const CLIENTS: usize = 64;
/// Tokens name one repository each, so they are minted before the clock starts.
const REPOS: usize = 8000;
const TARGET: f64 = 1000.0;

pub(crate) fn line(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let server = Server::start(bench, None)?;
    let tokens: Vec<String> = (0..REPOS)
        .map(|at| server.minter.mint(&format!("made-{at}")))
        .collect::<Result<_>>()?;
    let (per_second, p99) = runtime.block_on(create(&server, Arc::new(tokens)))?;
    Ok(vec![Row {
        line: format!("create repository, {CLIENTS} clients"),
        target: format!("{TARGET:.0}/s"),
        ours: format!("{per_second:.0}/s, p99 {}", ms(p99)),
        peer: "–".to_owned(),
        reached: per_second >= TARGET,
    }])
}

async fn create(server: &Server, tokens: Arc<Vec<String>>) -> Result<(f64, Duration)> {
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (tokens, next, address) = (tokens.clone(), next.clone(), server.address);
        clients.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut took = Vec::new();
            while let Some(token) = tokens.get(next.fetch_add(1, Ordering::Relaxed)) {
                let began = Instant::now();
                let answer = connection
                    .send("POST", "/api/v1/repos", token, "application/json", b"{}")
                    .await?;
                if answer.status != 201 {
                    return Err(format!("creating a repository answered {}", answer.status).into());
                }
                took.push(began.elapsed());
            }
            Result::Ok(took)
        }));
    }
    let mut took = Vec::new();
    for client in clients {
        took.extend(client.await??);
    }
    let per_second = took.len() as f64 / started.elapsed().as_secs_f64();
    Ok((per_second, quantile(&mut took, 0.99)))
}
