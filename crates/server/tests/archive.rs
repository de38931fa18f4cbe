//! Archives over HTTP: what is in them, and that hostile requests cost little.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, Checkout, CommitBody, TestServer, Token};

async fn server() -> (TestServer, String) {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main")
        .file("README.md", b"# Hello\n")
        .file("docs/guide.md", b"guide\n")
        .file("docs/big.bin", &[7; 5000])
        .file("src/lib.rs", b"//!\n")
        .file("src/deep/er/mod.rs", b"mod x;\n")
        .file_with_mode("run.sh", "100755", b"#!/bin/sh\n")
        .file_with_mode("link", "120000", b"docs/guide.md")
        .file_with_mode("sub", "160000", "1".repeat(40).as_bytes());
    let made = server.commit("a", body).await.expect(201);
    let head = made.body["commit"]["commit_sha"]
        .as_str()
        .unwrap()
        .to_owned();
    (server, head)
}

impl TestServer {
    async fn archive(&self, body: &Value) -> reqwest::Response {
        let request = self.request(Method::POST, "/repos/archive", &Token::read("a"));
        let answer = request.json(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("content-encoding"));
        answer
    }

    /// The names in an archive as tar lists them, without folders.
    async fn names(&self, body: &Value) -> Vec<String> {
        let bytes = self.archive(body).await.bytes().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.tar.gz");
        std::fs::write(&file, &bytes).unwrap();
        let out = std::process::Command::new("tar")
            .arg("-tzf")
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let out = String::from_utf8(out.stdout).unwrap();
        out.lines()
            .filter(|name| !name.ends_with('/'))
            .map(str::to_owned)
            .collect()
    }

    async fn refused(&self, body: &Value, status: u16) -> Answer {
        self.post("/repos/archive", &Token::read("a"), body)
            .await
            .expect(status)
    }
}

