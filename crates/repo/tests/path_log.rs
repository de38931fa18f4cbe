//! The history of one path: the commits that `git log -- PATH` lists.

use std::collections::BTreeSet;

use packhouse_object::RepoPath;
use packhouse_repo::directory::{DirectoryOptions, open};
use packhouse_repo::{LogQuery, log};

use crate::blame::world::{Chance, World};
use crate::plain_git::git;

#[test]
fn a_path_has_the_commits_that_git_lists() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut merges = 0;
    for seed in 500..508 {
        let mut world = World::new();
        let (tip, _) = Chance::new(seed).history(&mut world, 40);
        let folder = world.folder.path();
        let repository = open(folder, DirectoryOptions::default()).unwrap();
        let view = runtime.block_on(repository.view()).unwrap();
        for path in ["a", "dir", "dir/b.c", "dir/deep/a", "never/was"] {
            let listed = git(
                folder,
                &["log", "--format=%H", &format!("c{tip}"), "--", path],
            );
            let expected: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
            let query = |skip, limit| LogQuery {
                tip: world.tip(tip),
                path: Some(RepoPath::parse(path).unwrap()),
                skip,
                limit,
                bytes: usize::MAX,
            };
            let found = log(&view, &query(0, usize::MAX)).unwrap();
            assert!(!found.has_more);
            let found = found.entries;
            merges += found
                .iter()
                .filter(|one| one.commit.parents.len() > 1)
                .count();
            let ids: Vec<String> = found.iter().map(|entry| entry.id.to_string()).collect();
            assert_eq!(
                ids.iter().cloned().collect::<BTreeSet<_>>(),
                expected,
                "{seed} {path}"
            );
            assert_eq!(ids.len(), expected.len());
            let page = log(&view, &query(2, 3)).unwrap();
            assert_eq!(page.has_more, ids.len() > 5);
            let listed = page.entries.iter();
            let listed: Vec<String> = listed.map(|entry| entry.id.to_string()).collect();
            let end = ids.len().min(5);
            assert_eq!(listed, ids[2.min(end)..end]);
        }
    }
    assert!(merges > 0, "merges that change a path are among them");
}
