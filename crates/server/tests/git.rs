//! The installed `git` against the server, and what only raw requests show.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Method, Response};
use serde_json::json;

use crate::support::{Checkout, CommitBody, TestServer, Token, git_output};

#[tokio::test]
async fn what_the_api_commits_git_clones_and_the_other_way_round() {
    let server = TestServer::with_repo("team/site").await;
    for protocol in ["0", "1", "2"] {
        let path = format!("from-api-{protocol}");
        let head = server.put("team/site", &path, "hello\n").await;
        let url = server.git_url("team/site", &Token::write("team/site"));
        let version = format!("protocol.version={protocol}");
        let checkout = Checkout::clone(&url, &["-c", &version]).await;
        assert_eq!(checkout.git(&["rev-parse", "HEAD"]).await, head);
        assert_eq!(
            std::fs::read(checkout.path().join(&path)).unwrap(),
            b"hello\n"
        );
        let pushed = checkout
            .commit(&format!("from-git-{protocol}"), b"hi\n")
            .await;
        checkout.git(&["push", "-q", "origin", "main"]).await;
        assert_eq!(
            server.branches("team/site", "").await,
            [("main".to_owned(), pushed)]
        );
        checkout.git(&["fsck", "--full", "--strict"]).await;
        // Somebody else's commit, fetched.
        let newer = server.put("team/site", "newer", protocol).await;
        checkout.git(&["pull", "-q", "--ff-only"]).await;
        assert_eq!(checkout.git(&["rev-parse", "HEAD"]).await, newer);
    }
}

#[tokio::test]
async fn parts_of_a_repository_are_cloned_and_completed() {
    let server = TestServer::with_repo("a").await;
    for number in 0..3 {
        let data = format!("{number}\n").repeat(100);
        server.put("a", "file", &data).await;
    }
    let url = server.git_url("a", &Token::read("a"));
    for protocol in ["0", "1", "2"] {
        let version = format!("protocol.version={protocol}");
        let shallow = Checkout::clone(&url, &["-c", &version, "--depth=1"]).await;
        assert_eq!(shallow.git(&["rev-list", "--count", "HEAD"]).await, "1");
        shallow.git(&["fetch", "-q", "--deepen=1"]).await;
        assert_eq!(shallow.git(&["rev-list", "--count", "HEAD"]).await, "2");
        shallow.git(&["fetch", "-q", "--unshallow"]).await;
        assert_eq!(shallow.git(&["rev-list", "--count", "HEAD"]).await, "3");
        shallow.git(&["fsck", "--full", "--strict"]).await;

        let filter = ["-c", &version, "--filter=blob:none", "--no-checkout"];
        let partial = Checkout::clone(&url, &filter).await;
        let list = ["rev-list", "--objects", "--all", "--missing=print"];
        let missing = async || {
            let text = partial.git(&list).await;
            text.lines().filter(|line| line.starts_with('?')).count()
        };
        assert_eq!(missing().await, 3);
        partial.git(&["checkout", "-q", "main"]).await;
        assert_eq!(missing().await, 2);
        let older = partial.git(&["show", "HEAD~1:file"]).await;
        assert_eq!(older, "1\n".repeat(100).trim_end());
        partial.git(&["fsck", "--full", "--strict"]).await;
    }
}

#[tokio::test]
async fn a_push_may_create_delete_tag_and_be_large() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    // Random bytes do not deflate, so the pack is sent in chunks.
    let data: Vec<u8> = (0..3_000_000u32)
        .map(|at| (at.wrapping_mul(2654435761) >> 13) as u8)
        .collect();
    checkout.commit("big", &data).await;
    checkout.git(&["tag", "-a", "v1", "-m", "one"]).await;
    checkout.git(&["branch", "side"]).await;
    let url = server.git_url("a", &Token::write("a"));
    checkout
        .git(&["push", "-q", &url, "main", "side", "v1"])
        .await;
    assert!(
        server
            .file("a", "path=big&ref=v1")
            .await
            .bytes()
            .await
            .unwrap()
            == data
    );
    checkout.git(&["push", "-q", &url, ":side"]).await;
    assert_eq!(server.branches("a", "").await.len(), 1);
    let fresh = Checkout::clone(&url, &[]).await;
    assert_eq!(fresh.git(&["tag"]).await, "v1");
    fresh.git(&["fsck", "--full", "--strict"]).await;
}

#[tokio::test]
async fn a_stale_push_is_refused_in_gits_words() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    let checkout = Checkout::clone(&server.git_url("a", &Token::write("a")), &[]).await;
    server.put("a", "x", "2").await;
    checkout.commit("x", b"3").await;
    let refused = checkout.git_fails(&["push", "origin", "main"]).await;
    assert!(
        refused.contains("[rejected]") && refused.contains("fetch first"),
        "{refused}"
    );
}

