//! Keys that may come in by SSH.

use packhouse_catalog::{Catalog, CatalogError, NewSshKey, OrgId, SshKeyRow};

use crate::both::{Database, on_both};

on_both!(
    a_key_says_for_each_organisation_what_it_may_do,
    a_key_comes_back_after_it_was_revoked_or_ended,
    keys_are_listed_in_pages_of_an_organisation_or_a_repository,
    keys_are_found_by_what_they_may_do_in_a_repository,
    the_key_of_a_deleted_repository_opens_nothing,
    a_catalog_of_before_gets_the_table
);

const NOW: i64 = 1_700_000_000_000;

fn key(fingerprint: &str) -> NewSshKey {
    NewSshKey {
        fingerprint: format!("SHA256:{fingerprint}"),
        public_key: "ssh-ed25519 AAAA".into(),
        user: None,
        repo: None,
        scopes: "git:read git:write".into(),
        expires_at_ms: None,
    }
}

async fn valid(catalog: &Catalog, fingerprint: &str, now_ms: i64) -> Vec<SshKeyRow> {
    let fingerprint = format!("SHA256:{fingerprint}");
    catalog.ssh_key(&fingerprint, now_ms).await.unwrap()
}

async fn org(catalog: &Catalog, name: &str) -> OrgId {
    catalog.create_org(name).await.unwrap().id
}

async fn a_key_says_for_each_organisation_what_it_may_do(db: &Database) {
    let catalog = db.open().await;
    let (acme, other) = (org(&catalog, "acme").await, org(&catalog, "other").await);
    let of_ann = NewSshKey {
        user: Some("Ann".into()),
        scopes: "git:read".into(),
        expires_at_ms: Some(NOW + 1),
        ..key("a")
    };
    assert!(catalog.add_ssh_key(acme, of_ann.clone()).await.unwrap());
    assert!(catalog.add_ssh_key(other, key("a")).await.unwrap());
    let rows = valid(&catalog, "a", NOW).await;
    let orgs: Vec<_> = rows.iter().map(|row| (row.org, &*row.org_name)).collect();
    assert_eq!(orgs, [(acme, "acme"), (other, "other")]);
    assert_eq!((&rows[0].key, &rows[1].key), (&of_ann, &key("a")));
    // The moment at which it ends is no longer its own.
    assert_eq!(valid(&catalog, "a", NOW + 1).await[0].org, other);
    assert!(catalog.revoke_ssh_key(other, "SHA256:a").await.unwrap());
    assert_eq!(valid(&catalog, "a", NOW + 1).await, []);
    assert_eq!(valid(&catalog, "b", NOW).await, []);
    let nul = NewSshKey {
        user: Some("a\0b".into()),
        ..key("c")
    };
    let refused = catalog.add_ssh_key(acme, nul).await;
    assert!(matches!(refused, Err(CatalogError::Nul { .. })));
}

