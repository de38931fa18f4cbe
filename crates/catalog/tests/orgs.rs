//! Organisations and keys.

use packhouse_catalog::{CatalogError, CreateOrgError, NewKey, OrgId};

use crate::both::{Database, on_both};

on_both!(
    names_are_taken_once,
    names_are_compared_bytewise,
    keys_come_and_go,
    a_key_needs_its_organisation
);

async fn names_are_taken_once(db: &Database) {
    let catalog = db.open().await;
    let org = catalog.create_org("acme").await.unwrap();
    let again = catalog.create_org("acme").await;
    assert!(matches!(again, Err(CreateOrgError::Exists { name }) if name == "acme"));
    assert_eq!(catalog.org("acme").await.unwrap(), Some(org));
    assert_eq!(catalog.org("emca").await.unwrap(), None);
    assert_eq!(catalog.org("ac\0me").await.unwrap(), None);
    assert!(matches!(
        catalog.create_org("ac\0me").await,
        Err(CreateOrgError::Catalog {
            source: CatalogError::Nul { .. },
            ..
        })
    ));
}

async fn names_are_compared_bytewise(db: &Database) {
    let catalog = db.open().await;
    for name in ["b", "A", "a", "é", "B", "z"] {
        catalog.create_org(name).await.unwrap();
    }
    let names: Vec<_> = catalog
        .list_orgs()
        .await
        .unwrap()
        .into_iter()
        .map(|org| org.name)
        .collect();
    assert_eq!(names, ["A", "B", "a", "b", "z", "é"]);
}

fn key(fingerprint: &str) -> NewKey {
    NewKey {
        fingerprint: fingerprint.into(),
        algorithm: "ES256".into(),
        public_pem: "-----BEGIN PUBLIC KEY-----".into(),
    }
}

async fn keys_come_and_go(db: &Database) {
    let catalog = db.open().await;
    let org = catalog.create_org("acme").await.unwrap().id;
    let other = catalog.create_org("other").await.unwrap().id;
    assert!(catalog.add_key(org, key("b")).await.unwrap());
    assert!(catalog.add_key(org, key("a")).await.unwrap());
    assert!(!catalog.add_key(org, key("a")).await.unwrap());
    let keys = catalog.keys(org).await.unwrap();
    assert_eq!(
        keys.iter()
            .map(|key| &key.fingerprint[..])
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(keys[0].algorithm, "ES256");
    assert_eq!(catalog.keys(other).await.unwrap(), []);

    assert!(catalog.revoke_key(org, "a").await.unwrap());
    assert!(!catalog.revoke_key(org, "a").await.unwrap());
    assert!(!catalog.revoke_key(other, "b").await.unwrap());
    assert_eq!(catalog.keys(org).await.unwrap().len(), 1);
    assert!(catalog.add_key(org, key("a")).await.unwrap());
    assert_eq!(catalog.keys(org).await.unwrap().len(), 2);
}

async fn a_key_needs_its_organisation(db: &Database) {
    let catalog = db.open().await;
    let added = catalog.add_key(OrgId(77), key("a")).await;
    assert!(matches!(added, Err(CatalogError::Database { .. })));
    // And the lane works on.
    catalog.create_org("acme").await.unwrap();
}