#[tokio::test]
async fn the_ephemeral_namespace_has_a_url_of_its_own() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    let write = Token::write("a");
    let (normal, ephemeral) = (
        server.git_url("a", &write),
        server.git_url("a+ephemeral", &write),
    );
    let checkout = Checkout::clone(&normal, &[]).await;
    checkout
        .git(&["push", "-q", &ephemeral, "main:preview"])
        .await;
    assert_eq!(
        server.branches("a", "&ephemeral=true").await,
        [("preview".to_owned(), head.clone())]
    );
    let listed = checkout.git(&["ls-remote", &ephemeral]).await;
    assert_eq!(listed, format!("{head}\trefs/heads/preview"));
    assert!(
        !checkout
            .git(&["ls-remote", &normal])
            .await
            .contains("preview")
    );
}

#[tokio::test]
async fn the_url_for_importing_only_takes_pushes() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    let head = checkout.commit("x", b"1").await;
    let url = server.git_url("a+import", &Token::write("a"));
    checkout.git(&["push", "-q", "--mirror", &url]).await;
    assert_eq!(server.branches("a", "").await, [("main".to_owned(), head)]);
    let refused = checkout.git_fails(&["ls-remote", &url]).await;
    assert!(refused.contains("takes pushes only"), "{refused}");
}

#[tokio::test]
async fn an_organisation_may_stand_in_the_path() {
    let server = TestServer::with_repo("team/site").await;
    server.put("team/site", "x", "1").await;
    let token = Token::read("team/site");
    Checkout::clone(&server.git_url("acme/team/site", &token), &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let other = git_output(
        folder.path(),
        &["ls-remote", &server.git_url("other/team/site", &token)],
    )
    .await;
    assert!(
        String::from_utf8_lossy(&other.stderr).contains("403"),
        "{other:?}"
    );
}

#[tokio::test]
async fn an_empty_repository_can_be_cloned_and_filled() {
    let server = TestServer::with_repo("a").await;
    let url = server.git_url("a", &Token::write("a"));
    let checkout = Checkout::clone(&url, &[]).await;
    assert_eq!(
        checkout.git(&["symbolic-ref", "HEAD"]).await,
        "refs/heads/main"
    );
    let head = checkout.commit("x", b"1").await;
    checkout.git(&["push", "-q", "origin", "HEAD"]).await;
    assert_eq!(server.branches("a", "").await, [("main".to_owned(), head)]);
}

#[tokio::test]
async fn git_is_told_why_it_is_refused() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    let folder = tempfile::tempdir().unwrap();
    for (path, token, why) in [
        ("a", Token::raw("garbage"), "Authentication failed"),
        (
            "a",
            Token::new("a", &["repo:write"]),
            "the token lacks the scope `git:read`",
        ),
        ("a", Token::read("b"), "the token is for another repository"),
        ("b", Token::read("b"), "repository `b` not found"),
    ] {
        let output = git_output(folder.path(), &["ls-remote", &server.git_url(path, &token)]).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(why),
            "{path}: {stderr}"
        );
    }
    let checkout = Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    checkout.commit("x", b"2").await;
    let refused = checkout.git_fails(&["push", "origin", "main"]).await;
    assert!(
        refused.contains("the token lacks the scope `git:write`"),
        "{refused}"
    );
}

