//! What clients get, and what it costs the upstream.

use futures::future::join_all;

use super::{ProxyServer, upstream};
use crate::support::Checkout;

#[tokio::test(flavor = "multi_thread")]
async fn many_cold_clones_are_one_fetch_and_warm_ones_none() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    let wants = (0..50).map(|_| proxy.post_want(&upstream, None, &last));
    for got in join_all(wants).await {
        assert_eq!(got.status, 200);
        assert!(got.has_pack());
    }
    assert_eq!(upstream.packs(), 1);
    let clones = join_all((0..4).map(|_| proxy.clone(&upstream, &[]))).await;
    for clone in &clones {
        assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, last);
        clone.git(&["fsck", "--full", "--strict"]).await;
    }
    assert_eq!(upstream.packs(), 1);
    let metrics = proxy.get(&proxy.at("/metrics"), None).await.text();
    assert!(
        metrics.contains("outcome=\"hit\",route=\"upload_pack\""),
        "{metrics}"
    );
}

#[tokio::test]
async fn callers_with_other_credentials_share_the_fetch_too() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    let names = ["a", "b", "c", "d"];
    let wants = names.map(|name| proxy.post_want(&upstream, Some((name, "x")), &last));
    for got in join_all(wants).await {
        assert!(got.has_pack());
    }
    assert_eq!(upstream.packs(), 1);
}

#[tokio::test]
async fn what_changed_upstream_is_what_the_next_fetch_gets() {
    let (upstream, _) = upstream().await;
    upstream.work(&["branch", "gone"]).await;
    upstream.push().await;
    let proxy = ProxyServer::start().await;
    let clone = proxy.clone(&upstream, &[]).await;

    // A commit more: what is new is fetched once.
    let third = upstream.commit("three", "3").await;
    clone.git(&["pull", "-q", "--ff-only"]).await;
    assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, third);
    assert_eq!(upstream.packs(), 2);
    let other = proxy.clone(&upstream, &[]).await;
    assert_eq!(other.git(&["rev-parse", "HEAD"]).await, third);
    assert_eq!(upstream.packs(), 2);

    // Rewritten and deleted.
    upstream.work(&["reset", "-q", "--hard", "HEAD~1"]).await;
    upstream.work(&["branch", "-q", "-D", "gone"]).await;
    let forced = upstream.commit("four", "4").await;
    clone.git(&["fetch", "-q", "--prune"]).await;
    let refs = clone
        .git(&[
            "for-each-ref",
            "--format=%(objectname) %(refname)",
            "refs/remotes/origin/trunk",
            "refs/remotes/origin/gone",
        ])
        .await;
    assert_eq!(refs, format!("{forced} refs/remotes/origin/trunk"));
    clone.git(&["fsck", "--full", "--strict"]).await;
}

#[tokio::test]
async fn clients_of_every_version_are_served_from_here() {
    let (upstream, last) = upstream().await;
    upstream.work(&["tag", "-a", "-m", "one", "v1"]).await;
    upstream.push().await;
    let proxy = ProxyServer::start().await;
    let url = proxy.url(&upstream);
    for version in ["2", "1", "0"] {
        let folder = tempfile::tempdir().unwrap();
        let checkout = Checkout { folder };
        let version = format!("protocol.version={version}");
        checkout
            .git(&["-c", &version, "clone", "-q", &url, "."])
            .await;
        assert_eq!(checkout.git(&["rev-parse", "HEAD"]).await, last);
        assert_eq!(checkout.git(&["tag"]).await, "v1");
        checkout.git(&["fsck", "--full", "--strict"]).await;
    }
    assert_eq!(upstream.packs(), 1);
}

