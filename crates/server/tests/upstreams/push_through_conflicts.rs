//! What goes to the upstream meets what was pushed there, or what the upstream does not take: nothing is lost on either side.

use serde_json::json;

use super::push_through::both_ways;
use super::sync_events;
use crate::support::{Checkout, Database, Mood, Token, on_both};

on_both!(
    a_branch_that_both_sides_wrote_to_stays_as_it_is_on_both,
    a_rewritten_branch_does_not_overwrite_what_was_pushed_there,
    a_branch_deleted_here_and_written_to_there_comes_back,
    an_upstream_that_is_down_gets_it_later,
    what_the_upstream_refuses_holds_up_nothing_else,
);

async fn a_branch_that_both_sides_wrote_to_stays_as_it_is_on_both(database: &Database) {
    let (server, upstream, _) = both_ways(database).await;
    let theirs = upstream.commit("theirs.txt", "theirs").await;
    let ours = server.put_on("trunk", "ours.txt", "ours").await;
    let side = server.put_on("side", "side.txt", "side").await;
    let found = server.until_push(|push| push["status"] == "failed").await;
    for error in [&found["push"]["error"], &found["sync"]["error"]] {
        let error = error.as_str().unwrap();
        assert!(error.contains("`refs/heads/trunk`"), "{error}");
        assert!(error.contains("merge"), "{error}");
    }
    assert_eq!(found["sync"]["status"], "failed");
    let told = sync_events(&server, "a", "sync.failed").await;
    let (kind, detail) = told.last().unwrap();
    assert_eq!(kind, "sync.failed", "{told:?}");
    assert_eq!(detail["error"], found["push"]["error"]);
    // Neither lost anything, and the other branch went there.
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, theirs);
    assert_eq!(upstream.bare(&["rev-parse", "side"]).await, side);
    let branches = server.branches("a", "").await;
    assert!(
        branches.contains(&("trunk".to_owned(), ours.clone())),
        "{branches:?}"
    );

    // A merge brings them together again.
    let clone = Checkout::clone(&server.git_url("a", &Token::write("a")), &[]).await;
    clone.git(&["fetch", "-q", &upstream.url(), "trunk"]).await;
    clone
        .git(&["merge", "-q", "-m", "both", "FETCH_HEAD"])
        .await;
    let merged = clone.git(&["rev-parse", "HEAD"]).await;
    clone
        .git(&["push", "-q", "origin", "HEAD:refs/heads/trunk"])
        .await;
    let found = server.until_pushed().await;
    assert_eq!(found["sync"]["status"], "ok");
    assert!(found["push"].get("error").is_none(), "{found}");
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, merged);
    for commit in [&ours, &theirs] {
        upstream
            .bare(&["merge-base", "--is-ancestor", commit, "trunk"])
            .await;
    }
}

async fn a_rewritten_branch_does_not_overwrite_what_was_pushed_there(database: &Database) {
    let (server, upstream, first) = both_ways(database).await;
    let theirs = upstream.commit("theirs.txt", "theirs").await;
    let clone = Checkout::clone(&server.git_url("a", &Token::write("a")), &[]).await;
    clone
        .git(&["commit", "-q", "--amend", "-m", "rewritten"])
        .await;
    let ours = clone.git(&["rev-parse", "HEAD"]).await;
    assert_ne!(ours, first);
    clone
        .git(&["push", "-qf", "origin", "HEAD:refs/heads/trunk"])
        .await;
    server.until_push(|push| push["status"] == "failed").await;
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, theirs);
    assert_eq!(server.branches("a", "").await, [("trunk".to_owned(), ours)]);
}

async fn a_branch_deleted_here_and_written_to_there_comes_back(database: &Database) {
    let (server, upstream, _) = both_ways(database).await;
    server.put_on("side", "side.txt", "side").await;
    server.until_pushed().await;
    upstream.work(&["fetch", "-q", "../site.git", "side"]).await;
    upstream
        .work(&["checkout", "-q", "-b", "side", "FETCH_HEAD"])
        .await;
    let theirs = upstream.commit_to("side", "theirs.txt", "theirs").await;
    server
        .delete(
            "/repos/branches",
            &Token::write("a"),
            &json!({ "name": "side" }),
        )
        .await
        .expect(200);
    server.until_pushed().await;
    assert_eq!(upstream.bare(&["rev-parse", "side"]).await, theirs);
    let branches = server.branches("a", "").await;
    assert!(
        branches.contains(&("side".to_owned(), theirs)),
        "{branches:?}"
    );
}

async fn an_upstream_that_is_down_gets_it_later(database: &Database) {
    let (server, upstream, first) = both_ways(database).await;
    upstream.be(Mood::Fails(503));
    let second = server.put_on("trunk", "b.txt", "two").await;
    let found = server.until("a", |sync| sync["status"] == "failed").await;
    assert!(
        found["sync"]["error"].as_str().unwrap().contains("503"),
        "{found}"
    );
    assert_eq!(found["push"]["status"], "pending", "{found}");
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, first);
    let third = server.put_on("trunk", "b.txt", "three").await;
    upstream.be(Mood::Fine);
    // Nobody does anything: it is tried again.
    server.until_pushed().await;
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, third);
    assert_eq!(upstream.bare(&["rev-parse", "trunk~1"]).await, second);
}

async fn what_the_upstream_refuses_holds_up_nothing_else(database: &Database) {
    let (server, upstream, _) = both_ways(database).await;
    server.put_on("side", "side.txt", "side").await;
    server.until_pushed().await;
    upstream
        .bare(&["config", "receive.denyDeletes", "true"])
        .await;
    server
        .delete(
            "/repos/branches",
            &Token::write("a"),
            &json!({ "name": "side" }),
        )
        .await
        .expect(200);
    let new = server.put_on("new", "new.txt", "new").await;
    let found = server.until_push(|push| push["status"] == "failed").await;
    let error = found["push"]["error"].as_str().unwrap();
    assert!(error.contains("`refs/heads/side`"), "{error}");
    assert!(error.contains("not taken by the upstream"), "{error}");
    assert_eq!(upstream.bare(&["rev-parse", "new"]).await, new);
    // Once it is allowed, it is done.
    upstream
        .bare(&["config", "receive.denyDeletes", "false"])
        .await;
    server.until_pushed().await;
    assert_eq!(upstream.refs().await, server.refs("a").await);
}
