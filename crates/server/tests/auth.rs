//! Who is let in.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use packhouse_server::auth::{PublicKey, PublicKeyError};
use serde_json::json;

use crate::support::{Key, TestServer, Token, now, register};

#[tokio::test]
async fn each_kind_of_key_signs_valid_tokens() {
    let server = TestServer::with_repo("a").await;
    for key in [Key::Es256, Key::Rs256, Key::EdDsa] {
        // Twice: the second answer comes from what was remembered.
        for _ in 0..2 {
            server
                .get("/repo", &Token::read("a").signed_by(key))
                .await
                .expect(200);
        }
    }
}

#[tokio::test]
async fn bad_tokens_are_refused_and_say_why() {
    let server = TestServer::with_repo("a").await;
    let good = Token::read("a");
    let text = good.text();
    let parts: Vec<&str> = text.split('.').collect();
    let (claims, signature) = (parts[1], parts[2]);
    let header = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let other_claims = header(&good.clone().with("repo", json!("b")).claims.to_string());

    // The public key's text as an HMAC secret: the classic confusion of key types.
    let hmac = {
        let key = jsonwebtoken::EncodingKey::from_secret(Key::Es256.public_pem().as_bytes());
        jsonwebtoken::encode(
            &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256),
            &good.claims,
            &key,
        )
        .unwrap()
    };
    for (what, token, why) in [
        (
            "an unknown issuer",
            good.clone().with("iss", json!("nobody")),
            "signed by no key",
        ),
        (
            "no issuer",
            good.clone().with("iss", json!(null)),
            "malformed",
        ),
        (
            "another key",
            good.clone().signed_by(Key::OtherEs256),
            "signed by no key",
        ),
        (
            "algorithm none",
            Token::raw(format!("{}.{claims}.", header(r#"{"alg":"none"}"#))),
            "algorithm",
        ),
        (
            "algorithm None",
            Token::raw(format!("{}.{claims}.", header(r#"{"alg":"None"}"#))),
            "algorithm",
        ),
        ("an HMAC of the public key", Token::raw(hmac), "algorithm"),
        (
            "another algorithm",
            Token::raw(format!(
                "{}.{claims}.{signature}",
                header(r#"{"alg":"RS256"}"#)
            )),
            "no key",
        ),
        (
            "a stronger algorithm",
            Token::raw(format!(
                "{}.{claims}.{signature}",
                header(r#"{"alg":"ES384"}"#)
            )),
            "algorithm",
        ),
        (
            "an unknown extension",
            Token::raw(format!(
                "{}.{claims}.{signature}",
                header(r#"{"alg":"ES256","crit":["x"]}"#)
            )),
            "extensions",
        ),
        (
            "other claims",
            Token::raw(format!("{}.{other_claims}.{signature}", parts[0])),
            "no key",
        ),
        (
            "no signature",
            Token::raw(format!("{}.{claims}.", parts[0])),
            "no key",
        ),
        (
            "an expired token",
            good.clone().with("exp", json!(now() - 1)),
            "expired",
        ),
        (
            "a token without an end",
            good.clone().with("exp", json!(null)),
            "no `exp`",
        ),
        (
            "a token for later",
            good.clone().with("nbf", json!(now() + 120)),
            "not valid yet",
        ),
        (
            "a token from the future",
            good.clone().with("iat", json!(now() + 120)),
            "future",
        ),
        ("garbage", Token::raw("garbage"), "malformed"),
        ("dots", Token::raw(".."), "malformed"),
        (
            "a very long token",
            Token::raw("x".repeat(50_000)),
            "too long",
        ),
    ] {
        let answer = server.get("/repo", &token).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "unauthorized"),
            "{what}: {}",
            answer.body
        );
        assert!(answer.error().contains(why), "{what}: {}", answer.body);
        assert!(
            answer.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Bearer")
        );
    }
    let none = server.http.get(format!("{}/api/v1/repo", server.url()));
    let answer = server.send(none).await.expect(401);
    assert!(answer.error().contains("a token is needed"));
}

#[tokio::test]
async fn clocks_may_differ_a_little() {
    let server = TestServer::with_repo("a").await;
    let token = Token::read("a")
        .with("iat", json!(now() + 10))
        .with("nbf", json!(now() + 10));
    server.get("/repo", &token).await.expect(200);
}

#[tokio::test]
async fn a_remembered_token_ends_when_it_says() {
    let server = TestServer::with_repo("a").await;
    let token = Token::read("a").with("exp", json!(now() + 2));
    server.get("/repo", &token).await.expect(200);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(
        server
            .get("/repo", &token)
            .await
            .expect(401)
            .error()
            .contains("expired")
    );
}

#[tokio::test]
async fn a_new_key_and_a_revoked_one_count_within_a_second() {
    let server = TestServer::with_repo("a").await;
    let token = Token::read("a").signed_by(Key::OtherEs256);
    server.get("/repo", &token).await.expect(401);
    let fingerprint = register(&server.server, server.org, Key::OtherEs256.public_pem()).await;
    assert!(status_within(&server, &token, 200, Duration::from_millis(1500)).await);
    assert!(
        server
            .server
            .hosted()
            .catalog()
            .revoke_key(server.org, &fingerprint)
            .await
            .unwrap()
    );
    assert!(status_within(&server, &token, 401, Duration::from_millis(1500)).await);
    server.get("/repo", &Token::read("a")).await.expect(200);
}

async fn status_within(server: &TestServer, token: &Token, status: u16, time: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < time {
        if server.get("/repo", token).await.status == status {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test]
async fn a_token_is_also_taken_as_a_password() {
    let server = TestServer::with_repo("a").await;
    let credentials = STANDARD.encode(format!("anyone:{}", Token::read("a").text()));
    let request = server.http.get(format!("{}/api/v1/repo", server.url()));
    server
        .send(request.header("authorization", format!("Basic {credentials}")))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_scope_opens_what_it_names_and_nothing_else() {
    let server = TestServer::with_repo("a").await;
    let (empty, branch) = (
        json!({}),
        json!({ "target_branch": "x", "base_branch": "main" }),
    );
    let all = ["git:read", "git:write", "repo:write", "org:read"];
    for (needed, method, path) in [
        (vec!["git:read", "git:write"], "GET", "/repo"),
        (vec!["git:read", "git:write"], "GET", "/repos/branches"),
        (vec!["git:read", "git:write"], "GET", "/repos/commits"),
        (vec!["git:read", "git:write"], "GET", "/repos/files"),
        (vec!["git:read", "git:write"], "GET", "/repos/file?path=x"),
        (
            vec!["git:read", "git:write"],
            "GET",
            "/repos/commit?sha=main",
        ),
        (vec!["git:write"], "POST", "/repos/branches/create"),
        (vec!["git:write"], "POST", "/repos/commit-pack"),
        (vec!["git:write"], "DELETE", "/repos/branches"),
        (vec!["org:read"], "GET", "/repos"),
        (vec!["repo:write"], "POST", "/repos"),
    ] {
        for scope in all {
            let token = Token::new("a", &[scope]);
            let answer = match method {
                "GET" => server.get(path, &token).await,
                "POST" if path == "/repos/branches/create" => {
                    server.post(path, &token, &branch).await
                }
                "POST" => server.post(path, &token, &empty).await,
                _ => server.delete(path, &token, &json!({ "name": "x" })).await,
            };
            let refused = answer.status == 403;
            assert_eq!(
                refused,
                !needed.contains(&scope),
                "{method} {path} with {scope}: {}",
                answer.body
            );
            if refused {
                assert_eq!(answer.code(), "forbidden");
                assert!(answer.error().contains("scope"), "{}", answer.body);
            }
        }
    }
    server
        .delete("/repos/delete", &Token::write("a"), &empty)
        .await
        .expect(403);
}

#[tokio::test]
async fn a_token_reaches_only_the_repository_it_names() {
    let server = TestServer::with_repo("a").await;
    server.get("/repo", &Token::read("b")).await.expect(404);
    assert!(
        server
            .get("/repo", &Token::read("a").with("repo", json!(null)))
            .await
            .expect(400)
            .error()
            .contains("repo")
    );
}

#[test]
fn keys_that_could_not_be_trusted_are_not_taken() {
    let private = include_str!("keys/es256.pem");
    assert!(matches!(
        PublicKey::from_pem(private),
        Err(PublicKeyError::Private)
    ));
    assert!(matches!(
        PublicKey::from_pem("hello"),
        Err(PublicKeyError::NotPem)
    ));
    assert!(matches!(
        PublicKey::from_pem(include_str!("keys/p384.pub.pem")),
        Err(PublicKeyError::Unsupported)
    ));
    let short = PublicKey::from_pem(include_str!("keys/rsa1024.pub.pem"));
    assert!(
        matches!(short, Err(PublicKeyError::ShortRsa { bits: 1024 })),
        "{short:?}"
    );
    assert!(matches!(
        PublicKey::from_pem(include_str!("keys/tls.cert.pem")),
        Err(PublicKeyError::NotPem)
    ));
}
