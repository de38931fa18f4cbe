//! Writers on two nodes that bring back old commits by every way there is, while others repack and drop all the time: what
//! any ref of any repository reaches is there at the end.
//!
//! `PACKHOUSE_DROP_ROUNDS` says how many rounds there are on each database, each with a seed of its own that is printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use packhouse_catalog::OrgId;
use packhouse_object::{ObjectId, PackFileWriter, Received};
use packhouse_repo::{
    CommandStatus, CommitError, CommitOnto, CommitOutcome, ForkError, ForkRequest, Hosted,
    Namespace, RepackHow, RepoError, Repository,
};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::drops::{commit_of, delete_branch, go_on, id_of, push};
use crate::hosted::{
    NEVER, Place, branch, check_complete, new_org, new_repo, put, request, someone,
};

/// Writes of each writer.
const WRITES: usize = 30;
/// How long each goes on at most until something was dropped.
const PATIENCE: Duration = Duration::from_secs(20);
/// Writers on each node.
const WRITERS: u64 = 2;
const BRANCHES: [&str; 4] = ["b0", "b1", "b2", "b3"];

/// What all take part in.
struct Crowd {
    org: OrgId,
    /// Every commit there ever was.
    commits: Mutex<Vec<CommitOutcome>>,
    forks: Mutex<Vec<String>>,
    brought_back: AtomicU64,
    dropped: AtomicU64,
    has_ended: AtomicBool,
}

impl Crowd {
    fn any(&self, rng: &mut StdRng) -> CommitOutcome {
        self.commits.lock().choose(rng).unwrap().clone()
    }

