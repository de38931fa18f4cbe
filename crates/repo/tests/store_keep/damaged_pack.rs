//! A store one of whose packs is damaged.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use packhouse_repo::store::{
    GcOptions, NoProgress, Store, StoreErrorKind, StoreOptions, WriteOptions,
};

use super::place::{Place, write};

fn files(place: &Place) -> BTreeSet<PathBuf> {
    let (mut found, mut ahead) = (BTreeSet::new(), vec![place.path().join("objects")]);
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => ahead.push(path),
                false => drop(found.insert(path)),
            }
        }
    }
    found
}

#[test]
fn what_is_whole_is_read_and_written_and_nothing_is_removed() {
    let place = Place::new();
    let branches = place.store.branches();
    let main = write(&place.main(), "folder/a", "whole");
    place.git(&["repack", "-d", "-q"]);
    let whole = files(&place);
    let dev = branches.set("dev", &main).unwrap();
    let dev = write(&dev, "folder/b", "lost");
    let blob = dev.entry("folder/b").unwrap().unwrap().id;
    place.git(&["repack", "-d", "-q"]);
    let pack = files(&place)
        .into_iter()
        .find(|path| !whole.contains(path) && path.extension().is_some_and(|end| end == "pack"))
        .unwrap();
    // Also what nobody would miss.
    let aside = write(&dev, "aside", "aside");
    branches.set("dev", &dev).unwrap();
    let good = fs::read(&pack).unwrap();
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, [b"nonsense", &good[8..]].concat()).unwrap();

    let store = Store::open(place.path(), StoreOptions::default()).unwrap();
    let name = pack.file_name().unwrap().to_str().unwrap();
    let branches = store.branches();
    assert_eq!(branches.names().unwrap(), ["dev", "main"]);
    let main = branches.get("main").unwrap();
    assert_eq!(main.read("folder/a", 0, None).unwrap(), b"whole");
    let main = write(&main, "folder/c", "new");
    // What is only in the pack that is damaged is stored once more.
    let main = write(&main, "again", "lost");
    assert_eq!(store.read_blob(&blob, 0, None).unwrap(), b"lost");
    assert_eq!(main.read("again", 0, None).unwrap(), b"lost");

    let refused = [
        branches.get("dev").unwrap_err(),
        store.snapshot(&dev.commit().to_string(), 0).unwrap_err(),
        store.read_blob(&dev.tree(), 0, None).unwrap_err(),
        store.has_blob(&dev.tree()).unwrap_err(),
        branches.set("other", &dev).unwrap_err(),
        store.pack(&NoProgress).unwrap_err(),
        store
            .gc_with(
                &GcOptions {
                    grace: Duration::ZERO,
                },
                &NoProgress,
            )
            .unwrap_err(),
    ];
    for error in refused {
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(error.kind(), StoreErrorKind::Git, "{error}");
    }
    assert!(aside.read("aside", 0, None).is_ok());

    // Put right, all of it is there.
    fs::write(&pack, good).unwrap();
    let dev = branches.get("dev").unwrap();
    assert_eq!(dev.read("folder/b", 0, None).unwrap(), b"lost");
    dev.write("more", b"", &WriteOptions::default()).unwrap();
    store.gc(&NoProgress).unwrap();
    place.fsck();
}
