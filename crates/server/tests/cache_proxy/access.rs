//! Who gets what: each caller what the upstream lets this caller have.

use std::time::Duration;

use super::{ProxyServer, upstream};
use crate::support::{Checkout, Mood, git_output};

const FIRST: (&str, &str) = ("first", "right");
const SECOND: (&str, &str) = ("second", "wrong");

#[tokio::test]
async fn the_second_caller_gets_what_the_upstream_says_to_the_second() {
    let (upstream, last) = upstream().await;
    upstream.wants(FIRST.0, FIRST.1);
    let proxy = ProxyServer::start().await;
    Checkout::clone(&proxy.url_as(&upstream, FIRST.0, FIRST.1), &[]).await;
    assert_eq!(upstream.packs(), 1);
    let refs = format!("{}/info/refs?service=git-upload-pack", proxy.url(&upstream));
    for login in [None, Some(SECOND), Some(("first", "")), Some(("", ""))] {
        let got = proxy.get(&refs, login).await;
        assert_eq!(got.status, 401, "{login:?}");
        assert_eq!(got.challenge.as_deref(), Some("Basic realm=\"git\""));
        // Who knows the id of a commit and asks for nothing else gets it neither.
        let got = proxy.post_want(&upstream, login, &last).await;
        assert_eq!(got.status, 401, "{login:?}");
        assert_eq!(got.challenge.as_deref(), Some("Basic realm=\"git\""));
        assert!(!got.has_pack());
    }
    let got = proxy.post_want(&upstream, Some(FIRST), &last).await;
    assert_eq!(got.outcome, "hit");
    assert_eq!(upstream.packs(), 1);
    // The upstream heard each caller's own words and none of another's.
    let asked = upstream.asked();
    assert!(asked.iter().any(|(_, sent)| sent.is_none()));
    let complaint = proxy
        .ls_remote_fails(&proxy.url_as(&upstream, SECOND.0, SECOND.1))
        .await;
    assert!(complaint.contains("Authentication failed"), "{complaint}");
}

#[tokio::test]
async fn refusals_are_passed_on_as_they_are() {
    let (upstream, last) = upstream().await;
    let proxy = ProxyServer::start().await;
    proxy.clone(&upstream, &[]).await;
    let refs = format!("{}/info/refs?service=git-upload-pack", proxy.url(&upstream));
    for status in [403, 404, 429] {
        upstream.be(Mood::Fails(status));
        let got = proxy.get(&refs, Some(SECOND)).await;
        assert_eq!(got.status, status);
        assert!(got.text().starts_with("you sent Some("), "{}", got.text());
        let got = proxy.post_want(&upstream, Some(SECOND), &last).await;
        assert_eq!((got.status, got.has_pack()), (status, false));
    }
}

#[tokio::test]
async fn a_caller_whose_rights_end_gets_nothing_after_the_trust_time() {
    let (upstream, last) = upstream().await;
    upstream.wants(FIRST.0, FIRST.1);
    let trusting = ProxyServer::start().await;
    let asking = ProxyServer::with(|options| options.trust = Duration::ZERO).await;
    for proxy in [&trusting, &asking] {
        let got = proxy.post_want(&upstream, Some(FIRST), &last).await;
        assert!(got.has_pack());
    }
    upstream.wants("nobody", "else");
    // Within the time the pack of what was listed is still there; what is listed never is.
    let got = trusting.post_want(&upstream, Some(FIRST), &last).await;
    assert_eq!(got.outcome, "hit");
    let complaint = trusting
        .ls_remote_fails(&trusting.url_as(&upstream, FIRST.0, FIRST.1))
        .await;
    assert!(complaint.contains("Authentication failed"), "{complaint}");
    // And a refusal ends the time.
    let got = trusting.post_want(&upstream, Some(FIRST), &last).await;
    assert_eq!((got.status, got.has_pack()), (401, false));
    let got = asking.post_want(&upstream, Some(FIRST), &last).await;
    assert_eq!((got.status, got.has_pack()), (401, false));
}

#[tokio::test]
async fn what_was_listed_to_another_is_not_sent() {
    let (upstream, last) = upstream().await;
    upstream.work(&["checkout", "-q", "-b", "secret"]).await;
    let secret = upstream.commit("secret", "s").await;
    upstream
        .bare(&["config", "uploadpack.allowTipSHA1InWant", "true"])
        .await;
    let proxy = ProxyServer::start().await;
    let got = proxy.post_want(&upstream, Some(FIRST), &secret).await;
    assert_eq!(got.outcome, "miss");
    // Now the upstream lists less, as it does to callers with fewer rights, and does not have it.
    upstream
        .bare(&["update-ref", "-d", "refs/heads/secret"])
        .await;
    upstream
        .bare(&["reflog", "expire", "--expire=now", "--all"])
        .await;
    upstream.bare(&["gc", "-q", "--prune=now"]).await;
    let got = proxy.post_want(&upstream, Some(SECOND), &secret).await;
    assert!(!got.has_pack());
    assert_eq!(got.outcome, "relayed");
    assert!(got.text().contains("not our ref"), "{}", got.text());
    // Nor does naming it as something that one has lead to differences against it.
    for line in ["have", "shallow"] {
        let lines = [("want", &last), (line, &secret)].map(|(word, id)| {
            let line = format!("{word} {id}\n");
            format!("{:04x}{line}", line.len() + 4)
        });
        let got = proxy
            .post_fetch(&upstream, Some(SECOND), &lines.concat())
            .await;
        assert_eq!(got.outcome, "relayed", "{line}");
    }
    let got = proxy.post_want(&upstream, Some(SECOND), &last).await;
    assert_eq!(got.outcome, "hit");
    let folder = tempfile::tempdir().unwrap();
    let listed = git_output(folder.path(), &["ls-remote", &proxy.url(&upstream)]).await;
    assert!(!String::from_utf8_lossy(&listed.stdout).contains(&secret));
}

#[tokio::test]
async fn what_the_cache_knows_itself_is_not_used_for_callers() {
    let (upstream, last) = upstream().await;
    upstream.wants(FIRST.0, FIRST.1);
    let proxy = ProxyServer::start().await;
    // The cache has an entry of the repository, made with a password of its owner's.
    let with_password = upstream
        .url()
        .replacen("://", &format!("://{}:{}@", FIRST.0, FIRST.1), 1);
    let cache = proxy.cache.clone();
    tokio::task::spawn_blocking(move || {
        let call = packhouse_client::cache::CallOptions::default();
        cache.add(&with_password, None, &call).unwrap();
    })
    .await
    .unwrap();
    let got = proxy.post_want(&upstream, None, &last).await;
    assert_eq!((got.status, got.has_pack()), (401, false));
    let refs = format!("{}/info/refs?service=git-upload-pack", proxy.url(&upstream));
    assert_eq!(proxy.get(&refs, None).await.status, 401);
    let got = proxy.post_want(&upstream, Some(FIRST), &last).await;
    assert_eq!((got.outcome.as_str(), upstream.packs()), ("hit", 1));
}
