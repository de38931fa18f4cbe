//! Following an upstream: the first sync, and what later ones do.

use reqwest::Method;
use serde_json::json;

use super::{server, write};
use crate::support::{
    Checkout, CommitBody, Database, Mood, TestServer, Token, Upstream, git_output, on_both,
};
on_both!(
    a_repository_is_made_from_an_upstream_and_may_be_used_once_it_is_whole,
    a_pull_follows_wherever_the_upstream_went_and_leaves_the_rest,
    one_ref_may_be_pulled_alone,
    a_detached_repository_keeps_what_it_has_and_follows_no_more,
    one_of_our_own_servers_may_be_the_upstream,
);

async fn a_repository_is_made_from_an_upstream_and_may_be_used_once_it_is_whole(
    database: &Database,
) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    upstream.work(&["tag", "-a", "-m", "first", "v1"]).await;
    upstream.work(&["branch", "side/x"]).await;
    upstream.push().await;
    // Not followed.
    upstream
        .bare(&["update-ref", "refs/pull/1/head", "trunk"])
        .await;
    upstream.be(Mood::Holds);
    let public = json!({ "auth": { "auth_type": "public" } });
    server.follow("a", &upstream, public).await.expect(201);

    let read = Token::read("a");
    let early = server.get("/repos/branches", &read).await.expect(409);
    assert_eq!(early.code(), "sync_in_progress");
    assert!(early.error().starts_with("repository sync in progress"));
    let commit = CommitBody::new("main").file("x", b"x");
    server.commit("a", commit).await.expect(409);
    let search = json!({ "query": { "pattern": "one" } });
    let early = server.post("/repos/grep", &read, &search).await;
    let early = early.expect(503);
    assert!(early.error().starts_with("repository sync in progress"));
    assert!(early.headers.contains_key("retry-after"));
    let url = server.git_url("a", &read);
    let cloned = git_output(server.folder.path(), &["ls-remote", &url]).await;
    assert!(!cloned.status.success());
    let found = server.get("/repo", &read).await.expect(200).body;
    assert_eq!(found["sync"]["status"], "pending");
    // Asking meanwhile is no error.
    server
        .post("/repos/pull-upstream", &Token::write("a"), &json!({}))
        .await
        .expect(202);

    upstream.be(Mood::Fine);
    let found = server.until_ok("a").await;
    assert_eq!(found["default_branch"], "trunk", "that of the upstream");
    assert_eq!(found["base_repo"]["provider"], "git");
    assert_eq!(found["base_repo"]["url"], upstream.url());
    assert_eq!(server.refs("a").await, upstream.refs().await);
    let file = server.file("a", "path=a.txt").await;
    assert_eq!(file.text().await.unwrap(), "one");
    let clone = Checkout::clone(&url, &[]).await;
    clone.git(&["fsck", "--full", "--strict"]).await;

    let listed = server
        .get("/repos", &Token::new("org", &["org:read"]))
        .await;
    assert_eq!(listed.body["repos"][0]["base_repo"]["name"], "site");
    let again = server.follow("a", &upstream, json!({})).await.expect(409);
    assert_eq!(again.code(), "repository_exists");
}

async fn a_pull_follows_wherever_the_upstream_went_and_leaves_the_rest(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    let first = upstream.commit("a.txt", "one").await;
    for branch in ["gone", "kept", "forced", "folder"] {
        upstream.work(&["branch", branch]).await;
    }
    upstream.work(&["tag", "moves"]).await;
    upstream.work(&["tag", "goes"]).await;
    upstream.push().await;
    server.follow("a", &upstream, json!({})).await.expect(201);
    server.until_ok("a").await;

    // What only this repository has.
    let url = server.git_url("a", &Token::write("a"));
    let clone = Checkout::clone(&url, &[]).await;
    let mine = clone.commit("mine.txt", b"mine").await;
    clone
        .git(&["push", "-q", "origin", "HEAD:refs/heads/mine"])
        .await;
    clone
        .git(&["push", "-q", "origin", "HEAD:refs/heads/kept"])
        .await;
    clone
        .git(&["push", "-q", "origin", "HEAD:refs/notes/mine"])
        .await;
    let ephemeral = server.git_url("a+ephemeral", &Token::write("a"));
    clone
        .git(&["push", "-q", &ephemeral, "HEAD:refs/heads/short"])
        .await;

    // What the upstream does meanwhile: forwards, elsewhere, away, new, another default branch.
    upstream.commit("b.txt", "two").await;
    upstream
        .work(&["branch", "-D", "gone", "folder", "-q"])
        .await;
    upstream.work(&["branch", "folder/inside"]).await;
    upstream.work(&["tag", "-d", "goes"]).await;
    upstream.work(&["tag", "-f", "moves"]).await;
    upstream
        .work(&["checkout", "-q", "--orphan", "other"])
        .await;
    let orphan = upstream.commit("c.txt", "three").await;
    upstream.work(&["branch", "-f", "forced", &orphan]).await;
    upstream.work(&["branch", "-D", "trunk", "-q"]).await;
    upstream.push().await;
    upstream
        .bare(&["symbolic-ref", "HEAD", "refs/heads/other"])
        .await;
    server.pull("a", json!({})).await;

    let mut expected = upstream.refs().await;
    expected.retain(|(name, _)| name != "refs/heads/kept");
    // Written to here, and not moved there.
    for name in ["refs/heads/kept", "refs/heads/mine", "refs/notes/mine"] {
        expected.push((name.to_owned(), mine.clone()));
    }
    expected.sort();
    assert_eq!(server.refs("a").await, expected);
    let found = server.until_ok("a").await;
    assert_eq!(found["default_branch"], "other");
    assert_eq!(found["sync"]["run_count"], 2);
    let short = server.branches("a", "&ephemeral=true").await;
    assert_eq!(short, [("short".to_owned(), mine.clone())]);
    let mirror = Checkout::clone(&server.git_url("a", &Token::read("a")), &["--mirror"]).await;
    mirror.git(&["fsck", "--full", "--strict"]).await;

    // Nothing new: nothing moves.
    let before = server.refs("a").await;
    server.pull("a", json!({})).await;
    assert_eq!(server.refs("a").await, before);

    // Both moved: the upstream wins. It went away there, but was written to here: it stays.
    let push = format!("+{mine}:refs/heads/forced");
    clone.git(&["push", "-q", &url, &push]).await;
    upstream.work(&["branch", "-f", "kept", &orphan]).await;
    upstream.work(&["branch", "-D", "forced", "-q"]).await;
    upstream.push().await;
    server.pull("a", json!({})).await;
    let after = server.refs("a").await;
    let at = |name: &str| {
        after
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, id)| id)
    };
    assert_eq!(at("refs/heads/kept"), Some(&orphan));
    assert_eq!(at("refs/heads/forced"), Some(&mine));
    assert_ne!(first, mine);
}

