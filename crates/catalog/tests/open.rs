//! Opening, migrating, closing.

use packhouse_catalog::{Catalog, CatalogError, CreateOrgError};

use crate::both::{Database, on_both};

on_both!(
    migrations_run_twice,
    nodes_may_open_at_once,
    a_closed_catalog_refuses,
    foreign_tables_are_refused
);

async fn migrations_run_twice(db: &Database) {
    let first = db.open().await;
    let org = first.create_org("org").await.unwrap();
    first.close().await;
    let second = db.open().await;
    assert_eq!(second.org("org").await.unwrap(), Some(org));
    second.ping().await.unwrap();
    second.close().await;
}

async fn nodes_may_open_at_once(db: &Database) {
    let opened = futures::future::join_all((0..4).map(|_| db.open())).await;
    for catalog in &opened {
        catalog.ping().await.unwrap();
        catalog.close().await;
    }
}

async fn a_closed_catalog_refuses(db: &Database) {
    let catalog = db.open().await;
    // What was asked for before the close is done.
    let before = {
        let catalog = catalog.clone();
        tokio::spawn(async move { catalog.create_org("before").await })
    };
    while catalog.org("before").await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    catalog.close().await;
    before.await.unwrap().unwrap();
    let after = catalog.create_org("after").await;
    assert!(matches!(
        after,
        Err(CreateOrgError::Catalog {
            source: CatalogError::Closed,
            ..
        })
    ));
    catalog.close().await;
}

async fn foreign_tables_are_refused(db: &Database) {
    db.open().await.close().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'from the future', true, '', 0)";
    db.execute(newer, newer).await;
    assert!(matches!(
        Catalog::open(&db.url).await,
        Err(CatalogError::Migrate { .. })
    ));
}
