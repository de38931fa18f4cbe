//! What a sync does to every ref there can be: here, there, and there the last time.

use std::collections::BTreeMap;
use std::sync::Arc;

use packhouse_catalog::Catalog;
use packhouse_object::{
    EntryMode, NewObject, ObjectId, ObjectKind, PathEdit, RefName, RepoPath, Signature,
};
use packhouse_repo::{
    Change, CommitRequest, Hosted, HostedOptions, PublishError, RefEdit, RefTargets, RepoError,
    Repository, SyncRequest, Synced, is_followed,
};

struct World {
    _folder: tempfile::TempDir,
    _node: Arc<Hosted>,
    repo: Repository,
    /// Three commits in a line, and one that has nothing to do with them.
    commits: Vec<ObjectId>,
}

/// The positions in `World::commits` where a ref may be.
const PLACES: [Option<usize>; 5] = [None, Some(0), Some(1), Some(2), Some(3)];

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let url = format!("sqlite:{}", at("catalog.db").display());
        let catalog = Catalog::open(&url).await.unwrap();
        let bucket = packhouse_bucket::open(&format!("file://{}", at("bucket").display())).unwrap();
        let options = HostedOptions::new(catalog, bucket, at("cache"), at("tmp"));
        let node = Hosted::open(options).unwrap();
        let org = node.catalog().create_org("acme").await.unwrap().id;
        node.catalog().create_repo(org, "a", "main").await.unwrap();
        let repo = node.repository(org, "a").await.unwrap().unwrap();
        let mut commits = Vec::new();
        for number in 0..3 {
            commits.push(commit(&repo, "line", number).await);
        }
        // Another root: a repository without refs takes one.
        set(&repo, &[("refs/heads/line", None)]).await;
        commits.push(commit(&repo, "other", 9).await);
        set(&repo, &[("refs/heads/other", None)]).await;
        World {
            _folder: folder,
            _node: node,
            repo,
            commits,
        }
    }

    fn at(&self, place: Option<usize>) -> Option<ObjectId> {
        place.map(|place| self.commits[place])
    }

    async fn refs(&self) -> BTreeMap<String, ObjectId> {
        let view = self.repo.view().await.unwrap();
        let refs = view.refs().iter();
        refs.map(|(name, entry)| (name.to_string(), entry.target))
            .collect()
    }

    async fn sync(
        &self,
        offered: &RefTargets,
        recorded: &RefTargets,
        only: Option<&str>,
    ) -> Synced {
        self.sync_in(false, offered, recorded, only).await
    }

    async fn sync_in(
        &self,
        both_ways: bool,
        offered: &RefTargets,
        recorded: &RefTargets,
        only: Option<&str>,
    ) -> Synced {
        let request = SyncRequest {
            offered: offered.clone(),
            recorded: recorded.clone(),
            only: only.map(name_of),
            both_ways,
            received: None,
            message: "sync".into(),
        };
        self.repo.sync("test", request).await.unwrap()
    }
}

fn name_of(name: &str) -> RefName {
    RefName::parse(name).unwrap()
}

async fn commit(repo: &Repository, branch: &str, number: u32) -> ObjectId {
    let blob = NewObject::new(ObjectKind::Blob, number.to_string().into_bytes()).unwrap();
    let someone = Signature {
        name: "A".into(),
        email: "a@example.com".into(),
        seconds: 1_700_000_000,
        offset_minutes: 0,
    };
    let request = CommitRequest {
        target: RefName::branch(branch).unwrap(),
        base: None,
        expected_head: None,
        edits: vec![PathEdit::Upsert {
            path: RepoPath::parse("f").unwrap(),
            mode: EntryMode::Blob,
            id: blob.id,
        }],
        blobs: vec![blob],
        packs: Vec::new(),
        author: someone.clone(),
        committer: someone,
        message: "m".into(),
        who: "test".into(),
    };
    repo.commit(request).await.unwrap().commit
}

/// Moves refs, whatever they were.
async fn set(repo: &Repository, refs: &[(&str, Option<ObjectId>)]) {
    let refs: Vec<(RefName, Option<ObjectId>)> = refs
        .iter()
        .map(|(name, target)| (name_of(name), *target))
        .collect();
    let moved: Result<_, PublishError<RepoError>> = repo
        .publish("test", Vec::new(), move |view| {
            let edit = |(name, new): &(RefName, Option<ObjectId>)| RefEdit {
                name: name.clone(),
                old: view.refs().get(name).map(|entry| entry.target),
                new: *new,
                message: "test".into(),
            };
            let change = Change {
                objects: Vec::new(),
                edits: refs.iter().map(edit).collect(),
            };
            Ok((change, ()))
        })
        .await;
    assert!(moved.is_ok());
}

/// The table of the guide: where a ref goes that is here, there, and was there the last time.
fn expected(here: Option<usize>, there: Option<usize>, before: Option<usize>) -> Option<usize> {
    match (here, there, before) {
        // It went away there.
        (here, None, before) => here.filter(|_| here != before),
        (None, Some(there), _) => Some(there),
        (Some(here), Some(there), Some(before)) if there == before => Some(here),
        (Some(_), Some(there), Some(_)) => Some(there),
        // It was here first: it follows if it is merely behind.
        (Some(here), Some(there), None) => match here <= there && there < 3 {
            true => Some(there),
            false => Some(here),
        },
    }
}

/// Whether `new` has all that `old` has.
fn is_forward(old: usize, new: usize) -> bool {
    old == new || (old < new && new < 3)
}

