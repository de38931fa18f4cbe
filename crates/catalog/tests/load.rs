//! Loading what changed gives what loading all gives.

use std::collections::BTreeMap;

use bytes::Bytes;
use packhouse_catalog::{
    Catalog, Fold, Loaded, PackRow, PublishError, RefEdit, RefRow, RepoId, RepoRow, Since,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::both::{Database, on_both};
use crate::sample::{edit, id, pack, publish, repo, with_tail};

on_both!(
    incremental_loads_equal_full_loads,
    nothing_new_is_nothing_loaded,
    a_view_far_behind_catches_up,
    a_load_is_of_one_moment,
);

/// What a node keeps of a repository.
#[derive(Debug, PartialEq)]
struct View {
    repo: RepoRow,
    refs: BTreeMap<Vec<u8>, RefRow>,
    tail: BTreeMap<i64, Bytes>,
    packs: Vec<PackRow>,
}

impl View {
    async fn load(catalog: &Catalog, id: RepoId) -> View {
        let loaded = catalog.load(id, None).await.unwrap().unwrap();
        let mut view = View {
            repo: loaded.repo.clone(),
            refs: BTreeMap::new(),
            tail: BTreeMap::new(),
            packs: vec![],
        };
        assert!(loaded.refs.iter().all(|row| row.target.is_some()));
        view.apply(loaded);
        view
    }

    async fn refresh(&mut self, catalog: &Catalog) {
        let since = Since::from(&self.repo);
        let loaded = catalog
            .load(self.repo.id, Some(since))
            .await
            .unwrap()
            .unwrap();
        assert!(
            loaded
                .refs
                .iter()
                .all(|row| row.generation > since.generation)
        );
        assert!(
            loaded
                .tail
                .iter()
                .all(|row| row.generation > since.generation)
        );
        self.apply(loaded);
    }

    fn apply(&mut self, loaded: Loaded) {
        self.repo = loaded.repo;
        for row in loaded.refs {
            match row.target {
                Some(_) => self.refs.insert(row.name.clone(), row),
                None => self.refs.remove(&row.name),
            };
        }
        self.tail
            .retain(|generation, _| *generation > self.repo.folded_through);
        self.tail.extend(
            loaded
                .tail
                .into_iter()
                .map(|row| (row.generation, row.objects)),
        );
        if let Some(packs) = loaded.packs {
            self.packs = packs;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Moves of refs by number, some with a wrong `old`; a tail row; a pack.
    Publish {
        moves: Vec<(u8, Option<u64>)>,
        wrong: bool,
        tail: Option<usize>,
        pack: Option<u8>,
    },
    /// A fold of so many of the oldest rows.
    Fold { rows: usize },
    /// One of the views catches up.
    Refresh { view: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let moves = prop::collection::vec((0..5_u8, prop::option::weighted(0.7, 1..9_u64)), 0..5);
    let publish = (
        moves,
        prop::bool::weighted(0.1),
        prop::option::of(0..50_usize),
        prop::option::weighted(0.2, 0..9_u8),
    );
    prop_oneof![
        6 => publish.prop_map(|(moves, wrong, tail, pack)| Step::Publish { moves, wrong, tail, pack }),
        1 => (1..6_usize).prop_map(|rows| Step::Fold { rows }),
        2 => (0..3_usize).prop_map(|view| Step::Refresh { view }),
    ]
}

async fn incremental_loads_equal_full_loads(db: &Database) {
    let catalog = db.open().await;
    let mut runner = TestRunner::new(Config {
        cases: 25,
        ..Config::default()
    });
    let steps = prop::collection::vec(step(), 1..40);
    tokio::task::block_in_place(|| {
        runner
            .run(&steps, |steps| {
                tokio::runtime::Handle::current().block_on(run(&catalog, steps));
                Ok(())
            })
            .unwrap();
    });
}

async fn run(catalog: &Catalog, steps: Vec<Step>) {
    let repo = repo(catalog).await.id;
    let mut model: BTreeMap<u8, u64> = BTreeMap::new();
    let mut moves_made = 0;
    let mut views = vec![];
    for _ in 0..3 {
        views.push(View::load(catalog, repo).await);
    }
    for step in steps {
        match step {
            Step::Publish {
                moves,
                wrong,
                tail,
                pack: new_pack,
            } => {
                let before = model.clone();
                let mut edits: Vec<RefEdit> = vec![];
                for (number, new) in moves {
                    let name = format!("refs/heads/{number}");
                    edits.push(edit(&name, model.get(&number).copied(), new));
                    match new {
                        Some(new) => model.insert(number, new),
                        None => model.remove(&number),
                    };
                }
                let refused = wrong && !edits.is_empty();
                if refused {
                    edits.last_mut().unwrap().old = Some(id(99));
                }
                let made = edits.iter().filter(|edit| edit.old != edit.new).count();
                let mut change = publish(repo, edits);
                if let Some(size) = tail {
                    change = with_tail(change, vec![1; size]);
                }
                change.packs.extend(new_pack.map(pack));
                match catalog.publish(change).await {
                    Ok(_) => {
                        assert!(!refused);
                        moves_made += made;
                    }
                    Err(PublishError::Moved { .. }) => {
                        assert!(refused);
                        model = before;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
            Step::Fold { rows } => {
                let loaded = catalog.load(repo, None).await.unwrap().unwrap();
                let folded = &loaded.tail[..rows.min(loaded.tail.len())];
                let Some(last) = folded.last() else { continue };
                let fold = Fold {
                    repo,
                    through: last.generation,
                    rows: folded.len() as u64,
                    bytes: folded.iter().map(|row| row.objects.len() as u64).sum(),
                    pack: pack(100 + u8::try_from(last.generation).unwrap()),
                };
                catalog.fold(fold).await.unwrap();
            }
            Step::Refresh { view } => {
                views[view].refresh(catalog).await;
                assert_eq!(views[view], View::load(catalog, repo).await);
            }
        }
    }
    let full = View::load(catalog, repo).await;
    for mut view in views {
        view.refresh(catalog).await;
        assert_eq!(view, full);
    }
    let refs: Vec<_> = full
        .refs
        .values()
        .map(|row| (row.name.clone(), row.target.clone().unwrap()))
        .collect();
    let expected: Vec<_> = model
        .iter()
        .map(|(number, at)| (format!("refs/heads/{number}").into_bytes(), id(*at)))
        .collect();
    assert_eq!(refs, expected);
    assert_eq!(full.repo.tail_rows, full.tail.len() as i64);
    assert_eq!(
        full.repo.tail_bytes,
        full.tail.values().map(Bytes::len).sum::<usize>() as i64
    );
    assert_chain(catalog, repo, moves_made).await;
}

/// The reflog has so many moves, and each begins where the one before it on its ref ended.
pub(crate) async fn assert_chain(catalog: &Catalog, repo: RepoId, moves: usize) {
    let reflog = catalog.reflog(repo, None, (0, -1), u32::MAX).await.unwrap();
    assert_eq!(reflog.len(), moves);
    let mut refs: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
    for row in reflog {
        let at = refs.entry(row.name).or_default();
        assert_eq!(*at, row.old);
        assert_ne!(row.old, row.new);
        *at = row.new;
    }
    let loaded = catalog.load(repo, None).await.unwrap().unwrap();
    let there = loaded
        .refs
        .into_iter()
        .map(|row| (row.name, row.target.unwrap()));
    let ended = refs.into_iter().filter_map(|(name, at)| Some((name, at?)));
    assert!(there.eq(ended));
}

async fn nothing_new_is_nothing_loaded(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await.id;
    let edits = vec![edit("refs/heads/main", None, Some(1))];
    catalog
        .publish(with_tail(publish(repo, edits), "x"))
        .await
        .unwrap();
    let loaded = catalog.load(repo, None).await.unwrap().unwrap();
    let again = catalog
        .load(repo, Some(Since::from(&loaded.repo)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.repo, loaded.repo);
    assert_eq!(
        (again.refs, again.tail, again.packs),
        (vec![], vec![], None)
    );
}

async fn a_view_far_behind_catches_up(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await.id;
    let mut view = View::load(&catalog, repo).await;
    let edits = vec![
        edit("refs/heads/main", None, Some(1)),
        edit("refs/heads/gone", None, Some(1)),
        edit("refs/heads/still", None, Some(1)),
    ];
    catalog.publish(publish(repo, edits)).await.unwrap();
    view.refresh(&catalog).await;
    let edits = vec![
        edit("refs/heads/main", Some(1), Some(2)),
        edit("refs/heads/gone", Some(1), None),
    ];
    catalog.publish(publish(repo, edits)).await.unwrap();
    // As if ten thousand publishes had happened meanwhile.
    let jump = "UPDATE repos SET generation = 10000";
    db.execute(jump, jump).await;
    view.refresh(&catalog).await;
    assert_eq!(view, View::load(&catalog, repo).await);
    assert_eq!(view.refs.len(), 2);
}

async fn a_load_is_of_one_moment(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await.id;
    let writer = {
        let catalog = catalog.clone();
        tokio::spawn(async move {
            for number in 0..200_u64 {
                let old = (number > 0).then_some(number);
                let names = ["refs/heads/a", "refs/heads/b"];
                let edits = names.map(|name| edit(name, old, Some(number + 1)));
                let mut change = with_tail(publish(repo, edits.to_vec()), vec![0; 100]);
                change.packs = vec![pack(u8::try_from(number).unwrap())];
                catalog.publish(change).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let loaded = catalog.load(repo, None).await.unwrap().unwrap();
        let generation = loaded.repo.generation;
        let seen = usize::try_from(generation).unwrap();
        assert_eq!(
            (loaded.tail.len(), loaded.packs.unwrap().len()),
            (seen, seen)
        );
        assert!(
            loaded
                .refs
                .iter()
                .all(|row| row.target == Some(id(generation as u64)))
        );
    }
    writer.await.unwrap();
}
