//! A file larger than any buffer on its way.

use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;

use crate::support::{CommitBody, TestServer, Token};

/// As much as a debug build digests in a few seconds; the benchmark sends 4 GiB and watches the memory.
const CHUNKS: usize = 16;

#[tokio::test]
async fn a_large_file_is_streamed_in_and_out() {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main").announce("large", "large", "100644");
    let metadata = body.text();
    let chunks = futures::stream::iter(0..CHUNKS).map(move |at| {
        let data: Vec<u8> = (0..4 << 20)
            .map(|byte: usize| (byte / 1000 + at) as u8)
            .collect();
        let line = CommitBody::new("main")
            .chunk("large", &data, at + 1 == CHUNKS)
            .lines
            .remove(0)
            + "\n";
        Bytes::from(line)
    });
    let stream = futures::stream::once(async { Bytes::from(metadata) })
        .chain(chunks)
        .map(Ok::<_, std::io::Error>);
    let made = server
        .commit_with(&Token::write("a"), reqwest::Body::wrap_stream(stream))
        .await
        .expect(201);
    assert_eq!(made.body["commit"]["blob_count"], json!(1));

    let response = server.file("a", "path=large").await;
    assert_eq!(
        response.headers()["content-length"],
        (CHUNKS * (4 << 20)).to_string()
    );
    let mut body = response.bytes_stream();
    let mut at = 0usize;
    while let Some(piece) = body.next().await {
        for byte in piece.unwrap() {
            let (chunk, place) = (at / (4 << 20), at % (4 << 20));
            assert!(byte == (place / 1000 + chunk) as u8, "byte {at}");
            at += 1;
        }
    }
    assert_eq!(at, CHUNKS * (4 << 20));
}