#[tokio::test]
async fn shallow_and_partial_clones_are_what_the_upstream_makes_of_them() {
    let (upstream, last) = upstream().await;
    upstream
        .bare(&["config", "uploadpack.allowFilter", "true"])
        .await;
    let proxy = ProxyServer::start().await;
    let shallow = proxy.clone(&upstream, &["--depth=1"]).await;
    assert_eq!(shallow.git(&["rev-list", "--all"]).await, last);
    shallow.git(&["fetch", "-q", "--unshallow"]).await;
    assert_eq!(shallow.git(&["rev-list", "--count", "HEAD"]).await, "2");
    let partial = proxy
        .clone(&upstream, &["--filter=blob:none", "--no-checkout"])
        .await;
    let missing = partial
        .git(&["rev-list", "--objects", "--all", "--missing=print"])
        .await;
    assert_eq!(
        missing.lines().filter(|line| line.starts_with('?')).count(),
        2
    );
    partial.git(&["checkout", "-q", "trunk"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_served_from_a_copy_that_is_there() {
    let (upstream, last) = upstream().await;
    upstream
        .bare(&["config", "uploadpack.allowFilter", "true"])
        .await;
    let proxy = ProxyServer::start().await;
    proxy.clone(&upstream, &[]).await;
    let packs = upstream.packs();

    let shallow = proxy.clone(&upstream, &["--depth=1"]).await;
    assert_eq!(shallow.git(&["rev-list", "--all"]).await, last);
    shallow.git(&["fetch", "-q", "--unshallow"]).await;
    assert_eq!(shallow.git(&["rev-list", "--count", "HEAD"]).await, "2");
    shallow.git(&["fsck", "--full", "--strict"]).await;
    let args = ["--filter=blob:none", "--no-checkout"];
    let partial = proxy.clone(&upstream, &args).await;
    let list = ["rev-list", "--objects", "--all", "--missing=print"];
    let missing = partial.git(&list).await;
    let missing = missing.lines().filter(|line| line.starts_with('?')).count();
    assert_eq!(missing, 2);
    assert_eq!(upstream.packs(), packs);

    // What is fetched later is wanted by its id, and no branch names a file.
    partial.git(&["checkout", "-q", "trunk"]).await;
    assert_eq!(upstream.packs(), packs + 1);
}

/// As git does where the upstream offers it, which ours does.
#[tokio::test]
async fn refs_that_are_wanted_by_name_are_served_as_they_are_now() {
    let (upstream, last) = upstream().await;
    upstream
        .bare(&["config", "uploadpack.allowRefInWant", "true"])
        .await;
    let proxy = ProxyServer::start().await;
    for _ in 0..2 {
        let clone = proxy.clone(&upstream, &[]).await;
        assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, last);
        assert_eq!(upstream.packs(), 1);
    }
    let third = upstream.commit("three", "3").await;
    let clone = proxy.clone(&upstream, &[]).await;
    assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, third);
    assert_eq!(upstream.packs(), 2);
    // The first of these is here, and the other is the upstream's to speak of.
    for (line, outcome) in [
        ("001dwant-ref refs/heads/trunk0011want-ref HEAD", "hit"),
        ("001dwant-ref refs/heads/other", "relayed"),
    ] {
        let got = proxy.post_fetch(&upstream, None, line).await;
        assert_eq!(
            (got.outcome.as_str(), got.has_pack()),
            (outcome, outcome == "hit")
        );
    }
}

#[tokio::test]
async fn what_no_branch_reaches_is_asked_of_the_upstream() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    proxy.clone(&upstream, &[]).await;
    // An older commit is reached by what was listed.
    let older = upstream.work(&["rev-parse", "HEAD~1"]).await;
    let got = proxy.post_want(&upstream, None, &older).await;
    assert_eq!((got.status, got.outcome.as_str()), (200, "hit"));
    // A commit below a ref that is not mirrored.
    upstream
        .work(&["commit", "-q", "--allow-empty", "-m", "hidden"])
        .await;
    upstream
        .work(&["push", "-q", "../site.git", "HEAD:refs/pull/1/head"])
        .await;
    let hidden = upstream.work(&["rev-parse", "HEAD"]).await;
    let clone = proxy.clone(&upstream, &[]).await;
    assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, last);
    clone
        .git(&["fetch", "-q", "origin", "refs/pull/1/head"])
        .await;
    assert_eq!(clone.git(&["rev-parse", "FETCH_HEAD"]).await, hidden);
    // One that is nowhere.
    let nowhere = "1234567890123456789012345678901234567890";
    let got = proxy.post_want(&upstream, None, nowhere).await;
    assert!(!got.has_pack());
    assert_eq!(got.outcome, "relayed");
    assert!(got.text().contains("not our ref"), "{}", got.text());
}

#[tokio::test]
async fn a_mirror_that_is_served_stays_when_entries_are_removed() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    proxy.clone(&upstream, &[]).await;
    let (cache, url) = (proxy.cache.clone(), upstream.url());
    tokio::task::spawn_blocking(move || {
        let call = packhouse_client::cache::CallOptions::default();
        // Both have one mirror: nothing is fetched again.
        let entry = cache.add(&url, None, &call).unwrap();
        cache.remove(&entry.name, &call).unwrap();
    })
    .await
    .unwrap();
    let got = proxy.post_want(&upstream, None, &last).await;
    assert_eq!(got.outcome, "hit");
    assert_eq!(upstream.packs(), 1);
}
