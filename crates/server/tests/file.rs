//! One file over the API.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{CommitBody, TestServer, Token};

#[tokio::test]
async fn a_file_comes_with_headers_that_describe_it() {
    let server = TestServer::with_repo("a").await;
    let first = server.put("a", "dir/a file+.txt", "hello\n").await;
    server.put("a", "other", "x").await;
    for method in [Method::GET, Method::HEAD] {
        let request = server.request(
            method.clone(),
            "/repos/file?path=dir%2Fa+file%2B.txt&ref=main",
            &Token::read("a"),
        );
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let blob = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(header("etag"), format!("\"{blob}\""));
        assert_eq!(header("x-blob-sha"), blob);
        assert_eq!(header("x-last-commit-sha"), first);
        assert_eq!(header("content-length"), "6");
        assert_eq!(header("content-type"), "application/octet-stream");
        assert_eq!(header("accept-ranges"), "bytes");
        assert!(header("last-modified").ends_with(" GMT"));
        let expected = if method == Method::GET { "hello\n" } else { "" };
        assert_eq!(response.text().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn ranges_and_conditions_apply() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "f", "0123456789").await;
    let plain = server.file("a", "path=f").await;
    let etag = plain.headers()["etag"].to_str().unwrap().to_owned();
    let modified = plain.headers()["last-modified"]
        .to_str()
        .unwrap()
        .to_owned();
    let past = "Mon, 01 Jan 2001 00:00:00 GMT";
    for (headers, status, range, text) in [
        (
            vec![("range", "bytes=2-4")],
            206,
            Some("bytes 2-4/10"),
            "234",
        ),
        (
            vec![("range", "bytes=-3")],
            206,
            Some("bytes 7-9/10"),
            "789",
        ),
        (vec![("range", "bytes=8-")], 206, Some("bytes 8-9/10"), "89"),
        (vec![("range", "bytes=0-1,3-4")], 200, None, "0123456789"),
        (vec![("range", "lines=1-2")], 200, None, "0123456789"),
        (
            vec![("range", "bytes=2-4"), ("if-range", &etag)],
            206,
            Some("bytes 2-4/10"),
            "234",
        ),
        (
            vec![("range", "bytes=2-4"), ("if-range", "\"other\"")],
            200,
            None,
            "0123456789",
        ),
        (
            vec![("range", "bytes=2-4"), ("if-range", &modified)],
            206,
            Some("bytes 2-4/10"),
            "234",
        ),
        (vec![("if-none-match", &etag)], 304, None, ""),
        (
            vec![("if-none-match", "\"other\"")],
            200,
            None,
            "0123456789",
        ),
        (vec![("if-modified-since", &modified)], 304, None, ""),
        (vec![("if-modified-since", past)], 200, None, "0123456789"),
        (vec![("if-match", &etag)], 200, None, "0123456789"),
        (
            vec![("if-unmodified-since", &modified)],
            200,
            None,
            "0123456789",
        ),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let mut request =
                server.request(method.clone(), "/repos/file?path=f", &Token::read("a"));
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), status, "{method} {headers:?}");
            let found = response
                .headers()
                .get("content-range")
                .map(|range| range.to_str().unwrap());
            assert_eq!(found, range, "{method} {headers:?}");
            assert_eq!(response.headers()["etag"], etag);
            if status != 304 {
                assert_eq!(
                    response.headers()["content-length"],
                    text.len().to_string(),
                    "{method} {headers:?}"
                );
            }
            let expected = if method == Method::GET { text } else { "" };
            assert_eq!(
                response.text().await.unwrap(),
                expected,
                "{method} {headers:?}"
            );
        }
    }
    for (name, value, status) in [
        ("if-match", "\"other\"", 412),
        ("if-unmodified-since", past, 412),
        ("range", "bytes=10-", 416),
        ("range", "bytes=-0", 416),
    ] {
        let request = server
            .request(Method::GET, "/repos/file?path=f", &Token::read("a"))
            .header(name, value);
        let answer = server.send(request).await.expect(status);
        if status == 416 {
            assert_eq!(answer.headers["content-range"], "bytes */10");
        }
    }
}

