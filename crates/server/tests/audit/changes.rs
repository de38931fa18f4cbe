//! Every change is in the log, once.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packhouse_server::Egress;
use packhouse_server::upstream::CredentialKeys;
use reqwest::Method;
use serde_json::{Value, json};

use super::deeds::Deeds;
use super::{commit_to, log, org_token, owner};
use crate::support::{
    Checkout, CommitBody, Database, Receiver, TestServer, Token, Upstream, on_both,
};

on_both!(every_change_is_in_the_log_once_and_nothing_that_was_refused_is,);

/// Operations that are no `GET` and change nothing.
const READS: [&str; 2] = ["POST /api/v1/repos/archive", "POST /api/v1/repos/grep"];

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
    let mut deeds = Deeds::on(server);
    a_repository_is_made(&mut deeds).await;
    let hook = a_webhook_is_made(&mut deeds, &receiver).await;
    let first = commits(&mut deeds).await;
    let side = branches_and_merges(&mut deeds).await;
    tags_and_notes(&mut deeds, &first, &side).await;
    webhooks(&mut deeds, &hook, &mut receiver).await;
    ssh_keys(&mut deeds).await;
    pushes(&mut deeds).await;
    forks(&mut deeds).await;
    upstreams(&mut deeds, &upstream).await;
    a_repository_goes(&mut deeds).await;

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

fn author() -> Value {
    json!({ "name": "Ann", "email": "ann@example.com" })
}

fn writer() -> Token {
    Token::write("a").with("sub", json!("writer"))
}

async fn a_repository_is_made(deeds: &mut Deeds) {
    deeds
        .does(Method::POST, "/repos", owner("a"), "{}", &["repo.create"])
        .await;
    deeds
        .fails(Method::POST, "/repos", owner("a"), "{}", 409)
        .await;
}

/// Returns its path.
async fn a_webhook_is_made(deeds: &mut Deeds, receiver: &Receiver) -> String {
    let hook = json!({ "url": receiver.url(), "secret": "a secret of a webhook" });
    let hook = deeds
        .does(
            Method::POST,
            "/webhooks",
            owner("a"),
            hook,
            &["webhook.create"],
        )
        .await;
    format!("/webhooks/{}", hook["id"].as_str().unwrap())
}

/// Returns the first one.
async fn commits(deeds: &mut Deeds) -> String {
    let first = commit_to("main", None, "x", "1\n");
    let first = deeds
        .does(
            Method::POST,
            "/repos/commit-pack",
            writer(),
            first,
            &["ref.create"],
        )
        .await;
    let first = first["commit"]["commit_sha"].as_str().unwrap().to_owned();
    let stale = CommitBody::new("main").set("expected_head_sha", json!("1".repeat(40)));
    let stale = stale.file("x", b"2").text();
    deeds
        .fails(Method::POST, "/repos/commit-pack", writer(), stale, 409)
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
            Method::POST,
            "/repos/diff-commit",
            writer(),
            diff,
            &["ref.update"],
        )
        .await;
    let restore = json!({ "metadata": { "target_branch": "main", "target_commit_sha": first, "author": author() } });
    deeds
        .does(
            Method::POST,
            "/repos/restore-commit",
            writer(),
            restore,
            &["ref.update"],
        )
        .await;
    first
}

/// Returns the first commit of a branch that was merged.
async fn branches_and_merges(deeds: &mut Deeds) -> String {
    let branch = json!({ "base_branch": "main", "target_branch": "side", "base_is_ephemeral": false, "target_is_ephemeral": false });
    deeds
        .does(
            Method::POST,
            "/repos/branches/create",
            writer(),
            branch,
            &["ref.create"],
        )
        .await;
    let side = commit_to("side", None, "y", "1\n");
    let side = deeds
        .does(
            Method::POST,
            "/repos/commit-pack",
            writer(),
            side,
            &["ref.update"],
        )
        .await;
    let side = side["commit"]["commit_sha"].as_str().unwrap().to_owned();
    let pick = json!({ "target_branch": "main", "commit": side });
    deeds
        .does(
            Method::POST,
            "/repos/cherry-pick",
            writer(),
            pick,
            &["ref.update"],
        )
        .await;
    let revert = json!({ "target_branch": "main", "commit": "main", "author": author() });
    deeds
        .does(
            Method::POST,
            "/repos/revert",
            writer(),
            revert,
            &["ref.update"],
        )
        .await;
    let more = commit_to("side", None, "w", "1\n");
    deeds
        .does(
            Method::POST,
            "/repos/commit-pack",
            writer(),
            more,
            &["ref.update"],
        )
        .await;
    let merge = json!({
        "source_branch": "side", "target_branch": "main", "strategy": "merge", "commit_message": "m", "author": author(),
    });
    deeds
        .does(
            Method::POST,
            "/repos/merge",
            writer(),
            merge,
            &["ref.update"],
        )
        .await;
    let branch = json!({ "name": "side" });
    deeds
        .does(
            Method::DELETE,
            "/repos/branches",
            writer(),
            branch,
            &["ref.delete"],
        )
        .await;
    side
}

