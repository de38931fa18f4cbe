//! The same renames as `git diff -M` and `-C`, where many files move at once.

use packhouse_repo::diff::{ChangeStatus, DiffOptions, changed_files};
use packhouse_repo::renames::RenameOptions;

use super::chance::Chance;
use super::world::{Files, World};

const CASES: u64 = 40;

/// Few names and few folders, so that names are not unique; contents alike, so that scores are close.
fn path(chance: &mut Chance) -> Vec<u8> {
    let folder = chance.one_of(["", "a/", "b/", "a/c/", "d/"]);
    let name = chance.one_of(["x", "y", "z", "Makefile", "m1", "m2", "m3", "m4", "m5"]);
    format!("{folder}{name}").into_bytes()
}

fn trees(seed: u64) -> (Files, Files) {
    let mut chance = Chance::new(seed);
    let models: Vec<_> = (0..4).map(|_| chance.lines(12)).collect();
    let (mut before, mut after) = (Files::new(), Files::new());
    for _ in 0..24 {
        let model = models[chance.below(4)].clone();
        let old = match chance.one_in(3) {
            true => model,
            false => chance.edited(&model),
        };
        let new = match chance.one_in(3) {
            true => old.clone(),
            false => chance.edited(&old),
        };
        let (from, to) = (path(&mut chance), path(&mut chance));
        if !chance.one_in(8) {
            before.insert(from, ("100644", chance.joined(&old)));
        }
        if !chance.one_in(8) {
            after.insert(to, ("100644", chance.joined(&new)));
        }
    }
    (before, after)
}

/// As `git diff --name-status -z`.
fn statuses(world: &World, seed: u64, renames: RenameOptions) -> Vec<u8> {
    let options = DiffOptions {
        renames: Some(renames),
        ..DiffOptions::default()
    };
    let trees = ["b", "a"].map(|side| Some(world.tree(&format!("{side}{seed}"))));
    let mut out = Vec::new();
    let database = world.database();
    for change in changed_files(&database, trees[0], trees[1], &options).unwrap() {
        out.extend(change.raw_status().bytes().chain([0]));
        if let ChangeStatus::Renamed(_) | ChangeStatus::Copied(_) = change.status {
            out.extend(change.old.as_ref().unwrap().path.iter().chain(&[0]));
        }
        out.extend(change.path().iter().chain(&[0]));
    }
    out
}

#[test]
fn renames_are_those_of_git() {
    let trees: Vec<_> = (0..CASES).map(trees).collect();
    let names: Vec<(String, &Files)> = trees
        .iter()
        .enumerate()
        .flat_map(|(seed, (before, after))| {
            [(format!("b{seed}"), before), (format!("a{seed}"), after)]
        })
        .collect();
    let commits: Vec<(&str, &Files)> = names
        .iter()
        .map(|(name, files)| (&**name, *files))
        .collect();
    let world = World::of(&commits);
    let default = RenameOptions::default();
    let cases = [
        (default, vec!["-M"]),
        (
            RenameOptions {
                min_score: 18_000,
                ..default
            },
            vec!["-M30%"],
        ),
        (
            RenameOptions {
                min_score: 60_000,
                ..default
            },
            vec!["-M100%"],
        ),
        (
            RenameOptions {
                limit: 2,
                ..default
            },
            vec!["-M", "-l2"],
        ),
        (
            RenameOptions {
                copies: true,
                ..default
            },
            vec!["-C"],
        ),
    ];
    let mut renamed = 0;
    for seed in 0..CASES {
        for (options, arguments) in &cases {
            let mut command = vec!["diff", "--name-status", "-z"];
            command.extend(arguments);
            let names = [format!("b{seed}"), format!("a{seed}")];
            command.extend(names.iter().map(String::as_str));
            let expected = String::from_utf8(world.git(&command)).unwrap();
            let found = String::from_utf8(statuses(&world, seed, *options)).unwrap();
            assert_eq!(found, expected, "seed {seed} {arguments:?}");
            renamed += found.matches('R').count();
        }
    }
    assert!(renamed > CASES as usize, "{renamed}");
}
