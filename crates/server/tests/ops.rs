//! For those who run the server, and those who write clients.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Checkout, TestServer, Token, git_output};
use packhouse_server::TlsFiles;

#[tokio::test]
async fn the_openapi_document_is_the_wire_contract() {
    let server = TestServer::start().await;
    let document = server
        .http
        .get(format!("{}/api/openapi.json", server.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(document.headers()["content-type"], "application/json");
    insta::assert_snapshot!("openapi", document.text().await.unwrap());
}

/// Generators make a function of each operation, called like it.
#[tokio::test]
async fn every_operation_of_the_document_has_a_name_of_its_own() {
    let server = TestServer::start().await;
    let url = format!("{}/api/openapi.json", server.url());
    let document: Value = server
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut seen = BTreeMap::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            let here = format!("{method} {path}");
            let other = seen.insert(name.clone(), here.clone());
            assert_eq!(other, None, "{here} is called `{name}` as well");
        }
    }
    assert!(seen.len() > 40, "{seen:?}");
}

#[tokio::test]
async fn health_readiness_and_metrics_are_there() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    server.get("/repo", &Token::read("b")).await.expect(404);
    Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    let text = |path: &str| {
        let request = server.http.get(format!("{}{path}", server.url()));
        async {
            request
                .send()
                .await
                .unwrap()
                .error_for_status()
                .unwrap()
                .text()
                .await
                .unwrap()
        }
    };
    assert_eq!(text("/healthz").await, "ok\n");
    assert_eq!(text("/readyz").await, "ready\n");
    let metrics = text("/metrics").await;
    for line in [
        r#"packhouse_http_requests_total{method="POST",route="/api/v1/repos/commit-pack",status="201"} 1"#,
        r#"packhouse_http_requests_total{method="GET",route="/api/v1/repo",status="404"} 1"#,
        r#"packhouse_http_requests_total{method="GET",route="git info/refs",status="200"} 1"#,
        r#"packhouse_http_request_seconds_count{route="git upload-pack"} "#,
        "packhouse_published_total 1",
        "packhouse_open_repositories 1",
        "packhouse_open_tail_rows 1",
        "packhouse_open_packs 0",
        "packhouse_publish_seconds_count 1",
        "packhouse_publish_seconds_bucket{le=\"+Inf\"} 1",
        "packhouse_fold_seconds_count 0",
        "packhouse_http_connections ",
        "packhouse_under_way{kind=\"fetch\"} ",
        "packhouse_http_request_bytes_total ",
    ] {
        assert!(
            metrics.lines().any(|found| found.starts_with(line)),
            "{line} is not in:\n{metrics}"
        );
    }
}

#[tokio::test]
async fn request_ids_are_taken_over_or_made() {
    let server = TestServer::start().await;
    let ask = |id: &str| {
        let request = server
            .http
            .get(format!("{}/healthz", server.url()))
            .header("x-request-id", id);
        async {
            request.send().await.unwrap().headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned()
        }
    };
    assert_eq!(ask("trace-1:abc/2").await, "trace-1:abc/2");
    for odd in ["", "a b", "a\"b", &"x".repeat(200)] {
        assert_ne!(ask(odd).await, odd);
    }
    assert_ne!(ask("").await, ask("").await);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() {
    let server = TestServer::start().await;
    for path in [
        "/api/v1/repos/rebase",
        "/api/v1",
        "/api/v2/repos",
        "/api/v1/repos/",
        "/",
        "/favicon.ico",
    ] {
        let answer = server
            .http
            .get(format!("{}{path}", server.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(
            body,
            json!({ "error": "no such route", "message": "no such route", "code": "route_not_found" })
        );
    }
    let answer = server
        .http
        .put(format!("{}/api/v1/repos", server.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 405);
    assert!(answer.headers()["allow"].to_str().unwrap().contains("POST"));
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "method_not_allowed");
}

#[tokio::test]
async fn the_same_is_served_over_tls() {
    let key = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/keys")
            .join(name)
    };
    let files = TlsFiles {
        certificate: key("tls.cert.pem"),
        key: key("tls.key.pem"),
    };
    let server = TestServer::with(|config| config.tls = Some(files)).await;
    assert!(server.url().starts_with("https://"));
    server.create("a").await;
    server.put("a", "x", "1").await;
    let answer = server
        .http
        .get(format!("{}/healthz", server.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    // Git speaks HTTP/2 where TLS offers it.
    let folder = tempfile::tempdir().unwrap();
    let authority = format!("http.sslCAInfo={}", key("tls.cert.pem").display());
    let output = git_output(
        folder.path(),
        &[
            "-c",
            &authority,
            "clone",
            &server.git_url("a", &Token::read("a")),
            ".",
        ],
    )
    .await;
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = packhouse_server::Config::embedded(folder.path());
    config.tls = Some(TlsFiles {
        certificate: folder.path().join("none"),
        key: folder.path().join("none"),
    });
    let error = packhouse_server::Server::start(config).await.unwrap_err();
    assert!(error.to_string().contains("could not read"), "{error}");
}
