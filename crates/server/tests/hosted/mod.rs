//! The Rust client against this server: every call, and how each kind of failure arrives.

mod changes;
mod files;
mod history;
mod repositories;

use packhouse_api::{CreateRepo, ErrorCode, FileQuery, Person};
use packhouse_client::hosted::{
    Client, ClientCredential, ClientOptions, FileConditions, HostedError, HostedRepo,
    RefUpdateError, SigningKey,
};

use crate::support::{ORG, TestServer};

const ZEROS: &str = "0000000000000000000000000000000000000000";

fn client_of(server: &TestServer, key: &str) -> Client {
    let credential = ClientCredential::Key(SigningKey::from_pem(key).unwrap());
    Client::new(ClientOptions::new(ORG, credential, server.url())).unwrap()
}

fn client(server: &TestServer) -> Client {
    client_of(server, include_str!("../keys/es256.pem"))
}

async fn repo(server: &TestServer) -> HostedRepo {
    client(server)
        .create_repo(Some("team/site"), &CreateRepo::default())
        .await
        .unwrap()
}

fn author() -> Person {
    Person {
        name: "Ada Lovelace".to_owned(),
        email: "ada@example.com".to_owned(),
        timestamp: None,
    }
}

async fn put(repo: &HostedRepo, branch: &str, path: &str, data: &str) -> String {
    let data = data.to_owned();
    let mut commit = repo.commit(branch, format!("Write {path}"), author());
    if branch != "main" {
        commit = commit.base_branch("main");
    }
    let made = commit.file(path, data).send().await.unwrap();
    made.commit.commit_sha
}

async fn read(repo: &HostedRepo, path: &str) -> Vec<u8> {
    let file = repo
        .read_file(&file(path), &FileConditions::default())
        .await
        .unwrap();
    file.bytes().await.unwrap()
}

fn file(path: &str) -> FileQuery {
    FileQuery {
        path: path.to_owned(),
        ..FileQuery::default()
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, HostedError>) -> RefUpdateError {
    match result {
        Err(HostedError::RefUpdate(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T, HostedError>) -> ErrorCode {
    match result {
        Err(HostedError::Api(error)) => error.code().unwrap(),
        other => panic!("{other:?}"),
    }
}
