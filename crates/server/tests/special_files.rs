//! `.gitmodules` and `.gitattributes` in commits over the API: nobody who clones may come to harm.

use serde_json::json;

use crate::support::{CommitBody, TestServer};

const BAD_MODULES: &[u8] = b"[submodule \"x\"]\n\tpath = a\n\turl = -u./x\n";

/// The message of a commit of one file, which is refused.
async fn refused(server: &TestServer, path: &str, data: &[u8]) -> String {
    let before = server.branches("a", "").await;
    let body = CommitBody::new("main").file("other", b"1").file(path, data);
    let answer = server.commit("a", body).await.expect(400);
    assert_eq!(
        answer.body["result"]["status"], "invalid",
        "{}",
        answer.body
    );
    assert_eq!(answer.body["result"]["success"], json!(false));
    assert_eq!(server.branches("a", "").await, before);
    answer.error().to_owned()
}

#[tokio::test]
async fn their_content_is_judged_wherever_the_blob_is() {
    let server = TestServer::with_repo("a").await;
    // In the request, and in an empty repository.
    let message = refused(&server, ".gitmodules", BAD_MODULES).await;
    assert!(
        message.contains("`.gitmodules`") && message.contains("gitmodulesUrl: line 3"),
        "{message}"
    );
    // In the repository, under another name.
    let body = CommitBody::new("main").file("harmless", BAD_MODULES);
    server.commit("a", body).await.expect(201);
    let message = refused(&server, "deep/GITMOD~1", BAD_MODULES).await;
    assert!(message.contains("deep/GITMOD~1"), "{message}");
    // In a pack, which large files are put in.
    let large = ["*.x text\n".repeat(1 << 20).as_bytes(), &[b'a'; 2048]].concat();
    let message = refused(&server, ".gitattributes", &large).await;
    assert!(message.contains("gitattributesLineLength"), "{message}");
    let body = CommitBody::new("main").file(".gitattributes", &large[..large.len() - 1]);
    server.commit("a", body).await.expect(201);
}

#[tokio::test]
async fn they_are_not_folders() {
    let server = TestServer::with_repo("a").await;
    let message = refused(&server, ".gitattributes/x", b"").await;
    assert!(message.contains("may not be a folder"), "{message}");
    let message = refused(&server, "a/.GITMODULES/b/c", b"").await;
    assert!(message.contains("may not be a folder"), "{message}");
}
