//! What every bucket must do. Each kind of bucket runs this in its tests.
//!
//! The functions panic where a bucket breaks its promise. They work below a folder of their own, so that they can run
//! on a bucket that is in use, several times at once, and they remove what they put.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::multipart::PART_BYTES;
use crate::{Bucket, BucketError, Key, Listed, READ_LIMIT};

/// More than S3 lists in one answer, so that listing has to ask again.
const MANY: usize = 1_100;

/// Runs every check.
///
/// # Panics
/// When the bucket does not do what [`Bucket`] says.
pub async fn run(bucket: &dyn Bucket) {
    let place = Place::new(bucket);
    whole_objects(&place).await;
    ranges(&place).await;
    missing_objects(&place).await;
    files(&place).await;
    large_files(&place).await;
    files_that_fail(&place).await;
    listing(&place).await;
    many_objects(&place).await;
    writers_at_once(&place).await;
    bucket.ping().await.expect("ping");
    place.clear().await;
}

struct Place<'a> {
    bucket: &'a dyn Bucket,
    folder: String,
}

impl<'a> Place<'a> {
    fn new(bucket: &'a dyn Bucket) -> Place<'a> {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is after 1970")
            .as_nanos();
        Place {
            bucket,
            folder: format!("conformance/{now}-{}-{run}", std::process::id()),
        }
    }

    fn key(&self, name: &str) -> Key {
        Key::parse(&format!("{}/{name}", self.folder)).expect("a name in this file is a key")
    }

    async fn put(&self, name: &str, bytes: &Bytes) -> Key {
        let key = self.key(name);
        self.bucket.put(&key, bytes.clone()).await.expect("put");
        key
    }

    async fn list(&self, folder: &str) -> Vec<Listed> {
        let prefix = format!("{}{folder}", self.folder);
        let mut found: Vec<Listed> = self.bucket.list(&prefix).try_collect().await.expect("list");
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found
    }

    async fn names(&self, folder: &str) -> Vec<String> {
        let listed = self.list(folder).await;
        listed
            .iter()
            .map(|listed| listed.key.as_str()[self.folder.len() + 1..].to_owned())
            .collect()
    }

    async fn clear(&self) {
        let listed = self.list("").await;
        stream::iter(listed)
            .for_each_concurrent(16, async |listed| {
                self.bucket.delete(&listed.key).await.expect("delete")
            })
            .await;
        assert_eq!(self.names("").await, Vec::<String>::new());
    }
}

async fn whole_objects(place: &Place<'_>) {
    for (name, bytes) in [
        ("whole/empty", Bytes::new()),
        ("whole/one", Bytes::from_static(b"x")),
        ("whole/A-b_c.d/0", sample(100_000)),
    ] {
        let key = place.put(name, &bytes).await;
        for _ in 0..2 {
            assert_eq!(place.bucket.get(&key).await.expect("get"), bytes, "{name}");
            assert_eq!(
                place.bucket.size(&key).await.expect("size"),
                Some(bytes.len() as u64),
                "{name}"
            );
            if let Some(path) = place.bucket.local_path(&key) {
                assert_eq!(
                    std::fs::read(path).expect("a local path can be read"),
                    bytes,
                    "{name}"
                );
            }
            // Once more: putting it again changes nothing.
            place.put(name, &bytes).await;
        }
    }
}

async fn ranges(place: &Place<'_>) {
    let bytes = sample(10_000);
    let key = place.put("ranges", &bytes).await;
    for range in [
        0..1,
        0..10_000,
        17..4_711,
        9_999..10_000,
        5..5,
        0..0,
        10_000..10_000,
    ] {
        let got = place
            .bucket
            .get_range(&key, range.clone())
            .await
            .expect("a range within the object");
        assert_eq!(
            got,
            bytes.slice(range.start as usize..range.end as usize),
            "{range:?}"
        );
    }
    #[allow(clippy::reversed_empty_ranges, reason = "a caller may get it wrong")]
    for range in [
        0..10_001,
        9_999..10_001,
        10_000..10_001,
        20_000..20_001,
        20_000..20_000,
        5..4,
        0..READ_LIMIT,
    ] {
        let error = place
            .bucket
            .get_range(&key, range.clone())
            .await
            .expect_err("a range past the end");
        assert!(
            matches!(&error, BucketError::Range { key: k, start, end, size: 10_000 }
                if *k == key && *start == range.start && *end == range.end),
            "{range:?}: {error:?}"
        );
    }
    let key = place.put("ranges-empty", &Bytes::new()).await;
    assert_eq!(
        place
            .bucket
            .get_range(&key, 0..0)
            .await
            .expect("nothing of nothing"),
        Bytes::new()
    );
    assert!(matches!(
        place.bucket.get_range(&key, 0..1).await,
        Err(BucketError::Range { size: 0, .. })
    ));
}

async fn missing_objects(place: &Place<'_>) {
    let there = place.put("missing/there", &sample(3)).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    // `missing` alone is the folder of another key, and `missing/there/below` would need one where there is an object.
    for name in [
        "missing/not",
        "missing",
        "missing/there/below",
        "missing-not",
    ] {
        let key = place.key(name);
        let is_absent =
            |error: BucketError| matches!(&error, BucketError::NotFound { key: k } if *k == key);
        assert!(
            place.bucket.get(&key).await.is_err_and(is_absent),
            "get {name}"
        );
        assert!(
            place
                .bucket
                .get_range(&key, 0..1)
                .await
                .is_err_and(is_absent),
            "range of {name}"
        );
        assert!(
            place
                .bucket
                .get_range(&key, 0..0)
                .await
                .is_err_and(is_absent),
            "empty range of {name}"
        );
        assert!(
            place
                .bucket
                .get_to_file(&key, &file)
                .await
                .is_err_and(is_absent),
            "file of {name}"
        );
        assert_eq!(place.bucket.size(&key).await.expect("size"), None, "{name}");
    }
    assert_eq!(
        names_in(folder.path()),
        Vec::<String>::new(),
        "a failed read leaves nothing behind"
    );
    for _ in 0..2 {
        place
            .bucket
            .delete(&there)
            .await
            .expect("deleting again is no error");
        assert_eq!(place.bucket.size(&there).await.expect("size"), None);
    }
    place
        .bucket
        .delete(&place.key("missing/there/below"))
        .await
        .expect("nothing there to delete");
}

async fn files(place: &Place<'_>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in [
        ("files/empty", Bytes::new()),
        ("files/small", sample(1_000)),
    ] {
        round_trip(place, folder.path(), name, &bytes).await;
    }
    // A link is followed, and the object is the file it leads to.
    let link = folder.path().join("link");
    std::fs::write(folder.path().join("target"), b"behind a link").expect("write");
    std::os::unix::fs::symlink("target", &link).expect("symlink");
    let key = place.key("files/linked");
    place.bucket.put_file(&key, &link).await.expect("put_file");
    std::fs::remove_file(folder.path().join("target")).expect("remove");
    assert_eq!(place.bucket.get(&key).await.expect("get"), "behind a link");
}

