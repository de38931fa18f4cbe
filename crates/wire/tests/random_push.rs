//! Random pushes: the refs that result and what `git push` prints are those of git's own server.

use crate::backends::World;
use crate::git::init_bare;
use crate::history::History;
use crate::push::told;

const REMOTES: [&str; 3] = ["stock", "directory", "hosted"];

fn random_refspec(history: &mut History, tags: &[String]) -> String {
    let commits = history.commits.clone();
    let random = &mut history.random;
    let force = if random.once_in(2) { "+" } else { "" };
    let number = random.below(5);
    let name = match random.below(8) {
        0 => "refs/heads/main".to_owned(),
        1 => format!("refs/heads/b{number}/below"),
        2 => format!("refs/tags/t{number}"),
        3 => format!("refs/other/o{number}"),
        _ => format!("refs/heads/b{number}"),
    };
    match random.below(6) {
        0 => format!(":{name}"),
        1 if !tags.is_empty() => format!("{force}{}:{name}", random.pick(tags)),
        _ => format!("{force}{}:{name}", random.pick(&commits)),
    }
}

fn run(seed: u64) {
    let world = World::new();
    let mut history = History::new(init_bare(&world.path("seed.git")), seed);
    history.grow(1);
    history.move_refs(0);
    for step in 0..25 {
        if history.random.once_in(3) {
            let count = history.random.below(12) + 1;
            history.grow(count);
            history.move_refs(4);
        }
        let tags: Vec<String> = history
            .git
            .run(&["for-each-ref", "--format=%(objectname)", "refs/tags/note*", "refs/tags/outer*"])
            .lines()
            .map(str::to_owned)
            .collect();
        let mut refspecs: Vec<String> = Vec::new();
        for _ in 0..history.random.below(4) + 1 {
            let refspec = random_refspec(&mut history, &tags);
            let name = refspec.split(':').nth(1).unwrap().to_owned();
            // Git's client refuses the same name twice by itself.
            if !refspecs.iter().any(|other| other.ends_with(&format!(":{name}"))) {
                refspecs.push(refspec);
            }
        }
        let atomic = history.random.once_in(3);
        let answers = REMOTES.map(|remote| {
            let url = world.url(remote);
            let mut args = vec!["push", "--porcelain"];
            if atomic {
                args.push("--atomic");
            }
            args.push(&url);
            args.extend(refspecs.iter().map(String::as_str));
            told(&history.git.try_run(&args), &url)
        });
        for (remote, answer) in REMOTES.iter().zip(&answers) {
            assert_eq!(answer, &answers[0], "seed {seed} step {step} {remote} atomic {atomic} {refspecs:?}");
            assert_eq!(
                history.git.run(&["ls-remote", &world.url(remote)]),
                history.git.run(&["ls-remote", &world.url("stock")]),
                "seed {seed} step {step} {remote} {refspecs:?}"
            );
        }
    }
    world.bare("directory").fsck();
}

#[test]
fn random_pushes_end_as_with_git() {
    (100..104).for_each(run);
}
