//! A server that sweeps by itself, by a clock that the test moves.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use packhouse_catalog::RepoId;
use packhouse_repo::RepackHow;
use packhouse_testkit::clock::TestClock;
use serde_json::json;

use crate::support::{Checkout, TestServer, Token};

const HOUR_MS: i64 = 3_600_000;

/// The names of the packs of a bucket in a folder, without their endings.
fn packs_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            packs_in(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "pack") {
            assert!(path.with_extension("idx").exists(), "{path:?}");
            found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// A server that sweeps all the time, by the clock beside it.
async fn sweeping() -> (TestClock, TestServer) {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let clock = TestClock::at(i64::try_from(now).unwrap());
    let server = TestServer::with(|config| {
        config.sweep.every = Duration::from_millis(50);
        config.sweep.options.clock = Arc::new(clock.reader());
    })
    .await;
    (clock, server)
}

async fn id_of(server: &TestServer, name: &str) -> RepoId {
    let catalog = server.server.hosted().catalog();
    catalog.repo(server.org, name).await.unwrap().unwrap().id
}

/// Pushes two files, and has them folded into a pack.
async fn push(server: &TestServer, checkout: &Checkout, name: &str, file: &str) {
    std::fs::write(checkout.path().join(file), format!("content of {file}\n")).unwrap();
    checkout.git(&["add", "."]).await;
    checkout.git(&["commit", "-q", "-m", file]).await;
    let url = server.git_url(name, &Token::write(name));
    checkout.git(&["push", "-q", &url, "main"]).await;
    let id = id_of(server, name).await;
    server.server.hosted().fold(id).await.unwrap();
}

/// Waits until a counter of the server has come so far.
pub(crate) async fn counted(server: &TestServer, counter: &str, least: u64) {
    for _ in 0..400 {
        let metrics = server.http.get(format!("{}/metrics", server.url()));
        let text = metrics.send().await.unwrap().text().await.unwrap();
        // A counter that has a label is not there before it has counted.
        let line = text.lines().find(|line| line.starts_with(counter));
        let value = line.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
        if value >= Some(least) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{counter} did not reach {least}");
}

#[tokio::test]
async fn a_fork_can_be_cloned_after_its_deleted_source_was_swept() {
    let (clock, server) = sweeping().await;
    server.create("source").await;
    let checkout = Checkout::init().await;
    push(&server, &checkout, "source", "shared").await;
    let fork = json!({ "base_repo": {
        "provider": "code", "owner": "acme", "name": "source", "operation": "fork",
        "auth": { "token": Token::read("source").text() },
    } });
    let token = |name| Token::new(name, &["repo:write"]);
    server
        .post("/repos", &token("fork"), &fork)
        .await
        .expect(201);
    push(&server, &checkout, "source", "alone").await;
    let bucket = server.folder.path().join("bucket");
    let mut before = BTreeSet::new();
    packs_in(&bucket, &mut before);
    assert_eq!(before.len(), 2);

    let nothing = json!({});
    server
        .delete("/repos/delete", &token("source"), &nothing)
        .await
        .expect(200);
    clock.advance(8 * 24 * HOUR_MS);
    counted(&server, "packhouse_swept_repositories_total", 1).await;
    // Whatever sweeps there are meanwhile, the pack has its grace period.
    counted(
        &server,
        "packhouse_job_runs_total{kind=\"sweep\",outcome=\"done\"}",
        3,
    )
    .await;
    let mut kept = BTreeSet::new();
    packs_in(&bucket, &mut kept);
    assert_eq!(kept, before);

    clock.advance(25 * HOUR_MS);
    counted(&server, "packhouse_swept_keys_total", 2).await;
    let catalog = server.server.hosted().catalog();
    let loaded = catalog
        .load(id_of(&server, "fork").await, None)
        .await
        .unwrap();
    let packs = loaded.unwrap().packs.unwrap().into_iter();
    let listed: BTreeSet<_> = packs
        .map(|pack| pack.key.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    assert_eq!(listed.len(), 1);
    let mut left = BTreeSet::new();
    packs_in(&bucket, &mut left);
    assert_eq!(left, listed);

    let clone = Checkout::clone(&server.git_url("fork", &Token::read("fork")), &[]).await;
    assert_eq!(clone.git(&["fsck", "--full", "--strict"]).await, "");
    assert_eq!(clone.git(&["log", "--format=%s"]).await, "shared");
    let gone = server.get("/repo", &Token::read("source")).await;
    assert_eq!(gone.status, 404);
    // The sweep is nobody's job.
    let jobs = server.get("/jobs", &Token::new("org", &["org:read"])).await;
    assert_eq!(jobs.expect(200).body["jobs"], json!([]));
    server.server.shutdown().await;
}

#[tokio::test]
async fn what_no_branch_has_reached_for_two_weeks_is_dropped_and_what_came_back_is_not() {
    let (clock, server) = sweeping().await;
    server.create("site").await;
    let checkout = Checkout::init().await;
    push(&server, &checkout, "site", "kept").await;
    let url = server.git_url("site", &Token::write("site"));
    let mut lost = Vec::new();
    for name in ["back", "gone"] {
        checkout.git(&["checkout", "-q", "-b", name, "main"]).await;
        std::fs::write(checkout.path().join(name), name).unwrap();
        checkout.git(&["add", "."]).await;
        checkout.git(&["commit", "-q", "-m", name]).await;
        checkout.git(&["push", "-q", &url, name]).await;
        checkout
            .git(&["push", "-q", &url, &format!(":{name}")])
            .await;
        lost.push(checkout.git(&["rev-parse", "HEAD"]).await);
    }
    let (hosted, id) = (server.server.hosted(), id_of(&server, "site").await);
    hosted.fold(id).await.unwrap();
    let repacked = hosted.repack(id, RepackHow::Full, Arc::default()).await;
    assert_eq!(repacked.unwrap().unwrap().unreachable, 6);
    // By its name alone, while it is still there.
    let back = json!({ "base_ref": lost[0], "target_branch": "back" });
    let write = Token::write("site");
    let made = server.post("/repos/branches/create", &write, &back).await;
    assert!(made.status < 300, "{}", made.status);
    clock.advance(15 * 24 * HOUR_MS);
    counted(&server, "packhouse_dropped_objects_total", 6).await;

    let gone = json!({ "base_ref": lost[1], "target_branch": "gone" });
    let refused = server.post("/repos/branches/create", &write, &gone).await;
    assert_eq!(refused.status, 404);
    let clone = Checkout::clone(&url, &["--mirror"]).await;
    assert_eq!(clone.git(&["fsck", "--full", "--strict"]).await, "");
    let subjects = clone.git(&["log", "--all", "--format=%s"]).await;
    assert_eq!(subjects, "back\nkept");
    server.server.shutdown().await;
}
