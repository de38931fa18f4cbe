//! What is served while the upstream does not work.

use super::{ProxyServer, upstream};
use crate::support::{Checkout, Mood};

#[tokio::test]
async fn the_last_state_is_served_where_everybody_may_read() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    proxy.clone(&upstream, &[]).await;
    upstream.be(Mood::Fails(503));
    for (args, version) in [(&[][..], "2"), (&[], "0")] {
        let version = format!("protocol.version={version}");
        let args = [&["-c", version.as_str()], args].concat();
        let clone = proxy.clone(&upstream, &args).await;
        assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, last);
        assert_eq!(
            clone.git(&["symbolic-ref", "HEAD"]).await,
            "refs/heads/trunk"
        );
    }
    // With credentials too: nobody needs any.
    let url = proxy.url_as(&upstream, "any", "body");
    Checkout::clone(&url, &[]).await;
    let refs = format!("{}/info/refs?service=git-upload-pack", proxy.url(&upstream));
    let got = proxy.get(&refs, Some(("any", "body"))).await;
    assert_eq!((got.status, got.outcome.as_str()), (200, "stale"));
    assert!(got.warning.unwrap().starts_with("110 packhouse"));
    assert_eq!(upstream.packs(), 1);
}

#[tokio::test]
async fn a_private_repository_is_served_only_to_who_was_let_in_just_before() {
    let (upstream, last) = upstream().await;
    upstream.wants("first", "right");
    let proxy = ProxyServer::start().await;
    let url = proxy.url_as(&upstream, "first", "right");
    Checkout::clone(&url, &[]).await;
    upstream.wants_nobody();
    upstream.be(Mood::Fails(502));
    let again = Checkout::clone(&url, &[]).await;
    assert_eq!(again.git(&["rev-parse", "HEAD"]).await, last);
    let refs = format!("{}/info/refs?service=git-upload-pack", proxy.url(&upstream));
    for (login, status) in [(None, 401), (Some(("first", "wrong")), 502)] {
        assert_eq!(proxy.get(&refs, login).await.status, status);
        let got = proxy.post_want(&upstream, login, &last).await;
        assert_eq!((got.status, got.has_pack()), (502, false));
    }
}

#[tokio::test]
async fn a_repository_that_is_no_longer_public_is_not_served_in_an_outage() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    proxy.clone(&upstream, &[]).await;
    upstream.wants("first", "right");
    let refs = format!("{}/info/refs?service=git-upload-pack", proxy.url(&upstream));
    proxy.ls_remote_fails(&proxy.url(&upstream)).await;
    upstream.wants_nobody();
    upstream.be(Mood::Fails(503));
    assert_eq!(proxy.get(&refs, None).await.status, 401);
    assert_eq!(proxy.get(&refs, Some(("a", "b"))).await.status, 503);
    let got = proxy.post_want(&upstream, None, &last).await;
    assert_eq!((got.status, got.has_pack()), (503, false));
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_named() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    proxy.clone(&upstream, &[]).await;
    let (known, root) = (proxy.url(&upstream), upstream.root());
    let unknown = known.replacen("site.git", "other.git", 1);
    // Nobody listens any more.
    drop(upstream);
    while reqwest::get(&root).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let clone = Checkout::clone(&known, &[]).await;
    assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, last);
    let refs = format!("{unknown}/info/refs?service=git-upload-pack");
    let got = proxy.get(&refs, Some(("a", "b"))).await;
    assert_eq!(got.status, 502);
    assert!(
        got.text().contains("other.git cannot be reached"),
        "{}",
        got.text()
    );
    // Nobody asked who is asking, so that nobody is asked here.
    let told = proxy.ls_remote_fails(&unknown).await;
    assert!(told.contains("other.git cannot be reached"), "{told}");
    assert!(!told.contains("Username"), "{told}");
}

#[tokio::test]
async fn a_repository_that_was_never_here_is_told_of_in_an_outage() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    let refs = format!("{}/info/refs?service=git-upload-pack", proxy.url(&upstream));
    for (status, expected) in [(500, 502), (502, 502), (503, 503), (504, 504)] {
        upstream.be(Mood::Fails(status));
        for login in [None, Some(("a", "b"))] {
            let got = proxy.get(&refs, login).await;
            let expected = (expected, "refused", None);
            assert_eq!(
                (got.status, got.outcome.as_str(), got.challenge.clone()),
                expected
            );
            let told = format!("site.git answers with HTTP status {status}");
            assert!(got.text().contains(&told), "{}", got.text());
            let got = proxy.post_want(&upstream, login, &last).await;
            assert_eq!((got.status, got.has_pack()), (expected.0, false));
        }
        let told = proxy.ls_remote_fails(&proxy.url(&upstream)).await;
        assert!(told.contains("answers with HTTP status"), "{told}");
        assert!(!told.contains("Username"), "{told}");
    }
    // Where the upstream asked who is asking, it is asked here too.
    upstream.wants("first", "right");
    upstream.be(Mood::Fine);
    assert_eq!(proxy.get(&refs, None).await.status, 401);
    upstream.be(Mood::Fails(500));
    assert_eq!(proxy.get(&refs, None).await.status, 401);
    assert_eq!(proxy.get(&refs, Some(("first", "right"))).await.status, 502);
    // Not any more once it lets everybody in.
    upstream.wants_nobody();
    upstream.be(Mood::Fine);
    assert_eq!(proxy.get(&refs, None).await.status, 200);
}