async fn keys_are_found_by_what_they_may_do_in_a_repository(db: &Database) {
    let catalog = db.open().await;
    let (acme, other) = (org(&catalog, "acme").await, org(&catalog, "other").await);
    let a = catalog.create_repo(acme, "a", "main").await.unwrap().id;
    let b = catalog.create_repo(acme, "b", "main").await.unwrap().id;
    let signs = |fingerprint: &str| NewSshKey {
        scopes: "git:read git:sign".into(),
        ..key(fingerprint)
    };
    let ends = |fingerprint: &str, ms: i64| NewSshKey {
        expires_at_ms: Some(ms),
        ..signs(fingerprint)
    };
    let of = |fingerprint: &str, repo| NewSshKey {
        repo: Some(repo),
        ..signs(fingerprint)
    };
    let near = NewSshKey {
        scopes: "git:signs regit:sign".into(),
        ..key("near")
    };
    for key in [
        signs("all"),
        of("one", a),
        of("of-b", b),
        ends("later", NOW + 1),
        ends("ended", NOW),
        signs("revoked"),
        key("comes-in"),
        near,
    ] {
        assert!(catalog.add_ssh_key(acme, key).await.unwrap());
    }
    assert!(catalog.add_ssh_key(other, signs("others")).await.unwrap());
    assert!(
        catalog
            .revoke_ssh_key(acme, "SHA256:revoked")
            .await
            .unwrap()
    );
    let found = async |repo: &str, limit| {
        let found = catalog.ssh_keys_with_scope(acme, repo, "git:sign", NOW, limit);
        let found = found.await.unwrap().into_iter();
        found
            .map(|row| row.key.fingerprint.replace("SHA256:", ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(found("a", 10).await, ["all", "later", "one"]);
    assert_eq!(found("b", 10).await, ["all", "later", "of-b"]);
    assert_eq!(found("b", 2).await, ["all", "later"]);
}

async fn a_key_comes_back_after_it_was_revoked_or_ended(db: &Database) {
    let catalog = db.open().await;
    let acme = org(&catalog, "acme").await;
    let read_only = NewSshKey {
        scopes: "git:read".into(),
        ..key("a")
    };
    assert!(catalog.add_ssh_key(acme, key("a")).await.unwrap());
    // What a valid key may do is not changed by the way.
    assert!(!catalog.add_ssh_key(acme, read_only.clone()).await.unwrap());
    assert_eq!(valid(&catalog, "a", NOW).await[0].key, key("a"));
    for (expected, fingerprint) in [(true, "SHA256:a"), (false, "SHA256:a"), (false, "a\0")] {
        let revoked = catalog.revoke_ssh_key(acme, fingerprint).await.unwrap();
        assert_eq!(revoked, expected);
    }
    assert!(catalog.add_ssh_key(acme, read_only.clone()).await.unwrap());
    assert_eq!(valid(&catalog, "a", NOW).await[0].key, read_only);

    let ended = NewSshKey {
        expires_at_ms: Some(1),
        ..key("b")
    };
    assert!(catalog.add_ssh_key(acme, ended).await.unwrap());
    assert_eq!(valid(&catalog, "b", NOW).await, []);
    assert!(catalog.add_ssh_key(acme, key("b")).await.unwrap());
    assert_eq!(valid(&catalog, "b", NOW).await[0].key, key("b"));
}

async fn keys_are_listed_in_pages_of_an_organisation_or_a_repository(db: &Database) {
    let catalog = db.open().await;
    let (acme, other) = (org(&catalog, "acme").await, org(&catalog, "other").await);
    let repo = catalog.create_repo(acme, "site", "main").await.unwrap();
    for name in ["b", "A", "a", "c"] {
        catalog.add_ssh_key(acme, key(name)).await.unwrap();
    }
    let deploy = NewSshKey {
        repo: Some(repo.id),
        ..key("d")
    };
    catalog.add_ssh_key(acme, deploy).await.unwrap();
    catalog.add_ssh_key(other, key("e")).await.unwrap();
    catalog.revoke_ssh_key(acme, "SHA256:c").await.unwrap();
    let list = async |repo, after: &str, limit| {
        let rows = catalog.ssh_keys(acme, repo, after, limit).await.unwrap();
        let names = rows.into_iter().map(|row| row.key.fingerprint);
        names.collect::<Vec<_>>()
    };
    let all = ["SHA256:A", "SHA256:a", "SHA256:b", "SHA256:d"];
    assert_eq!(list(None, "", 10).await, all);
    assert_eq!(list(None, "SHA256:A", 2).await, all[1..3]);
    assert_eq!(list(Some(repo.id), "", 10).await, all[3..]);
    assert!(list(Some(repo.id), "SHA256:d", 10).await.is_empty());
}

async fn the_key_of_a_deleted_repository_opens_nothing(db: &Database) {
    let catalog = db.open().await;
    let acme = org(&catalog, "acme").await;
    let repo = catalog.create_repo(acme, "site", "main").await.unwrap();
    let deploy = NewSshKey {
        repo: Some(repo.id),
        ..key("a")
    };
    catalog.add_ssh_key(acme, deploy).await.unwrap();
    let name = async || valid(&catalog, "a", NOW).await[0].repo_name.clone();
    assert_eq!(name().await.as_deref(), Some("site"));
    catalog.delete_repo(acme, "site").await.unwrap();
    assert_eq!(name().await, None);
    // Another repository of that name is another repository.
    catalog.create_repo(acme, "site", "main").await.unwrap();
    assert_eq!(name().await, None);
}

async fn a_catalog_of_before_gets_the_table(db: &Database) {
    db.open().await.close().await;
    let back = "DROP TABLE ssh_keys; DELETE FROM _sqlx_migrations WHERE version = 5";
    db.execute(back, back).await;
    let catalog = db.open().await;
    let acme = org(&catalog, "acme").await;
    assert!(catalog.add_ssh_key(acme, key("a")).await.unwrap());
}
