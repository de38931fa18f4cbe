//! The hosted backend on a real database and bucket: what a write means, alone, in a crowd and on several nodes.

mod alone;
mod crowds;
mod failing;
mod views;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use packhouse_bucket::Bucket;
use packhouse_catalog::{Catalog, OrgId};
use packhouse_object::{
    EntryMode, NewObject, ObjectId, ObjectKind, PathEdit, RefName, RepoPath, Signature, find_path,
};
use packhouse_repo::{
    CommitOutcome, CommitRequest, FoldLimits, Hosted, HostedOptions, LogQuery, Namespace,
    RefChange, RefPolicy, Repository, log,
};

/// Where a test keeps its data; nodes come and go on it.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) catalog: String,
    pub(crate) bucket: Arc<dyn Bucket>,
}

impl Place {
    pub(crate) fn local() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let catalog = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let bucket = packhouse_bucket::open(&format!(
            "file://{}",
            folder.path().join("bucket").display()
        ))
        .unwrap();
        Place {
            folder,
            catalog,
            bucket,
        }
    }

    /// With a bucket that is not on this machine, as far as nodes can tell.
    pub(crate) fn with_distant_bucket() -> Place {
        Place {
            bucket: packhouse_bucket::open("memory:").unwrap(),
            ..Place::local()
        }
    }

    /// On PostgreSQL and S3, with a database of its own. `None` where S3 is to be left out.
    fn remote() -> Option<Place> {
        if !has_s3() {
            return None;
        }
        let bucket =
            packhouse_bucket::open_with(&required("PACKHOUSE_TEST_S3"), &s3_options()).unwrap();
        Some(Place {
            bucket,
            ..Place::on_postgres()
        })
    }

    /// On S3, below a prefix of its own: what sweeps there sees nothing else. `None` where S3 is to be left out.
    pub(crate) fn on_s3(name: &str) -> Option<Place> {
        if !has_s3() {
            return None;
        }
        let place = Place::local();
        let own = place.folder.path().file_name().unwrap().to_string_lossy();
        let own = own.trim_matches('.').to_lowercase();
        let url = required("PACKHOUSE_TEST_S3");
        let (address, settings) = url.split_once('?').unwrap_or((&url, ""));
        let url = format!("{}/{name}-{own}?{settings}", address.trim_end_matches('/'));
        let bucket = packhouse_bucket::open_with(&url, &s3_options()).unwrap();
        Some(Place { bucket, ..place })
    }

    /// On PostgreSQL, with a database of its own, and a bucket in memory.
    pub(crate) fn on_postgres() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy();
        let name = name.to_lowercase().replace('.', "t");
        Place {
            catalog: own_schema(&required("PACKHOUSE_TEST_POSTGRES"), &name),
            bucket: packhouse_bucket::open("memory:").unwrap(),
            folder,
        }
    }

    /// A node with its own caches.
    pub(crate) async fn node(&self, name: &str, fold: FoldLimits) -> Arc<Hosted> {
        let catalog = Catalog::open(&self.catalog).await.unwrap();
        let (cache, temp) = (
            self.folder.path().join(name).join("cache"),
            self.folder.path().join(name).join("tmp"),
        );
        let mut options = HostedOptions::new(catalog, self.bucket.clone(), cache, temp);
        options.fold = fold;
        Hosted::open(options).unwrap()
    }
}

/// Whether the run has an S3 server; a quick local one may leave it out.
fn has_s3() -> bool {
    !std::env::var("PACKHOUSE_TEST_SKIP_S3").is_ok_and(|value| value == "1")
}

fn s3_options() -> packhouse_bucket::Options {
    let s3 = packhouse_bucket::S3Options {
        access_key: Some(required("PACKHOUSE_TEST_S3_ACCESS_KEY")),
        secret_key: Some(required("PACKHOUSE_TEST_S3_SECRET_KEY")),
        ..Default::default()
    };
    packhouse_bucket::Options { s3 }
}

/// An environment variable that the test command sets.
fn required(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; run the tests through `make test`"))
}

/// A schema of its own in a shared PostgreSQL, as a URL.
fn own_schema(server: &str, name: &str) -> String {
    let made = std::process::Command::new("psql")
        .args([server, "-qc", &format!("CREATE SCHEMA {name}")])
        .status()
        .unwrap();
    assert!(made.success(), "could not create schema {name}");
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options[search_path]={name}")
}

pub(crate) const NEVER: FoldLimits = FoldLimits {
    rows: u64::MAX,
    bytes: u64::MAX,
    search_every: Duration::from_secs(3600),
};

pub(crate) const OFTEN: FoldLimits = FoldLimits {
    rows: 3,
    bytes: 1 << 20,
    search_every: Duration::from_millis(50),
};

