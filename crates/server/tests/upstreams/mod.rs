//! Repositories that follow an upstream: another Git server on this machine. On SQLite and on PostgreSQL.

mod credentials;
mod egress;
mod failures;
mod follow;
mod push_through;
mod push_through_conflicts;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packhouse_catalog::EventKind;
use packhouse_server::Egress;
use packhouse_server::upstream::CredentialKeys;
use serde_json::{Value, json};

use crate::support::{Answer, Database, TestServer, Token, Upstream, git_output};

fn write(id: &str) -> Token {
    Token::new(id, &["repo:write"])
}

/// A server that may reach this machine, has a key for credentials, and does not wait long before it tries again.
async fn server(database: &Database) -> TestServer {
    TestServer::with(|config| {
        database.set(config);
        config.egress = Egress::Any;
        config.jobs.first_pause = Duration::from_millis(300);
        config.upstreams.keys = Some(CredentialKeys::parse(&STANDARD.encode([7; 32])).unwrap());
    })
    .await
}

impl TestServer {
    pub(super) async fn follow(&self, id: &str, upstream: &Upstream, more: Value) -> Answer {
        let mut base =
            json!({ "provider": "git", "url": upstream.url(), "owner": "o", "name": "n" });
        for (key, value) in more.as_object().unwrap() {
            base[key] = value.clone();
        }
        let body = json!({ "default_branch": "main", "base_repo": base });
        self.post("/repos", &write(id), &body).await
    }

    /// Waits until the repository's sync is as `is` says; returns what `GET /repo` says then.
    pub(super) async fn until(&self, id: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        for _ in 0..1000 {
            found = self.get("/repo", &Token::read(id)).await.expect(200).body;
            if is(&found["sync"]) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the sync stays as it is: {found}");
    }

    pub(super) async fn until_ok(&self, id: &str) -> Value {
        self.until(id, |sync| sync["status"] == "ok").await
    }

    pub(super) async fn until_error(&self, id: &str) -> String {
        let found = self.until(id, |sync| sync["error"].is_string()).await;
        found["sync"]["error"].as_str().unwrap().to_owned()
    }

    /// Pulls, and waits until that is done.
    pub(super) async fn pull(&self, id: &str, body: Value) {
        self.post("/repos/pull-upstream", &Token::write(id), &body)
            .await
            .expect(202);
        for _ in 0..1000 {
            let jobs = self.get("/repos/jobs", &Token::read(id)).await.expect(200);
            if jobs.body["jobs"][0]["status"] == "done" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the pull does not end");
    }

    pub(super) async fn refs(&self, id: &str) -> Vec<(String, String)> {
        let url = self.git_url(id, &Token::read(id));
        let listed = git_output(self.folder.path(), &["ls-remote", &url]).await;
        assert!(listed.status.success(), "{listed:?}");
        let text = String::from_utf8(listed.stdout).unwrap();
        let lines = text.lines().map(|line| line.split_once('\t').unwrap());
        lines
            .filter(|(_, name)| *name != "HEAD" && !name.ends_with("^{}"))
            .map(|(id, name)| (name.to_owned(), id.to_owned()))
            .collect()
    }
}

impl Upstream {
    /// Branches and tags, as [`TestServer::refs`] has them.
    pub(super) async fn refs(&self) -> Vec<(String, String)> {
        let format = "--format=%(refname) %(objectname)";
        let listed = self
            .bare(&["for-each-ref", format, "refs/heads", "refs/tags"])
            .await;
        let lines = listed.lines().map(|line| line.split_once(' ').unwrap());
        lines
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .collect()
    }
}

/// The events of a repository's syncs, once the last of them is `last`.
async fn sync_events(server: &TestServer, id: &str, last: &str) -> Vec<(String, Value)> {
    let catalog = server.server.hosted().catalog();
    let repo = catalog.repo(server.org, id).await.unwrap().unwrap().id;
    for _ in 0..200 {
        let events = catalog.repo_events(repo, (-1, -1), 1000).await.unwrap();
        let told = events.into_iter().filter_map(|event| match event.kind {
            EventKind::Other { kind, detail } => {
                let detail = detail.map(|text| serde_json::from_str(&text).unwrap());
                let kind = kind.strip_prefix("repo.").unwrap().to_owned();
                Some((kind, detail.unwrap_or_default()))
            }
            EventKind::Ref { .. } => None,
        });
        let told: Vec<_> = told.collect();
        // The last one is stored a moment after the sync is.
        if told.last().is_some_and(|(kind, _)| kind == last) {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the last event is not `{last}`");
}