    /// Notes what came of a commit. What was lost meanwhile may be missed, and nothing else may fail.
    fn committed(&self, made: Result<CommitOutcome, CommitError>) {
        match made {
            Ok(made) => self.commits.lock().push(made),
            Err(
                CommitError::RevisionMissing { .. }
                | CommitError::BranchMissing { .. }
                | CommitError::Repo(RepoError::Vanished { .. }),
            ) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn repo_on(node: &Hosted, org: OrgId, name: &str) -> Repository {
    node.repository(org, name).await.unwrap().unwrap()
}

fn onto(name: &str) -> CommitOnto {
    CommitOnto {
        target: branch(name),
        base: Some(branch("main")),
        expected_head: None,
        message: "back".into(),
        author: someone(),
        committer: someone(),
        who: "test".to_owned(),
    }
}

async fn target(repo: &Repository, name: &str) -> Option<ObjectId> {
    let view = repo.view().await.unwrap();
    view.refs().get(&branch(name)).map(|at| at.target)
}

async fn receive(
    crowd: &Crowd,
    repo: &Repository,
    name: &str,
    new: ObjectId,
    with: Option<Received>,
) {
    let old = target(repo, name).await;
    match repo.receive(push(name, old, new, with)).await {
        Ok(statuses) => {
            let is_ok = statuses == [CommandStatus::Ok];
            crowd
                .brought_back
                .fetch_add(u64::from(is_ok), Ordering::Relaxed);
        }
        Err(RepoError::Vanished { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
}

async fn write(crowd: Arc<Crowd>, node: Arc<Hosted>, folder: std::path::PathBuf, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let began = Instant::now();
    for at in 0.. {
        // A crowd that never pauses leaves no moment for a drop.
        let is_dropped = crowd.dropped.load(Ordering::Relaxed) > 0;
        if at >= WRITES && (is_dropped || began.elapsed() > PATIENCE) {
            return;
        }
        let repo = repo_on(&node, crowd.org, "r").await;
        let name = *BRANCHES.choose(&mut rng).unwrap();
        let old = crowd.any(&mut rng);
        match rng.random_range(0..10) {
            // Few contents, so that many of them are there already, reached or not.
            0..3 => {
                let (path, text) = (rng.random_range(0..3), rng.random_range(0..8));
                let mut made = request(name, &format!("f{path}"), format!("text {text}"));
                made.base = Some(branch("main"));
                crowd.committed(repo.commit(made).await);
            }
            3..5 => {
                delete_branch(&repo, name).await;
            }
            5 => receive(&crowd, &repo, name, old.commit, None).await,
            6 => {
                let on_top = commit_of(old.tree, vec![old.commit], &format!("{seed} {at}"));
                let new = on_top.id;
                // Some are small, and come without a pack.
                let received = match rng.random() {
                    true => Received::Small(vec![on_top]),
                    false => {
                        let mut writer = PackFileWriter::create(&folder).unwrap();
                        writer.add_new(&on_top).unwrap();
                        Received::Large(writer.finish().unwrap())
                    }
                };
                // As one does whose pack was found complete in what he saw.
                let view = repo.view().await.unwrap();
                let has = |id: &ObjectId| view.database().contains(id).unwrap();
                if has(&old.commit) && has(&old.tree) {
                    tokio::task::yield_now().await;
                    receive(&crowd, &repo, name, new, Some(received)).await;
                    let tree = old.tree;
                    let made = CommitOutcome {
                        commit: new,
                        tree,
                        ..old
                    };
                    crowd.commits.lock().push(made);
                }
            }
            7 => {
                let made = repo.restore(onto(name), old.commit.to_string(), Namespace::Default);
                crowd.committed(made.await);
            }
            8 => {
                let source = node.catalog().repo(crowd.org, "r").await.unwrap().unwrap();
                let fork = ForkRequest {
                    name: format!("fork-{seed}-{at}"),
                    default_branch: None,
                    at: Some(old.commit.to_string()),
                    snapshot: None,
                    who: "test".to_owned(),
                    audit: None,
                };
                match node.fork(&source, fork).await {
                    Ok(fork) => crowd.forks.lock().push(fork.name),
                    Err(ForkError::CommitMissing { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            _ => {
                // In a fork, of what is known of all.
                let fork = crowd.forks.lock().choose(&mut rng).cloned();
                if let Some(fork) = fork {
                    let repo = repo_on(&node, crowd.org, &fork).await;
                    receive(&crowd, &repo, name, old.commit, None).await;
                }
            }
        }
    }
}

/// Repacks and drops until the writers have ended.
async fn maintain(crowd: Arc<Crowd>, node: Arc<Hosted>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    while !crowd.has_ended.load(Ordering::Relaxed) {
        let fork = crowd.forks.lock().choose(&mut rng).cloned();
        let name = match rng.random_range(0..3) {
            0 => fork.unwrap_or_else(|| "r".to_owned()),
            _ => "r".to_owned(),
        };
        let id = id_of(&node, crowd.org, &name).await;
        match rng.random_range(0..4) {
            0 => drop(node.fold(id).await.unwrap()),
            1 => drop(node.repack(id, RepackHow::Full, go_on()).await.unwrap()),
            _ => match node.drop_unreachable(id, i64::MAX, go_on()).await {
                Ok(dropped) => {
                    let objects = dropped.map_or(0, |dropped| dropped.objects);
                    crowd.dropped.fetch_add(objects, Ordering::Relaxed);
                }
                Err(error) => panic!("{error:?}"),
            },
        }
    }
}

#[expect(clippy::print_stdout, reason = "a failure tells its seed")]
async fn round(place: &Place, seed: u64) -> (u64, u64) {
    println!("seed {seed}");
    let (a, b) = (place.node("a", NEVER).await, place.node("b", NEVER).await);
    let org = new_org(&a).await;
    let repo = new_repo(&a, org, "r").await;
    let first = put(&repo, "main", "f0", "first").await;
    let crowd = Arc::new(Crowd {
        org,
        commits: Mutex::new(vec![first]),
        forks: Mutex::default(),
        brought_back: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
        has_ended: AtomicBool::new(false),
    });
    let (mut writers, mut others) = (Vec::new(), Vec::new());
    for (node, at) in [(&a, 0), (&b, 1)] {
        for number in 0..WRITERS {
            let seed = seed * 100 + at * 10 + number;
            let folder = place.folder.path().to_owned();
            writers.push(tokio::spawn(write(
                crowd.clone(),
                node.clone(),
                folder,
                seed,
            )));
        }
        others.push(tokio::spawn(maintain(
            crowd.clone(),
            node.clone(),
            seed * 100 + 50 + at,
        )));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    crowd.has_ended.store(true, Ordering::Relaxed);
    for other in others {
        other.await.unwrap();
    }
    // One that has nothing in its caches, before and after all is sorted and dropped that can be.
    let fresh = place.node("fresh", NEVER).await;
    let names: Vec<_> = crowd
        .forks
        .lock()
        .iter()
        .cloned()
        .chain(["r".to_owned()])
        .collect();
    for name in &names {
        check_complete(&repo_on(&fresh, org, name).await).await;
        let id = id_of(&fresh, org, name).await;
        fresh.repack(id, RepackHow::Full, go_on()).await.unwrap();
        fresh.drop_unreachable(id, i64::MAX, go_on()).await.unwrap();
        check_complete(&repo_on(&fresh, org, name).await).await;
    }
    for node in [fresh, a, b] {
        node.shutdown().await;
    }
    let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    (counted(&crowd.brought_back), counted(&crowd.dropped))
}

async fn rounds(place: impl Fn() -> Place) {
    let rounds = std::env::var("PACKHOUSE_DROP_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap());
    let (mut brought_back, mut dropped) = (0, 0);
    for _ in 0..rounds {
        let (back, gone) = round(&place(), rand::random_range(1..1 << 40)).await;
        brought_back += back;
        dropped += gone;
    }
    assert!(brought_back > 0, "nothing was brought back");
    assert!(dropped > 0, "nothing was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_ref_reaches_is_lost_on_sqlite() {
    rounds(Place::with_distant_bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_ref_reaches_is_lost_on_postgresql() {
    rounds(Place::on_postgres).await;
}
