//! Durable one-file commits over the API, by 64 clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use tokio::runtime::Runtime;

use crate::http::Connection;
use crate::report::Row;
use crate::sample::{ms, quantile};
use crate::server::Server;
use crate::{Bench, Result};

const CLIENTS: usize = 64;
const REPOS: usize = 256;
const BODY: &str = "application/x-ndjson";

pub(crate) fn sqlite(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    both(bench, runtime, None, "SQLite", 2000.0, 1000.0)
}

pub(crate) fn postgres(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let url = bench
        .postgres
        .as_deref()
        .ok_or("no PostgreSQL URL; run through `make bench`")?;
    both(bench, runtime, Some(url), "PostgreSQL", 1000.0, 300.0)
}

fn both(
    bench: &Bench,
    runtime: &Runtime,
    catalog: Option<&str>,
    name: &str,
    spread_target: f64,
    one_target: f64,
) -> Result<Vec<Row>> {
    let server = Server::start(bench, catalog)?;
    let spread = runtime.block_on(load(&server, REPOS, bench.seconds, "spread"))?;
    let one = runtime.block_on(load(&server, 1, bench.seconds, "one"))?;
    Ok(vec![
        row(
            format!(
                "durable one-file API commits, {CLIENTS} clients over {REPOS} repositories, {name}"
            ),
            spread,
            spread_target,
            Some(Duration::from_millis(100)),
        ),
        row(
            format!("the same, all on one branch of one repository, {name}"),
            one,
            one_target,
            None,
        ),
    ])
}

struct Load {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// `p99_limit`: only the line over many repositories has one.
fn row(line: String, load: Load, target: f64, p99_limit: Option<Duration>) -> Row {
    let limit = p99_limit.map(|limit| format!(", p99 under {} ms", limit.as_millis()));
    Row {
        line,
        target: format!("{target:.0}/s{}", limit.unwrap_or_default()),
        ours: format!(
            "{:.0}/s, p50 {}, p99 {}",
            load.per_second,
            ms(load.p50),
            ms(load.p99)
        ),
        peer: "–".to_owned(),
        reached: load.per_second >= target && p99_limit.is_none_or(|limit| load.p99 < limit),
    }
}

async fn load(server: &Server, repos: usize, seconds: u64, prefix: &str) -> Result<Load> {
    let run = format!("{prefix}-{}", std::process::id());
    let tokens: Vec<String> = (0..repos)
        .map(|at| server.minter.mint(&format!("{run}-{at}")))
        .collect::<Result<_>>()?;
    let mut connection = Connection::open(server.address).await?;
    for token in &tokens {
        let made = connection
            .send("POST", "/api/v1/repos", token, "application/json", b"{}")
            .await?;
        if made.status != 201 {
            return Err(format!(
                "creating a repository answered {}: {}",
                made.status,
                String::from_utf8_lossy(&made.body)
            )
            .into());
        }
        commit(&mut connection, token, "README", 0).await?;
    }
    let (tokens, counter) = (Arc::new(tokens), Arc::new(AtomicU64::new(1)));
    let started = Instant::now();
    let deadline = started + Duration::from_secs(seconds);
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (tokens, counter, address) = (tokens.clone(), counter.clone(), server.address);
        clients.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut took = Vec::new();
            while Instant::now() < deadline {
                let number = counter.fetch_add(1, Ordering::Relaxed);
                let token = &tokens[number as usize % tokens.len()];
                let began = Instant::now();
                commit(
                    &mut connection,
                    token,
                    &format!("src/client{client}.txt"),
                    number,
                )
                .await?;
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
    Ok(Load {
        per_second,
        p50: quantile(&mut took, 0.5),
        p99: quantile(&mut took, 0.99),
    })
}

/// One commit of one file of about 300 bytes.
pub(crate) async fn commit(
    connection: &mut Connection,
    token: &str,
    path: &str,
    number: u64,
) -> Result<()> {
    let content = format!(
        "revision {number}\n{}\n",
        "lorem ipsum dolor sit amet ".repeat(10)
    );
    let data = base64::engine::general_purpose::STANDARD.encode(content);
    let body = format!(
        concat!(
            r#"{{"metadata":{{"target_branch":"main","commit_message":"revision {}","author":{{"name":"Bench","email":"bench@example.com"}},"#,
            r#""files":[{{"path":"{}","content_id":"a","operation":"upsert","mode":"100644"}}]}}}}"#,
            "\n",
            r#"{{"blob_chunk":{{"content_id":"a","data":"{}","eof":true}}}}"#,
            "\n"
        ),
        number, path, data
    );
    let answer = connection
        .send(
            "POST",
            "/api/v1/repos/commit-pack",
            token,
            BODY,
            body.as_bytes(),
        )
        .await?;
    if answer.status != 201 {
        return Err(format!(
            "a commit answered {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        )
        .into());
    }
    Ok(())
}
