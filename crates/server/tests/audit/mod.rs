//! The audit log: everything that was done is in it once, with its request, and nothing else is.

mod changes;
mod deeds;
mod reading;

use serde_json::{Value, json};

use crate::support::{CommitBody, TestServer, Token};

fn org_token() -> Token {
    Token::new("org", &["org:read"])
}

/// Everything in a log, read in small pages.
async fn log(server: &TestServer, path: &str, token: &Token, query: &str) -> Vec<Value> {
    let (mut entries, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = format!("{path}?limit=7&cursor={cursor}{query}");
        let page = server.get(&page, token).await.expect(200).body;
        let found = page["entries"].as_array().unwrap();
        assert!(found.len() <= 7);
        entries.extend(found.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return entries,
        }
        assert_eq!(page["has_more"], true);
    }
}

fn owner(repo: &str) -> Token {
    Token::new(repo, &["repo:write"]).with("sub", json!("owner"))
}

fn commit_to(branch: &str, base: Option<&str>, path: &str, data: &str) -> String {
    let mut body = CommitBody::new(branch);
    if let Some(base) = base {
        body = body.set("base_branch", json!(base));
    }
    body.file(path, data.as_bytes()).text()
}
