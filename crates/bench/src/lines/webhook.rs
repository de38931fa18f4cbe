//! From a push to the receipt of its webhook: commits over the API into several repositories, at a rate that a server
//! with other things to do would see, and one receiver for all of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::http::Connection;
use crate::report::Row;
use crate::sample::{ms, quantile};
use crate::server::Server;
use crate::{Bench, Result};

const REPOS: usize = 16;
/// Between two commits to one repository: 160 a second in all.
const PAUSE: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_millis(250);

pub(crate) fn sqlite(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    measure(bench, runtime, None, "SQLite")
}

pub(crate) fn postgres(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let Some(url) = bench.postgres.clone() else {
        return Ok(Vec::new());
    };
    measure(bench, runtime, Some(&url), "PostgreSQL")
}

fn measure(
    bench: &Bench,
    runtime: &Runtime,
    catalog: Option<&str>,
    database: &str,
) -> Result<Vec<Row>> {
    let server = Server::start(bench, catalog)?;
    let seconds = bench.seconds;
    let mut delays = runtime.block_on(run(&server, Duration::from_secs(seconds)))?;
    let (p50, p99) = (quantile(&mut delays, 0.5), quantile(&mut delays, 0.99));
    Ok(vec![Row {
        line: format!(
            "push to webhook receipt, {REPOS} repositories, 160 commits/s, {database}, p99"
        ),
        target: format!("under {} ms", LIMIT.as_millis()),
        ours: format!("{} (median {}, {} events)", ms(p99), ms(p50), delays.len()),
        peer: "–".to_owned(),
        reached: p99 < LIMIT,
    }])
}

/// Time from the request for each commit until its event arrived.
async fn run(server: &Server, time: Duration) -> Result<Vec<Duration>> {
    let (receiver, mut received) = receive().await?;
    // Names that no earlier run on the same database used.
    let run = std::process::id();
    let mut writers = Vec::new();
    for at in 0..REPOS {
        let repo = format!("webhook-{run}-{at}");
        let token = server.minter.mint(&repo)?;
        let mut connection = Connection::open(server.address).await?;
        let url = format!("http://{receiver}/");
        for (path, body) in [
            ("/api/v1/repos", json!({})),
            ("/api/v1/webhooks", json!({ "url": url })),
        ] {
            let body = body.to_string();
            let answer = connection
                .send("POST", path, &token, "application/json", body.as_bytes())
                .await?;
            if answer.status != 201 {
                let body = String::from_utf8_lossy(&answer.body);
                return Err(format!("{path}: {} {body}", answer.status).into());
            }
        }
        writers.push(tokio::spawn(write(
            connection,
            token,
            at,
            Instant::now() + time,
        )));
    }
    let mut committed = HashMap::new();
    for writer in writers {
        committed.extend(writer.await??);
    }
    let mut delays = Vec::with_capacity(committed.len());
    while !committed.is_empty() {
        let next = tokio::time::timeout(Duration::from_secs(30), received.recv()).await;
        let (sha, arrived) = next
            .map_err(|_| format!("{} events never arrived", committed.len()))?
            .ok_or("the receiver ended")?;
        if let Some(asked) = committed.remove(&sha) {
            delays.push(arrived.saturating_duration_since(asked));
        }
    }
    Ok(delays)
}

/// Commits until `end`; when each commit was asked for.
async fn write(
    mut connection: Connection,
    token: String,
    repo: usize,
    end: Instant,
) -> Result<Vec<(String, Instant)>> {
    let mut committed = Vec::new();
    let mut turn = tokio::time::interval(PAUSE);
    while Instant::now() < end {
        turn.tick().await;
        let metadata = json!({ "metadata": {
            "target_branch": "main", "commit_message": "measured",
            "author": { "name": "Bench", "email": "bench@example.com" },
            "files": [{ "path": "file", "content_id": "1", "operation": "upsert" }],
        }});
        let number = committed.len();
        // Digits are base64 as they are. Every repository has its own, so that no two commits have the same id.
        let chunk = json!({ "blob_chunk": {
            "content_id": "1", "data": format!("{repo:04}{number:08}"), "eof": true,
        }});
        let body = format!("{metadata}\n{chunk}\n");
        let asked = Instant::now();
        let answer = connection
            .send(
                "POST",
                "/api/v1/repos/commit-pack",
                &token,
                "application/x-ndjson",
                body.as_bytes(),
            )
            .await?;
        let body: Value = serde_json::from_slice(&answer.body)?;
        let sha = body["commit"]["commit_sha"]
            .as_str()
            .ok_or_else(|| format!("no commit: {body}"))?;
        committed.push((sha.to_owned(), asked));
    }
    Ok(committed)
}

/// A receiver that takes everything; says which commit arrived when.
async fn receive() -> Result<(SocketAddr, mpsc::UnboundedReceiver<(String, Instant)>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                // A connection that ends is one the server has no more use for.
                let _ = answer_all(stream, &sender).await;
            });
        }
    });
    Ok((address, receiver))
}

async fn answer_all(
    stream: TcpStream,
    received: &mpsc::UnboundedSender<(String, Instant)>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let arrived = Instant::now();
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await?;
        let body: Value = serde_json::from_slice(&body)?;
        if let Some(sha) = body["after"].as_str() {
            // Whoever measured has gone.
            let _ = received.send((sha.to_owned(), arrived));
        }
    }
}
