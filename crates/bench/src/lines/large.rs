//! Memory of the server while a 4 GiB file is committed and read back.

use base64::Engine;
use tokio::runtime::Runtime;

use crate::corpus::Random;
use crate::http::Connection;
use crate::report::Row;
use crate::server::Server;
use crate::{Bench, Result};

const CHUNK: usize = 4 << 20;
const CHUNKS: u64 = 1024;
const LIMIT_MIB: u64 = 256;

pub(crate) fn line(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let server = Server::start(bench, None)?;
    runtime.block_on(commit_and_read(&server))?;
    let peak = server.peak_memory_bytes()? >> 20;
    Ok(vec![Row {
        line: "server memory while a 4 GiB file is committed and read back (peak resident)"
            .to_owned(),
        target: format!("under {LIMIT_MIB} MiB"),
        ours: format!("{peak} MiB"),
        peer: "–".to_owned(),
        reached: peak < LIMIT_MIB,
    }])
}

async fn commit_and_read(server: &Server) -> Result<()> {
    commit(server, "large", CHUNKS).await?;
    read_back(server).await
}

/// Creates `repo` with one file of `chunks` times 4 MiB.
pub(super) async fn commit(server: &Server, repo: &str, chunks: u64) -> Result<()> {
    let token = server.minter.mint(repo)?;
    let mut connection = Connection::open(server.address).await?;
    connection
        .send("POST", "/api/v1/repos", &token, "application/json", b"{}")
        .await?;
    connection
        .begin_chunked(
            "POST",
            "/api/v1/repos/commit-pack",
            &token,
            "application/x-ndjson",
        )
        .await?;
    connection
        .chunk(
            concat!(
                r#"{"metadata":{"target_branch":"main","commit_message":"large","author":{"name":"Bench","email":"bench@example.com"},"#,
                r#""files":[{"path":"large.bin","content_id":"a","operation":"upsert","mode":"100644"}]}}"#,
                "\n"
            )
            .as_bytes(),
        )
        .await?;
    // Half noise, half zeros: neither the best nor the worst case for deflating.
    let mut random = Random(7);
    let mut piece = vec![0u8; CHUNK];
    for at in 0..chunks {
        for word in piece[..CHUNK / 2].chunks_exact_mut(8) {
            word.copy_from_slice(&random.next().to_le_bytes());
        }
        let data = base64::engine::general_purpose::STANDARD.encode(&piece);
        let line = format!(
            "{{\"blob_chunk\":{{\"content_id\":\"a\",\"data\":\"{data}\",\"eof\":{}}}}}\n",
            at + 1 == chunks
        );
        connection.chunk(line.as_bytes()).await?;
    }
    connection.chunk(b"").await?;
    let answer = connection.answer().await?;
    if answer.status != 201 {
        return Err(format!(
            "the commit answered {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        )
        .into());
    }
    Ok(())
}

async fn read_back(server: &Server) -> Result<()> {
    let token = server.minter.mint("large")?;
    let mut connection = Connection::open(server.address).await?;
    connection
        .request_only("GET", "/api/v1/repos/file?path=large.bin", &token)
        .await?;
    let (status, bytes) = connection.stream_answer().await?;
    if status != 200 || bytes != CHUNKS * CHUNK as u64 {
        return Err(format!("reading back answered {status} with {bytes} bytes").into());
    }
    Ok(())
}
