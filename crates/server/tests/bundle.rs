//! `clone.bundle`, and how clients learn of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use packhouse_repo::RepackHow;
use packhouse_wire::pktline::{Packet, PacketReader, PacketWriter};
use reqwest::header::{ETAG, IF_NONE_MATCH, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};

use crate::support::{Checkout, TestServer, Token, git_output};

const REPO: &str = "site";

fn url(server: &TestServer, rest: &str) -> String {
    format!("{}{rest}", server.git_url(REPO, &Token::read(REPO)))
}

async fn get(server: &TestServer, headers: &[(reqwest::header::HeaderName, &str)]) -> Response {
    let mut request = server.http.get(url(server, "/clone.bundle"));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.send().await.unwrap()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let mut reader = PacketReader::new(bytes);
    let mut lines = Vec::new();
    while let Some(packet) = reader.read().unwrap() {
        lines.push(match packet {
            Packet::Data(data) => String::from_utf8(data.to_vec()).unwrap(),
            mark => format!("{mark:?}"),
        });
    }
    lines
}

async fn offered(server: &TestServer) -> Vec<String> {
    let asked = server
        .http
        .get(url(server, "/info/refs?service=git-upload-pack"))
        .header("Git-Protocol", "version=2");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    lines(&answer.bytes().await.unwrap())
}

/// What is answered to `command=bundle-uri` with these arguments.
async fn bundle_uri(server: &TestServer, arguments: &[&str]) -> Vec<String> {
    let mut body = Vec::new();
    let mut out = PacketWriter::new(&mut body);
    out.data(&[b"command=bundle-uri"]).unwrap();
    if !arguments.is_empty() {
        out.delim().unwrap();
    }
    for argument in arguments {
        out.data(&[argument.as_bytes()]).unwrap();
    }
    out.flush().unwrap();
    out.send().unwrap();
    drop(out);
    let asked = server
        .http
        .post(url(server, "/git-upload-pack"))
        .header("Git-Protocol", "version=2")
        .header("Content-Type", "application/x-git-upload-pack-request")
        .body(body);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    lines(&answer.bytes().await.unwrap())
}

async fn repack(server: &TestServer) {
    let hosted = server.server.hosted();
    let row = hosted.catalog().repo(server.org, REPO).await.unwrap();
    let id = row.unwrap().id;
    hosted.fold(id).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let done = hosted.repack(id, RepackHow::Full, stop).await.unwrap();
    assert!(done.is_some_and(|report| report.is_full));
}

/// A repository with a history on `main`, a commit of its own on `side`, and tags of both.
async fn published(server: &TestServer) -> Checkout {
    let work = Checkout::init().await;
    for number in 0..12 {
        let text = format!("{number}\n").repeat(500);
        work.commit(&format!("file-{}", number % 5), text.as_bytes())
            .await;
    }
    work.git(&["tag", "-a", "-m", "note", "v1"]).await;
    work.git(&["switch", "-q", "-c", "side"]).await;
    work.commit("secret", b"of the side alone\n").await;
    work.git(&["switch", "-q", "main"]).await;
    let url = server.git_url(REPO, &Token::write(REPO));
    work.git(&["remote", "add", "origin", &url]).await;
    work.git(&["push", "-q", "origin", "main", "side", "v1"])
        .await;
    work
}

