//! The hosted API over HTTP: repositories on a server, their files, commits and branches.
//!
//! - A request is signed with a token of its own, for the one repository and what it does.
//! - What the server turned away, or what never reached it, is sent again after a growing pause; of what may
//!   have been done, only reads are. See [`RetryPolicy`].
//! - Files, diffs and archives are streams in both directions: memory holds some MiB, however large they are.
//! - Dropping a call's future ends its request.
//!
//! ```no_run
//! use packhouse_api::{CreateRepo, FileQuery, Person};
//! use packhouse_client::hosted::{Client, ClientCredential, ClientOptions, FileConditions, SigningKey};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::from_pem(&std::fs::read_to_string("key.pem")?)?;
//! let credential = ClientCredential::Key(key);
//! let client = Client::new(ClientOptions::new("acme", credential, "https://git.example.com"))?;
//!
//! let repo = client.create_repo(Some("team/site"), &CreateRepo::default()).await?;
//! let author = Person {
//!     name: "Docs Bot".to_owned(),
//!     email: "docs@example.com".to_owned(),
//!     timestamp: None,
//! };
//! let made = repo
//!     .commit("main", "First page", author)
//!     .file("index.html", "<h1>Hello</h1>\n")
//!     .send()
//!     .await?;
//! println!("{}", made.commit.commit_sha);
//!
//! let query = FileQuery { path: "index.html".to_owned(), ..FileQuery::default() };
//! let page = repo.read_file(&query, &FileConditions::default()).await?.bytes().await?;
//! assert_eq!(page, b"<h1>Hello</h1>\n");
//! # Ok(())
//! # }
//! ```

mod auth;
mod branches;
mod call;
mod client;
mod commits;
mod error;
mod events;
mod files;
mod merges;
mod notes;
mod pages;
mod repo;
mod retry;
mod signature;
mod upload;
mod upstreams;
mod webhooks;

pub use auth::{Claims, KeyError, REMOTE_TTL_SECONDS, RefPolicy, SigningKey};
pub use client::{Client, ClientCredential, ClientOptions};
pub use commits::{CommitBuilder, MadeCommit};
pub use error::{ApiError, HostedError, RefUpdateError};
pub use events::{EventStream, HostedEvent};
pub use files::{Download, FileConditions};
pub use repo::{HostedRepo, RemoteKind, RemoteOptions};
pub use retry::RetryPolicy;
pub use signature::{MAX_AGE_SECONDS, SignatureError, parse_signature, verify_signature};
pub use upload::{CHUNK_BYTES, FileSource};
pub use webhooks::Webhooks;
