//! Sweeps of a catalog and its bucket, beside writers, with failures and a clock of their own.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use packhouse_bucket::{Bucket, BucketError, Key, Listed};
use packhouse_catalog::{Catalog, OrgId, RepoId};
use packhouse_object::{EntryMode, FinishedPack, NewObject, ObjectKind, PackFileWriter};
use packhouse_object::{PathEdit, RepoPath};
use packhouse_repo::hosted::PackFate;
use packhouse_repo::{
    CommitRequest, ForkRequest, Hosted, Repository, SweepOptions, SweepReport, SweepWatch,
};
use packhouse_testkit::clock::TestClock;
use packhouse_testkit::faults::{FaultPlan, FaultyBucket};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_util::task::TaskTracker;

use crate::hosted::{
    NEVER, OFTEN, Place, check_complete, content, new_org, new_repo, put, request,
};

const HOUR_MS: i64 = 3_600_000;

/// Two hours for deleted repositories and one of grace, by a clock that starts now.
fn by_clock() -> (SweepOptions, TestClock) {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let clock = TestClock::at(i64::try_from(now).unwrap());
    let options = SweepOptions {
        keep_deleted: Duration::from_secs(2 * 3600),
        grace: Duration::from_secs(3600),
        clock: Arc::new(clock.reader()),
        ..SweepOptions::default()
    };
    (options, clock)
}

/// A pack of one blob; the same text makes the same pack.
fn pack_of(folder: &Path, text: &str) -> (NewObject, FinishedPack) {
    let blob = NewObject::new(ObjectKind::Blob, Bytes::from(text.to_owned())).unwrap();
    let mut writer = PackFileWriter::create(folder).unwrap();
    writer.add_new(&blob).unwrap();
    (blob, writer.finish().unwrap())
}

/// A commit whose blob is in a pack.
fn packed(folder: &Path, path: &str, text: &str) -> CommitRequest {
    let (blob, pack) = pack_of(folder, text);
    CommitRequest {
        edits: vec![PathEdit::Upsert {
            path: RepoPath::parse(path).unwrap(),
            mode: EntryMode::Blob,
            id: blob.id,
        }],
        blobs: Vec::new(),
        packs: vec![pack],
        ..request("main", path, "")
    }
}

fn fork_called(name: &str) -> ForkRequest {
    ForkRequest {
        name: name.to_owned(),
        default_branch: None,
        at: None,
        snapshot: None,
        who: "test".to_owned(),
        audit: None,
    }
}

async fn keys_of(bucket: &dyn Bucket) -> BTreeSet<String> {
    let listed = bucket.list("orgs").try_collect::<Vec<Listed>>().await;
    let listed = listed.unwrap().into_iter();
    listed.map(|listed| listed.key.to_string()).collect()
}

/// What the bucket has to hold for a repository.
async fn listed_keys(catalog: &Catalog, org: OrgId, repo: RepoId) -> BTreeSet<String> {
    let Some(loaded) = catalog.load(repo, None).await.unwrap() else {
        return BTreeSet::new();
    };
    let packs = loaded.packs.unwrap().into_iter();
    packs
        .flat_map(|pack| {
            let hex = blake3::Hash::from_bytes(pack.key).to_hex();
            let stem = format!("orgs/{org}/packs/{}/{hex}", &hex[..2]);
            [format!("{stem}.pack"), format!("{stem}.idx")]
        })
        .collect()
}

