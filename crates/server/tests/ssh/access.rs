//! Who may do what.

use std::process::Output;

use packhouse_catalog::NewSshKey;
use packhouse_server::Rate;

use crate::support::{SshUser, TestServer, now, ssh_url, with_ssh};

/// What somebody reads who may not use what they asked for.
const NO_SUCH: &str = "there is no repository `";

async fn with_key(server: &TestServer, change: impl FnOnce(NewSshKey) -> NewSshKey) -> SshUser {
    let user = SshUser::new().await;
    server.admit(change(user.key())).await;
    user
}

#[tokio::test]
async fn a_key_opens_what_it_was_registered_for() {
    let (server, sue) = TestServer::with_ssh("a", |_| {}).await;
    server.create("b").await;
    server.put("a", "x", "1").await;
    let catalog = server.server.hosted().catalog();
    let repo = catalog.repo(server.org, "a").await.unwrap().unwrap().id;
    let other = catalog.create_org("other").await.unwrap().id;
    catalog.create_repo(other, "theirs", "main").await.unwrap();
    let deploy = with_key(&server, |key| NewSshKey {
        repo: Some(repo),
        ..key
    })
    .await;
    let of_other = SshUser::new().await;
    catalog.add_ssh_key(other, of_other.key()).await.unwrap();

    let checkout = deploy.clone(&server, "acme/a.git", &[]).await;
    checkout.commit("y", b"1").await;
    checkout.git(&["push", "-q", "origin", "main"]).await;

    // What is there and what is not look the same to whoever may not know.
    for (user, path) in [
        (&sue, "acme/none.git"),
        (&sue, "other/theirs.git"),
        (&sue, "a.git"),
        (&sue, "nowhere/a.git"),
        (&sue, "acme/../other/theirs.git"),
        (&deploy, "acme/b.git"),
        (&deploy, "acme/none.git"),
        (&of_other, "acme/a.git"),
        (&of_other, "acme/none.git"),
    ] {
        let refused = user.is_refused(&server, path).await;
        let told = format!(
            "packhouse: {NO_SUCH}{path}`, or this key may not use it; paths are ORGANISATION/REPOSITORY.git"
        );
        assert!(refused.contains(&told), "{path}: {refused}");
    }
    assert!(
        server
            .metric("packhouse_ssh_commands_total{command=\"git upload-pack\",outcome=\"refused\"}")
            .await
            >= Some(9.0)
    );

    // The same key in two organisations opens what each of them says.
    catalog.add_ssh_key(other, sue.key()).await.unwrap();
    sue.clone(&server, "other/theirs.git", &[]).await;
    sue.clone(&server, "acme/a.git", &[]).await;
    catalog.delete_repo(server.org, "a").await.unwrap();
    let refused = deploy.is_refused(&server, "acme/a.git").await;
    assert!(refused.contains(NO_SUCH), "{refused}");
}

#[tokio::test]
async fn a_key_that_nobody_registered_or_that_ended_does_not_come_in() {
    let (server, sue) = TestServer::with_ssh("a", |_| {}).await;
    let ended = with_key(&server, |key| NewSshKey {
        expires_at_ms: Some(now() * 1000 - 1),
        ..key
    })
    .await;
    for user in [&ended, &SshUser::new().await] {
        let refused = user.is_refused(&server, "acme/a.git").await;
        assert!(
            refused.contains("Permission denied (publickey)"),
            "{refused}"
        );
    }
    sue.clone(&server, "acme/a.git", &[]).await;
    let catalog = server.server.hosted().catalog();
    catalog
        .revoke_ssh_key(server.org, sue.public.fingerprint())
        .await
        .unwrap();
    let refused = sue.is_refused(&server, "acme/a.git").await;
    assert!(
        refused.contains("Permission denied (publickey)"),
        "{refused}"
    );
    server
        .until_metric("packhouse_ssh_logins_total{outcome=\"refused\"}", 3.0)
        .await;
    for kind in ["ecdsa", "ed25519"] {
        let user = SshUser::with_key(kind).await;
        server.admit(user.key()).await;
        user.clone(&server, "acme/a.git", &[]).await;
    }
}

