//! Merges, replays, notes, and who is told of changes.

use std::time::Duration;

use futures::StreamExt;
use packhouse_api::{
    CreateWebhook, DeleteNote, ErrorCode, GetNoteQuery, ListDeliveriesQuery, ListNotesRefsQuery,
    ListWebhooksQuery, MergeBranches, MergeResult, MergeStrategy, NoteAction, PreviewMergeQuery,
    ReplayCommits, ReplayWebhook, WriteNote,
};
use packhouse_client::hosted::{FileConditions, HostedError};

use super::{author, client, code, file, put, read, refused, repo};
use crate::support::{Receiver, TestServer};

#[tokio::test]
async fn merges_replays_and_notes() {
    let server = TestServer::start().await;
    let repo = repo(&server).await;
    let base = put(&repo, "main", "a", "1\n").await;
    let theirs = put(&repo, "topic", "a", "2\n").await;
    let request = MergeBranches {
        source_branch: Some("topic".to_owned()),
        target_branch: "main".to_owned(),
        strategy: MergeStrategy::FfOnly,
        ..MergeBranches::default()
    };
    assert_eq!(
        repo.merge(&request).await.unwrap().result,
        MergeResult::FastForward
    );
    put(&repo, "main", "a", "3\n").await;
    put(&repo, "topic", "a", "4\n").await;
    let request = MergeBranches {
        strategy: MergeStrategy::Merge,
        commit_message: Some("m".to_owned()),
        author: Some(author()),
        ..request
    };
    let Err(HostedError::Api(error)) = repo.merge(&request).await else {
        panic!("merged");
    };
    assert_eq!(error.code(), Some(ErrorCode::MergeConflict));
    let conflict = error.conflict().unwrap();
    assert_eq!(
        (conflict.conflict_paths, conflict.merge_base_sha),
        (vec!["a".to_owned()], Some(theirs.clone()))
    );
    let query = PreviewMergeQuery {
        source_branch: Some("topic".to_owned()),
        target_branch: "main".to_owned(),
        ..PreviewMergeQuery::default()
    };
    assert_eq!(
        repo.preview_merge(&query).await.unwrap().conflict_paths,
        ["a"]
    );

    let picked = put(&repo, "side", "b", "5\n").await;
    let request = ReplayCommits {
        target_branch: "main".to_owned(),
        commit: Some(picked),
        ..ReplayCommits::default()
    };
    let picked = repo.cherry_pick(&request).await.unwrap();
    assert_eq!(read(&repo, "b").await, b"5\n");
    let request = ReplayCommits {
        commit: Some(picked.commit_sha),
        author: Some(author()),
        ..request
    };
    repo.revert(&request).await.unwrap();
    let gone = repo.read_file(&file("b"), &FileConditions::default()).await;
    assert_eq!(code(gone), ErrorCode::PathNotFound);

    let note = WriteNote {
        sha: base.clone(),
        action: NoteAction::Add,
        note: "reviewed".to_owned(),
        r#ref: None,
        expected_ref_sha: None,
        author: None,
    };
    let made = repo.write_note(&note).await.unwrap();
    let error = refused(repo.write_note(&note).await);
    assert_eq!(
        (error.status.as_str(), error.old_sha),
        ("conflict", Some(made.new_ref_sha))
    );
    let query = GetNoteQuery {
        sha: base.clone(),
        r#ref: None,
    };
    assert_eq!(repo.get_note(&query).await.unwrap().note, "reviewed");
    assert_eq!(
        repo.list_notes_refs(&ListNotesRefsQuery::default())
            .await
            .unwrap()
            .refs
            .len(),
        1
    );
    repo.delete_note(&DeleteNote {
        sha: base,
        ..DeleteNote::default()
    })
    .await
    .unwrap();
    assert_eq!(repo.get_note(&query).await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn webhooks_and_events() {
    let receiver = Receiver::start().await;
    let server = TestServer::with(|config| config.egress = packhouse_client::Egress::Any).await;
    let repo = repo(&server).await;
    let webhooks = repo.webhooks();
    let request = CreateWebhook {
        url: receiver.url(),
        ..CreateWebhook::default()
    };
    let made = webhooks.create(&request).await.unwrap();
    assert!(made.secret.is_some());
    assert_eq!(webhooks.get(&made.id).await.unwrap().url, receiver.url());
    assert_eq!(
        webhooks
            .list(&ListWebhooksQuery::default())
            .await
            .unwrap()
            .webhooks
            .len(),
        1
    );

    let mut events = repo.events(Some("0"));
    let mut of_org = client(&server).events(Some("0"));
    let sha = put(&repo, "main", "a", "1").await;
    let wait = Duration::from_secs(20);
    for stream in [&mut events, &mut of_org] {
        let event = loop {
            let next = tokio::time::timeout(wait, stream.next()).await.unwrap();
            let event = next.unwrap().unwrap();
            if event.kind == "push" {
                break event;
            }
        };
        assert_eq!(event.data["after"], sha.as_str());
    }

    let delivered = loop {
        let page = webhooks
            .deliveries(&made.id, &ListDeliveriesQuery::default())
            .await
            .unwrap();
        match page.deliveries.into_iter().next() {
            Some(delivery) => break delivery,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(
        webhooks
            .redeliver(&made.id, &delivered.id)
            .await
            .unwrap()
            .id,
        delivered.id
    );
    webhooks
        .replay(
            &made.id,
            &ReplayWebhook {
                after: "0".to_owned(),
            },
        )
        .await
        .unwrap();
    assert_eq!(webhooks.delete(&made.id).await.unwrap().id, made.id);
    assert_eq!(
        code(webhooks.get(&made.id).await),
        ErrorCode::WebhookNotFound
    );
    assert_eq!(
        client(&server)
            .webhooks()
            .list(&ListWebhooksQuery::default())
            .await
            .unwrap()
            .webhooks
            .len(),
        0
    );
}
