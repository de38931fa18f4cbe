//! The ref transaction.

use packhouse_catalog::{
    CatalogError, MAX_REF_NAME_BYTES, Publish, PublishError, RefEdit, RepoId, Since,
};

use crate::both::{Database, on_both};
use crate::sample::{AT, edit, id, pack, publish, repo, target, with_tail};

on_both!(
    a_publish_is_seen_whole,
    a_moved_ref_refuses_everything,
    one_ref_may_move_several_times,
    a_ref_that_came_and_went_leaves_its_reflog,
    a_deleted_ref_is_created_anew,
    an_edit_to_where_it_is_only_checks,
    names_are_bytes_in_order,
    the_reflog_pages_and_filters,
    a_repository_that_never_was_is_gone,
    a_pack_may_be_listed_again,
    a_push_of_thousands_of_refs,
    texts_and_names_have_limits,
    a_publish_for_one_generation_is_refused_at_another,
);

const MAIN: &str = "refs/heads/main";

async fn a_publish_is_seen_whole(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    let tag = RefEdit {
        peeled: Some(id(9)),
        who: Some("a tagger".into()),
        ..edit("refs/tags/v1", None, Some(8))
    };
    let mut change = with_tail(
        publish(repo.id, vec![edit(MAIN, None, Some(1)), tag]),
        "objects",
    );
    change.packs = vec![pack(1), pack(2)];
    let published = catalog.publish(change).await.unwrap();
    assert_eq!(published.generation, 1);

    let loaded = catalog.load(repo.id, None).await.unwrap().unwrap();
    let row = &loaded.repo;
    assert_eq!(
        (row.generation, row.packs_generation, row.folded_through),
        (1, 1, 0)
    );
    assert_eq!((row.tail_rows, row.tail_bytes), (1, 7));
    assert_eq!(
        catalog.repo(repo.org, &repo.name).await.unwrap().as_ref(),
        Some(row)
    );
    assert_eq!(loaded.refs.len(), 2);
    assert_eq!(loaded.refs[0].name, MAIN.as_bytes());
    assert_eq!(loaded.refs[0].target, Some(id(1)));
    assert_eq!(
        (loaded.refs[0].created_at_ms, loaded.refs[0].generation),
        (AT, 1)
    );
    assert_eq!(loaded.refs[1].peeled, Some(id(9)));
    assert_eq!(
        (loaded.tail[0].generation, &loaded.tail[0].objects[..]),
        (1, &b"objects"[..])
    );
    let packs = loaded.packs.unwrap();
    assert_eq!(
        packs.iter().map(|pack| pack.key[0]).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(
        (packs[0].pack_bytes, packs[0].idx_bytes, packs[0].generation),
        (1001, 1100, 1)
    );

    let reflog = catalog.reflog(repo.id, None, (0, -1), 10).await.unwrap();
    assert_eq!(reflog.len(), 2);
    assert_eq!(
        (reflog[0].generation, reflog[0].ordinal, reflog[0].at_ms),
        (1, 0, AT)
    );
    assert_eq!((&reflog[0].old, &reflog[0].new), (&None, &Some(id(1))));
    assert_eq!(
        (&reflog[0].who[..], &reflog[1].who[..]),
        ("somebody", "a tagger")
    );
    assert_eq!(reflog[1].message, "test");
}

async fn a_moved_ref_refuses_everything(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    catalog
        .publish(publish(repo.id, vec![edit(MAIN, None, Some(1))]))
        .await
        .unwrap();
    let before = catalog.load(repo.id, None).await.unwrap();
    for (old, found) in [(None, Some(1)), (Some(7), Some(1))] {
        let edits = vec![
            edit("refs/heads/new", None, Some(5)),
            edit(MAIN, old, Some(2)),
        ];
        let mut change = with_tail(publish(repo.id, edits), "lost");
        change.packs = vec![pack(1)];
        match catalog.publish(change).await {
            Err(PublishError::Moved {
                name,
                expected,
                found: at,
            }) => {
                assert_eq!((name, expected), (MAIN.as_bytes().to_vec(), old.map(id)));
                assert_eq!(at, found.map(id));
            }
            other => panic!("{other:?}"),
        }
    }
    let absent = catalog
        .publish(publish(repo.id, vec![edit("refs/heads/x", Some(1), None)]))
        .await;
    assert!(matches!(
        absent,
        Err(PublishError::Moved { found: None, .. })
    ));
    assert_eq!(catalog.load(repo.id, None).await.unwrap(), before);
    assert_eq!(
        catalog
            .reflog(repo.id, None, (0, -1), 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn one_ref_may_move_several_times(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    let chain = vec![
        edit(MAIN, None, Some(1)),
        edit("refs/heads/side", None, Some(1)),
        edit(MAIN, Some(1), Some(2)),
        edit(MAIN, Some(2), Some(3)),
    ];
    catalog.publish(publish(repo.id, chain)).await.unwrap();
    assert_eq!(target(&catalog, repo.id, MAIN).await, Some(id(3)));
    let reflog = catalog
        .reflog(repo.id, Some(MAIN.as_bytes()), (0, -1), 10)
        .await
        .unwrap();
    let moves: Vec<_> = reflog
        .iter()
        .map(|row| (row.ordinal, row.new.clone()))
        .collect();
    assert_eq!(
        moves,
        [(0, Some(id(1))), (2, Some(id(2))), (3, Some(id(3)))]
    );

    let broken = vec![edit(MAIN, Some(3), Some(4)), edit(MAIN, Some(3), Some(5))];
    match catalog.publish(publish(repo.id, broken)).await {
        Err(PublishError::Moved {
            expected, found, ..
        }) => {
            assert_eq!((expected, found), (Some(id(3)), Some(id(4))));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(target(&catalog, repo.id, MAIN).await, Some(id(3)));
}

async fn a_ref_that_came_and_went_leaves_its_reflog(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    let edits = vec![edit(MAIN, None, Some(1)), edit(MAIN, Some(1), None)];
    catalog.publish(publish(repo.id, edits)).await.unwrap();
    let start = Since {
        generation: 0,
        packs_generation: 0,
        folded_through: 0,
    };
    assert_eq!(
        catalog
            .load(repo.id, Some(start))
            .await
            .unwrap()
            .unwrap()
            .refs,
        []
    );
    assert_eq!(
        catalog
            .reflog(repo.id, None, (0, -1), 10)
            .await
            .unwrap()
            .len(),
        2
    );
}

async fn a_deleted_ref_is_created_anew(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    let at = |at_ms, edits| {
        let mut publish = publish(repo.id, edits);
        publish.at_ms = at_ms;
        publish
    };
    catalog
        .publish(at(1000, vec![edit(MAIN, None, Some(1))]))
        .await
        .unwrap();
    catalog
        .publish(at(2000, vec![edit(MAIN, Some(1), Some(2))]))
        .await
        .unwrap();
    let loaded = catalog.load(repo.id, None).await.unwrap().unwrap();
    assert_eq!(loaded.refs[0].created_at_ms, 1000);
    let since = Since::from(&loaded.repo);

    catalog
        .publish(at(3000, vec![edit(MAIN, Some(2), None)]))
        .await
        .unwrap();
    assert_eq!(catalog.load(repo.id, None).await.unwrap().unwrap().refs, []);
    let changed = catalog
        .load(repo.id, Some(since))
        .await
        .unwrap()
        .unwrap()
        .refs;
    assert_eq!(changed.len(), 1);
    assert_eq!((&changed[0].target, changed[0].generation), (&None, 3));

    let gone = catalog
        .publish(publish(repo.id, vec![edit(MAIN, Some(2), Some(3))]))
        .await;
    assert!(matches!(gone, Err(PublishError::Moved { found: None, .. })));
    catalog
        .publish(at(4000, vec![edit(MAIN, None, Some(3))]))
        .await
        .unwrap();
    let again = catalog.load(repo.id, None).await.unwrap().unwrap().refs;
    assert_eq!((again[0].created_at_ms, again[0].generation), (4000, 4));

    let through = vec![edit(MAIN, Some(3), None), edit(MAIN, None, Some(4))];
    catalog.publish(at(5000, through)).await.unwrap();
    let again = catalog.load(repo.id, None).await.unwrap().unwrap().refs;
    assert_eq!(
        (again[0].created_at_ms, &again[0].target),
        (5000, &Some(id(4)))
    );
}

async fn an_edit_to_where_it_is_only_checks(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    catalog
        .publish(publish(repo.id, vec![edit(MAIN, None, Some(1))]))
        .await
        .unwrap();
    let checks = vec![
        edit(MAIN, Some(1), Some(1)),
        edit("refs/heads/none", None, None),
        edit("refs/heads/new", None, Some(2)),
    ];
    catalog.publish(publish(repo.id, checks)).await.unwrap();
    let loaded = catalog.load(repo.id, None).await.unwrap().unwrap();
    assert_eq!(
        loaded
            .refs
            .iter()
            .map(|row| row.generation)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    let reflog = catalog
        .reflog(repo.id, None, (1, i64::MAX), 10)
        .await
        .unwrap();
    assert_eq!(reflog.len(), 1);
    assert_eq!(reflog[0].ordinal, 0);
    let refused = vec![edit(MAIN, Some(2), Some(2))];
    let refused = catalog.publish(publish(repo.id, refused)).await;
    assert!(matches!(refused, Err(PublishError::Moved { .. })));
}

async fn names_are_bytes_in_order(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    let names: [&[u8]; 6] = [
        b"refs/heads/\xff",
        b"refs/heads/a",
        b"refs/heads/A",
        b"refs/heads/a-b",
        b"refs/heads/a/b",
        b"refs/heads/\xc3\xa4",
    ];
    let edits = names.map(|name| RefEdit {
        name: name.to_vec(),
        ..edit("", None, Some(1))
    });
    catalog
        .publish(publish(repo.id, edits.to_vec()))
        .await
        .unwrap();
    let mut sorted = names.map(<[u8]>::to_vec);
    sorted.sort();
    let loaded = catalog.load(repo.id, None).await.unwrap().unwrap();
    assert_eq!(
        loaded
            .refs
            .into_iter()
            .map(|row| row.name)
            .collect::<Vec<_>>(),
        sorted
    );
}

async fn the_reflog_pages_and_filters(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    for number in 0..5 {
        let old = (number > 0).then_some(number);
        let edits = vec![
            edit(MAIN, old, Some(number + 1)),
            edit("refs/heads/side", old, Some(number + 1)),
        ];
        catalog.publish(publish(repo.id, edits)).await.unwrap();
    }
    let mut after = (0, -1);
    let mut seen = vec![];
    loop {
        let page = catalog.reflog(repo.id, None, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = (last.generation, last.ordinal);
        seen.extend(page.iter().map(|row| (row.generation, row.ordinal)));
    }
    let all: Vec<_> = (1..=5)
        .flat_map(|generation| [(generation, 0), (generation, 1)])
        .collect();
    assert_eq!(seen, all);
    let side = catalog
        .reflog(repo.id, Some(b"refs/heads/side"), (3, 0), 10)
        .await
        .unwrap();
    assert_eq!(
        side.iter().map(|row| row.generation).collect::<Vec<_>>(),
        [3, 4, 5]
    );
    assert_eq!(
        catalog
            .reflog(repo.id, Some(b"refs/heads"), (0, -1), 10)
            .await
            .unwrap(),
        []
    );
}

async fn a_repository_that_never_was_is_gone(db: &Database) {
    let catalog = db.open().await;
    let change = publish(RepoId(12345), vec![edit(MAIN, None, Some(1))]);
    assert!(matches!(
        catalog.publish(change).await,
        Err(PublishError::RepoGone)
    ));
    assert_eq!(catalog.load(RepoId(12345), None).await.unwrap(), None);
}

async fn a_pack_may_be_listed_again(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    for packs in [vec![pack(1)], vec![pack(1), pack(2), pack(2)]] {
        let mut change = publish(repo.id, vec![]);
        change.packs = packs;
        catalog.publish(change).await.unwrap();
    }
    let packs = catalog
        .load(repo.id, None)
        .await
        .unwrap()
        .unwrap()
        .packs
        .unwrap();
    let listed: Vec<_> = packs
        .iter()
        .map(|pack| (pack.key[0], pack.generation))
        .collect();
    assert_eq!(listed, [(2, 2), (1, 1)]);
}

async fn a_push_of_thousands_of_refs(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    let name = |number| format!("refs/tags/v{number:05}");
    let create = (0..2500).map(|number| edit(&name(number), None, Some(number)));
    catalog
        .publish(publish(repo.id, create.collect()))
        .await
        .unwrap();
    let loaded = catalog.load(repo.id, None).await.unwrap().unwrap();
    assert_eq!(loaded.refs.len(), 2500);
    let change = (0..2500).map(|number| edit(&name(number), Some(number), Some(number + 1)));
    catalog
        .publish(publish(repo.id, change.collect()))
        .await
        .unwrap();
    let changed = catalog
        .load(repo.id, Some(Since::from(&loaded.repo)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.refs.len(), 2500);
    let right = (0..)
        .zip(&changed.refs)
        .all(|(number, row)| row.target == Some(id(number + 1)));
    assert!(right);
    assert_eq!(
        catalog
            .reflog(repo.id, None, (0, -1), 10_000)
            .await
            .unwrap()
            .len(),
        5000
    );
}

async fn texts_and_names_have_limits(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    let mut odd = publish(repo.id, vec![edit(MAIN, None, Some(1))]);
    odd.who = "so\0me".into();
    odd.edits[0].message = "a\0b".into();
    catalog.publish(odd).await.unwrap();
    let reflog = catalog.reflog(repo.id, None, (0, -1), 10).await.unwrap();
    assert_eq!(
        (&reflog[0].who[..], &reflog[0].message[..]),
        ("so\u{fffd}me", "a\u{fffd}b")
    );

    let bytes: Vec<u8> = (0..MAX_REF_NAME_BYTES)
        .map(|at| (at * at / 7) as u8)
        .collect();
    let longest = RefEdit {
        name: bytes.clone(),
        ..edit("", None, Some(1))
    };
    catalog
        .publish(publish(repo.id, vec![longest]))
        .await
        .unwrap();
    let longer = RefEdit {
        name: [bytes, vec![1]].concat(),
        ..edit("", None, Some(1))
    };
    let refused = catalog.publish(publish(repo.id, vec![longer])).await;
    assert!(matches!(
        refused,
        Err(PublishError::Catalog(CatalogError::TooLong { .. }))
    ));
}

async fn a_publish_for_one_generation_is_refused_at_another(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    let at = |generation, name: &str| Publish {
        only_at: Some(generation),
        ..publish(repo.id, vec![edit(name, None, Some(1))])
    };
    catalog.publish(at(0, MAIN)).await.unwrap();
    // Its ref is where it should be, but something else moved.
    let stale = catalog.publish(at(0, "refs/heads/b")).await;
    assert!(matches!(stale, Err(PublishError::Stale)), "{stale:?}");
    assert_eq!(target(&catalog, repo.id, "refs/heads/b").await, None);
    catalog.publish(at(1, "refs/heads/b")).await.unwrap();
    assert_eq!(target(&catalog, repo.id, "refs/heads/b").await, Some(id(1)));
}
