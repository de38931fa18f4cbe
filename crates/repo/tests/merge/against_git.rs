//! The same tree and the same conflicted paths as `git merge-tree`, on random histories.

use packhouse_object::{Database, ObjectKind};
use packhouse_repo::merge::{TreeMergeOptions, merge_commits};

use super::world::{Chance, Files, PLAIN_PATHS, World};

const CASES: u64 = 400;

/// Merges two commits with both and compares.
fn compare(world: &World, database: &Database, ours: &str, theirs: &str) -> Result<bool, String> {
    let git = world.git_merge(ours, theirs);
    let options = TreeMergeOptions {
        our_label: ours.into(),
        their_label: theirs.into(),
        ..TreeMergeOptions::default()
    };
    let merged = merge_commits(database, world.id(ours), world.id(theirs), true, &options)
        .map_err(|error| format!("{ours} {theirs}: {error:?}"))?
        .merged;
    let mut paths: Vec<String> = merged
        .conflicts
        .iter()
        .map(|conflict| conflict.path.to_string())
        .collect();
    paths.dedup();
    if merged.tree == git.tree && merged.is_clean() == git.is_clean && paths == git.conflicted {
        return Ok(git.is_clean);
    }
    let with = database.with_objects(merged.objects.iter().cloned());
    let mut report = format!(
        "{ours} {theirs}\ngit: {git:?}\nwe: {paths:?} {}\n",
        merged.is_clean()
    );
    packhouse_object::diff_trees(&with, Some(git.tree), Some(merged.tree), &mut |change| {
        report += &format!("{change:?}\n");
        for (_, id) in [change.old, change.new].into_iter().flatten() {
            if let Ok(data) = with.bytes_of(id, ObjectKind::Blob) {
                report += &format!("--- {id}\n{}\n", String::from_utf8_lossy(&data));
            }
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    Err(report)
}

#[test]
fn random_edits_merge_as_git_merges_them() {
    let mut world = World::new();
    for seed in 0..CASES {
        let mut chance = Chance::new(seed);
        let base = chance.files();
        let (ours, theirs) = (chance.edited(&base), chance.edited(&base));
        let name = |side: &str| format!("{side}{seed}");
        world.commit(&name("b"), &base, &[]);
        world.commit(&name("o"), &ours, &[&name("b")]);
        world.commit(&name("t"), &theirs, &[&name("b")]);
    }
    world.flush();
    let database = world.database();
    let results: Vec<_> = (0..CASES)
        .map(|seed| compare(&world, &database, &format!("o{seed}"), &format!("t{seed}")))
        .collect();
    let failed: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .collect();
    let clean = results
        .iter()
        .filter(|result| matches!(result, Ok(true)))
        .count();
    assert!(
        failed.is_empty(),
        "{} differ, the first: {}",
        failed.len(),
        failed[0]
    );
    // Else the edits would show nothing of one of the two.
    assert!(
        clean > CASES as usize / 10 && clean < CASES as usize * 9 / 10,
        "{clean}"
    );
}

#[test]
fn histories_that_cross_merge_as_git_merges_them() {
    let mut world = World::new();
    let mut pairs = Vec::new();
    for seed in 0..120u64 {
        let mut chance = Chance::new(1_000_000 + seed);
        // A file that makes room in a merged base would be followed as a rename by Git.
        chance.paths = &PLAIN_PATHS;
        let mut commits: Vec<(String, Files)> = Vec::new();
        for number in 0..12 {
            let name = format!("c{seed}-{number}");
            if number == 0 {
                let files = chance.files();
                world.commit(&name, &files, &[]);
                commits.push((name, files));
                continue;
            }
            // Mostly of the last few, so that lines of history run beside each other and cross.
            let recent = commits.len().saturating_sub(4);
            let first = recent + chance.below(commits.len() - recent);
            let second = recent + chance.below(commits.len() - recent);
            let files = chance.edited(&commits[first].1.clone());
            let parents = match first == second {
                true => vec![commits[first].0.as_str()],
                false => vec![commits[first].0.as_str(), commits[second].0.as_str()],
            };
            world.commit(&name, &files, &parents);
            commits.push((name, files));
        }
        let last = commits.len();
        for (a, b) in [
            (last - 1, last - 2),
            (last - 2, last - 3),
            (last - 1, last - 3),
        ] {
            pairs.push((commits[a].0.clone(), commits[b].0.clone()));
        }
    }
    world.flush();
    let database = world.database();
    let mut several_bases = 0;
    let mut failed = Vec::new();
    for (ours, theirs) in &pairs {
        let bases =
            packhouse_object::merge_bases(&database, world.id(ours), world.id(theirs)).unwrap();
        several_bases += usize::from(bases.len() > 1);
        failed.extend(compare(&world, &database, ours, theirs).err());
    }
    assert!(
        failed.is_empty(),
        "{} differ, the first: {}",
        failed.len(),
        failed[0]
    );
    assert!(several_bases >= 20, "{several_bases}");
}

#[test]
fn unrelated_histories_merge_as_git_merges_them() {
    let mut world = World::new();
    for seed in 0..40u64 {
        let mut chance = Chance::new(2_000_000 + seed);
        let (ours, theirs) = (chance.files(), chance.files());
        world.commit(&format!("o{seed}"), &ours, &[]);
        world.commit(&format!("t{seed}"), &theirs, &[]);
    }
    world.flush();
    let database = world.database();
    for seed in 0..40 {
        compare(&world, &database, &format!("o{seed}"), &format!("t{seed}")).unwrap();
    }
    let (ours, theirs) = (world.id("o0"), world.id("t0"));
    let refused = merge_commits(&database, ours, theirs, false, &TreeMergeOptions::default());
    assert!(matches!(
        refused,
        Err(packhouse_repo::merge::MergeError::Unrelated)
    ));
}
