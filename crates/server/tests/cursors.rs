//! Cursors of every list: pages of any size come to the whole list, each item once, and a cursor opens no other list.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use packhouse_catalog::{NewJob, NewSshKey};
use packhouse_server::Egress;
use serde_json::{Value, json};

use crate::support::{Checkout, CommitBody, Key, Receiver, TestServer, Token, encoded, register};

/// A list: where it is, who may read it, and under which field its items are.
struct List {
    path: String,
    token: Token,
    items: &'static str,
    /// Whether what it holds changes by itself while it is read.
    grows: bool,
}

impl List {
    fn new(path: impl Into<String>, token: Token, items: &'static str) -> List {
        List {
            path: path.into(),
            token,
            items,
            grows: false,
        }
    }

    fn query(&self, more: &str) -> String {
        let mark = if self.path.contains('?') { '&' } else { '?' };
        format!("{}{mark}{more}", self.path)
    }

    async fn page(&self, server: &TestServer, limit: usize, cursor: &str) -> Value {
        let path = self.query(&format!("limit={limit}&cursor={}", encoded(cursor)));
        server.get(&path, &self.token).await.expect(200).body
    }

    /// The whole list in pages of `limit`, and the cursors of the pages.
    async fn walk(&self, server: &TestServer, limit: usize) -> (Vec<Value>, Vec<String>) {
        let (mut items, mut cursors) = (Vec::new(), vec![String::new()]);
        loop {
            let page = self.page(server, limit, cursors.last().unwrap()).await;
            let found = page[self.items].as_array().unwrap();
            assert!(found.len() <= limit, "{}: {page}", self.path);
            items.extend(found.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => {
                    assert_eq!(page["has_more"], true, "{}", self.path);
                    assert!(
                        !cursors.contains(&next.to_owned()),
                        "{} turns in circles",
                        self.path
                    );
                    cursors.push(next.to_owned());
                }
                None => {
                    assert_eq!(page["has_more"], false, "{}", self.path);
                    return (items, cursors.split_off(1));
                }
            }
        }
    }
}

/// Pushes branches and tags whose names are not UTF-8: some look alike when they are shown.
async fn push_odd_names(server: &TestServer, repo: &str) {
    let checkout = Checkout::init().await;
    for name in [
        &b"\xff1"[..],
        b"\xfe1",
        b"caf\xe9",
        "café \u{fffd}".as_bytes(),
    ] {
        let path = checkout.path().join(std::ffi::OsStr::from_bytes(name));
        std::fs::write(path, "x").unwrap();
    }
    checkout.git(&["add", "-A"]).await;
    checkout.git(&["commit", "-q", "-m", "odd names"]).await;
    let head = checkout.git(&["rev-parse", "HEAD"]).await;
    write_refs(checkout.path(), &head);
    let url = server.git_url(repo, &Token::write(repo));
    let all = ["heads", "tags", "notes"].map(|kind| format!("refs/{kind}/*:refs/{kind}/*"));
    let [heads, tags, notes] = all.each_ref().map(String::as_str);
    checkout
        .git(&["push", "-q", &url, heads, tags, notes])
        .await;
}

fn write_refs(checkout: &Path, head: &str) {
    let mut packed = b"# pack-refs with: peeled fully-peeled sorted \n".to_vec();
    for kind in ["heads", "notes", "tags"] {
        for name in [
            &b"a"[..],
            b"\xc3\xa9",
            b"\xef\xbf\xbd1",
            b"\xfe1",
            b"\xff1",
            b"\xff2",
        ] {
            packed.extend_from_slice(format!("{head} refs/{kind}/").as_bytes());
            packed.extend_from_slice(name);
            packed.push(b'\n');
        }
    }
    std::fs::write(checkout.join(".git/packed-refs"), packed).unwrap();
}