#[tokio::test]
async fn a_key_that_may_read_does_not_push() {
    let (server, _) = TestServer::with_ssh("a", |_| {}).await;
    let head = server.put("a", "x", "1").await;
    let reader = with_key(&server, |key| NewSshKey {
        scopes: "git:read".to_owned(),
        ..key
    })
    .await;
    let checkout = reader.clone(&server, "acme/a.git", &[]).await;
    checkout.commit("x", b"2").await;
    // Whether a repository is there makes no difference to what a push is told.
    for path in ["acme/a.git", "acme/none.git"] {
        let refused = checkout.git_fails(&["push", &ssh_url(path), "main"]).await;
        let told = "packhouse: the SSH key lacks the scope `git:write`";
        assert!(refused.contains(told), "{refused}");
    }
    assert_eq!(server.branches("a", "").await, [("main".to_owned(), head)]);
}

/// What the person sees, and that it failed.
fn told(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn nothing_else_is_run() {
    let (server, user) = TestServer::with_ssh("a", |_| {}).await;
    let host = "git@127.0.0.1";
    for asked in [
        &[host][..],
        &[host, "ls -l"],
        &[host, "git-upload-archive 'acme/a.git'"],
        &[host, "git-lfs-authenticate acme/a.git"],
        &[host, "git-lfs-transfer acme/a.git download"],
        &[host, "git-upload-pack 'acme/a.git'; id"],
        &["-s", host, "sftp"],
    ] {
        let told = told(&user.ssh(&server, asked).await);
        assert!(
            told.contains(
                "packhouse: Packhouse gives no shell; it runs git-upload-pack, git-receive-pack"
            ),
            "{asked:?}: {told}"
        );
    }
    let port = server.server.local_addr().port();
    let target = format!("127.0.0.1:{port}");
    let forwarded = told(&user.ssh(&server, &["-W", &target, host]).await);
    assert!(
        forwarded.contains("Packhouse forwards nothing"),
        "{forwarded}"
    );
    let remote = format!("0:{target}");
    let fails = "-oExitOnForwardFailure=yes";
    let backwards = told(&user.ssh(&server, &["-N", fails, "-R", &remote, host]).await);
    assert!(
        backwards.contains("remote port forwarding failed"),
        "{backwards}"
    );
}

#[tokio::test]
async fn rate_limits_count_commands_like_requests() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        config.limits.repo_rate = Rate::new(1, 4);
    })
    .await;
    let _connection = user.connect(&server).await;
    let mut refused = None;
    for _ in 0..40 {
        let output = user.over(&server, "git-upload-pack 'acme/a.git'").await;
        if !output.status.success() {
            refused = Some(String::from_utf8_lossy(&output.stderr).into_owned());
            break;
        }
    }
    let told = "packhouse: too many requests for repository `a`: 1 per second are allowed, 4 at once; try again in";
    let refused = refused.expect("nothing was refused");
    assert!(refused.contains(told), "{refused}");
}

#[tokio::test]
async fn a_key_that_is_revoked_does_no_more_over_an_open_connection() {
    let (server, user) = TestServer::with_ssh("a", |_| {}).await;
    let _connection = user.connect(&server).await;
    for path in ["acme/a.git", "/acme/a"] {
        let output = user
            .over(&server, &format!("git-upload-pack '{path}'"))
            .await;
        assert!(output.status.success(), "{output:?}");
    }
    let catalog = server.server.hosted().catalog();
    catalog
        .revoke_ssh_key(server.org, user.public.fingerprint())
        .await
        .unwrap();
    let output = user.over(&server, "git-upload-pack 'acme/a.git'").await;
    assert!(told(&output).contains(NO_SUCH), "{output:?}");
}

#[tokio::test]
async fn the_host_key_is_made_once_and_its_own() {
    let (server, user) = TestServer::with_ssh("a", |_| {}).await;
    let (_, fingerprint) = server.server.ssh().unwrap();
    let fingerprint = fingerprint.to_owned();
    let TestServer { server, folder, .. } = server;
    server.shutdown().await;
    let mut config = packhouse_server::Config::embedded(folder.path());
    with_ssh(&mut config);
    let again = packhouse_server::Server::start(config).await.unwrap();
    assert_eq!(again.ssh().unwrap().1, fingerprint);
    again.shutdown().await;
    // Another server with that key is the same host to clients.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut config = packhouse_server::Config::embedded(elsewhere.path());
    with_ssh(&mut config);
    let key = folder.path().join("ssh_host_ed25519_key");
    config.ssh.as_mut().unwrap().host_key = Some(key);
    let other = packhouse_server::Server::start(config).await.unwrap();
    assert_eq!(other.ssh().unwrap().1, fingerprint);
    assert!(!elsewhere.path().join("ssh_host_ed25519_key").exists());
    other.shutdown().await;
    drop(user);
}
