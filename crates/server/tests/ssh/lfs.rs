//! `git-lfs-authenticate`, and what its tokens open.

use packhouse_catalog::NewSshKey;
use packhouse_server::Config;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{SshUser, TestServer, Token, now};

const HOST: &str = "git@127.0.0.1";

/// What a client is told who asks for `operation` on `path`.
async fn asked(user: &SshUser, server: &TestServer, path: &str, operation: &str) -> Value {
    let command = format!("git-lfs-authenticate {path} {operation}");
    let output = user.ssh(server, &[HOST, &command]).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn token(answer: &Value) -> String {
    let header = answer["header"]["Authorization"].as_str().unwrap();
    header.strip_prefix("Bearer ").unwrap().to_owned()
}

/// What the LFS API of a repository answers who shows `token`.
async fn batch(server: &TestServer, path: &str, token: &str) -> (StatusCode, Value) {
    let answer = reqwest::Client::new()
        .post(format!("{}/{path}/info/lfs/objects/batch", server.url()))
        .bearer_auth(token)
        .json(&json!({ "operation": "download", "objects": [] }))
        .send()
        .await
        .unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    assert_eq!(headers["content-type"], "application/vnd.git-lfs+json");
    let is_asked = headers.contains_key("lfs-authenticate");
    assert_eq!(is_asked, status == StatusCode::UNAUTHORIZED);
    (status, answer.json().await.unwrap())
}

#[tokio::test]
async fn a_key_is_given_a_token_for_its_repository() {
    let public = |config: &mut Config| config.public_base = Some("https://git.example/".to_owned());
    let (server, sue) = TestServer::with_ssh("a", public).await;
    server.create("b").await;
    let answer = asked(&sue, &server, "acme/a.git", "download").await;
    assert_eq!(answer["href"], "https://git.example/acme/a.git/info/lfs");
    assert_eq!(answer["expires_in"], 1800);
    let token = token(&answer);
    // It is let in, and told that there is nothing.
    for path in ["acme/a.git", "a.git", "acme/a+ephemeral.git"] {
        let (status, told) = batch(&server, path, &token).await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{path}: {told}");
        assert!(told["message"].as_str().unwrap().contains("Git LFS"));
    }
    for path in ["acme/b.git", "other/a.git", "none.git"] {
        let (status, told) = batch(&server, path, &token).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {told}");
    }
    // Nothing else takes it.
    let refused = server.get("/repos/branches", &Token::raw(&*token)).await;
    refused.expect(401);
    let refs = format!("{}/a.git/info/refs?service=git-upload-pack", server.url());
    let refused = reqwest::Client::new().get(refs).bearer_auth(&token).send();
    assert_eq!(refused.await.unwrap().status(), StatusCode::UNAUTHORIZED);
    // A token of the organisation does as well.
    let (status, _) = batch(&server, "a.git", &Token::read("a").text()).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn a_token_that_was_changed_or_whose_key_is_revoked_opens_nothing() {
    let (server, sue) = TestServer::with_ssh("a", |_| {}).await;
    server.create("b").await;
    let answer = asked(&sue, &server, "acme/a.git", "upload").await;
    assert_eq!(answer.get("href"), None);
    let token = token(&answer);
    assert_eq!(
        batch(&server, "a.git", &token).await.0,
        StatusCode::NOT_IMPLEMENTED
    );
    let of_b = self::token(&asked(&sue, &server, "acme/b.git", "upload").await);
    let (said, mac) = token.rsplit_once('.').unwrap();
    let said_of_b = of_b.rsplit_once('.').unwrap().0;
    for forged in [
        format!("{said_of_b}.{mac}"),
        format!("{said}."),
        format!("{said}.{}", "A".repeat(mac.len())),
        said.to_owned(),
        "packhouse-lfs-".to_owned(),
        "packhouse-lfs-.".to_owned(),
    ] {
        for path in ["a.git", "b.git"] {
            let (status, told) = batch(&server, path, &forged).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{forged}: {told}");
        }
    }
    let catalog = server.server.hosted().catalog();
    let revoked = catalog.revoke_ssh_key(server.org, sue.public.fingerprint());
    assert!(revoked.await.unwrap());
    let (status, told) = batch(&server, "a.git", &token).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(told["message"].as_str().unwrap().contains("revoked"));
}

#[tokio::test]
async fn who_may_not_use_the_repository_is_given_nothing() {
    let (server, _) = TestServer::with_ssh("a", |_| {}).await;
    let reader = SshUser::new().await;
    let key = NewSshKey {
        scopes: "git:read".to_owned(),
        expires_at_ms: Some((now() + 100) * 1000),
        ..reader.key()
    };
    server.admit(key).await;
    // It ends with the key.
    let answer = asked(&reader, &server, "acme/a.git", "download").await;
    assert!(
        (1..=100).contains(&answer["expires_in"].as_u64().unwrap()),
        "{answer}"
    );
    for (command, told) in [
        (
            "git-lfs-authenticate acme/a.git upload",
            "the SSH key lacks the scope `git:write`",
        ),
        (
            "git-lfs-authenticate acme/none.git download",
            "there is no repository `acme/none.git`",
        ),
        (
            "git-lfs-authenticate other/a.git download",
            "there is no repository `other/a.git`",
        ),
    ] {
        let output = reader.ssh(&server, &[HOST, command]).await;
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{output:?}"
        );
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(told), "{error}");
    }
}
