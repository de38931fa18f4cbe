//! The index of a git cache, which is SQLite's alone.

use std::time::{Duration, Instant};

use packhouse_catalog::{CacheEntryRow, CacheIndex, CacheItemRow, CacheItems, CatalogError};
use sqlx::{Connection, SqliteConnection};

fn entry(name: &str, source: &str, record: &str) -> CacheEntryRow {
    CacheEntryRow {
        name: name.to_owned(),
        source_key: source.to_owned(),
        accessed_ms: 1,
        bytes: 2,
        record: record.to_owned(),
    }
}

#[tokio::test]
async fn entries_are_found_by_name_in_any_case_and_by_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite3");
    let index = CacheIndex::open(&path).await.unwrap();
    assert!(index.insert_entry(&entry("repo", "a", "{}")).await.unwrap());
    assert!(!index.insert_entry(&entry("REPO", "b", "{}")).await.unwrap());
    assert!(
        index
            .insert_entry(&entry("other", "a", "{}"))
            .await
            .unwrap()
    );
    // Another opening sees what the first one wrote.
    let index = CacheIndex::open(&path).await.unwrap();
    let found = index.entry("Repo").await.unwrap().unwrap();
    assert_eq!(found, entry("repo", "a", "{}"));
    let names = index.entries_of("a").await.unwrap();
    let names: Vec<&str> = names.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["repo", "other"]);

    let changed = entry("repo", "a", "changed");
    assert!(index.update_entry(&changed, true).await.unwrap());
    assert!(
        !index
            .update_entry(&entry("repo", "b", "x"), false)
            .await
            .unwrap()
    );
    index.touch_entry("repo", 9).await.unwrap();
    let found = index.entry("repo").await.unwrap().unwrap();
    assert_eq!((found.record.as_str(), found.accessed_ms), ("changed", 9));
    assert!(index.remove_entry("REPO").await.unwrap());
    assert!(!index.remove_entry("repo").await.unwrap());
    assert_eq!(index.contents().await.unwrap().entries.len(), 1);

    // Several in one call.
    for name in ["x", "y"] {
        index.insert_entry(&entry(name, "c", "{}")).await.unwrap();
    }
    let names = ["Y", "no-such", "other"];
    let found = index.entries(&names).await.unwrap();
    let found: Vec<&str> = found.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(found, ["y", "other"]);
    assert_eq!(index.remove_entries(&names).await.unwrap(), 2);
    assert_eq!(index.remove_entries(&names).await.unwrap(), 0);
    let left = index.contents().await.unwrap().entries;
    assert_eq!(left, [entry("x", "c", "{}")]);
}

#[tokio::test]
async fn who_notes_a_use_does_not_wait_for_who_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite3");
    let index = CacheIndex::open(&path).await.unwrap();
    index.insert_entry(&entry("repo", "a", "{}")).await.unwrap();
    let url = format!("sqlite:{}", path.display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let writing = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let begun = Instant::now();
    index.touch_entry("repo", 9).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(index.entry("repo").await.unwrap().is_some());
    drop(writing);
    other.close().await.unwrap();
    index.touch_entry("repo", 9).await.unwrap();
    let found = index.entry("repo").await.unwrap().unwrap();
    assert_eq!(found.accessed_ms, 9);
}

#[tokio::test]
async fn items_are_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let index = CacheIndex::open(&folder.path().join("i")).await.unwrap();
    for items in [CacheItems::Mirrors, CacheItems::Checkouts] {
        for record in ["one", "two"] {
            let row = CacheItemRow {
                key: "k".to_owned(),
                bytes: 3,
                record: record.to_owned(),
            };
            index.put_item(items, &row).await.unwrap();
            assert_eq!(index.item(items, "k").await.unwrap(), Some(row.clone()));
            assert_eq!(index.items(items).await.unwrap(), [row]);
        }
        assert!(index.remove_item(items, "k").await.unwrap());
        assert!(!index.remove_item(items, "k").await.unwrap());
        assert!(index.items(items).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_overview_has_all_entries_and_counts_everything() {
    let folder = tempfile::tempdir().unwrap();
    let index = CacheIndex::open(&folder.path().join("i")).await.unwrap();
    let empty = index.overview(None).await.unwrap();
    assert_eq!((empty.entries, empty.bytes), (Some(Vec::new()), 0));
    for name in ["b", "a"] {
        index.insert_entry(&entry(name, "x", "{}")).await.unwrap();
    }
    for (items, bytes) in [(CacheItems::Mirrors, 30), (CacheItems::Checkouts, 500)] {
        let row = CacheItemRow {
            key: "k".to_owned(),
            bytes,
            record: "{}".to_owned(),
        };
        index.put_item(items, &row).await.unwrap();
    }
    let found = index.overview(Some(empty.changes)).await.unwrap();
    assert_eq!(found.entries, Some(index.contents().await.unwrap().entries));
    assert_eq!(found.bytes, 534);
    assert_eq!(index.bytes().await.unwrap(), 534);

    // What is known is not read again, until an entry changes in any way.
    let mut known = found.changes;
    let again = index.overview(Some(known)).await.unwrap();
    assert_eq!((again.entries, again.bytes), (None, 534));
    for change in 0..4 {
        match change {
            0 => index.touch_entry("a", 7).await.unwrap(),
            1 => drop(index.update_entry(&entry("a", "x", "new"), false).await),
            2 => drop(index.remove_entry("a").await),
            _ => drop(index.insert_entry(&entry("c", "x", "{}")).await),
        }
        let changed = index.overview(Some(known)).await.unwrap();
        let expected = index.contents().await.unwrap().entries;
        assert_eq!(changed.entries, Some(expected), "{change}");
        known = changed.changes;
    }
    // Another file's number is another one.
    let other = CacheIndex::open(&folder.path().join("j")).await.unwrap();
    let other = other.overview(Some(known)).await.unwrap();
    assert_eq!(other.entries, Some(Vec::new()));
}

#[tokio::test]
async fn an_index_of_an_older_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("i");
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut conn = SqliteConnection::connect(&url).await.unwrap();
    let first = include_str!("../migrations/cache/0001_cache.sql");
    sqlx::raw_sql(first).execute(&mut conn).await.unwrap();
    let row = "INSERT INTO entries VALUES ('a', 'x', 1, 2, '{}')";
    sqlx::raw_sql(row).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let index = CacheIndex::open(&path).await.unwrap();
    let found = index.overview(None).await.unwrap();
    assert_eq!(found.entries, Some(vec![entry("a", "x", "{}")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_open_a_new_index_and_one_has_each_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("i");
    let one = |number: usize| {
        let path = path.clone();
        tokio::spawn(async move {
            let index = CacheIndex::open(&path).await.unwrap();
            let row = entry("same", &number.to_string(), "{}");
            index.insert_entry(&row).await.unwrap()
        })
    };
    let all: Vec<_> = (0..8).map(one).collect();
    let mut winners = 0;
    for task in all {
        winners += usize::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn an_index_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("i");
    CacheIndex::open(&path).await.unwrap();
    let url = format!("sqlite://{}", path.display());
    let mut conn = SqliteConnection::connect(&url).await.unwrap();
    let newer = sqlx::raw_sql("PRAGMA user_version = 99");
    newer.execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let refused = CacheIndex::open(&path).await.unwrap_err();
    assert!(matches!(refused, CatalogError::Url { .. }), "{refused}");
    assert!(refused.to_string().contains("newer version"), "{refused}");
}
