//! Clone, fetch and push.

use serde_json::Value;

use crate::support::{Checkout, SshUser, TestServer, Token, noise, ssh_url};

#[tokio::test]
async fn what_the_api_commits_git_clones_and_the_other_way_round() {
    let (server, user) = TestServer::with_ssh("team/site", |_| {}).await;
    for protocol in ["0", "1", "2"] {
        let path = format!("from-api-{protocol}");
        let head = server.put("team/site", &path, "hello\n").await;
        let version = format!("protocol.version={protocol}");
        let checkout = user
            .clone(&server, "acme/team/site.git", &["-c", &version])
            .await;
        assert_eq!(checkout.git(&["rev-parse", "HEAD"]).await, head);
        let pushed = checkout
            .commit(&format!("from-git-{protocol}"), b"hi\n")
            .await;
        checkout.git(&["push", "-q", "origin", "main"]).await;
        assert_eq!(
            server.branches("team/site", "").await,
            [("main".to_owned(), pushed)]
        );
        checkout.git(&["fsck", "--full", "--strict"]).await;
        let newer = server.put("team/site", "newer", protocol).await;
        checkout.git(&["pull", "-q", "--ff-only"]).await;
        assert_eq!(checkout.git(&["rev-parse", "HEAD"]).await, newer);
        // The version that was asked for is the one that is spoken.
        let trace = checkout.path().join("trace");
        let trace = format!("{}", trace.display());
        let spoken = traced(&checkout, &trace, &version).await;
        let expected = match protocol {
            "0" => spoken.contains("HEAD\\0") && !spoken.contains("version "),
            version => spoken.contains(&format!("< version {version}")),
        };
        assert!(expected, "{protocol}: {spoken}");
    }
}

/// What `ls-remote` and the server say to each other.
async fn traced(checkout: &Checkout, file: &str, version: &str) -> String {
    // No variable of the environment reaches `git` in these tests, but an alias is a shell command.
    let alias = format!("alias.traced=!GIT_TRACE_PACKET={file} git -c {version} ls-remote origin");
    checkout.git(&["-c", &alias, "traced"]).await;
    let spoken = std::fs::read_to_string(file).unwrap();
    std::fs::remove_file(file).unwrap();
    spoken
}

#[tokio::test]
async fn a_push_may_create_delete_tag_and_be_large() {
    let (server, user) = TestServer::with_ssh("a", |_| {}).await;
    let checkout = Checkout::init().await;
    let data = noise(2_000_000);
    checkout.commit("big", &data).await;
    checkout.git(&["tag", "-a", "v1", "-m", "one"]).await;
    checkout.git(&["branch", "side"]).await;
    let (setting, url) = (user.setting(&server).await, ssh_url("acme/a"));
    let push = |refs: &'static [&'static str]| {
        let arguments = ["-c", &setting, "push", "-q", &url];
        let arguments: Vec<String> = arguments
            .iter()
            .chain(refs)
            .map(|&s| s.to_owned())
            .collect();
        checkout.git_owned(arguments)
    };
    push(&["main", "side", "v1"]).await;
    push(&[":side"]).await;
    assert_eq!(server.branches("a", "").await.len(), 1);
    let fresh = user.clone(&server, "/acme/a.git", &[]).await;
    assert_eq!(fresh.git(&["tag"]).await, "v1");
    assert!(std::fs::read(fresh.path().join("big")).unwrap() == data);
    fresh.git(&["fsck", "--full", "--strict"]).await;
    assert!(server.metric("packhouse_ssh_received_bytes_total").await > Some(1_000_000.0));
    assert!(server.metric("packhouse_ssh_sent_bytes_total").await > Some(1_000_000.0));
}

#[tokio::test]
async fn pushes_are_refused_in_gits_words() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        config.limits.file_bytes = 100_000;
    })
    .await;
    server.put("a", "x", "1").await;
    let checkout = user.clone(&server, "acme/a.git", &[]).await;
    server.put("a", "x", "2").await;
    checkout.commit("x", b"3").await;
    let stale = checkout.git_fails(&["push", "origin", "main"]).await;
    assert!(
        stale.contains("[rejected]") && stale.contains("fetch first"),
        "{stale}"
    );
    // A pack that is refused while the client still sends it: it reads why.
    let data = noise(8_000_000);
    checkout.commit("large", &data).await;
    let large = checkout.git_fails(&["push", "origin", "main:large"]).await;
    assert!(
        large.contains("[remote rejected]") && large.contains("large"),
        "{large}"
    );
    server
        .until_metric("packhouse_under_way{kind=\"push\"}", 0.0)
        .await;
    assert_eq!(server.branches("a", "").await.len(), 1);
}

#[tokio::test]
async fn namespaces_are_named_as_in_urls() {
    let (server, user) = TestServer::with_ssh("a", |_| {}).await;
    let head = server.put("a", "x", "1").await;
    let checkout = user.clone(&server, "acme/a.git", &[]).await;
    let ephemeral = ssh_url("acme/a+ephemeral.git");
    checkout
        .git(&["push", "-q", &ephemeral, "main:preview"])
        .await;
    assert_eq!(
        server.branches("a", "&ephemeral=true").await,
        [("preview".to_owned(), head.clone())]
    );
    let listed = checkout.git(&["ls-remote", &ephemeral]).await;
    assert_eq!(listed, format!("{head}\trefs/heads/preview"));
    let import = ssh_url("acme/a+import.git");
    checkout
        .git(&["push", "-q", &import, "main:imported"])
        .await;
    assert_eq!(server.branches("a", "").await.len(), 2);
    let refused = checkout.git_fails(&["fetch", &import]).await;
    assert!(
        refused.contains("packhouse: this URL takes pushes only"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_push_is_in_the_log_with_its_user_and_where_it_came_from() {
    let (server, user) = TestServer::with_ssh("a", |_| {}).await;
    let nobodys = SshUser::new().await;
    let key = packhouse_catalog::NewSshKey {
        user: None,
        ..nobodys.key()
    };
    server.admit(key).await;
    for (user, who) in [
        (&user, "Sue".to_owned()),
        (
            &nobodys,
            format!("SSH key {}", nobodys.public.fingerprint()),
        ),
    ] {
        let checkout = Checkout::init().await;
        checkout.commit("x", who.as_bytes()).await;
        let setting = user.setting(&server).await;
        let url = ssh_url("acme/a.git");
        let arguments = ["-c", &setting, "push", "-q", "-f", &url, "main"];
        checkout.git(&arguments).await;
        let log = server
            .get("/audit?limit=1", &Token::new("org", &["org:read"]))
            .await
            .expect(200);
        let newest: &Value = &log.body["entries"][0];
        assert_eq!(newest["who"], *who, "{newest}");
        assert_eq!(newest["address"], "127.0.0.1", "{newest}");
        assert!(newest["request_id"].is_string(), "{newest}");
    }
}
