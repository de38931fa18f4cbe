//! Publishes and edits with little to say.

use bytes::Bytes;
use packhouse_catalog::{Catalog, NewPack, PackSource, Publish, RefEdit, RepoId, RepoRow};

pub(crate) const AT: i64 = 1_700_000_000_000;

/// A made-up id.
pub(crate) fn id(number: u64) -> Vec<u8> {
    let mut id = vec![0xab; 20];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}

pub(crate) fn edit(name: &str, old: Option<u64>, new: Option<u64>) -> RefEdit {
    RefEdit {
        name: name.as_bytes().to_vec(),
        old: old.map(id),
        new: new.map(id),
        peeled: None,
        message: "test".into(),
        who: None,
        origin: None,
    }
}

pub(crate) fn publish(repo: RepoId, edits: Vec<RefEdit>) -> Publish {
    Publish {
        repo,
        tail: None,
        packs: vec![],
        edits,
        who: "somebody".into(),
        at_ms: AT,
        only_at: None,
        checked_at: 0,
    }
}

pub(crate) fn with_tail(publish: Publish, objects: impl Into<Bytes>) -> Publish {
    Publish {
        tail: Some(objects.into()),
        ..publish
    }
}

pub(crate) fn pack(number: u8) -> NewPack {
    NewPack {
        key: [number; 32],
        source: PackSource::Push,
        objects: 3,
        pack_bytes: 1000 + i64::from(number),
        idx_bytes: 1100,
    }
}

pub(crate) async fn repo(catalog: &Catalog) -> RepoRow {
    let org = match catalog.org("org").await.unwrap() {
        Some(org) => org,
        None => catalog.create_org("org").await.unwrap(),
    };
    let name = format!(
        "repo-{}",
        catalog
            .list_repos(org.id, None, None, 10_000)
            .await
            .unwrap()
            .len()
    );
    catalog.create_repo(org.id, &name, "main").await.unwrap()
}

/// Where a ref points, by a full load.
pub(crate) async fn target(catalog: &Catalog, repo: RepoId, name: &str) -> Option<Vec<u8>> {
    let loaded = catalog.load(repo, None).await.unwrap().unwrap();
    loaded
        .refs
        .into_iter()
        .find(|row| row.name == name.as_bytes())?
        .target
}