async fn raw(
    server: &TestServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Response {
    let mut request = server
        .http
        .request(method, format!("{}{path}", server.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .basic_auth("t", Some(Token::write("a").text()))
        .body(body)
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn the_http_of_git_is_that_of_http_backend() {
    let server = TestServer::with_repo("a").await;
    let anonymous = server.http.get(format!(
        "{}/a.git/info/refs?service=git-upload-pack",
        server.url()
    ));
    let anonymous = anonymous.send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    assert!(
        anonymous.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Basic realm=\"Packhouse\"")
    );
    let told = anonymous.text().await.unwrap();
    assert!(
        told.contains("password of the URL") && !told.contains("Bearer"),
        "{told}"
    );

    let (get, post) = (Method::GET, Method::POST);
    let refs = raw(
        &server,
        get.clone(),
        "/a.git/info/refs?service=git-upload-pack",
        &[],
        vec![],
    )
    .await;
    assert_eq!(
        refs.headers()["content-type"],
        "application/x-git-upload-pack-advertisement"
    );
    assert_eq!(
        refs.headers()["cache-control"],
        "no-cache, max-age=0, must-revalidate"
    );
    assert_eq!(refs.headers()["pragma"], "no-cache");
    assert_eq!(refs.headers()["expires"], "Fri, 01 Jan 1980 00:00:00 GMT");
    let head = raw(
        &server,
        Method::HEAD,
        "/a.git/info/refs?service=git-upload-pack",
        &[],
        vec![],
    )
    .await;
    assert_eq!(head.status(), 200);
    let names = |response: &Response| {
        let names = response.headers().keys().map(ToString::to_string);
        // How the body is sent is the one thing that an answer without a body does not say.
        let mut names: Vec<String> = names.filter(|name| name != "transfer-encoding").collect();
        names.sort();
        names
    };
    assert_eq!(names(&head), names(&refs));
    for name in ["content-type", "cache-control", "pragma", "expires"] {
        assert_eq!(head.headers()[name], refs.headers()[name]);
    }
    assert!(head.bytes().await.unwrap().is_empty());
    assert!(
        refs.text()
            .await
            .unwrap()
            .starts_with("001e# service=git-upload-pack\n0000")
    );

    let request_type = [("content-type", "application/x-git-upload-pack-request")];
    for (method, path, headers, status) in [
        (get.clone(), "/a.git/info/refs", &[][..], 403),
        (get.clone(), "/a.git/info/refs?service=git-evil", &[], 403),
        (get.clone(), "/a.git/HEAD", &[], 404),
        (get.clone(), "/a.git/objects/info/packs", &[], 404),
        (get.clone(), "/a.git/../../etc/passwd", &[], 404),
        (
            post.clone(),
            "/a.git/info/refs?service=git-upload-pack",
            &[],
            405,
        ),
        (get.clone(), "/a.git/git-upload-pack", &request_type, 405),
        (post.clone(), "/a.git/git-upload-pack", &[], 415),
        (
            post.clone(),
            "/a.git/git-upload-pack",
            &[("content-type", "text/plain")],
            415,
        ),
        (post.clone(), "/a.git/git-receive-pack", &request_type, 415),
        (
            post,
            "/a.git/git-upload-pack",
            &[request_type[0], ("content-encoding", "br")],
            415,
        ),
        (get, "/a/info/refs?service=git-upload-pack", &[], 404),
    ] {
        let answer = raw(&server, method.clone(), path, headers, b"0000".to_vec()).await;
        assert_eq!(
            answer.status().as_u16(),
            status,
            "{method} {path} {headers:?}"
        );
        if status == 405 {
            assert!(answer.headers().contains_key("allow"));
        }
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_requests_are_read_and_bombs_are_not() {
    let server = TestServer::with_limits(|limits| limits.fetch_request_bytes = 1 << 20).await;
    server.create("a").await;
    let head = server.put("a", "x", "1").await;
    let headers = [
        ("content-type", "application/x-git-upload-pack-request"),
        ("git-protocol", "version=2"),
        ("content-encoding", "gzip"),
    ];
    let ask = gzip(b"0014command=ls-refs\n0001001bref-prefix refs/heads/\n0000");
    let path = "/a.git/git-upload-pack";
    let answer = raw(&server, Method::POST, path, &headers, ask.clone()).await;
    assert_eq!(
        answer.headers()["content-type"],
        "application/x-git-upload-pack-result"
    );
    assert!(answer.text().await.unwrap().contains(&head));
    // 200 MB of zeros in 200 kB, a stream cut short, and no gzip at all.
    let bomb = gzip(
        &[
            b"0014command=ls-refs\n0001".to_vec(),
            b"0008aaaa".repeat(25_000_000),
        ]
        .concat(),
    );
    for body in [
        bomb,
        ask[..ask.len() / 2].to_vec(),
        b"0000 no gzip".to_vec(),
    ] {
        let answer = raw(&server, Method::POST, path, &headers, body).await;
        let text = answer.text().await.unwrap_or_default();
        assert!(!text.contains(&head), "{text}");
    }
    // The server is as well as before.
    raw(&server, Method::POST, path, &headers, ask)
        .await
        .error_for_status()
        .unwrap();
}

#[tokio::test]
async fn git_compresses_long_negotiations() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    for at in 0..120 {
        checkout
            .git(&["commit", "-q", "--allow-empty", "-m", &at.to_string()])
            .await;
    }
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", &url, "main"]).await;
    for at in 0..80 {
        checkout
            .git(&[
                "commit",
                "-q",
                "--allow-empty",
                "-m",
                &format!("local {at}"),
            ])
            .await;
    }
    server
        .commit("a", CommitBody::new("main").file("new", b"1"))
        .await
        .expect(201);
    for protocol in ["protocol.version=0", "protocol.version=2"] {
        checkout
            .git(&["-c", protocol, "fetch", "-q", &url, "main"])
            .await;
        assert_eq!(checkout.git(&["show", "FETCH_HEAD:new"]).await, "1");
    }
}

#[tokio::test]
async fn a_push_names_who_pushed_in_the_reflog() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    checkout.commit("x", b"1").await;
    let token = Token::write("a").with("sub", json!("agent-7\n"));
    checkout
        .git(&["push", "-q", &server.git_url("a", &token), "main"])
        .await;
    let repository = server
        .server
        .hosted()
        .repository(server.org, "a")
        .await
        .unwrap()
        .unwrap();
    let log = repository
        .reflog(Some(b"refs/heads/main"), None, 10)
        .await
        .unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].who, "agent-7");
}