async fn tags_and_notes(deeds: &mut Deeds, first: &str, side: &str) {
    let tag = json!({ "name": "v1", "target": first });
    deeds
        .does(Method::POST, "/repos/tags", writer(), &tag, &["ref.create"])
        .await;
    deeds
        .fails(
            Method::POST,
            "/repos/tags",
            writer(),
            json!({ "name": "v1", "target": side }),
            409,
        )
        .await;
    let tag = json!({ "name": "v1" });
    let both = Token::new("a", &["git:read", "git:write"]);
    deeds
        .does(
            Method::DELETE,
            "/repos/tags",
            both.clone(),
            tag,
            &["ref.delete"],
        )
        .await;
    let tag = json!({ "name": "v2", "target": first });
    deeds
        .does(Method::POST, "/repos/tags", writer(), &tag, &["ref.create"])
        .await;
    let named = "/api/repos/a/tags/v2";
    deeds
        .does(Method::DELETE, named, both, "", &["ref.delete"])
        .await;
    let note = json!({ "sha": first, "action": "add", "note": "n", "author": author() });
    deeds
        .does(
            Method::POST,
            "/repos/notes",
            writer(),
            note,
            &["ref.create"],
        )
        .await;
    deeds
        .does(
            Method::DELETE,
            "/repos/notes",
            writer(),
            json!({ "sha": first }),
            &["ref.update"],
        )
        .await;
}

/// What was delivered can be delivered again.
async fn webhooks(deeds: &mut Deeds, hook: &str, receiver: &mut Receiver) {
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
        .does(Method::POST, &again, owner("a"), "", &["webhook.redeliver"])
        .await;
    let after = json!({ "after": delivered["event_id"] });
    deeds
        .does(
            Method::POST,
            &format!("{hook}/replay"),
            owner("a"),
            after,
            &["webhook.replay"],
        )
        .await;
    deeds
        .does(Method::DELETE, hook, owner("a"), "", &["webhook.delete"])
        .await;
    deeds.fails(Method::DELETE, hook, owner("a"), "", 404).await;
}

async fn ssh_keys(deeds: &mut Deeds) {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let keys_of = || Token::new("a", &["repo:write", "git:write"]).with("sub", json!("owner"));
    let body = json!({ "public_key": key, "user": "Ann" });
    let added = deeds
        .does(
            Method::POST,
            "/ssh-keys",
            keys_of(),
            &body,
            &["ssh_key.add"],
        )
        .await;
    deeds
        .fails(Method::POST, "/ssh-keys", keys_of(), &body, 409)
        .await;
    let fingerprint = crate::support::encoded(added["fingerprint"].as_str().unwrap());
    let key = format!("/ssh-keys/{fingerprint}");
    deeds
        .does(Method::DELETE, &key, keys_of(), "", &["ssh_key.revoke"])
        .await;
    deeds.fails(Method::DELETE, &key, keys_of(), "", 404).await;
}

/// Plain git, with two refs in one push.
async fn pushes(deeds: &mut Deeds) {
    let checkout = Checkout::clone(&deeds.server.git_url("a", &writer()), &[]).await;
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
}

/// A fork with its refs.
async fn forks(deeds: &mut Deeds) {
    let token = Token::read("a").text();
    let fork = json!({ "base_repo": { "provider": "code", "owner": "acme", "name": "a", "operation": "fork", "ref": "main", "auth": { "token": token } } });
    deeds
        .does(
            Method::POST,
            "/repos",
            owner("forked"),
            fork,
            &["ref.create", "repo.fork"],
        )
        .await;
}

async fn upstreams(deeds: &mut Deeds, upstream: &Upstream) {
    let base = json!({ "provider": "git", "url": upstream.url(), "owner": "o", "name": "n", "auth": { "auth_type": "public" } });
    let follow = json!({ "base_repo": base });
    deeds
        .does(
            Method::POST,
            "/repos",
            owner("up"),
            follow,
            &["repo.create"],
        )
        .await;
    let login = json!({ "repo_id": "up", "username": "me", "password": "hunter2-sesame" });
    let made = deeds
        .does(
            Method::POST,
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
            Method::DELETE,
            path,
            owner("up"),
            &id,
            &["git_credential.delete"],
        )
        .await;
    deeds
        .fails(Method::DELETE, path, owner("up"), &id, 404)
        .await;
    let login = json!({ "repo_id": "up", "username": "me", "password": "hunter4-sesame" });
    let made = deeds
        .does(
            Method::POST,
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
            Method::DELETE,
            &named,
            owner("up"),
            "",
            &["git_credential.delete"],
        )
        .await;
    let pull = Token::write("up").with("sub", json!("writer"));
    deeds
        .does(
            Method::POST,
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
            Method::DELETE,
            "/repos/base",
            owner("up"),
            "",
            &["upstream.detach"],
        )
        .await;
}

async fn a_repository_goes(deeds: &mut Deeds) {
    deeds
        .does(
            Method::DELETE,
            "/repos/delete",
            owner("a"),
            "",
            &["repo.delete"],
        )
        .await;
    deeds
        .fails(Method::DELETE, "/repos/delete", owner("a"), "", 409)
        .await;
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
