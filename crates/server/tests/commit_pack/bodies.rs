//! How the lines of a body come, and how large they may be.

use serde_json::json;

use super::refused;
use crate::support::{CommitBody, TestServer, Token};

#[tokio::test]
async fn chunks_are_put_together_whatever_their_size() {
    let server = TestServer::with_repo("a").await;
    let mib = 1 << 20;
    let data = |len: usize| -> Vec<u8> { (0..len).map(|at| (at * 7 + at / 251) as u8).collect() };
    // The sizes at which the SDKs' chunker does something special.
    let mut body = CommitBody::new("main");
    let sizes = [0, 1, 65_000, 300_000, 4 * mib, 4 * mib + 1, 8 * mib];
    for size in sizes {
        body = body.file(&format!("f{size}"), &data(size));
    }
    // An iterator that ends in an empty piece.
    body = body
        .announce("odd", "odd", "100644")
        .chunk("odd", &data(4 * mib), false)
        .chunk("odd", b"", true);
    // Many small pieces, of two contents in turn.
    body = body
        .announce("left", "left", "100644")
        .announce("right", "right", "100755");
    for at in 0..50u8 {
        body = body
            .chunk("left", &[at], false)
            .chunk("right", &[at, at], false);
    }
    body = body.chunk("left", b"", true).chunk("right", b"!", true);
    let made = server.commit("a", body).await.expect(201);
    assert_eq!(made.body["commit"]["blob_count"], sizes.len() as u64 + 3);
    for size in sizes {
        let found = server
            .file("a", &format!("path=f{size}"))
            .await
            .bytes()
            .await
            .unwrap();
        assert!(found == data(size), "f{size} has {} bytes", found.len());
    }
    assert!(server.file("a", "path=odd").await.bytes().await.unwrap() == data(4 * mib));
    assert_eq!(
        server.file("a", "path=left").await.bytes().await.unwrap(),
        (0..50).collect::<Vec<u8>>()
    );
    assert_eq!(
        server
            .file("a", "path=right")
            .await
            .bytes()
            .await
            .unwrap()
            .len(),
        101
    );
}

#[tokio::test]
async fn other_ways_to_write_the_same_lines_are_understood() {
    let server = TestServer::with_repo("a").await;
    let metadata = json!({ "metadata": {
        "commit_message": "m", "target_branch": " main ", "author": { "email": "a@x", "name": "A", "extra": 1 },
        "committer": null, "expected_head_sha": null, "base_branch": "",
        "files": [
            { "path": "small", "content_id": "blob-1" }, { "content_id": "blob 2 \"ü\"", "path": "large" },
            { "path": "again", "content_id": "blob-1" },
        ],
    } });
    let data: Vec<u8> = (0..600_000usize).map(|at| (at % 249) as u8).collect();
    let encoded = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&data)
    };
    for long in [
        // Slashes escaped, ids escaped, keys in another order.
        format!(
            r#"{{"blob_chunk":{{"content_id":"blob 2 \"\u00fc\"","data":"{}","eof":true}}}}"#,
            encoded.replace('/', "\\/")
        ),
        format!(
            r#"{{"blob_chunk":{{"eof":true,"data":"{encoded}","content_id":"blob 2 \"ü\""}}}}"#
        ),
        format!(
            "\t{{ \"blob_chunk\" : {{ \"content_id\" : \"blob 2 \\\"ü\\\"\" , \"data\" : \"{encoded}\" , \"eof\" : true }} }} "
        ),
    ] {
        let body = format!(
            "\n  \n{metadata}\r\n\r\n{{\"blob_chunk\":{{\"eof\":true,\"data\":\"eA==\",\"content_id\":\"blob-1\"}}}}\r\n{}\n{long}",
            " ".repeat(100_000)
        );
        server
            .commit_with(&Token::write("a"), body)
            .await
            .expect(201);
        assert!(server.file("a", "path=large").await.bytes().await.unwrap() == data);
        assert_eq!(
            server.file("a", "path=again").await.text().await.unwrap(),
            "x"
        );
    }
}

#[tokio::test]
async fn refusals_before_the_body_have_the_same_shape() {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main").text();
    refused(
        server.commit_with(&Token::raw("x"), body.clone()).await,
        401,
        "unauthorized",
    );
    refused(
        server.commit_with(&Token::read("a"), body.clone()).await,
        403,
        "forbidden",
    );
    refused(
        server.commit_with(&Token::write("b"), body).await,
        404,
        "not_found",
    );
}

#[tokio::test]
async fn large_metadata_has_a_limit() {
    let server = TestServer::with_limits(|limits| limits.metadata_bytes = 1 << 20).await;
    server.create("a").await;
    let body = |count: usize| {
        let mut body = CommitBody::new("main").chunk("same", b"x", true);
        for at in 0..count {
            body = body.announce(&format!("folder/file-{at:06}"), "same", "100644");
        }
        body
    };
    server.commit("a", body(8_000)).await.expect(201);
    let refusal = server.commit("a", body(20_000)).await;
    assert_eq!(refusal.code(), "too_large");
    refused(refusal, 413, "invalid");
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let server = TestServer::with_limits(|limits| limits.commit_bytes = 1 << 20).await;
    server.create("a").await;
    let large = CommitBody::new("main").file("f", &vec![0; 1 << 20]);
    let refusal = server.commit("a", large).await;
    assert_eq!(refusal.code(), "too_large");
    refused(refusal, 413, "invalid");
}

#[tokio::test]
async fn contents_go_to_a_pack_where_memory_is_short() {
    let server = TestServer::with_limits(|limits| {
        limits.commit_pool_bytes = 0;
        limits.commit_free_bytes = 2_000;
    })
    .await;
    server.create("a").await;
    let mut body = CommitBody::new("main");
    for at in 0..20u8 {
        body = body.file(&format!("f{at}"), &[at; 500]);
    }
    // The same content again, in memory and in the pack.
    body = body.file("again", &[0; 500]).file("last", &[19; 500]);
    server.commit("a", body).await.expect(201);
    for (path, byte) in [("f0", 0), ("f19", 19), ("again", 0), ("last", 19)] {
        let found = server
            .file("a", &format!("path={path}"))
            .await
            .bytes()
            .await
            .unwrap();
        assert_eq!(found, vec![byte; 500], "{path}");
    }
    let stats = server.server.hosted().stats();
    assert_eq!(stats.packs.load(std::sync::atomic::Ordering::Relaxed), 1);
}
