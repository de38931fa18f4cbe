//! Random histories, line by line as `git blame --line-porcelain` has them.

use super::world::{Chance, World};

/// Histories that are compared; more with `PACKHOUSE_BLAME_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("PACKHOUSE_BLAME_SEEDS").ok();
    0..count.and_then(|count| count.parse().ok()).unwrap_or(20)
}

#[test]
fn lines_come_from_where_git_says() {
    for seed in seeds() {
        let mut chance = Chance::new(seed);
        let mut world = World::new();
        let commits = 4 + chance.below(40);
        let (tip, files) = chance.history(&mut world, commits);
        for path in files.keys() {
            for moves in [false, true] {
                let expected = world.git_lines(tip, path, &[], moves).unwrap();
                let found = world.lines(tip, path, &[], moves);
                assert_eq!(
                    found,
                    expected,
                    "seed {seed}, {path}, moves {moves}, {}",
                    world.folder.path().display()
                );
            }
        }
    }
}