async fn large_files(place: &Place<'_>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let part = usize::try_from(PART_BYTES).expect("a part fits in memory");
    // Exactly one request, the first size that takes two, and a few parts with a short one at the end.
    for size in [part, part + 1, 3 * part + 12_345] {
        round_trip(
            place,
            folder.path(),
            &format!("large/{size}"),
            &sample(size),
        )
        .await;
    }
    let file = folder.path().join("huge");
    std::fs::File::create(&file)
        .and_then(|file| file.set_len(READ_LIMIT + 1))
        .expect("a file of zeros");
    let key = place.key("large/huge");
    place.bucket.put_file(&key, &file).await.expect("put_file");
    assert!(matches!(
        place.bucket.get(&key).await,
        Err(BucketError::TooLarge { .. })
    ));
    assert!(matches!(
        place.bucket.get_range(&key, 0..READ_LIMIT + 1).await,
        Err(BucketError::TooLarge { .. })
    ));
    assert_eq!(
        place
            .bucket
            .get_range(&key, READ_LIMIT..READ_LIMIT + 1)
            .await
            .expect("its last byte"),
        &[0][..]
    );
    place.bucket.delete(&key).await.expect("delete");
}

async fn round_trip(place: &Place<'_>, folder: &Path, name: &str, bytes: &Bytes) {
    let key = place.key(name);
    let source = folder.join("source");
    let target = folder.join("copy");
    std::fs::write(&source, bytes).expect("write");
    std::fs::write(&target, "what was here before").expect("write");
    for _ in 0..2 {
        place
            .bucket
            .put_file(&key, &source)
            .await
            .expect("put_file");
    }
    // The bucket does not need the file any more.
    std::fs::remove_file(&source).expect("remove");
    assert_eq!(
        place
            .bucket
            .get_to_file(&key, &target)
            .await
            .expect("get_to_file"),
        bytes.len() as u64,
        "{name}"
    );
    assert!(
        std::fs::read(&target).expect("read") == *bytes,
        "{name} comes back as it was"
    );
    assert!(
        place.bucket.get(&key).await.expect("get") == *bytes,
        "{name} comes back as it was"
    );
    // A copy is the reader's own.
    std::fs::write(&target, "changed by its owner").expect("write");
    assert_eq!(
        place.bucket.size(&key).await.expect("size"),
        Some(bytes.len() as u64),
        "{name}"
    );
    std::fs::remove_file(&target).expect("remove");
    assert_eq!(
        names_in(folder),
        Vec::<String>::new(),
        "no temporary file stays"
    );
}

