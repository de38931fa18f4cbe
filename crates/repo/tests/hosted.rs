//! The hosted backend on a real database and bucket: what a write means, alone, in a crowd and on several nodes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use packhouse_bucket::Bucket;
use packhouse_catalog::{Catalog, OrgId};
use packhouse_object::{
    EntryMode, NewObject, ObjectId, ObjectKind, PathEdit, Received, RefName, RepoPath, Signature,
    find_path,
};
use packhouse_repo::{
    Change, Command, CommandStatus, CommitError, CommitOutcome, CommitRequest, DeleteBranch,
    FoldLimits, Hosted, HostedOptions, LogQuery, Namespace, PublishError, Push, RefChange, RefEdit,
    RefPolicy, RepoError, Repository, View, log,
};
use packhouse_testkit::faults::{FaultPlan, FaultyBucket};

/// Where a test keeps its data; nodes come and go on it.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) catalog: String,
    pub(crate) bucket: Arc<dyn Bucket>,
}

impl Place {
    pub(crate) fn local() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let catalog = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let bucket = packhouse_bucket::open(&format!(
            "file://{}",
            folder.path().join("bucket").display()
        ))
        .unwrap();
        Place {
            folder,
            catalog,
            bucket,
        }
    }

    /// With a bucket that is not on this machine, as far as nodes can tell.
    pub(crate) fn with_distant_bucket() -> Place {
        Place {
            bucket: packhouse_bucket::open("memory:").unwrap(),
            ..Place::local()
        }
    }

    /// On PostgreSQL and S3, with a database of its own. `None` where S3 is to be left out.
    fn remote() -> Option<Place> {
        if !has_s3() {
            return None;
        }
        let bucket =
            packhouse_bucket::open_with(&required("PACKHOUSE_TEST_S3"), &s3_options()).unwrap();
        Some(Place {
            bucket,
            ..Place::on_postgres()
        })
    }

    /// On S3, below a prefix of its own: what sweeps there sees nothing else. `None` where S3 is to be left out.
    pub(crate) fn on_s3(name: &str) -> Option<Place> {
        if !has_s3() {
            return None;
        }
        let place = Place::local();
        let own = place.folder.path().file_name().unwrap().to_string_lossy();
        let own = own.trim_matches('.').to_lowercase();
        let url = required("PACKHOUSE_TEST_S3");
        let (address, settings) = url.split_once('?').unwrap_or((&url, ""));
        let url = format!("{}/{name}-{own}?{settings}", address.trim_end_matches('/'));
        let bucket = packhouse_bucket::open_with(&url, &s3_options()).unwrap();
        Some(Place { bucket, ..place })
    }

    /// On PostgreSQL, with a database of its own, and a bucket in memory.
    pub(crate) fn on_postgres() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy();
        let name = name.to_lowercase().replace('.', "t");
        Place {
            catalog: own_schema(&required("PACKHOUSE_TEST_POSTGRES"), &name),
            bucket: packhouse_bucket::open("memory:").unwrap(),
            folder,
        }
    }

    /// A node with its own caches.
    pub(crate) async fn node(&self, name: &str, fold: FoldLimits) -> Arc<Hosted> {
        let catalog = Catalog::open(&self.catalog).await.unwrap();
        let (cache, temp) = (
            self.folder.path().join(name).join("cache"),
            self.folder.path().join(name).join("tmp"),
        );
        let mut options = HostedOptions::new(catalog, self.bucket.clone(), cache, temp);
        options.fold = fold;
        Hosted::open(options).unwrap()
    }
}

/// Whether the run has an S3 server; a quick local one may leave it out.
fn has_s3() -> bool {
    !std::env::var("PACKHOUSE_TEST_SKIP_S3").is_ok_and(|value| value == "1")
}

fn s3_options() -> packhouse_bucket::Options {
    let s3 = packhouse_bucket::S3Options {
        access_key: Some(required("PACKHOUSE_TEST_S3_ACCESS_KEY")),
        secret_key: Some(required("PACKHOUSE_TEST_S3_SECRET_KEY")),
        ..Default::default()
    };
    packhouse_bucket::Options { s3 }
}