pub(crate) async fn new_org(node: &Hosted) -> OrgId {
    node.catalog().create_org("acme").await.unwrap().id
}

pub(crate) async fn new_repo(node: &Hosted, org: OrgId, name: &str) -> Repository {
    node.catalog().create_repo(org, name, "main").await.unwrap();
    node.repository(org, name).await.unwrap().unwrap()
}

pub(crate) fn branch(name: &str) -> RefName {
    RefName::branch(name).unwrap()
}

pub(crate) fn someone() -> Signature {
    Signature {
        name: "A".into(),
        email: "a@example.com".into(),
        seconds: 1_700_000_000,
        offset_minutes: 0,
    }
}

pub(crate) fn request(target: &str, path: &str, content: impl Into<Vec<u8>>) -> CommitRequest {
    let blob = NewObject::new(ObjectKind::Blob, content.into()).unwrap();
    CommitRequest {
        target: branch(target),
        base: None,
        expected_head: None,
        edits: vec![PathEdit::Upsert {
            path: RepoPath::parse(path).unwrap(),
            mode: EntryMode::Blob,
            id: blob.id,
        }],
        blobs: vec![blob],
        packs: Vec::new(),
        message: "change".into(),
        author: someone(),
        committer: someone(),
        who: "test".to_owned(),
    }
}

pub(crate) async fn put(
    repo: &Repository,
    target: &str,
    path: &str,
    content: &str,
) -> CommitOutcome {
    repo.commit(request(target, path, content)).await.unwrap()
}

async fn history(repo: &Repository, name: &str) -> Vec<ObjectId> {
    let view = repo.view().await.unwrap();
    let tip = view.resolve(name, Namespace::Default).unwrap().unwrap().id;
    let query = LogQuery {
        tip,
        path: None,
        skip: 0,
        limit: usize::MAX,
        bytes: usize::MAX,
    };
    log(&view, &query)
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| entry.id)
        .collect()
}

pub(crate) async fn content(repo: &Repository, name: &str, path: &str) -> Option<Vec<u8>> {
    let view = repo.view().await.unwrap();
    let tip = view.resolve(name, Namespace::Default).unwrap()?.id;
    let tree = view.database().commit(tip).unwrap().tree;
    let entry = find_path(view.database(), tree, &RepoPath::parse(path).unwrap()).unwrap()?;
    Some(
        view.database()
            .read(&entry.id)
            .unwrap()
            .unwrap()
            .data
            .to_vec(),
    )
}

/// The commits of `main` by first parent, newest first.
async fn first_parents(repo: &Repository) -> Vec<ObjectId> {
    let view = repo.view().await.unwrap();
    let tip = view
        .resolve("main", Namespace::Default)
        .unwrap()
        .unwrap()
        .id;
    let parent = |id: &ObjectId| view.database().commit(id).unwrap().parents.first().copied();
    std::iter::successors(Some(tip), parent).collect()
}

/// Everything reachable from every ref can be read.
pub(crate) async fn check_complete(repo: &Repository) {
    let view = repo.view().await.unwrap();
    let mut checked = HashSet::new();
    let mut queue: Vec<ObjectId> = view.refs().iter().map(|(_, entry)| entry.target).collect();
    while let Some(id) = queue.pop() {
        if !checked.insert(id) {
            continue;
        }
        let object = view
            .database()
            .read(&id)
            .unwrap()
            .unwrap_or_else(|| panic!("{id} is missing"));
        assert_eq!(
            packhouse_object::hash_object(object.kind, &object.data).unwrap(),
            id
        );
        match object.kind {
            ObjectKind::Commit => {
                let commit = view.database().commit(id).unwrap();
                queue.push(commit.tree);
                queue.extend(commit.parents);
            }
            ObjectKind::Tree => queue.extend(
                view.database()
                    .tree(id)
                    .unwrap()
                    .entries
                    .iter()
                    .map(|entry| entry.id),
            ),
            ObjectKind::Blob | ObjectKind::Tag => {}
        }
    }
}

/// The reflog of `main` is one chain that ends at the tip.
async fn check_reflog(repo: &Repository, newest_first: Vec<ObjectId>) {
    let rows = repo
        .reflog(Some(b"refs/heads/main"), None, 10_000)
        .await
        .unwrap();
    assert!(
        rows.windows(2).all(|pair| pair[1].old == pair[0].new),
        "the reflog is not one chain"
    );
    let logged: Vec<ObjectId> = rows.iter().rev().map(|row| row.new.unwrap()).collect();
    assert_eq!(logged, newest_first);
}

pub(crate) struct Anything;

impl RefPolicy for Anything {
    fn allows(&self, _: &RefName, _: RefChange) -> Result<(), String> {
        Ok(())
    }
}