/// The other table of the guide, for repositories whose writes go to the upstream.
fn expected_both_ways(
    here: Option<usize>,
    there: Option<usize>,
    before: Option<usize>,
) -> Option<usize> {
    match (here, there, before) {
        // It went away there.
        (here, None, before) => here.filter(|_| here != before),
        // It did not move there: what was done here stays, deletions too.
        (here, there, before) if there == before => here,
        (None, there, _) => there,
        // Nothing was written here.
        (here, there, before) if here == before => there,
        // Both moved: whoever has the other's commits wins, else both stay.
        (Some(here), Some(there), _) if is_forward(here, there) => Some(there),
        (here, _, _) => here,
    }
}

#[tokio::test]
async fn every_case_goes_as_the_guide_says_and_only_once() {
    every_case(false).await;
}

#[tokio::test]
async fn every_case_goes_as_the_guide_says_where_what_is_written_goes_there_too() {
    every_case(true).await;
}

async fn every_case(both_ways: bool) {
    let expected = match both_ways {
        true => expected_both_ways,
        false => expected,
    };
    let world = World::new().await;
    let (mut offered, mut recorded) = (RefTargets::new(), RefTargets::new());
    let mut want = BTreeMap::new();
    let mut local = Vec::new();
    for (h, here) in PLACES.into_iter().enumerate() {
        for (t, there) in PLACES.into_iter().enumerate() {
            for (b, before) in PLACES.into_iter().enumerate() {
                let name = format!("refs/heads/r{h}{t}{b}");
                local.push((name.clone(), world.at(here)));
                offered.extend(world.at(there).map(|id| (name_of(&name), id)));
                recorded.extend(world.at(before).map(|id| (name_of(&name), id)));
                let to = world.at(expected(here, there, before));
                want.extend(to.map(|id| (name, id)));
            }
        }
    }
    let local: Vec<_> = local
        .iter()
        .filter(|(_, id)| id.is_some())
        .map(|(name, id)| (name.as_str(), *id))
        .collect();
    set(&world.repo, &local).await;
    let synced = world.sync_in(both_ways, &offered, &recorded, None).await;
    assert_eq!(world.refs().await, want);

    for (name, target) in &synced.record {
        match target {
            Some(target) => recorded.insert(name.clone(), *target),
            None => recorded.remove(name),
        };
    }
    for (name, _) in &synced.left_out {
        assert_ne!(want.get(&name.to_string()), offered.get(name));
        // Where it was seen is where a push starts: what was not followed was not seen.
        assert_ne!(recorded.get(name), offered.get(name));
        assert!(both_ways || !recorded.contains_key(name));
    }
    let mut all = recorded.clone();
    all.extend(
        synced
            .left_out
            .iter()
            .map(|(name, _)| (name.clone(), offered[name])),
    );
    assert_eq!(all, offered, "what is there is recorded, or was left out");
    let again = world.sync_in(both_ways, &offered, &recorded, None).await;
    assert_eq!((again.moved, again.record.len()), (0, 0));
    assert_eq!(again.left_out, synced.left_out);
    assert_eq!(world.refs().await, want);
}

#[tokio::test]
async fn names_that_get_in_each_others_way_make_room_or_are_left_out() {
    let world = World::new().await;
    let [a, b] = [world.commits[0], world.commits[1]];
    set(
        &world.repo,
        &[("refs/heads/x", Some(a)), ("refs/heads/mine/y", Some(a))],
    )
    .await;
    let recorded = RefTargets::from([(name_of("refs/heads/x"), a)]);
    let offered = RefTargets::from([
        (name_of("refs/heads/x/inside"), b),
        (name_of("refs/heads/mine"), b),
        (
            name_of("refs/heads/gone-object"),
            ObjectId::from_hex(&[b'1'; 40]).unwrap(),
        ),
    ]);
    let synced = world.sync(&offered, &recorded, None).await;
    assert_eq!(synced.moved, 2);
    let names: Vec<_> = synced
        .left_out
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["refs/heads/gone-object", "refs/heads/mine"]);
    let expected = [("refs/heads/mine/y", a), ("refs/heads/x/inside", b)];
    let expected = expected.map(|(name, id)| (name.to_owned(), id));
    assert_eq!(world.refs().await, BTreeMap::from(expected));
}

#[tokio::test]
async fn one_ref_alone_and_no_other_kind() {
    let world = World::new().await;
    let [a, b] = [world.commits[0], world.commits[1]];
    let names = [
        "refs/heads/x",
        "refs/heads/y",
        "refs/tags/t",
        "refs/notes/commits",
        "refs/pull/1/head",
    ];
    let offered: RefTargets = names.iter().map(|name| (name_of(name), b)).collect();
    let recorded = RefTargets::from([(name_of("refs/heads/gone"), a)]);
    set(&world.repo, &[("refs/heads/gone", Some(a))]).await;
    let synced = world.sync(&offered, &recorded, Some("refs/tags/t")).await;
    assert_eq!((synced.moved, synced.record.len()), (1, 1));
    let synced = world
        .sync(&offered, &recorded, Some("refs/heads/gone"))
        .await;
    assert_eq!(synced.record, [(name_of("refs/heads/gone"), None)]);
    let synced = world.sync(&offered, &RefTargets::new(), None).await;
    assert_eq!(synced.moved, 2);
    let refs: Vec<_> = world.refs().await.into_keys().collect();
    assert_eq!(refs, ["refs/heads/x", "refs/heads/y", "refs/tags/t"]);
    assert!(!is_followed(&RefName::ephemeral_branch("x").unwrap()));
}
