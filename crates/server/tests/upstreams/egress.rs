//! Where the server connects for an upstream, and where it does not.

use std::time::Duration;

use serde_json::json;

use crate::support::{Database, TestServer, Token, Upstream, on_both};
on_both!(the_servers_own_network_is_out_of_reach,);

async fn the_servers_own_network_is_out_of_reach(database: &Database) {
    let server = TestServer::with(|config| {
        database.set(config);
        config.jobs.first_pause = Duration::from_millis(100);
    })
    .await;
    let upstream = Upstream::start().await;
    let refused = server.follow("a", &upstream, json!({})).await.expect(400);
    assert!(refused.error().contains("https://"), "{}", refused.body);
    for url in [
        "https://127.0.0.1/a.git",
        "https://[::1]/a.git",
        "https://169.254.169.254/a.git",
        "git://example.com/a",
        "ssh://git@example.com/a",
        "/etc/passwd",
    ] {
        let refused = server
            .follow("a", &upstream, json!({ "url": url }))
            .await
            .expect(400);
        assert!(!refused.error().is_empty(), "{url}");
    }
    server.get("/repo", &Token::read("a")).await.expect(404);
    // A name is judged when it is resolved.
    let port = upstream.root().rsplit(':').next().unwrap().to_owned();
    let url = json!({ "url": format!("https://localhost:{port}/site.git") });
    server.follow("b", &upstream, url).await.expect(201);
    let error = server.until_error("b").await;
    assert!(error.contains("private network"), "{error}");
    assert_eq!(upstream.asked(), []);
}