/// An environment variable that the test command sets.
fn required(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; run the tests through `make test`"))
}

/// A schema of its own in a shared PostgreSQL, as a URL.
fn own_schema(server: &str, name: &str) -> String {
    let made = std::process::Command::new("psql")
        .args([server, "-qc", &format!("CREATE SCHEMA {name}")])
        .status()
        .unwrap();
    assert!(made.success(), "could not create schema {name}");
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options[search_path]={name}")
}

pub(crate) const NEVER: FoldLimits = FoldLimits {
    rows: u64::MAX,
    bytes: u64::MAX,
    search_every: Duration::from_secs(3600),
};
pub(crate) const OFTEN: FoldLimits = FoldLimits {
    rows: 3,
    bytes: 1 << 20,
    search_every: Duration::from_millis(50),
};

pub(crate) async fn new_org(node: &Hosted) -> OrgId {
    node.catalog().create_org("acme").await.unwrap().id
}

pub(crate) async fn new_repo(node: &Hosted, org: OrgId, name: &str) -> Repository {
    node.catalog().create_repo(org, name, "main").await.unwrap();
    node.repository(org, name).await.unwrap().unwrap()
}

pub(crate) fn branch(name: &str) -> RefName {
    RefName::branch(name).unwrap()
}

pub(crate) fn someone() -> Signature {
    Signature {
        name: "A".into(),
        email: "a@example.com".into(),
        seconds: 1_700_000_000,
        offset_minutes: 0,
    }
}

pub(crate) fn request(target: &str, path: &str, content: impl Into<Vec<u8>>) -> CommitRequest {
    let blob = NewObject::new(ObjectKind::Blob, content.into()).unwrap();
    CommitRequest {
        target: branch(target),
        base: None,
        expected_head: None,
        edits: vec![PathEdit::Upsert {
            path: RepoPath::parse(path).unwrap(),
            mode: EntryMode::Blob,
            id: blob.id,
        }],
        blobs: vec![blob],
        packs: Vec::new(),
        message: "change".into(),
        author: someone(),
        committer: someone(),
        who: "test".to_owned(),
    }
}

pub(crate) async fn put(
    repo: &Repository,
    target: &str,
    path: &str,
    content: &str,
) -> CommitOutcome {
    repo.commit(request(target, path, content)).await.unwrap()
}

async fn history(repo: &Repository, name: &str) -> Vec<ObjectId> {
    let view = repo.view().await.unwrap();
    let tip = view.resolve(name, Namespace::Default).unwrap().unwrap().id;
    let query = LogQuery {
        tip,
        path: None,
        skip: 0,
        limit: usize::MAX,
        bytes: usize::MAX,
    };
    log(&view, &query)
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| entry.id)
        .collect()
}

pub(crate) async fn content(repo: &Repository, name: &str, path: &str) -> Option<Vec<u8>> {
    let view = repo.view().await.unwrap();
    let tip = view.resolve(name, Namespace::Default).unwrap()?.id;
    let tree = view.database().commit(tip).unwrap().tree;
    let entry = find_path(view.database(), tree, &RepoPath::parse(path).unwrap()).unwrap()?;
    Some(
        view.database()
            .read(&entry.id)
            .unwrap()
            .unwrap()
            .data
            .to_vec(),
    )
}

/// The commits of `main` by first parent, newest first.
async fn first_parents(repo: &Repository) -> Vec<ObjectId> {
    let view = repo.view().await.unwrap();
    let tip = view
        .resolve("main", Namespace::Default)
        .unwrap()
        .unwrap()
        .id;
    let parent = |id: &ObjectId| view.database().commit(id).unwrap().parents.first().copied();
    std::iter::successors(Some(tip), parent).collect()
}

