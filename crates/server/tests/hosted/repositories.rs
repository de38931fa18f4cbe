//! Repositories, tokens, forks and jobs.

use futures::TryStreamExt;
use packhouse_api::{
    AuditQuery, BaseRepo, CreateRepo, ErrorCode, ListJobsQuery, ListReposQuery, PullUpstream,
    RepoAuditQuery,
};
use packhouse_client::hosted::{
    Client, ClientCredential, ClientOptions, RemoteKind, RemoteOptions,
};

use super::{client, client_of, code, put, read, repo};
use crate::support::{ORG, TestServer, git_output};

#[tokio::test]
async fn repositories_from_creation_to_deletion() {
    let server = TestServer::start().await;
    for key in ["es256", "rs256", "eddsa"] {
        let pem = std::fs::read_to_string(format!("tests/keys/{key}.pem")).unwrap();
        let made = client_of(&server, &pem)
            .create_repo(Some(key), &CreateRepo::default())
            .await;
        assert_eq!(made.unwrap().id(), key);
    }
    let client = client(&server);
    let made = client
        .create_repo(None, &CreateRepo::default())
        .await
        .unwrap();
    assert_eq!(made.id().len(), 36);
    let again = client
        .create_repo(Some("es256"), &CreateRepo::default())
        .await;
    assert_eq!(code(again), ErrorCode::RepositoryExists);
    assert_eq!(
        client
            .find_repo("es256")
            .await
            .unwrap()
            .unwrap()
            .default_branch,
        "main"
    );
    assert!(client.find_repo("nothing").await.unwrap().is_none());

    let query = ListReposQuery {
        limit: Some(1),
        ..ListReposQuery::default()
    };
    assert!(client.list_repos(&query).await.unwrap().has_more);
    let all: Vec<_> = client.repos(query).try_collect().await.unwrap();
    assert_eq!(all.len(), 4);

    assert_eq!(
        client.repo("es256").delete().await.unwrap().repo_id,
        "es256"
    );
    assert_eq!(
        code(client.repo("es256").delete().await),
        ErrorCode::RepositoryDeleted
    );
    assert!(client.find_repo("es256").await.unwrap().is_none());

    let stranger = client_of(&server, include_str!("../keys/other-es256.pem"));
    assert_eq!(
        code(stranger.find_repo("rs256").await),
        ErrorCode::Unauthorized
    );
}

#[tokio::test]
async fn a_token_made_elsewhere_is_sent_as_it_is() {
    let server = TestServer::with_repo("r").await;
    let token = crate::support::Token::write("r").text();
    let options = ClientOptions::new(ORG, ClientCredential::Token(token), server.url());
    let client = Client::new(options).unwrap();
    put(&client.repo("r"), "main", "a", "1").await;
    assert_eq!(
        code(client.list_repos(&ListReposQuery::default()).await),
        ErrorCode::Forbidden
    );
}

#[tokio::test]
async fn forks_git_urls_and_jobs() {
    let server = TestServer::start().await;
    let repo = repo(&server).await;
    let sha = put(&repo, "main", "a", "1").await;
    let base = BaseRepo {
        provider: "code".to_owned(),
        owner: String::new(),
        name: repo.id().to_owned(),
        upstream_host: None,
        url: None,
        default_branch: None,
        operation: None,
        git_ref: None,
        sha: None,
        auth: None,
        push_through: None,
    };
    let request = CreateRepo {
        base_repo: Some(base),
        ..CreateRepo::default()
    };
    let fork = client(&server)
        .create_repo(Some("fork"), &request)
        .await
        .unwrap();
    assert_eq!(read(&fork, "a").await, b"1");

    let url = fork
        .remote_url(RemoteKind::Ordinary, &RemoteOptions::default())
        .unwrap();
    assert!(url.starts_with("http://t:") && url.ends_with("/fork.git"));
    let listed = git_output(server.folder.path(), &["ls-remote", &url, "main"]).await;
    assert!(String::from_utf8_lossy(&listed.stdout).starts_with(&sha));
    let read_only = RemoteOptions {
        scopes: Some(vec!["repo:write".to_owned()]),
        ..RemoteOptions::default()
    };
    assert_ne!(fork.remote_url(RemoteKind::Import, &read_only).unwrap(), "");

    let done = fork.list_audit(&RepoAuditQuery::default()).await.unwrap();
    assert!(!done.entries.is_empty());
    let query = AuditQuery {
        repo: Some("fork".to_owned()),
        ..AuditQuery::default()
    };
    let of_org = client(&server).list_audit(&query).await.unwrap();
    assert_eq!(of_org.entries.len(), done.entries.len());
    assert_eq!(
        fork.list_jobs(&ListJobsQuery::default())
            .await
            .unwrap()
            .jobs
            .len(),
        0
    );
    assert!(
        !client(&server)
            .list_jobs(&ListJobsQuery::default())
            .await
            .unwrap()
            .has_more
    );
    assert_eq!(
        fork.pull_upstream(&PullUpstream::default())
            .await
            .unwrap_err()
            .status(),
        Some(400)
    );
    assert_eq!(
        fork.detach_upstream().await.unwrap_err().status(),
        Some(400)
    );
}