#[tokio::test]
async fn files_of_any_size_are_streamed_whole_and_in_part() {
    let server = TestServer::with_repo("a").await;
    // Not compressible, over several stream buffers.
    let mut state = 1u64;
    let data: Vec<u8> = (0..3_000_000)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) as u8
        })
        .collect();
    server
        .commit(
            "a",
            CommitBody::new("main")
                .file("big", &data)
                .file("empty", b""),
        )
        .await
        .expect(201);
    assert_eq!(
        server.file("a", "path=big").await.bytes().await.unwrap(),
        data
    );
    let part = server
        .request(Method::GET, "/repos/file?path=big", &Token::read("a"))
        .header("range", "bytes=1000000-2999998");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), data[1_000_000..2_999_999]);
    let empty = server.file("a", "path=empty").await;
    assert_eq!(
        (empty.status().as_u16(), empty.bytes().await.unwrap().len()),
        (200, 0)
    );
}

#[tokio::test]
async fn what_is_no_file_is_not_found() {
    let server = TestServer::with_repo("a").await;
    let read = Token::read("a");
    assert_eq!(
        server
            .get("/repos/file?path=x", &read)
            .await
            .expect(404)
            .code(),
        "ref_not_found"
    );
    let commit = server.put("a", "dir/x", "1").await;
    server
        .commit(
            "a",
            CommitBody::new("main").file_with_mode("sub", "160000", commit.as_bytes()),
        )
        .await
        .expect(201);
    for (path, code) in [
        ("nothing", "path_not_found"),
        ("dir", "path_not_found"),
        ("dir/x/y", "path_not_found"),
    ] {
        assert_eq!(
            server
                .get(&format!("/repos/file?path={path}"), &read)
                .await
                .expect(404)
                .code(),
            code,
            "{path}"
        );
    }
    for path in ["", "../x", "a//b", "/x", ".git/config", "a%00b"] {
        assert_eq!(
            server
                .get(&format!("/repos/file?path={path}"), &read)
                .await
                .expect(400)
                .code(),
            "invalid",
            "{path}"
        );
    }
    server.get("/repos/file", &read).await.expect(400);
    assert_eq!(
        server
            .get("/repos/file?path=dir/x&ref=nothing", &read)
            .await
            .expect(404)
            .code(),
        "ref_not_found"
    );
}

#[tokio::test]
async fn a_file_is_read_from_the_namespace_that_is_asked_for() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "default").await;
    let body = CommitBody::new("main")
        .set("ephemeral", json!(true))
        .set("base_branch", json!("main"));
    server
        .commit("a", body.file("x", b"ephemeral"))
        .await
        .expect(201);
    for (query, expected) in [
        ("", "default"),
        ("&ephemeral=false", "default"),
        ("&ephemeral=true&ref=main", "ephemeral"),
    ] {
        assert_eq!(
            server
                .file("a", &format!("path=x{query}"))
                .await
                .text()
                .await
                .unwrap(),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn the_last_commit_is_looked_for_only_so_far() {
    let server = TestServer::with_limits(|limits| limits.last_commit_walk = 3).await;
    server.create("a").await;
    let first = server.put("a", "old", "1").await;
    for at in 0..2 {
        server.put("a", "new", &at.to_string()).await;
    }
    assert_eq!(
        server.file("a", "path=old").await.headers()["x-last-commit-sha"],
        first
    );
    server.put("a", "new", "more").await;
    let far = server.file("a", "path=old").await;
    assert_eq!(far.status(), 200);
    assert!(
        !far.headers().contains_key("x-last-commit-sha")
            && !far.headers().contains_key("last-modified")
    );
}