/// A server with something in every list.
async fn filled() -> (TestServer, Vec<List>, Receiver) {
    let mut receiver = Receiver::start().await;
    let server = TestServer::with(|config| config.egress = Egress::Any).await;
    for repo in ["a", "b", "c/d", "c+d"] {
        server.create(repo).await;
    }
    let owner = |repo: &str| Token::new(repo, &["repo:write"]);
    let mut hook = Value::Null;
    for n in 0..3 {
        let body = json!({ "url": format!("{}/{n}", receiver.url()) });
        hook = server
            .post("/webhooks", &owner("a"), &body)
            .await
            .expect(201)
            .body;
    }
    push_odd_names(&server, "a").await;
    for n in 0..5 {
        let body = CommitBody::new("main").file(&format!("folder/{n}"), b"needle\nhay\n");
        server.commit("a", body).await.expect(201);
        let body = CommitBody::new(&format!("draft{n}"))
            .set("ephemeral", json!(true))
            .set("base_branch", json!("main"))
            .file("x", n.to_string().as_bytes());
        server.commit("a", body).await.expect(201);
    }
    let catalog = server.server.hosted().catalog();
    let repo = catalog.repo(server.org, "a").await.unwrap().unwrap().id;
    for key in 0..4 {
        let job = NewJob {
            // Nobody does jobs of this kind.
            kind: "nothing",
            key: key.to_string(),
            org: server.org,
            repo: Some(repo),
            payload: "{}".to_owned(),
            payload_if_pending: None,
            due_at_ms: 1_700_000_000_000,
            give_up_ms: 1,
        };
        catalog.enqueue_job(job, 1_700_000_000_000).await.unwrap();
    }
    // Three hooks are told of each move of a branch.
    for _ in 0..12 {
        receiver.next().await;
    }
    let id = hook["id"].as_str().unwrap();
    let read = || Token::read("a");
    let org = || Token::new("org", &["org:read"]);
    let lists = vec![
        List::new("/repos/branches", read(), "branches"),
        List::new("/repos/branches?ephemeral=true", read(), "branches"),
        List::new("/repos/tags", read(), "tags"),
        List::new("/repos/notes/refs", read(), "refs"),
        List::new("/repos/commits", read(), "commits"),
        List::new("/repos/commits?path=folder", read(), "commits"),
        List::new(
            "/repos/commits?branch=draft1&ephemeral=true",
            read(),
            "commits",
        ),
        List::new("/repos/files", read(), "entries"),
        List::new("/repos/files?path=folder", read(), "entries"),
        List::new("/repos/files?recursive=false", read(), "entries"),
        List::new("/repos/files?ref=draft1&ephemeral=true", read(), "entries"),
        List::new("/repos/files/metadata", read(), "files"),
        List::new("/repos/files/metadata?path=folder", read(), "files"),
        List::new("/repos", org(), "repos"),
        List::new("/webhooks", owner("a"), "webhooks"),
        List {
            grows: true,
            ..List::new(
                format!("/webhooks/{id}/deliveries"),
                owner("a"),
                "deliveries",
            )
        },
        List::new("/jobs", org(), "jobs"),
        List::new("/repos/jobs", read(), "jobs"),
        List::new("/audit", org(), "entries"),
        List::new("/audit?kind=ref.*", org(), "entries"),
        List::new("/repos/audit", owner("a"), "entries"),
    ];
    (server, lists, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_are_the_whole_list_and_a_foreign_cursor_is_refused() {
    let (server, lists, _receiver) = filled().await;
    let mut cursors: Vec<String> = Vec::new();
    for list in &lists {
        let (whole, none) = list.walk(&server, 100).await;
        assert!(
            none.is_empty() && whole.len() >= 3,
            "{}: {}",
            list.path,
            whole.len()
        );
        // Two names that are no text may look the same.
        let shown = whole.iter().map(Value::to_string);
        let plain: Vec<String> = shown.filter(|item| !item.contains('\u{fffd}')).collect();
        let different: BTreeSet<&String> = plain.iter().collect();
        assert_eq!(
            different.len(),
            plain.len(),
            "{} has an item twice",
            list.path
        );
        let mut first = None;
        for limit in [1, 3, whole.len() - 1, whole.len()] {
            let (walked, found) = list.walk(&server, limit).await;
            if list.grows {
                assert!(
                    walked.ends_with(&whole) || walked.len() >= whole.len(),
                    "{}",
                    list.path
                );
            } else {
                assert_eq!(walked, whole, "{} by {limit}", list.path);
            }
            first = first.or(found.into_iter().next());
        }
        cursors.push(first.unwrap());
    }
    for (at, list) in lists.iter().enumerate() {
        let odd = ["x", ".", "1:main", "files.00000000:a", "\u{1}", "branches"].map(str::to_owned);
        let others = cursors.iter().enumerate().filter(|(of, _)| *of != at);
        for cursor in others.map(|(_, cursor)| cursor).chain(&odd) {
            let path = list.query(&format!("cursor={}", encoded(cursor)));
            let answer = server.get(&path, &list.token).await;
            assert_eq!(
                answer.status, 400,
                "{} took {cursor}: {}",
                list.path, answer.body
            );
            assert!(answer.error().contains("cursor"), "{}", answer.body);
        }
    }
    // Nor does it open the same list of another repository.
    for (list, cursor) in lists.iter().zip(&cursors) {
        if !list.path.starts_with("/repos/") {
            continue;
        }
        let other = Token::new("b", &["git:read", "repo:write"]);
        let path = list.query(&format!("cursor={}", encoded(cursor)));
        let status = server.get(&path, &other).await.status;
        assert!(matches!(status, 400 | 404), "{}: {status}", list.path);
    }
}

#[tokio::test]
async fn a_cursor_of_another_organisation_is_refused() {
    let (server, lists, _receiver) = filled().await;
    let catalog = server.server.hosted().catalog();
    let other = catalog.create_org("other").await.unwrap().id;
    register(&server.server, other, Key::OtherEs256.public_pem()).await;
    let other = Token::new("org", &["org:read"])
        .with("iss", "other".into())
        .signed_by(Key::OtherEs256);
    for at in 0..2 {
        let key = NewSshKey {
            fingerprint: format!("SHA256:{at}"),
            public_key: "ssh-ed25519 AAAA".to_owned(),
            user: None,
            repo: None,
            scopes: "git:read".to_owned(),
            expires_at_ms: None,
        };
        server.admit(key).await;
    }
    let of_org = || Token::new("org", &["org:read"]);
    let more = [
        List::new("/webhooks", of_org(), "webhooks"),
        List::new("/ssh-keys", of_org(), "ssh_keys"),
    ];
    let wide = lists
        .into_iter()
        .filter(|list| !list.path.starts_with("/repos/"));
    for list in wide.filter(|list| list.path != "/webhooks").chain(more) {
        let page = list.page(&server, 1, "").await;
        let cursor = page["next_cursor"].as_str().unwrap();
        let path = list.query(&format!("cursor={}", encoded(cursor)));
        server.get(&path, &list.token).await.expect(200);
        if list.items == "deliveries" {
            continue;
        }
        let refused = server.get(&path, &other).await;
        assert_eq!(refused.status, 400, "{}: {}", list.path, refused.body);
        assert!(refused.error().contains("cursor"), "{}", refused.body);
    }
}
