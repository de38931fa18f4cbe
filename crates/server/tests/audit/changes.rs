//! Every change is in the log, once.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packhouse_server::Egress;
use packhouse_server::upstream::CredentialKeys;
use reqwest::Method;
use serde_json::{Value, json};

use super::{commit_to, log, org_token, owner};
use crate::support::{
    Answer, Checkout, CommitBody, Database, Receiver, TestServer, Token, Upstream, on_both,
};

on_both!(every_change_is_in_the_log_once_and_nothing_that_was_refused_is,);

/// Operations that are no `GET` and change nothing.
const READS: [&str; 2] = ["POST /api/v1/repos/archive", "POST /api/v1/repos/grep"];

/// A server, and what was asked of it so far: by request id, the kinds of the entries that should come of it.
struct Deeds {
    server: TestServer,
    done: BTreeMap<String, Vec<String>>,
    operations: Vec<String>,
}

impl Deeds {
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
    async fn does(
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
    async fn fails(
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

async fn every_change_is_in_the_log_once_and_nothing_that_was_refused_is(database: &Database) {
    let server = TestServer::with(|config| {
        database.set(config);
        config.egress = Egress::Any;
        config.webhooks.poll = Duration::from_millis(20);
        config.upstreams.keys = Some(CredentialKeys::parse(&STANDARD.encode([7; 32])).unwrap());
    })
    .await;
    let mut receiver = Receiver::start().await;
    let upstream = Upstream::start().await;
    upstream.commit("a.txt", "one").await;
    let mut deeds = Deeds {
        server,
        done: BTreeMap::new(),
        operations: Vec::new(),
    };
    let (post, delete) = (Method::POST, Method::DELETE);
    let write = || Token::write("a").with("sub", json!("writer"));

    deeds
        .does(post.clone(), "/repos", owner("a"), "{}", &["repo.create"])
        .await;
    deeds
        .fails(post.clone(), "/repos", owner("a"), "{}", 409)
        .await;
    let hook = json!({ "url": receiver.url(), "secret": "a secret of a webhook" });
    let hook = deeds
        .does(
            post.clone(),
            "/webhooks",
            owner("a"),
            hook,
            &["webhook.create"],
        )
        .await;
    let hook = format!("/webhooks/{}", hook["id"].as_str().unwrap());

    let first = commit_to("main", None, "x", "1\n");
    let first = deeds
        .does(
            post.clone(),
            "/repos/commit-pack",
            write(),
            first,
            &["ref.create"],
        )
        .await;
    let first = first["commit"]["commit_sha"].as_str().unwrap().to_owned();
    let stale = CommitBody::new("main").set("expected_head_sha", json!("1".repeat(40)));
    let stale = stale.file("x", b"2").text();
    deeds
        .fails(post.clone(), "/repos/commit-pack", write(), stale, 409)
        .await;
    let mut metadata = CommitBody::new("main").metadata;
    metadata.as_object_mut().unwrap().remove("files");
    let diff = STANDARD.encode("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n");
    let diff = format!(
        "{}\n{}\n",
        json!({ "metadata": metadata }),
        json!({ "diff_chunk": { "data": diff, "eof": true } })
    );
    deeds
        .does(
            post.clone(),
            "/repos/diff-commit",
            write(),
            diff,
            &["ref.update"],
        )
        .await;
    let author = json!({ "name": "Ann", "email": "ann@example.com" });
    let restore = json!({ "metadata": { "target_branch": "main", "target_commit_sha": first, "author": author } });
    deeds
        .does(
            post.clone(),
            "/repos/restore-commit",
            write(),
            restore,
            &["ref.update"],
        )
        .await;
    let branch = json!({ "base_branch": "main", "target_branch": "side", "base_is_ephemeral": false, "target_is_ephemeral": false });
    deeds
        .does(
            post.clone(),
            "/repos/branches/create",
            write(),
            branch,
            &["ref.create"],
        )
        .await;
    let side = commit_to("side", None, "y", "1\n");
    let side = deeds
        .does(
            post.clone(),
            "/repos/commit-pack",
            write(),
            side,
            &["ref.update"],
        )
        .await;
    let side = side["commit"]["commit_sha"].as_str().unwrap().to_owned();
    let pick = json!({ "target_branch": "main", "commit": side });
    deeds
        .does(
            post.clone(),
            "/repos/cherry-pick",
            write(),
            pick,
            &["ref.update"],
        )
        .await;
    let revert = json!({ "target_branch": "main", "commit": "main", "author": author });
    deeds
        .does(
            post.clone(),
            "/repos/revert",
            write(),
            revert,
            &["ref.update"],
        )
        .await;
    let more = commit_to("side", None, "w", "1\n");
    deeds
        .does(
            post.clone(),
            "/repos/commit-pack",
            write(),
            more,
            &["ref.update"],
        )
        .await;
    let merge = json!({
        "source_branch": "side", "target_branch": "main", "strategy": "merge", "commit_message": "m", "author": author,
    });
    deeds
        .does(
            post.clone(),
            "/repos/merge",
            write(),
            merge,
            &["ref.update"],
        )
        .await;
    let tag = json!({ "name": "v1", "target": first });
    deeds
        .does(post.clone(), "/repos/tags", write(), &tag, &["ref.create"])
        .await;
    deeds
        .fails(
            post.clone(),
            "/repos/tags",
            write(),
            json!({ "name": "v1", "target": side }),
            409,
        )
        .await;
    let tag = json!({ "name": "v1" });
    let both = Token::new("a", &["git:read", "git:write"]);
    deeds
        .does(
            delete.clone(),
            "/repos/tags",
            both.clone(),
            tag,
            &["ref.delete"],
        )
        .await;
    let tag = json!({ "name": "v2", "target": first });
    deeds
        .does(post.clone(), "/repos/tags", write(), &tag, &["ref.create"])
        .await;
    let named = "/api/repos/a/tags/v2";
    deeds
        .does(delete.clone(), named, both, "", &["ref.delete"])
        .await;
    let note = json!({ "sha": first, "action": "add", "note": "n", "author": author });
    deeds
        .does(post.clone(), "/repos/notes", write(), note, &["ref.create"])
        .await;
    deeds
        .does(
            delete.clone(),
            "/repos/notes",
            write(),
            json!({ "sha": first }),
            &["ref.update"],
        )
        .await;
    let branch = json!({ "name": "side" });
    deeds
        .does(
            delete.clone(),
            "/repos/branches",
            write(),
            branch,
            &["ref.delete"],
        )
        .await;

    // What was delivered can be delivered again.
    receiver.next().await;
    let mut delivered = Value::Null;
    for _ in 0..500 {
        let listed = deeds
            .server
            .get(&format!("{hook}/deliveries"), &owner("a"))
            .await
            .expect(200);
        delivered = listed.body["deliveries"][0].clone();
        if delivered.is_object() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let again = format!(
        "{hook}/deliveries/{}/redeliver",
        delivered["id"].as_str().unwrap()
    );
    deeds
        .does(post.clone(), &again, owner("a"), "", &["webhook.redeliver"])
        .await;
    let after = json!({ "after": delivered["event_id"] });
    deeds
        .does(
            post.clone(),
            &format!("{hook}/replay"),
            owner("a"),
            after,
            &["webhook.replay"],
        )
        .await;
    deeds
        .does(delete.clone(), &hook, owner("a"), "", &["webhook.delete"])
        .await;
    deeds
        .fails(delete.clone(), &hook, owner("a"), "", 404)
        .await;

    // A key for SSH.
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let keys_of = || Token::new("a", &["repo:write", "git:write"]).with("sub", json!("owner"));
    let body = json!({ "public_key": key, "user": "Ann" });
    let added = deeds
        .does(
            post.clone(),
            "/ssh-keys",
            keys_of(),
            &body,
            &["ssh_key.add"],
        )
        .await;
    deeds
        .fails(post.clone(), "/ssh-keys", keys_of(), &body, 409)
        .await;
    let fingerprint = crate::support::encoded(added["fingerprint"].as_str().unwrap());
    let key = format!("/ssh-keys/{fingerprint}");
    deeds
        .does(delete.clone(), &key, keys_of(), "", &["ssh_key.revoke"])
        .await;
    deeds.fails(delete.clone(), &key, keys_of(), "", 404).await;

    // Plain git, with two refs in one push.
    let checkout = Checkout::clone(&deeds.server.git_url("a", &write()), &[]).await;
    checkout.commit("z", b"1").await;
    let header = "http.extraHeader=X-Request-Id: done-push";
    checkout
        .git(&[
            "-c",
            header,
            "push",
            "-q",
            "--atomic",
            "origin",
            "main",
            "main:refs/heads/other",
        ])
        .await;
    let pushed = vec!["ref.create".to_owned(), "ref.update".to_owned()];
    deeds.done.insert("done-push".to_owned(), pushed);

    // A fork with its refs.
    let token = Token::read("a").text();
    let fork = json!({ "base_repo": { "provider": "code", "owner": "acme", "name": "a", "operation": "fork", "ref": "main", "auth": { "token": token } } });
    deeds
        .does(
            post.clone(),
            "/repos",
            owner("forked"),
            fork,
            &["ref.create", "repo.fork"],
        )
        .await;

    // An upstream.
    let base = json!({ "provider": "git", "url": upstream.url(), "owner": "o", "name": "n", "auth": { "auth_type": "public" } });
    let follow = json!({ "base_repo": base });
    deeds
        .does(
            post.clone(),
            "/repos",
            owner("up"),
            follow,
            &["repo.create"],
        )
        .await;
    let login = json!({ "repo_id": "up", "username": "me", "password": "hunter2-sesame" });
    let made = deeds
        .does(
            post.clone(),
            "/repos/git-credentials",
            owner("up"),
            login,
            &["git_credential.create"],
        )
        .await;
    let login = json!({ "id": made["id"], "username": "me", "password": "hunter3-sesame" });
    let path = "/repos/git-credentials";
    deeds
        .does(
            Method::PUT,
            path,
            owner("up"),
            login,
            &["git_credential.update"],
        )
        .await;
    let id = json!({ "id": made["id"] });
    deeds
        .does(
            delete.clone(),
            path,
            owner("up"),
            &id,
            &["git_credential.delete"],
        )
        .await;
    deeds
        .fails(delete.clone(), path, owner("up"), &id, 404)
        .await;
    let login = json!({ "repo_id": "up", "username": "me", "password": "hunter4-sesame" });
    let made = deeds
        .does(
            post.clone(),
            path,
            owner("up"),
            login,
            &["git_credential.create"],
        )
        .await;
    let named = format!(
        "/api/repos/up/git-credentials/{}",
        made["id"].as_str().unwrap()
    );
    let login = json!({ "username": "me", "password": "hunter5-sesame" });
    deeds
        .does(
            Method::PUT,
            &named,
            owner("up"),
            login,
            &["git_credential.update"],
        )
        .await;
    deeds
        .does(
            delete.clone(),
            &named,
            owner("up"),
            "",
            &["git_credential.delete"],
        )
        .await;
    let pull = Token::write("up").with("sub", json!("writer"));
    deeds
        .does(
            post.clone(),
            "/repos/pull-upstream",
            pull,
            "",
            &["upstream.pull"],
        )
        .await;
    for _ in 0..1000 {
        let found = deeds
            .server
            .get("/repo", &Token::read("up"))
            .await
            .expect(200)
            .body;
        if found["sync"]["status"] == "ok" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let through = json!({ "push_through": true });
    deeds
        .does(
            Method::PATCH,
            "/repos/base",
            owner("up"),
            through,
            &["upstream.change"],
        )
        .await;
    deeds
        .does(
            delete.clone(),
            "/repos/base",
            owner("up"),
            "",
            &["upstream.detach"],
        )
        .await;
    deeds
        .does(
            delete.clone(),
            "/repos/delete",
            owner("a"),
            "",
            &["repo.delete"],
        )
        .await;
    deeds
        .fails(delete.clone(), "/repos/delete", owner("a"), "", 409)
        .await;

    let Deeds {
        server,
        done,
        operations,
    } = deeds;
    everything_was_asked_for(&server, &operations).await;

    let entries = log(&server, "/audit", &org_token(), "").await;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut ids = Vec::new();
    for entry in &entries {
        ids.push(text(&entry["id"]));
        let request = text(&entry["request_id"]);
        if request.starts_with("job-") {
            assert_eq!(entry["who"], "upstream sync", "{entry}");
            assert!(entry.get("address").is_none(), "{entry}");
            continue;
        }
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
        assert!(
            ["owner", "writer", "@pierre/storage"].contains(&entry["who"].as_str().unwrap()),
            "{entry}"
        );
        found.entry(request).or_default().push(text(&entry["kind"]));
    }
    for kinds in found.values_mut() {
        kinds.sort();
    }
    assert_eq!(found, done);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), entries.len(), "an entry has the id of another");
    let jobs = entries
        .iter()
        .filter(|entry| text(&entry["request_id"]).starts_with("job-"));
    let jobs: Vec<_> = jobs.map(|entry| text(&entry["kind"])).collect();
    assert!(jobs.contains(&"ref.create".to_owned()), "{jobs:?}");
    let all = json!(entries).to_string();
    for secret in ["sesame", "a secret of a webhook", "eyJ"] {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }

    // The deleted repository has its log still, and so has everyone who asks by name.
    let of_a = log(&server, "/audit", &org_token(), "&repo=a").await;
    let expected: Vec<_> = entries
        .iter()
        .filter(|entry| entry["repo_id"] == "a")
        .cloned()
        .collect();
    assert_eq!(of_a, expected);
    assert_eq!(of_a[0]["kind"], "repo.delete");
    assert_eq!(of_a.last().unwrap()["kind"], "repo.create");
    assert_eq!(
        log(&server, "/repos/audit", &owner("a"), "").await,
        expected
    );
}

/// That each operation of the document that is no `GET` was asked for.
async fn everything_was_asked_for(server: &TestServer, asked: &[String]) {
    let document = server
        .http
        .get(format!("{}/api/openapi.json", server.url()))
        .send()
        .await
        .unwrap();
    let document: Value = document.json().await.unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations
            .as_object()
            .unwrap()
            .keys()
            .filter(|method| *method != "get")
        {
            let operation = format!("{} {path}", method.to_uppercase());
            let fits = |asked: &&String| {
                let (one, other) = (operation.split('/'), asked.split('/'));
                one.clone().count() == other.clone().count()
                    && one
                        .zip(other)
                        .all(|(one, other)| one == other || one.starts_with('{'))
            };
            let is_known =
                READS.contains(&operation.as_str()) || asked.iter().any(|asked| fits(&asked));
            assert!(is_known, "{operation} is neither a read nor tested");
        }
    }
}
