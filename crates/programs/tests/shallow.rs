//! Pushes by clients, and into repositories, whose history is cut off.

use crate::doors::{BOTH, World};
use crate::git::Git;

/// A repository with three commits, and a clone of the newest two.
fn shallow_clone(world: &World) -> Git {
    let work = world.work();
    work.commit_file("a", "three\n");
    let url = format!("file://{}", work.dir.display());
    world
        .root()
        .run(&["clone", "-q", "--depth=2", "--no-local", &url, "cut"]);
    let cut = world.inside("cut");
    cut.commit_file("b", "four\n");
    cut
}

#[test]
fn history_that_is_there_may_be_cut_off_at_the_client() {
    let world = World::new();
    let cut = shallow_clone(&world);
    let whole = world.inside("work");
    assert!(world.push(&whole, &["URL", "main"]).0);
    assert!(world.push(&cut, &["URL", "main"]).0);
}

#[test]
fn history_that_is_not_there_is_taken_only_where_that_is_allowed() {
    let world = World::new();
    let cut = shallow_clone(&world);
    let (ok, stdout, _) = world.push(&cut, &["URL", "main"]);
    assert!(!ok);
    assert!(
        stdout
            .iter()
            .any(|line| line.contains("(shallow update not allowed)")),
        "{stdout:?}"
    );
    world.set("receive.shallowUpdate", "true");
    assert!(world.push(&cut, &["URL", "main"]).0);
    let [ours, gits] =
        BOTH.map(|name| std::fs::read_to_string(world.path(name).join("shallow")).unwrap());
    assert_eq!(ours, gits);
    // From here on the repository is itself one whose history is cut off.
    cut.commit_file("b", "five\n");
    assert!(world.push(&cut, &["URL", "main"]).0);
}

#[test]
fn what_a_refused_push_brought_is_no_part_of_the_repository() {
    let world = World::new();
    let cut = shallow_clone(&world);
    let (ok, stdout, _) = world.push(&cut, &["URL", "main"]);
    assert!(!ok, "{stdout:?}");
    for name in BOTH {
        let kept: Vec<_> = std::fs::read_dir(world.path(name).join("objects"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.len() == 2)
            .collect();
        assert!(kept.is_empty(), "{name}: {kept:?}");
    }
}