async fn sweep(node: &Hosted, options: &SweepOptions) -> SweepReport {
    node.sweep(options, &()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_keeps_what_its_deleted_source_had() {
    let places = [
        Some(Place::local()),
        Some(Place::with_distant_bucket()),
        Some(Place::on_postgres()),
        Place::on_s3("fork"),
    ];
    for place in places.into_iter().flatten() {
        let node = place.node("a", NEVER).await;
        let org = new_org(&node).await;
        let (source, other) = (
            new_repo(&node, org, "source").await,
            new_repo(&node, org, "other").await,
        );
        let temp = place.folder.path();
        source.commit(packed(temp, "a", "shared")).await.unwrap();
        other.commit(packed(temp, "a", "alone")).await.unwrap();
        let row = node.catalog().repo(org, "source").await.unwrap().unwrap();
        let other_row = node.catalog().repo(org, "other").await.unwrap().unwrap();
        let fork = node.fork(&row, fork_called("fork")).await.unwrap();
        // Caches of a repository that goes.
        let layer = format!(
            "orgs/{org}/repos/{}/history/00000001-{}.layer",
            other_row.id,
            "0".repeat(64)
        );
        let kept_layer = layer.replace(&other_row.id.to_string(), &fork.id.to_string());
        for name in [&layer, &kept_layer] {
            let key = Key::parse(name).unwrap();
            place.bucket.put(&key, "layer".into()).await.unwrap();
        }
        let foreign = Key::parse("orgs/readme.txt").unwrap();
        place.bucket.put(&foreign, "not ours".into()).await.unwrap();

        let (options, clock) = by_clock();
        let all = keys_of(&*place.bucket).await;
        assert_eq!(all.len(), 7);
        for name in ["source", "other"] {
            node.catalog().delete_repo(org, name).await.unwrap();
        }
        // Too early for its rows; the cache goes at once.
        let report = sweep(&node, &options).await;
        assert_eq!((report.repositories, report.keys), (0, 1));
        assert_eq!((report.keys_seen, report.foreign), (7, 1));
        assert!(!keys_of(&*place.bucket).await.contains(&layer));

        clock.advance(2 * HOUR_MS + 60_000);
        let plan = node.plan_sweep(&options).next().await.unwrap().unwrap();
        let names: Vec<_> = plan.repositories.iter().map(|repo| &repo.name).collect();
        assert_eq!(names, ["source", "other"]);
        let report = sweep(&node, &options).await;
        assert_eq!((report.repositories, report.busy), (2, 0));
        assert_eq!((report.keys, report.waiting), (0, 1));

        // A plan changes nothing.
        clock.advance(HOUR_MS);
        let mut plans = node.plan_sweep(&options);
        let plan = plans.next().await.unwrap().unwrap();
        assert_eq!(plan.packs.len(), 1);
        assert_eq!(plan.packs[0].fate, PackFate::Delete);
        assert_eq!(plans.next().await.unwrap(), None);
        let before = keys_of(&*place.bucket).await;
        assert_eq!(before.len(), 6);

        let report = sweep(&node, &options).await;
        assert_eq!((report.keys, report.failed), (2, 0));
        let mut expected = listed_keys(node.catalog(), org, fork.id).await;
        assert_eq!(expected.len(), 2);
        expected.extend([kept_layer, foreign.to_string()]);
        assert_eq!(keys_of(&*place.bucket).await, expected);
        let stats = node.stats();
        assert_eq!(stats.swept_keys.load(Ordering::Relaxed), 3);
        assert_eq!(stats.swept_repositories.load(Ordering::Relaxed), 2);
        assert_eq!(sweep(&node, &options).await.keys, 0);

        let fresh = place.node("b", NEVER).await;
        let fork = fresh.repository(org, "fork").await.unwrap().unwrap();
        check_complete(&fork).await;
        assert_eq!(content(&fork, "main", "a").await.unwrap(), b"shared");
        fresh.shutdown().await;
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_meets_a_sweep_stores_again_under_another_name() {
    for place in [Place::local(), Place::with_distant_bucket()] {
        let node = place.node("a", NEVER).await;
        let org = new_org(&node).await;
        let (options, clock) = by_clock();
        let again = || node.stats().packs_stored_again.load(Ordering::Relaxed);
        let condemned = async |key| {
            let (now, keys) = (clock.now_ms(), vec![key]);
            let condemned = node.catalog().condemn_packs(org, keys, now, now).await;
            assert_eq!(condemned.unwrap(), [key]);
        };

        // Between storing a pack and listing it.
        let repo = new_repo(&node, org, "r").await;
        let commit = packed(place.folder.path(), "a", "packed");
        let key = commit.packs[0].key;
        condemned(key).await;
        repo.commit(commit).await.unwrap();
        assert_eq!(again(), 1);
        assert_eq!(content(&repo, "main", "a").await.unwrap(), b"packed");

        // A fold whose pack another repository had, which is gone.
        let twins = [
            new_repo(&node, org, "twin").await,
            new_repo(&node, org, "other-twin").await,
        ];
        let mut ids = Vec::new();
        for (twin, name) in twins.iter().zip(["twin", "other-twin"]) {
            let first = put(twin, "main", "f", "same").await;
            let row = node.catalog().repo(org, name).await.unwrap().unwrap();
            ids.push((row.id, first.commit));
        }
        assert_eq!(ids[0].1, ids[1].1);
        node.fold(ids[0].0).await.unwrap().unwrap();
        let keys = listed_keys(node.catalog(), org, ids[0].0).await;
        node.catalog().delete_repo(org, "twin").await.unwrap();
        clock.advance(3 * HOUR_MS);
        sweep(&node, &options).await;
        clock.advance(3 * HOUR_MS);
        sweep(&node, &options).await;
        assert!(keys_of(&*place.bucket).await.is_disjoint(&keys));
        node.fold(ids[1].0).await.unwrap().unwrap();
        assert_eq!(again(), 2);

        // What they left under the old names goes, what they list stays.
        sweep(&node, &options).await;
        let mut expected = listed_keys(node.catalog(), org, ids[1].0).await;
        assert!(expected.is_disjoint(&keys));
        let row = node.catalog().repo(org, "r").await.unwrap().unwrap();
        expected.extend(listed_keys(node.catalog(), org, row.id).await);
        assert_eq!(expected.len(), 4);
        assert_eq!(keys_of(&*place.bucket).await, expected);
        let fresh = place.node("b", NEVER).await;
        for name in ["r", "other-twin"] {
            let repo = fresh.repository(org, name).await.unwrap().unwrap();
            check_complete(&repo).await;
        }
        fresh.shutdown().await;
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_deleted_are_left_to_the_next_sweep() {
    let mut place = Place::with_distant_bucket();
    let refused = FaultPlan {
        refused: 1.0,
        ..FaultPlan::NONE
    };
    let faulty = Arc::new(FaultyBucket::new(place.bucket.clone(), 1, FaultPlan::NONE));
    place.bucket = faulty.clone();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    for at in 0..1200_u32 {
        let hex = blake3::hash(&at.to_le_bytes()).to_hex();
        let key = format!("orgs/{org}/packs/{}/{hex}.pack", &hex[..2]);
        let key = Key::parse(&key).unwrap();
        place.bucket.put(&key, "pack".into()).await.unwrap();
    }
    let (options, clock) = by_clock();
    assert_eq!(sweep(&node, &options).await.waiting, 1200);
    clock.advance(HOUR_MS);

    faulty.set_plan(refused);
    assert!(
        node.sweep(&options, &()).await.is_err(),
        "nothing is listed"
    );
    // One that stops after its first page leaves the second.
    struct OnePage(AtomicU64);
    impl SweepWatch for OnePage {
        fn swept(&self, report: &SweepReport) {
            self.0.store(report.keys, Ordering::Relaxed);
        }
        fn is_stopped(&self) -> bool {
            self.0.load(Ordering::Relaxed) > 0
        }
    }
    faulty.set_plan(FaultPlan::NONE);
    let watch = OnePage(AtomicU64::new(0));
    assert!(node.sweep(&options, &watch).await.is_err());
    assert_eq!(watch.0.load(Ordering::Relaxed), 1000);
    assert_eq!(keys_of(&*place.bucket).await.len(), 200);

    let mut plans = node.plan_sweep(&options);
    let plan = plans.next().await.unwrap().unwrap();
    faulty.set_plan(refused);
    let report = node.run_sweep(plan, &options, &()).await.unwrap();
    assert_eq!((report.keys, report.failed), (0, 200));
    faulty.set_plan(FaultPlan::NONE);
    assert_eq!(sweep(&node, &options).await.keys, 200);
    assert_eq!(keys_of(&*place.bucket).await.len(), 0);
    node.shutdown().await;
}

/// A bucket some of whose deletions fail and happen later all the same.
#[derive(Debug)]
struct LateBucket {
    inner: Arc<dyn Bucket>,
    calls: AtomicU64,
    late: TaskTracker,
}

#[async_trait]
impl Bucket for LateBucket {
    async fn put(&self, key: &Key, bytes: Bytes) -> Result<(), BucketError> {
        self.inner.put(key, bytes).await
    }

    async fn put_file(&self, key: &Key, file: &Path) -> Result<(), BucketError> {
        self.inner.put_file(key, file).await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, BucketError> {
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.inner.get_range(key, range).await
    }

    async fn get_to_file(&self, key: &Key, file: &Path) -> Result<u64, BucketError> {
        self.inner.get_to_file(key, file).await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, BucketError> {
        self.inner.size(key).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if !call.is_multiple_of(3) {
            return self.inner.delete(key).await;
        }
        let (inner, again) = (self.inner.clone(), key.clone());
        self.late.spawn(async move {
            tokio::time::sleep(Duration::from_millis(20 + call % 60)).await;
            let _ = inner.delete(&again).await;
        });
        Err(BucketError::Object {
            action: "delete",
            key: key.clone(),
            source: "no answer in time".into(),
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed, BucketError>> {
        self.inner.list(prefix)
    }

    fn local_path(&self, key: &Key) -> Option<PathBuf> {
        self.inner.local_path(key)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// One of the crowd: writes to repositories of its own, forks and deletes them, and gives up waiting now and then.
struct Writer {
    node: Arc<Hosted>,
    org: OrgId,
    bucket: Arc<dyn Bucket>,
    folder: PathBuf,
    random: StdRng,
    name: String,
    repos: Vec<(String, RepoId)>,
}

impl Writer {
    async fn run(mut self, steps: u32) {
        self.create(0).await;
        for step in 1..=steps {
            self.step(step).await;
            self.check().await;
        }
    }

    async fn create(&mut self, step: u32) {
        let name = format!("{}-{step}", self.name);
        let row = self.node.catalog().create_repo(self.org, &name, "main");
        let id = row.await.unwrap().id;
        self.repos.push((name, id));
    }

    async fn step(&mut self, step: u32) {
        let at = self.random.random_range(0..self.repos.len());
        let (name, id) = self.repos[at].clone();
        let patience = Duration::from_millis(self.random.random_range(1..60));
        let is_patient = self.random.random_bool(0.7);
        match self.random.random_range(0..10) {
            // Few different packs, so that writers want names that sweeps are deleting.
            0..=3 => {
                let text = format!("pack {}", self.random.random_range(0..4));
                let commit = packed(&self.folder, &format!("f{step}"), &text);
                self.commit(&name, commit, is_patient, patience).await;
            }
            4..=5 => {
                let commit = request("main", &format!("t{step}"), format!("{step}"));
                self.commit(&name, commit, is_patient, patience).await;
            }
            6 => {
                // Failures are the bucket's; another node may be at it.
                let _ = tokio::time::timeout(patience, self.node.fold(id)).await;
            }
            7 => {
                let source = self.node.catalog().repo_by_id(id).await.unwrap().unwrap();
                let new = format!("{}-{step}", self.name);
                if let Ok(row) = self.node.fork(&source, fork_called(&new)).await {
                    self.repos.push((new, row.id));
                }
            }
            8 => {
                let deleted = self.node.catalog().delete_repo(self.org, &name).await;
                deleted.unwrap();
                self.repos.swap_remove(at);
                if self.repos.is_empty() {
                    self.create(step).await;
                }
            }
            _ => self.create(step).await,
        }
    }

    async fn commit(
        &self,
        name: &str,
        commit: CommitRequest,
        is_patient: bool,
        patience: Duration,
    ) {
        let repo = self.node.repository(self.org, name).await.unwrap().unwrap();
        let commit = repo.commit(commit);
        // It may go through or not, with faults and without an answer.
        if is_patient {
            let _ = commit.await;
        } else {
            let _ = tokio::time::timeout(patience, commit).await;
        }
    }

    /// What its repositories list is in the bucket.
    async fn check(&self) {
        for (name, id) in &self.repos {
            for key in listed_keys(self.node.catalog(), self.org, *id).await {
                let size = self.bucket.size(&Key::parse(&key).unwrap()).await.unwrap();
                assert!(size.is_some(), "{key} of {name} is missing");
            }
        }
    }
}

/// Writers on two nodes and sweeps on both, with a bucket that fails, calls that are broken off at any point, deletions
/// that come late, and a clock that runs: at no time is anything missing, and in the end nothing is left over.
async fn a_world_with_sweeps(mut place: Place, seed: u64) {
    let sound = place.bucket.clone();
    let late = TaskTracker::new();
    let faulty = Arc::new(FaultyBucket::new(sound.clone(), seed, FaultPlan::ROUGH));
    place.bucket = Arc::new(LateBucket {
        inner: faulty.clone(),
        calls: AtomicU64::new(seed),
        late: late.clone(),
    });
    let nodes = [place.node("a", OFTEN).await, place.node("b", OFTEN).await];
    let org = new_org(&nodes[0]).await;
    let (options, clock) = by_clock();
    let writers: Vec<_> = (0..4_u64)
        .map(|at| {
            let writer = Writer {
                node: nodes[at as usize % 2].clone(),
                org,
                bucket: sound.clone(),
                folder: place.folder.path().to_owned(),
                random: StdRng::seed_from_u64(seed * 100 + at),
                name: format!("w{at}"),
                repos: Vec::new(),
            };
            tokio::spawn(writer.run(40))
        })
        .collect();
    let sweepers: Vec<_> = nodes
        .iter()
        .zip(10..)
        .map(|(node, at)| {
            let (node, options, clock) = (node.clone(), options.clone(), clock.clone());
            let mut random = StdRng::seed_from_u64(seed * 100 + at);
            tokio::spawn(async move {
                loop {
                    let patience = Duration::from_millis(random.random_range(1..80));
                    let _ = tokio::time::timeout(patience, node.sweep(&options, &())).await;
                    clock.advance(random.random_range(0..HOUR_MS));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for sweeper in sweepers {
        sweeper.abort();
        assert!(sweeper.await.unwrap_err().is_cancelled());
    }
    for node in &nodes {
        node.shutdown().await;
    }
    late.close();
    late.wait().await;

    faulty.set_plan(FaultPlan::NONE);
    place.bucket = sound.clone();
    let node = place.node("c", NEVER).await;
    for _ in 0..3 {
        clock.advance(3 * HOUR_MS);
        assert_eq!(sweep(&node, &options).await.failed, 0);
    }
    let mut expected = BTreeSet::new();
    let rows = node.catalog().list_repos(org, None, None, 1000).await;
    for row in rows.unwrap() {
        expected.extend(listed_keys(node.catalog(), org, row.id).await);
        let repo: Repository = node.at(&row);
        check_complete(&repo).await;
    }
    assert_eq!(keys_of(&*sound).await, expected);
    assert!(!expected.is_empty());
    let waiting = node.catalog().deleted_repos(i64::MAX, (0, RepoId(0)), 10);
    assert_eq!(waiting.await.unwrap(), []);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listed_is_ever_missing_and_nothing_else_is_left() {
    for seed in 1..=4 {
        a_world_with_sweeps(Place::with_distant_bucket(), seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listed_is_ever_missing_on_postgresql() {
    for seed in 5..=6 {
        a_world_with_sweeps(Place::on_postgres(), seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listed_is_ever_missing_on_s3() {
    if let Some(place) = Place::on_s3("world") {
        a_world_with_sweeps(place, 7).await;
    }
}
