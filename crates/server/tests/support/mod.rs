//! A server to test, and clients for it.

mod api;
mod database;
mod git;
mod openapi;
mod own_database;
mod receiver;
mod ssh;
mod token;
mod upstream;

pub(crate) use api::{Answer, CommitBody, encoded};
pub(crate) use database::{Database, on_both};
pub(crate) use git::{Checkout, git_output};
pub(crate) use own_database::OwnDatabase;
pub(crate) use receiver::Receiver;
pub(crate) use ssh::{SshUser, finish, noise, ssh_url, with_ssh};
pub(crate) use token::{Key, Token, now};
pub(crate) use upstream::{Mood, Upstream};

use std::sync::Arc;

use packhouse_catalog::{NewKey, OrgId};
use packhouse_server::auth::PublicKey;
use packhouse_server::{Config, Limits, Server};

use self::openapi::Document;

/// The organisation of every test server.
pub(crate) const ORG: &str = "acme";

/// A running server with one organisation, which has one key of each kind.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) org: OrgId,
    pub(crate) http: reqwest::Client,
    document: Arc<Document>,
    pub(crate) folder: tempfile::TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> TestServer {
        TestServer::with(|_| {}).await
    }

    pub(crate) async fn with_limits(set: impl FnOnce(&mut Limits)) -> TestServer {
        TestServer::with(|config| set(&mut config.limits)).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut Config)) -> TestServer {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::embedded(folder.path());
        config.limits.shutdown = std::time::Duration::from_secs(5);
        set(&mut config);
        let server = Server::start(config).await.unwrap();
        let catalog = server.hosted().catalog();
        let org = catalog.create_org(ORG).await.unwrap().id;
        for key in [Key::Es256, Key::Rs256, Key::EdDsa] {
            register(&server, org, key.public_pem()).await;
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate =
            reqwest::Certificate::from_pem(include_bytes!("../keys/tls.cert.pem")).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([certificate])
            .build()
            .unwrap();
        let document = http
            .get(format!("{}/api/openapi.json", server.url()).replace("127.0.0.1", "localhost"));
        let document: serde_json::Value = document.send().await.unwrap().json().await.unwrap();
        TestServer {
            server,
            org,
            http,
            document: Arc::new(Document::new(document)),
            folder,
        }
    }

    /// A server with one empty repository.
    pub(crate) async fn with_repo(id: &str) -> TestServer {
        let server = TestServer::start().await;
        server.create(id).await;
        server
    }

    pub(crate) async fn create(&self, id: &str) {
        let created = self
            .post(
                "/repos",
                &Token::new(id, &["repo:write"]),
                &serde_json::json!({}),
            )
            .await;
        assert_eq!(created.status, 201, "{}", created.body);
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }
}

pub(crate) async fn register(server: &Server, org: OrgId, pem: &str) -> String {
    let key = PublicKey::from_pem(pem).unwrap();
    let new = NewKey {
        fingerprint: key.fingerprint(),
        algorithm: key.algorithm().as_str().to_owned(),
        public_pem: pem.to_owned(),
    };
    server.hosted().catalog().add_key(org, new).await.unwrap();
    key.fingerprint()
}