async fn one_ref_may_be_pulled_alone(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    upstream.work(&["branch", "side"]).await;
    upstream.push().await;
    server.follow("a", &upstream, json!({})).await.expect(201);
    server.until_ok("a").await;
    let before = server.refs("a").await;
    let newest = upstream.commit("b.txt", "two").await;
    upstream.work(&["branch", "-f", "side"]).await;
    upstream.push().await;
    server.pull("a", json!({ "ref": "side" })).await;
    let after = server.refs("a").await;
    assert_eq!(after[0], ("refs/heads/side".to_owned(), newest));
    assert_eq!(after[1], before[1]);
    for name in [
        "refs/notes/x",
        "refs/namespaces/ephemeral/refs/heads/x",
        "a..b",
    ] {
        let body = json!({ "ref": name });
        let token = Token::write("a");
        let refused = server.post("/repos/pull-upstream", &token, &body).await;
        assert!(refused.expect(400).error().contains("`ref`"), "{name}");
    }
    server.pull("a", json!({ "ref": "refs/heads/trunk" })).await;
    assert_eq!(server.refs("a").await, upstream.refs().await);
}

async fn a_detached_repository_keeps_what_it_has_and_follows_no_more(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    server.follow("a", &upstream, json!({})).await.expect(201);
    server.until_ok("a").await;
    let refs = server.refs("a").await;
    let base = |token: Token| server.request(Method::DELETE, "/repos/base", &token);
    server.send(base(Token::write("a"))).await.expect(403);
    server.send(base(write("a"))).await.expect(200);
    server.send(base(write("a"))).await.expect(400);
    let pull = server
        .post("/repos/pull-upstream", &Token::write("a"), &json!({}))
        .await;
    assert!(pull.expect(400).error().contains("has no upstream"));
    assert_eq!(server.refs("a").await, refs);
    let found = server
        .get("/repo", &Token::read("a"))
        .await
        .expect(200)
        .body;
    assert!(found.get("base_repo").is_none() && found.get("sync").is_none());
    assert_eq!(
        server.get("/repos/jobs", &Token::read("a")).await.body["jobs"],
        json!([])
    );
    let commit = CommitBody::new("trunk").file("mine.txt", b"mine");
    server.commit("a", commit).await.expect(201);

    // Also one that never came to its first sync.
    upstream.be(Mood::Holds);
    server.follow("b", &upstream, json!({})).await.expect(201);
    server
        .get("/repos/branches", &Token::read("b"))
        .await
        .expect(409);
    server.send(base(write("b"))).await.expect(200);
    server
        .get("/repos/branches", &Token::read("b"))
        .await
        .expect(200);
    // And a deleted one.
    server.follow("c", &upstream, json!({})).await.expect(201);
    server
        .delete("/repos/delete", &write("c"), &json!({}))
        .await
        .expect(200);
    server
        .post("/repos/pull-upstream", &Token::write("c"), &json!({}))
        .await
        .expect(404);
    server.create("c").await;
}

async fn one_of_our_own_servers_may_be_the_upstream(database: &Database) {
    let (server, source) = (
        server(database).await,
        TestServer::with_repo("team/site").await,
    );
    let body = CommitBody::new("main");
    let body = (0..300).fold(body, |body, at| {
        body.file(&format!("{at}.txt"), format!("file {at}").as_bytes())
    });
    source.commit("team/site", body).await.expect(201);
    // More than fits a small pack, so that it comes as a file.
    let large: String = (0..400_000)
        .map(|at: u32| format!("{:08x}\n", at.wrapping_mul(2_654_435_761)))
        .collect();
    source.put("team/site", "large.txt", &large).await;
    let token = Token::read("team/site").text();
    let base = json!({
        "provider": "git", "url": format!("{}/team/site.git", source.url()),
        "auth": { "token": token, "username": "t" },
    });
    server
        .post("/repos", &write("a"), &json!({ "base_repo": base }))
        .await
        .expect(201);
    server.until_ok("a").await;
    assert_eq!(
        server.branches("a", "").await,
        source.branches("team/site", "").await
    );
    let file = server
        .file("a", "path=large.txt")
        .await
        .text()
        .await
        .unwrap();
    assert_eq!(file, large);
    let newest = source.put("team/site", "more.txt", "more").await;
    server.pull("a", json!({})).await;
    assert_eq!(
        server.branches("a", "").await,
        [("main".to_owned(), newest)]
    );
}