async fn files_that_fail(place: &Place<'_>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = place.key("failing");
    for source in [folder.path().join("missing"), folder.path().to_owned()] {
        let error = place
            .bucket
            .put_file(&key, &source)
            .await
            .expect_err("not a file");
        assert!(matches!(error, BucketError::File { .. }), "{error:?}");
        assert_eq!(place.bucket.size(&key).await.expect("size"), None);
    }
    place.put("failing", &sample(10)).await;
    let target = folder.path().join("no/such/folder/file");
    let error = place
        .bucket
        .get_to_file(&key, &target)
        .await
        .expect_err("no folder for it");
    assert!(matches!(error, BucketError::File { .. }), "{error:?}");
}

async fn listing(place: &Place<'_>) {
    let names = [
        "list/a",
        "list/ab/c",
        "list/b/c/d/e",
        "list/b/f",
        "list/b.x",
        "list/b-y/z",
    ];
    for (size, name) in names.iter().enumerate() {
        place.put(name, &sample(size)).await;
    }
    let mut all = names.map(str::to_owned);
    all.sort();
    for folder in ["/list", "/list/"] {
        assert_eq!(place.names(folder).await, all, "{folder}");
    }
    // A prefix is a folder: no key that merely starts with the same letters.
    assert_eq!(place.names("/list/b").await, ["list/b/c/d/e", "list/b/f"]);
    assert_eq!(
        place.names("/list/a").await,
        Vec::<String>::new(),
        "an object is not below itself"
    );
    assert_eq!(place.names("/list/nothing").await, Vec::<String>::new());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is after 1970")
        .as_millis() as i64;
    for listed in place.list("/list").await {
        let index = names
            .iter()
            .position(|name| listed.key == place.key(name))
            .expect("one of ours");
        assert_eq!(listed.size, index as u64, "{}", listed.key);
        assert!(
            (now - listed.modified_ms).abs() < 600_000,
            "{listed:?} was put at {now}"
        );
    }
    let everything: Vec<Listed> = place.bucket.list("").try_collect().await.expect("list");
    assert!(names.iter().all(|name| {
        everything
            .iter()
            .any(|listed| listed.key == place.key(name))
    }));
    for prefix in ["/", "../x", "a//b", "a b"] {
        assert!(
            matches!(
                place.bucket.list(prefix).next().await,
                Some(Err(BucketError::Key(_)))
            ),
            "{prefix}"
        );
    }
}

async fn many_objects(place: &Place<'_>) {
    stream::iter(0..MANY)
        .for_each_concurrent(32, async |n| {
            place
                .put(
                    &format!("many/{:02x}/{n}", n % 7),
                    &Bytes::from(n.to_string()),
                )
                .await;
        })
        .await;
    assert_eq!(place.list("/many").await.len(), MANY);
    // A reader may stop in the middle.
    let folder = format!("{}/many", place.folder);
    assert_eq!(place.bucket.list(&folder).take(3).count().await, 3);
}

async fn writers_at_once(place: &Place<'_>) {
    let bytes = sample(200_000);
    let key = place.key("at-once");
    let write = async |_| place.bucket.put(&key, bytes.clone()).await.expect("put");
    let read = async |_| match place.bucket.get(&key).await {
        Ok(got) => assert!(got == bytes, "half an object was visible"),
        Err(error) => assert!(error.is_not_found(), "{error:?}"),
    };
    futures::join!(
        stream::iter(0..16).for_each_concurrent(8, write),
        stream::iter(0..64).for_each_concurrent(4, read),
    );
    assert!(place.bucket.get(&key).await.expect("get") == bytes);
}

/// `length` bytes that look random and are the same every time.
fn sample(length: usize) -> Bytes {
    let mut state = length as u64;
    std::iter::repeat_with(|| {
        // One round of SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 32) as u8
    })
    .take(length)
    .collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}
