//! What is not served, and what its callers are told.

use std::fs;

use packhouse_server::Egress;

use super::{ProxyServer, upstream};
use crate::support::{Mood, git_output};

#[tokio::test]
async fn a_push_is_refused_and_told_where_to_go() {
    let (upstream, _) = upstream().await;
    let proxy = ProxyServer::start().await;
    let clone = proxy.clone(&upstream, &[]).await;
    clone.commit("new", b"n").await;
    let complaint = clone.git_fails(&["push", "-q"]).await;
    assert!(complaint.contains("read-only"), "{complaint}");
    assert!(complaint.contains(&upstream.url()), "{complaint}");
    let asked = upstream.asked();
    assert!(!asked.iter().any(|(path, _)| path.contains("receive-pack")));
}

#[tokio::test]
async fn large_files_and_old_clients_get_a_clear_answer() {
    let (upstream, _) = upstream().await;
    let proxy = ProxyServer::start().await;
    let url = proxy.url(&upstream);
    let got = proxy
        .get(&format!("{url}/info/lfs/objects/batch"), None)
        .await;
    assert_eq!(got.status, 501);
    let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("lfs.url {}/info/lfs", upstream.url())),
        "{message}"
    );
    for path in [
        "/info/refs",
        "/info/refs?service=x",
        "/HEAD",
        "/objects/info/packs",
    ] {
        let got = proxy.get(&format!("{url}{path}"), None).await;
        assert_eq!(got.status, 404, "{path}");
        assert!(got.text().contains("smart protocol"), "{}", got.text());
    }
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn what_is_too_large_for_one_of_many_callers_is_told_of() {
    let (upstream, tip) = upstream().await;
    let tree = upstream
        .bare(&["rev-parse", &format!("{tip}^{{tree}}")])
        .await;
    let person = "a <a@example.com> 1 +0000";
    let mut commit = format!("tree {tree}\nparent {tip}\nauthor {person}\ncommitter {person}\n\n");
    commit.extend(std::iter::repeat_n('a', 65 << 20));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), commit).unwrap();
    let file = file.path().to_str().unwrap();
    let id = upstream
        .bare(&["hash-object", "-t", "commit", "-w", file])
        .await;
    upstream.bare(&["update-ref", "HEAD", &id]).await;
    let proxy = ProxyServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = proxy.url(&upstream);
    let output = git_output(folder.path(), &["clone", "-q", "--bare", &url, "."]).await;
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        complaint.contains("over the limit of 67108864"),
        "{complaint}"
    );
}

#[tokio::test]
async fn hostile_paths_reach_nobody_and_leave_nothing() {
    let (upstream, _) = upstream().await;
    let proxy = ProxyServer::start().await;
    let host = upstream.root().replacen("http://", "", 1);
    let before = files(proxy.cache.root());
    for (path, status) in [
        (format!("/http/{host}/a%2f..%2fsite.git/info/refs"), 400),
        (format!("/http/{host}/a%5c/site.git/info/refs"), 400),
        (format!("/http/{host}//site.git/info/refs"), 400),
        (format!("/http/me:pw@{host}/site.git/info/refs"), 400),
        (
            format!("/http/evil.example%40{host}/site.git/info/refs"),
            400,
        ),
        (format!("/file/{host}/etc/info/refs"), 404),
        ("/file///etc/passwd".to_owned(), 404),
    ] {
        let url = format!("{}?service=git-upload-pack", proxy.at(&path));
        let got = proxy.get(&url, None).await;
        assert_eq!(
            (got.status, got.outcome.as_str()),
            (status, "refused"),
            "{path}"
        );
    }
    assert!(upstream.asked().is_empty());
    assert_eq!(files(proxy.cache.root()), before);
}

#[tokio::test]
async fn repositories_that_are_not_there_leave_nothing() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    let before = files(proxy.cache.root());
    upstream.be(Mood::Fails(404));
    let got = proxy.post_want(&upstream, None, &last).await;
    assert_eq!(got.status, 404);
    proxy.ls_remote_fails(&proxy.url(&upstream)).await;
    assert_eq!(files(proxy.cache.root()), before);
}

#[tokio::test]
async fn hosts_and_addresses_that_are_not_allowed_are_not_connected_to() {
    let (upstream, last) = upstream().await;
    let proxies = [
        ProxyServer::with(|options| options.egress = Egress::PublicOnly).await,
        ProxyServer::with(|options| options.allow = vec!["example.com".parse().unwrap()]).await,
    ];
    for proxy in &proxies {
        let refs = format!("{}/info/refs?service=git-upload-pack", proxy.url(&upstream));
        assert_eq!(proxy.get(&refs, None).await.status, 403);
        let named = refs.replacen("/http/127.0.0.1", "/http/localhost", 1);
        assert_eq!(proxy.get(&named, None).await.status, 403);
        let got = proxy.post_want(&upstream, None, &last).await;
        assert_eq!(got.status, 403);
    }
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn a_redirect_stays_here_or_is_refused() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    let query = "info/refs?service=git-upload-pack";
    upstream.be(Mood::Redirects(format!(
        "{}/moved.git/{query}",
        upstream.root()
    )));
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let refs = format!("{}/{query}", proxy.url(&upstream));
    let answer = client.get(&refs).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let place = answer.headers()["location"].to_str().unwrap();
    let expected = refs.replacen("site.git", "moved.git", 1);
    assert_eq!(proxy.at(place), expected);
    // Credentials for one host are not for another.
    upstream.be(Mood::Redirects(format!(
        "http://other.example/x.git/{query}"
    )));
    let answer = client.get(&refs).send().await.unwrap();
    assert_eq!(answer.status(), 501);
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("http://other.example/x.git")
    );
    let got = proxy.post_want(&upstream, None, &last).await;
    assert_eq!((got.status, got.has_pack()), (501, false));
}

/// All files below a folder, but for those of the catalog.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.to_string_lossy().contains("index.sqlite3") => {}
            false => found.push(path),
        }
    }
    found.sort();
    found
}