/// Stores a bundle in a file of the checkout, and returns what git says is in it.
async fn heads_of(work: &Checkout, bundle: &[u8]) -> String {
    std::fs::write(work.path().join("got.bundle"), bundle).unwrap();
    work.git(&["bundle", "verify", "-q", "got.bundle"]).await;
    work.git(&["bundle", "list-heads", "got.bundle"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repacked_repository_offers_its_pack_as_a_bundle() {
    let server = TestServer::with_repo(REPO).await;
    let work = published(&server).await;
    let capability = "bundle-uri\n".to_owned();
    assert!(!offered(&server).await.contains(&capability));
    assert_eq!(get(&server, &[]).await.status(), StatusCode::NOT_FOUND);
    let refused = ["ERR upload-pack: invalid command 'bundle-uri'"];
    assert_eq!(bundle_uri(&server, &[]).await, refused);

    repack(&server).await;
    assert!(offered(&server).await.contains(&capability));
    let expected = [
        "bundle.version=1",
        "bundle.mode=all",
        "bundle.clone.uri=clone.bundle",
        "Flush",
    ];
    assert_eq!(bundle_uri(&server, &[]).await, expected);
    let refused = ["ERR bundle-uri: unexpected argument: 'what'"];
    assert_eq!(bundle_uri(&server, &["what"]).await, refused);

    let first = get(&server, &[]).await;
    assert_eq!(first.status(), StatusCode::OK);
    let etag = first.headers()[ETAG].to_str().unwrap().to_owned();
    let bundle = first.bytes().await.unwrap();
    let tip = work.git(&["rev-parse", "main"]).await;
    let [side, tag] = ["side", "v1"].map(|rev| ["rev-parse", rev]);
    let (side, tag) = (work.git(&side).await, work.git(&tag).await);
    assert_eq!(
        heads_of(&work, &bundle).await,
        format!("{tip} HEAD\n{tip} refs/heads/main\n{side} refs/heads/side\n{tag} refs/tags/v1")
    );

    // It stays the same while branches move on, and clones that begin with it get what is newer.
    let newer = work.commit("file-9", b"newer\n").await;
    work.git(&["push", "-q", "origin", "main"]).await;
    let again = get(&server, &[]).await;
    assert_eq!(again.headers()[ETAG], etag.as_str());
    assert_eq!(again.bytes().await.unwrap(), bundle);
    let at = format!("--bundle-uri={}", url(&server, "/clone.bundle"));
    let clone = Checkout::clone(&url(&server, ""), &[&at]).await;
    assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, newer);
    assert_eq!(clone.git(&["rev-parse", "refs/bundles/main"]).await, tip);
    clone.git(&["fsck", "--full", "--strict"]).await;
    // Two packs: one of the bundle, and one of the rest.
    let counted = clone.git(&["count-objects", "-v"]).await;
    assert!(counted.contains("packs: 2"), "{counted}");
    let path = work.path().join("got.bundle");
    let from_bundle = Checkout::clone(path.to_str().unwrap(), &[]).await;
    assert_eq!(from_bundle.git(&["rev-parse", "HEAD"]).await, tip);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_sent_in_parts_and_not_again_to_who_has_it() {
    let server = TestServer::with_repo(REPO).await;
    published(&server).await;
    repack(&server).await;
    let whole = get(&server, &[]).await;
    let etag = whole.headers()[ETAG].to_str().unwrap().to_owned();
    let whole = whole.bytes().await.unwrap();
    let mut parts = Vec::new();
    // The first ends within the refs, the second goes on into the pack.
    for (range, of) in [("bytes=0-9", 0..10), ("bytes=10-699", 10..700)] {
        let part = get(&server, &[(RANGE, range)]).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        let said = part.headers()["content-range"].to_str().unwrap();
        let expected = format!("bytes {}-{}/{}", of.start, of.end - 1, whole.len());
        assert_eq!(said, expected);
        parts.extend(part.bytes().await.unwrap());
    }
    let part = get(&server, &[(RANGE, "bytes=700-"), (IF_RANGE, &etag)]).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    parts.extend(part.bytes().await.unwrap());
    assert_eq!(parts, whole);
    let other = get(&server, &[(RANGE, "bytes=7-"), (IF_RANGE, "\"other\"")]).await;
    assert_eq!(other.status(), StatusCode::OK);
    let beyond = get(&server, &[(RANGE, "bytes=999999999-")]).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let known = get(&server, &[(IF_NONE_MATCH, &etag)]).await;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let head = server.http.head(url(&server, "/clone.bundle"));
    let head = head.send().await.unwrap();
    let length = head.headers()["content-length"].to_str().unwrap();
    assert_eq!(length, whole.len().to_string());
    let posted = server.http.post(url(&server, "/clone.bundle"));
    let posted = posted.send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refs_have_left_behind_is_in_no_bundle() {
    let server = TestServer::with_repo(REPO).await;
    let work = published(&server).await;
    repack(&server).await;
    let secret = work.git(&["rev-parse", "side:secret"]).await;
    let old_tip = work.git(&["rev-parse", "main"]).await;
    work.git(&["push", "-q", "origin", ":side", ":v1"]).await;
    work.git(&["reset", "-q", "--hard", "main~2"]).await;
    let rewritten = work.commit("file-0", b"another\n").await;
    work.git(&["push", "-q", "-f", "origin", "main"]).await;
    let answer = get(&server, &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!answer.headers().contains_key(ETAG));
    let bundle = answer.bytes().await.unwrap();
    let base = work.git(&["rev-parse", "main~1"]).await;
    assert_eq!(
        heads_of(&work, &bundle).await,
        format!("{base} HEAD\n{base} refs/heads/main")
    );
    let path = work.path().join("got.bundle");
    let other = Checkout::clone(path.to_str().unwrap(), &[]).await;
    for gone in [&secret, &old_tip] {
        let found = git_output(other.path(), &["cat-file", "-e", gone]).await;
        assert!(!found.status.success(), "{gone}");
    }
    other.git(&["fsck", "--full", "--strict"]).await;
    let at = format!("--bundle-uri={}", url(&server, "/clone.bundle"));
    let clone = Checkout::clone(&url(&server, ""), &[&at]).await;
    assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, rewritten);
    assert_eq!(clone.git(&["rev-parse", "refs/bundles/main"]).await, base);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_for_those_who_may_fetch() {
    let server = TestServer::with_repo(REPO).await;
    published(&server).await;
    repack(&server).await;
    server.create("other").await;
    let path = format!("{}/{REPO}.git/clone.bundle", server.url());
    let refused = |token: Option<Token>| {
        let mut request = server.http.get(&path);
        if let Some(token) = token {
            request = request.basic_auth("t", Some(token.text()));
        }
        async move { request.send().await.unwrap().status() }
    };
    assert_eq!(refused(None).await, StatusCode::UNAUTHORIZED);
    let other = Token::read("other");
    assert_eq!(refused(Some(other)).await, StatusCode::FORBIDDEN);
    let no_fetches = Token::new(REPO, &["repo:write"]);
    assert_eq!(refused(Some(no_fetches)).await, StatusCode::FORBIDDEN);
    assert_eq!(refused(Some(Token::read(REPO))).await, StatusCode::OK);
}
