//! Repositories: creating, finding, listing, deleting.

use packhouse_catalog::{
    Catalog, CatalogError, CreateRepoError, DeleteRepoError, MAX_REPO_NAME_BYTES, OrgId,
    PublishError, RepoRow,
};

use crate::both::{Database, on_both};
use crate::sample::{edit, publish};

on_both!(
    a_new_repository_is_empty,
    a_name_has_one_winner,
    lists_go_by_name_and_page,
    a_query_matches_any_case_and_nothing_else,
    a_deleted_name_is_free,
    names_have_a_limit,
    many_are_created_at_once,
);

async fn a_new_repository_is_empty(db: &Database) {
    let catalog = db.open().await;
    let org = catalog.create_org("acme").await.unwrap().id;
    let repo = catalog.create_repo(org, "team/app", "trunk").await.unwrap();
    let numbers = (
        repo.generation,
        repo.packs_generation,
        repo.folded_through,
        repo.tail_rows,
    );
    assert_eq!(numbers, (0, 0, 0, 0));
    assert_eq!(repo.default_branch, "trunk");
    assert_eq!(
        catalog.repo(org, "team/app").await.unwrap().as_ref(),
        Some(&repo)
    );
    assert_eq!(
        catalog.repo_by_id(repo.id).await.unwrap().as_ref(),
        Some(&repo)
    );
    assert_eq!(catalog.repo(org, "team/App").await.unwrap(), None);
    assert_eq!(catalog.repo(OrgId(1), "team/app").await.unwrap(), None);
    let loaded = catalog.load(repo.id, None).await.unwrap().unwrap();
    assert_eq!(
        (loaded.refs, loaded.tail, loaded.packs),
        (vec![], vec![], Some(vec![]))
    );
}