/// Everything reachable from every ref can be read.
pub(crate) async fn check_complete(repo: &Repository) {
    let view = repo.view().await.unwrap();
    let mut checked = HashSet::new();
    let mut queue: Vec<ObjectId> = view.refs().iter().map(|(_, entry)| entry.target).collect();
    while let Some(id) = queue.pop() {
        if !checked.insert(id) {
            continue;
        }
        let object = view
            .database()
            .read(&id)
            .unwrap()
            .unwrap_or_else(|| panic!("{id} is missing"));
        assert_eq!(
            packhouse_object::hash_object(object.kind, &object.data).unwrap(),
            id
        );
        match object.kind {
            ObjectKind::Commit => {
                let commit = view.database().commit(id).unwrap();
                queue.push(commit.tree);
                queue.extend(commit.parents);
            }
            ObjectKind::Tree => queue.extend(
                view.database()
                    .tree(id)
                    .unwrap()
                    .entries
                    .iter()
                    .map(|entry| entry.id),
            ),
            ObjectKind::Blob | ObjectKind::Tag => {}
        }
    }
}

/// The reflog of `main` is one chain that ends at the tip.
async fn check_reflog(repo: &Repository, newest_first: Vec<ObjectId>) {
    let rows = repo
        .reflog(Some(b"refs/heads/main"), None, 10_000)
        .await
        .unwrap();
    assert!(
        rows.windows(2).all(|pair| pair[1].old == pair[0].new),
        "the reflog is not one chain"
    );
    let logged: Vec<ObjectId> = rows.iter().rev().map(|row| row.new.unwrap()).collect();
    assert_eq!(logged, newest_first);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_commit_needs_no_base_and_the_next_branch_does() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;

    let first = put(&repo, "main", "a", "1").await;
    assert_eq!(first.old, None);
    let second = put(&repo, "main", "b", "2").await;
    assert_eq!(second.old, Some(first.commit));
    let mut listed = history(&repo, "main").await;
    listed.sort();
    let mut expected = vec![second.commit, first.commit];
    expected.sort();
    assert_eq!(listed, expected);

    let missing = repo.commit(request("side", "c", "3")).await;
    assert!(
        matches!(missing, Err(CommitError::BranchMissing { .. })),
        "{missing:?}"
    );
    let mut based = request("side", "c", "3");
    based.base = Some(branch("main"));
    based.expected_head = Some(second.commit);
    let side = repo.commit(based).await.unwrap();
    assert_eq!(side.old, None);
    assert_eq!(history(&repo, "side").await.len(), 3);

    let mut unknown_base = request("other", "c", "3");
    unknown_base.base = Some(branch("nowhere"));
    assert!(matches!(
        repo.commit(unknown_base).await,
        Err(CommitError::BaseMissing { .. })
    ));
    let mut inside = request("main/sub", "c", "3");
    inside.base = Some(branch("main"));
    assert!(matches!(
        repo.commit(inside).await,
        Err(CommitError::NameTaken { .. })
    ));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_does_not_hold_stores_nothing() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    let first = put(&repo, "main", "a", "1").await;
    let second = put(&repo, "main", "a", "2").await;
    let before = repo.view().await.unwrap().generation();
    let mut stale = request("main", "a", "3");
    stale.expected_head = Some(first.commit);
    match repo.commit(stale).await {
        Err(CommitError::HeadMoved {
            expected, found, ..
        }) => assert_eq!((expected, found), (first.commit, Some(second.commit))),
        other => panic!("{other:?}"),
    }
    assert_eq!(repo.view().await.unwrap().generation(), before);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_one_branch_of_two_nodes_loses_nothing() {
    crowd(Place::local()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_postgresql_and_s3_loses_nothing() {
    if let Some(place) = Place::remote() {
        crowd(place).await;
    }
}

async fn crowd(place: Place) {
    let nodes = [place.node("a", OFTEN).await, place.node("b", OFTEN).await];
    let org = new_org(&nodes[0]).await;
    let first = put(
        &new_repo(&nodes[0], org, "r").await,
        "main",
        "README",
        "start",
    )
    .await;
    let mut writers = Vec::new();
    for writer in 0..8usize {
        let node = nodes[writer % 2].clone();
        writers.push(tokio::spawn(async move {
            let repo = node.repository(org, "r").await.unwrap().unwrap();
            let mut made = Vec::new();
            for at in 0..25usize {
                let content = if at == 10 {
                    vec![writer as u8; 2 << 20]
                } else {
                    format!("{writer} {at}").into_bytes()
                };
                made.push(
                    repo.commit(request("main", &format!("w{writer}/f{at}"), content))
                        .await
                        .unwrap()
                        .commit,
                );
            }
            made
        }));
    }
    let mut acknowledged = HashSet::from([first.commit]);
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    for node in &nodes {
        let repo = node.repository(org, "r").await.unwrap().unwrap();
        let listed = first_parents(&repo).await;
        assert_eq!(listed.len(), 201);
        assert_eq!(listed.iter().copied().collect::<HashSet<_>>(), acknowledged);
        check_reflog(&repo, listed).await;
        check_complete(&repo).await;
    }
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_in_a_crowd_let_exactly_one_through_each_time() {
    let place = Place::local();
    let nodes = [place.node("a", NEVER).await, place.node("b", NEVER).await];
    let org = new_org(&nodes[0]).await;
    let mut head = put(&new_repo(&nodes[0], org, "r").await, "main", "f", "start")
        .await
        .commit;
    for round in 0..20 {
        let mut tries = Vec::new();
        for writer in 0..6 {
            let node = nodes[writer % 2].clone();
            tries.push(tokio::spawn(async move {
                let repo = node.repository(org, "r").await.unwrap().unwrap();
                let mut guarded = request("main", "f", format!("{round} {writer}"));
                guarded.expected_head = Some(head);
                repo.commit(guarded).await
            }));
        }
        let mut won = Vec::new();
        let mut refused = Vec::new();
        for attempt in tries {
            match attempt.await.unwrap() {
                Ok(outcome) => won.push(outcome.commit),
                Err(CommitError::HeadMoved { found, .. }) => refused.push(found.unwrap()),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert!(
            refused.iter().all(|found| *found == won[0]),
            "a refusal names the head that won"
        );
        head = won[0];
    }
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_changes_nothing_that_can_be_read() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    for at in 0..10 {
        put(&repo, "main", &format!("d{}/f", at % 3), &format!("{at}")).await;
    }
    let before = history(&repo, "main").await;
    let row = node.catalog().repo(org, "r").await.unwrap().unwrap();
    assert_eq!(row.tail_rows, 10);
    let report = node.fold(row.id).await.unwrap().unwrap();
    assert_eq!(report.rows, 10);
    let row = node.catalog().repo(org, "r").await.unwrap().unwrap();
    assert_eq!((row.tail_rows, row.tail_bytes), (0, 0));
    assert!(
        node.fold(row.id).await.unwrap().is_none(),
        "an empty tail is not folded"
    );
    assert_eq!(history(&repo, "main").await, before);
    put(&repo, "main", "after", "x").await;
    assert_eq!(content(&repo, "main", "d0/f").await.unwrap(), b"9");
    // A node that knows nothing reads the same.
    let fresh = place.node("b", NEVER).await;
    let other = fresh.repository(org, "r").await.unwrap().unwrap();
    assert_eq!(history(&other, "main").await.len(), before.len() + 1);
    check_complete(&other).await;
    for node in [node, fresh] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_view_is_brought_up_to_date_to_what_a_fresh_one_shows() {
    let place = Place::local();
    let writer = place.node("w", OFTEN).await;
    let reader = place.node("r", NEVER).await;
    let org = new_org(&writer).await;
    let repo = new_repo(&writer, org, "r").await;
    put(&repo, "main", "start", "0").await;
    let known = reader.repository(org, "r").await.unwrap().unwrap();
    for at in 0..40usize {
        let mut one = request(
            &format!("b{}", at * 7 % 4),
            &format!("d{}/f", at * 5 % 3),
            format!("{at}"),
        );
        one.base = Some(branch("main"));
        repo.commit(one).await.unwrap();
        if at % 5 == 4 {
            let name = branch(&format!("b{}", at * 3 % 4));
            repo.delete_branch(DeleteBranch {
                name,
                policy: Arc::new(Anything),
                who: "test".to_owned(),
            })
            .await
            .ok();
        }
        let view = known.view().await.unwrap();
        let fresh_node = place.node(&format!("f{at}"), NEVER).await;
        let fresh = fresh_node
            .repository(org, "r")
            .await
            .unwrap()
            .unwrap()
            .view()
            .await
            .unwrap();
        let refs = |view: &View| {
            view.refs()
                .iter()
                .map(|(name, one)| (name.clone(), one.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(refs(&view), refs(&fresh));
        for (_, one) in fresh.refs().iter() {
            assert_eq!(
                view.database().commit(one.target).unwrap(),
                fresh.database().commit(one.target).unwrap()
            );
        }
        fresh_node.shutdown().await;
    }
    writer.shutdown().await;
    reader.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_fails_costs_requests_but_no_commit() {
    let mut place = Place::local();
    let faulty = Arc::new(FaultyBucket::new(
        place.bucket.clone(),
        11,
        FaultPlan::ROUGH,
    ));
    place.bucket = faulty.clone();
    let node = place.node("a", OFTEN).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    let mut acknowledged = Vec::new();
    let mut failed = 0;
    for at in 0..60usize {
        // Every third commit is too large for a tail row and goes through the bucket itself.
        let content = if at % 3 == 0 {
            (0..1_500_000).map(|byte| (byte * at % 251) as u8).collect()
        } else {
            vec![at as u8; 30]
        };
        match repo
            .commit(request("main", &format!("f{at}"), content))
            .await
        {
            Ok(made) => acknowledged.push(made.commit),
            Err(CommitError::Repo(_)) => failed += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(
        failed > 0 && acknowledged.len() > 20,
        "{failed} failed: the faults did not bite, or nothing got through"
    );
    node.shutdown().await;
    faulty.set_plan(FaultPlan::NONE);
    let after = place.node("b", NEVER).await;
    let repo = after.repository(org, "r").await.unwrap().unwrap();
    check_complete(&repo).await;
    let mut chain = first_parents(&repo).await;
    chain.reverse();
    assert_eq!(
        chain, acknowledged,
        "what was acknowledged is there, and nothing else"
    );
    after.shutdown().await;
}

/// A chain of annotated tags, outermost last, around a blob.
fn nested_tags(depth: usize) -> Vec<NewObject> {
    let mut objects = vec![NewObject::new(ObjectKind::Blob, b"tagged".to_vec()).unwrap()];
    for at in 0..depth {
        let inner = &objects[at];
        let text = format!(
            "object {}\ntype {}\ntag t\ntagger A <a@example.com> 1700000000 +0000\n\nt\n",
            inner.id,
            inner.kind.as_str()
        );
        objects.push(NewObject::new(ObjectKind::Tag, text.into_bytes()).unwrap());
    }
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_a_group_that_fails_fails_alone() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    put(&repo, "main", "start", "0").await;

    // The first write holds up the lane until the others are queued, so that they make one group.
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let holding = repo.publish("test", Vec::new(), move |_| {
        gate.lock().unwrap().recv().unwrap();
        Ok::<_, ()>((Change::default(), ()))
    });
    let bad = |depth| {
        let objects = nested_tags(depth);
        let edit = RefEdit {
            name: "refs/tags/deep".parse().unwrap(),
            old: None,
            new: Some(objects.last().unwrap().id),
            message: "test".to_owned(),
        };
        repo.publish("test", Vec::new(), move |_| {
            let change = Change {
                objects: objects.clone(),
                edits: vec![edit.clone()],
            };
            Ok::<_, ()>((change, ()))
        })
    };
    let groups = |node: &Hosted| {
        node.stats()
            .groups
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    let before = groups(&node);
    let (_, first, deep, second, shallow, ()) = tokio::join!(
        biased;
        holding,
        repo.commit(request("main", "first", "1")),
        bad(100),
        repo.commit(request("main", "second", "2")),
        bad(10),
        async { go.send(()).unwrap() },
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(second.old, Some(first.commit));
    assert!(
        matches!(deep, Err(PublishError::Repo(RepoError::Read(_)))),
        "{:?}",
        deep.err()
    );
    shallow.unwrap();
    assert_eq!(groups(&node) - before, 1, "they were one group");
    let view = repo.view().await.unwrap();
    let tag = view.refs().get(&"refs/tags/deep".parse().unwrap()).unwrap();
    assert_eq!(tag.target, nested_tags(10).last().unwrap().id);
    let left = nested_tags(100).last().unwrap().id;
    assert!(!view.database().contains(&left).unwrap());
    check_complete(&repo).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_nested_too_deep_are_refused_in_words_and_nothing_else_is() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    let mut objects = nested_tags(64);
    let command = |name: &str, object: &NewObject| Command {
        name: name.parse().unwrap(),
        old: None,
        new: Some(object.id),
    };
    let commands = vec![
        command("refs/tags/deep", &objects[64]),
        command("refs/tags/allowed", &objects[63]),
    ];
    let deep = objects[64].id;
    objects.reverse();
    let push = Push {
        commands,
        received: Some(Received::Small(objects)),
        atomic: false,
        policy: Arc::new(Anything),
        who: "test".to_owned(),
    };
    let reason = format!(
        "cannot update ref 'refs/tags/deep': tag {deep} is 64 or more tags away from what it names"
    );
    assert_eq!(
        repo.receive(push).await.unwrap(),
        [CommandStatus::Rejected(reason), CommandStatus::Ok]
    );
    let view = repo.view().await.unwrap();
    assert_eq!(
        view.resolve(&deep.to_string(), Namespace::Default).unwrap(),
        None,
        "it names no commit"
    );
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_to_a_deleted_repository_fails_and_names_the_reason() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    put(&repo, "main", "a", "1").await;
    node.catalog().delete_repo(org, "r").await.unwrap();
    let late = repo.commit(request("main", "a", "2")).await;
    // Not within a failure that the writes of a group share: callers tell it apart.
    let is_gone = matches!(late, Err(CommitError::Repo(RepoError::Gone)));
    assert!(is_gone, "{late:?}");
    assert!(repo.view().await.is_ok() || node.repository(org, "r").await.unwrap().is_none());
    let again = new_repo(&node, org, "r").await;
    assert!(
        again.view().await.unwrap().refs().is_empty(),
        "a repository made anew starts empty"
    );
    node.shutdown().await;
}

pub(crate) struct Anything;

impl RefPolicy for Anything {
    fn allows(&self, _: &RefName, _: RefChange) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test]
async fn a_node_whose_scratch_folder_vanishes_goes_on() {
    let place = Place::local();
    let node = place.node("node", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "repo").await;
    put(&repo, "main", "a", "1").await;
    std::fs::remove_dir_all(place.folder.path().join("node").join("tmp")).unwrap();
    // Too much for a row, so a pack is made of it.
    let large = vec![b'x'; 3 << 20];
    repo.commit(request("main", "b", large)).await.unwrap();
    put(&repo, "main", "c", "2").await;
    std::fs::remove_dir_all(place.folder.path().join("node").join("tmp")).unwrap();
    let id = node.catalog().repo(org, "repo").await.unwrap().unwrap().id;
    assert!(node.fold(id).await.unwrap().is_some());
    assert!(repo.quarantine_dir().is_dir());
    check_complete(&repo).await;
    node.shutdown().await;
}
