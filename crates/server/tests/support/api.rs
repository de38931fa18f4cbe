//! The HTTP API, spoken as the SDKs speak it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{TestServer, Token};

/// An answer whose body was JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The text of a failure; both fields hold it.
    pub(crate) fn error(&self) -> &str {
        assert_eq!(self.body["error"], self.body["message"], "{}", self.body);
        self.body["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error in {}", self.body))
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {}", self.body))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

impl TestServer {
    pub(crate) fn request(&self, method: Method, path: &str, token: &Token) -> RequestBuilder {
        self.http
            .request(method, format!("{}/api/v1{path}", self.url()))
            .bearer_auth(token.text())
    }

    /// Sends, and checks the answer against the OpenAPI document.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.http.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body: Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{method} {path} {status}: {text}"));
        self.document.check(method.as_str(), &path, status, &body);
        assert_eq!(headers["content-type"], "application/json");
        assert!(headers.contains_key("x-request-id"));
        Answer {
            status,
            headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path_and_query: &str, token: &Token) -> Answer {
        self.send(self.request(Method::GET, path_and_query, token))
            .await
    }

    pub(crate) async fn post(&self, path: &str, token: &Token, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path, token).json(body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str, token: &Token, body: &Value) -> Answer {
        self.send(self.request(Method::DELETE, path, token).json(body))
            .await
    }

    /// Asks at `/api/repos{path}`, where the path names the repository; `null` is no body.
    pub(crate) async fn named(
        &self,
        method: Method,
        path: &str,
        token: &Token,
        body: &Value,
    ) -> Answer {
        let url = format!("{}/api/repos{path}", self.url());
        let request = self.http.request(method, url).bearer_auth(token.text());
        let request = match body {
            Value::Null => request,
            Value::String(text) => request.body(text.clone()),
            body => request.json(body),
        };
        self.send(request).await
    }

    /// Sends the lines of a commit.
    pub(crate) async fn commit_with(
        &self,
        token: &Token,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self.request(Method::POST, "/repos/commit-pack", token);
        self.send(
            request
                .header("content-type", "application/x-ndjson")
                .body(body),
        )
        .await
    }

    pub(crate) async fn commit(&self, repo: &str, body: CommitBody) -> Answer {
        self.commit_with(&Token::write(repo), body.text()).await
    }

    /// Commits one file to `main` and returns the commit's id.
    pub(crate) async fn put(&self, repo: &str, path: &str, data: &str) -> String {
        let made = self
            .commit(repo, CommitBody::new("main").file(path, data.as_bytes()))
            .await
            .expect(201);
        made.body["commit"]["commit_sha"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A raw request for a file's bytes.
    pub(crate) async fn file(&self, repo: &str, query: &str) -> reqwest::Response {
        self.request(
            Method::GET,
            &format!("/repos/file?{query}"),
            &Token::read(repo),
        )
        .send()
        .await
        .unwrap()
    }

    /// The branches of a repository, by name, with where they are.
    pub(crate) async fn branches(&self, repo: &str, query: &str) -> Vec<(String, String)> {
        let listed = self
            .get(
                &format!("/repos/branches?limit=100{query}"),
                &Token::read(repo),
            )
            .await
            .expect(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let branches = listed.body["branches"].as_array().unwrap();
        branches
            .iter()
            .map(|branch| (text(&branch["name"]), text(&branch["head_sha"])))
            .collect()
    }
}

/// A value as it stands in a query.
pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The body of a commit, to be bent by a test.
#[derive(Clone, Debug)]
pub(crate) struct CommitBody {
    pub(crate) metadata: Value,
    pub(crate) lines: Vec<String>,
}

impl CommitBody {
    pub(crate) fn new(branch: &str) -> CommitBody {
        let metadata = json!({
            "target_branch": branch, "commit_message": "a change", "files": [],
            "author": { "name": "Ann", "email": "ann@example.com" },
        });
        CommitBody {
            metadata,
            lines: Vec::new(),
        }
    }

    pub(crate) fn set(mut self, field: &str, value: Value) -> CommitBody {
        self.metadata[field] = value;
        self
    }

    /// Announces a file without sending its content.
    pub(crate) fn announce(mut self, path: &str, content_id: &str, mode: &str) -> CommitBody {
        let file =
            json!({ "path": path, "content_id": content_id, "operation": "upsert", "mode": mode });
        self.metadata["files"].as_array_mut().unwrap().push(file);
        self
    }

    pub(crate) fn delete(mut self, path: &str) -> CommitBody {
        let file =
            json!({ "path": path, "content_id": format!("delete {path}"), "operation": "delete" });
        self.metadata["files"].as_array_mut().unwrap().push(file);
        self
    }

    pub(crate) fn chunk(mut self, content_id: &str, data: &[u8], eof: bool) -> CommitBody {
        // Key order and separators of the Python SDK.
        self.lines.push(format!(
            "{{\"blob_chunk\": {{\"content_id\": {}, \"data\": \"{}\", \"eof\": {eof}}}}}",
            json!(content_id),
            STANDARD.encode(data)
        ));
        self
    }

    pub(crate) fn line(mut self, line: &str) -> CommitBody {
        self.lines.push(line.to_owned());
        self
    }

    /// A whole file, in chunks as the SDKs cut it.
    pub(crate) fn file(self, path: &str, data: &[u8]) -> CommitBody {
        self.file_with_mode(path, "100644", data)
    }

    pub(crate) fn file_with_mode(self, path: &str, mode: &str, data: &[u8]) -> CommitBody {
        let content_id = format!("content of {path}");
        let mut body = self.announce(path, &content_id, mode);
        let mut rest = data;
        while rest.len() > 4 << 20 {
            let (chunk, after) = rest.split_at(4 << 20);
            body = body.chunk(&content_id, chunk, false);
            rest = after;
        }
        body.chunk(&content_id, rest, true)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = json!({ "metadata": self.metadata }).to_string();
        text.push('\n');
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}