#[tokio::test]
async fn an_archive_is_what_git_archive_makes() {
    let (server, head) = server().await;
    let clone = Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    let request = json!({ "archive": { "format": "tar", "prefix": "x/y/" } });
    let answer = server.archive(&request).await;
    assert_eq!(answer.headers()["content-type"], "application/x-tar");
    assert_eq!(answer.headers()["x-commit-sha"], head.as_str());
    let ours = answer.bytes().await.unwrap();
    let file = clone.path().join("git.tar");
    clone
        .git(&[
            "archive",
            "--format=tar",
            "--prefix=x/y/",
            "-o",
            file.to_str().unwrap(),
            "main",
        ])
        .await;
    assert!(ours == std::fs::read(&file).unwrap(), "the bytes differ");
    // Twice the same.
    let gzip = server.archive(&json!({})).await;
    assert_eq!(gzip.headers()["content-type"], "application/gzip");
    assert_eq!(
        gzip.bytes().await.unwrap(),
        server
            .archive(&json!({ "ref": head }))
            .await
            .bytes()
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn no_body_at_all_means_everything() {
    let (server, _) = server().await;
    let request = server.request(Method::POST, "/repos/archive", &Token::read("a"));
    let answer = request.header("content-length", "0").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        server.names(&json!({})).await,
        [
            "README.md",
            "docs/big.bin",
            "docs/guide.md",
            "link",
            "run.sh",
            "src/deep/er/mod.rs",
            "src/lib.rs"
        ]
    );
    assert_eq!(
        answer.bytes().await.unwrap(),
        server.archive(&json!({})).await.bytes().await.unwrap()
    );
}

#[tokio::test]
async fn files_are_chosen_by_globs_and_size() {
    let (server, _) = server().await;
    for (request, names) in [
        (
            json!({ "include_globs": ["*.md"] }),
            vec!["README.md", "docs/guide.md"],
        ),
        (
            json!({ "include_globs": ["src/"] }),
            vec!["src/deep/er/mod.rs", "src/lib.rs"],
        ),
        (
            json!({ "include_globs": ["src/**/*.rs"], "exclude_globs": ["deep"] }),
            vec!["src/lib.rs"],
        ),
        (
            json!({ "exclude_globs": ["docs", "*.rs"], "archive": { "prefix": "p/" } }),
            vec!["p/README.md", "p/link", "p/run.sh"],
        ),
        (
            json!({ "include_globs": ["docs/*"], "max_blob_size": 4999 }),
            vec!["docs/guide.md"],
        ),
        (
            json!({ "include_globs": ["docs/*"], "max_blob_size": 5000 }),
            vec!["docs/big.bin", "docs/guide.md"],
        ),
        (json!({ "include_globs": ["nothing"] }), vec![]),
    ] {
        assert_eq!(server.names(&request).await, names, "{request}");
    }
}

#[tokio::test]
async fn a_zip_holds_the_same_files() {
    let (server, _) = server().await;
    let answer = server
        .archive(&json!({ "archive": { "format": "zip", "prefix": "z/" } }))
        .await;
    assert_eq!(answer.headers()["content-type"], "application/zip");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.zip");
    std::fs::write(&file, answer.bytes().await.unwrap()).unwrap();
    let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
        for i in z.infolist(): print(i.filename, oct(i.external_attr >> 16), i.date_time[0] >= 2020, len(z.read(i)))";
    let out = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let out = String::from_utf8(out.stdout).unwrap();
    for line in [
        "z/ 0o40755 True 0",
        "z/README.md 0o100644 True 8",
        "z/run.sh 0o100755 True 10",
        "z/link 0o120000 True 13",
        "z/sub/ 0o40755 True 0",
        "z/src/deep/er/mod.rs 0o100644 True 7",
    ] {
        assert!(
            out.lines().any(|found| found == line),
            "{line} is not in\n{out}"
        );
    }
}

#[tokio::test]
async fn ephemeral_branches_and_other_revisions_are_archived() {
    let (server, head) = server().await;
    let preview = CommitBody::new("preview")
        .set("base_branch", json!("main"))
        .set("ephemeral", json!(true))
        .file("new.txt", b"x");
    server.commit("a", preview).await.expect(201);
    let only = |request: Value| {
        let mut request = request;
        request["include_globs"] = json!(["new.txt", "run.sh"]);
        request
    };
    let ephemeral = only(json!({ "ref": "preview", "ephemeral": true }));
    assert_eq!(server.names(&ephemeral).await, ["new.txt", "run.sh"]);
    assert_eq!(
        server.names(&only(json!({ "ref": &head[..10] }))).await,
        ["run.sh"]
    );
    let missing = server.refused(&json!({ "ref": "preview" }), 404).await;
    assert_eq!(missing.code(), "ref_not_found");
}

#[tokio::test]
async fn what_cannot_be_archived_is_named() {
    let (server, _) = server().await;
    for (request, text) in [
        (
            json!({ "archive": { "prefix": "../x/" } }),
            "`archive.prefix`",
        ),
        (json!({ "archive": { "prefix": "/" } }), "`archive.prefix`"),
        (json!({ "archive": { "format": "rar" } }), "rar"),
        (json!({ "include_globs": [""] }), "`include_globs`"),
        (
            json!({ "exclude_globs": vec!["x"; 101] }),
            "`exclude_globs`",
        ),
        (json!({ "max_blob_size": -1 }), "-1"),
        (json!([]), "object"),
    ] {
        let refused = server.refused(&request, 400).await;
        assert!(
            refused.error().contains(text),
            "{request}: {}",
            refused.error()
        );
    }
    server.create("empty").await;
    let empty = server
        .post("/repos/archive", &Token::read("empty"), &json!({}))
        .await
        .expect(404);
    assert!(empty.error().contains("empty"));
}

#[tokio::test]
async fn hostile_globs_end_in_time() {
    let (server, _) = server().await;
    let path = format!("{}x", "a/".repeat(2000));
    server
        .commit("a", CommitBody::new("main").file(&path, b"x"))
        .await
        .expect(201);
    let glob = format!("{}b", "a*/**/".repeat(170));
    let begin = std::time::Instant::now();
    let request = server.request(Method::POST, "/repos/archive", &Token::read("a"));
    let answer = request
        .json(&json!({ "include_globs": vec![glob; 100] }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let told = answer.text().await.unwrap();
    assert!(told.contains("too expensive"), "{told}");
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}
