//! What a test does to a server, and the entries of the log that come of it.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, TestServer, Token};

/// A server, and what was asked of it so far: by request id, the kinds of the entries that should come of it.
pub(super) struct Deeds {
    pub(super) server: TestServer,
    pub(super) done: BTreeMap<String, Vec<String>>,
    pub(super) operations: Vec<String>,
}

impl Deeds {
    /// With nothing done yet.
    pub(super) fn on(server: TestServer) -> Deeds {
        Deeds {
            server,
            done: BTreeMap::new(),
            operations: Vec::new(),
        }
    }

    async fn send(
        &self,
        id: &str,
        method: &Method,
        path: &str,
        token: &Token,
        body: &str,
    ) -> Answer {
        let request = match path.strip_prefix("/api/") {
            // One that names the repository.
            Some(_) => {
                let url = format!("{}{path}", self.server.url());
                let request = self.server.http.request(method.clone(), url);
                request.bearer_auth(token.text())
            }
            None => self.server.request(method.clone(), path, token),
        };
        let kind = match path {
            "/repos/commit-pack" | "/repos/diff-commit" => "application/x-ndjson",
            _ => "application/json",
        };
        let request = request
            .header("x-request-id", id)
            .header("content-type", kind);
        self.server.send(request.body(body.to_owned())).await
    }

    /// Does something that makes these entries, after it was refused to someone who may not.
    pub(super) async fn does(
        &mut self,
        method: Method,
        path: &str,
        token: Token,
        body: impl ToString,
        kinds: &[&str],
    ) -> Value {
        let body = body.to_string();
        let repo = token.claims["repo"].as_str().unwrap();
        let number = self.done.len();
        let refused = format!("refused-{number}");
        let answer = self
            .send(&refused, &method, path, &Token::read(repo), &body)
            .await;
        answer.expect(403);
        let id = format!("done-{number}");
        let answer = self.send(&id, &method, path, &token, &body).await;
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {}",
            answer.body
        );
        self.done
            .insert(id, kinds.iter().map(|&kind| kind.to_owned()).collect());
        let version = if path.starts_with("/api/") {
            ""
        } else {
            "/api/v1"
        };
        self.operations.push(format!("{method} {version}{path}"));
        answer.body
    }

    /// Asks for something that is refused for what it is about.
    pub(super) async fn fails(
        &mut self,
        method: Method,
        path: &str,
        token: Token,
        body: impl ToString,
        status: u16,
    ) {
        let id = format!("failed-{method}-{}", path.replace('/', "."));
        let answer = self
            .send(&id, &method, path, &token, &body.to_string())
            .await;
        answer.expect(status);
    }
}