async fn a_name_has_one_winner(db: &Database) {
    let nodes = [db.open().await, db.open().await];
    let org = nodes[0].create_org("acme").await.unwrap().id;
    for round in 0..5 {
        let name = format!("contested-{round}");
        let tries = (0..16).map(|number| {
            let (catalog, name) = (nodes[number % 2].clone(), name.clone());
            tokio::spawn(async move { catalog.create_repo(org, &name, "main").await })
        });
        let mut winners = vec![];
        for answer in futures::future::join_all(tries).await {
            match answer.unwrap() {
                Ok(repo) => winners.push(repo),
                Err(CreateRepoError::Exists { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(
            nodes[1].repo(org, &name).await.unwrap().as_ref(),
            winners.first()
        );
    }
}

fn names(repos: &[RepoRow]) -> Vec<&str> {
    repos.iter().map(|repo| &repo.name[..]).collect()
}

async fn with_repos(db: &Database, names: &[&str]) -> (Catalog, OrgId) {
    let catalog = db.open().await;
    let org = catalog.create_org("acme").await.unwrap().id;
    let other = catalog.create_org("other").await.unwrap().id;
    catalog
        .create_repo(other, "elsewhere", "main")
        .await
        .unwrap();
    for name in names {
        catalog.create_repo(org, name, "main").await.unwrap();
    }
    (catalog, org)
}

async fn lists_go_by_name_and_page(db: &Database) {
    let (catalog, org) = with_repos(db, &["b", "a", "C", "ä", "a/b", "a.b"]).await;
    let all = catalog.list_repos(org, None, None, 100).await.unwrap();
    assert_eq!(names(&all), ["C", "a", "a.b", "a/b", "b", "ä"]);
    let first = catalog.list_repos(org, None, None, 2).await.unwrap();
    assert_eq!(names(&first), ["C", "a"]);
    let second = catalog.list_repos(org, None, Some("a"), 3).await.unwrap();
    assert_eq!(names(&second), ["a.b", "a/b", "b"]);
    let last = catalog.list_repos(org, None, Some("b"), 3).await.unwrap();
    assert_eq!(names(&last), ["ä"]);
}

async fn a_query_matches_any_case_and_nothing_else(db: &Database) {
    let (catalog, org) =
        with_repos(db, &["Web-App", "app_1", "appx1", "100%", "back\\slash"]).await;
    let find = async |query: &str| {
        let found = catalog
            .list_repos(org, Some(query), None, 100)
            .await
            .unwrap();
        names(&found).join(" ")
    };
    assert_eq!(find("APP").await, "Web-App app_1 appx1");
    assert_eq!(find("web-").await, "Web-App");
    assert_eq!(find("_").await, "app_1");
    assert_eq!(find("0%").await, "100%");
    assert_eq!(find("\\").await, "back\\slash");
    assert_eq!(find("nothing").await, "");
    assert_eq!(find("a\0").await, "");
    assert_eq!(find("").await, "100% Web-App app_1 appx1 back\\slash");
    let after = catalog
        .list_repos(org, Some("app"), Some("app_1"), 100)
        .await
        .unwrap();
    assert_eq!(names(&after), ["appx1"]);
}

async fn a_deleted_name_is_free(db: &Database) {
    let catalog = db.open().await;
    let org = catalog.create_org("acme").await.unwrap().id;
    let missing = catalog.delete_repo(org, "app").await;
    assert!(matches!(missing, Err(DeleteRepoError::NotFound { .. })));

    let first = catalog.create_repo(org, "app", "main").await.unwrap();
    catalog
        .publish(publish(
            first.id,
            vec![edit("refs/heads/main", None, Some(1))],
        ))
        .await
        .unwrap();
    catalog.delete_repo(org, "app").await.unwrap();
    assert_eq!(catalog.repo(org, "app").await.unwrap(), None);
    assert_eq!(catalog.list_repos(org, None, None, 10).await.unwrap(), []);
    assert_eq!(catalog.load(first.id, None).await.unwrap(), None);
    assert!(
        catalog
            .repo_by_id(first.id)
            .await
            .unwrap()
            .unwrap()
            .deleted_at_ms
            .is_some()
    );
    let again = catalog.delete_repo(org, "app").await;
    assert!(matches!(again, Err(DeleteRepoError::AlreadyDeleted { .. })));
    let late = publish(first.id, vec![edit("refs/heads/main", Some(1), Some(2))]);
    assert!(matches!(
        catalog.publish(late).await,
        Err(PublishError::RepoGone)
    ));

    let second = catalog.create_repo(org, "app", "main").await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(
        catalog.load(second.id, None).await.unwrap().unwrap().refs,
        []
    );
    catalog.delete_repo(org, "app").await.unwrap();
    let third = catalog.create_repo(org, "app", "main").await.unwrap();
    assert_eq!(catalog.repo(org, "app").await.unwrap(), Some(third));
}

async fn names_have_a_limit(db: &Database) {
    let catalog = db.open().await;
    let org = catalog.create_org("acme").await.unwrap().id;
    // Without repetition, so that no compression makes it fit.
    let mut state = 1_u32;
    let long: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    })
    .take(MAX_REPO_NAME_BYTES)
    .collect();
    catalog.create_repo(org, &long, "main").await.unwrap();
    assert!(catalog.repo(org, &long).await.unwrap().is_some());
    let longer = catalog.create_repo(org, &format!("{long}x"), "main").await;
    assert!(matches!(
        longer,
        Err(CreateRepoError::Catalog {
            source: CatalogError::TooLong { .. },
            ..
        })
    ));
    let nul = catalog.create_repo(org, "a\0b", "main").await;
    assert!(matches!(
        nul,
        Err(CreateRepoError::Catalog {
            source: CatalogError::Nul { .. },
            ..
        })
    ));
    assert_eq!(catalog.repo(org, "a\0b").await.unwrap(), None);
    let missing = catalog.delete_repo(org, "a\0b").await;
    assert!(matches!(missing, Err(DeleteRepoError::NotFound { .. })));
}

async fn many_are_created_at_once(db: &Database) {
    let catalog = db.open().await;
    let org = catalog.create_org("acme").await.unwrap().id;
    let tries = (0..500).map(|number| {
        let catalog = catalog.clone();
        tokio::spawn(async move {
            catalog
                .create_repo(org, &format!("repo-{number}"), "main")
                .await
        })
    });
    let mut ids = std::collections::HashSet::new();
    for answer in futures::future::join_all(tries).await {
        ids.insert(answer.unwrap().unwrap().id);
    }
    assert_eq!(ids.len(), 500);
    assert_eq!(
        catalog
            .list_repos(org, None, None, 1000)
            .await
            .unwrap()
            .len(),
        500
    );
}
