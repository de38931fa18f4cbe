//! Random pushes: the refs that result and what `git push` prints are those of git's own server.

use crate::backends::World;
use crate::git::init_bare;
use crate::history::History;
use crate::push::told;

const REMOTES: [&str; 3] = ["stock", "directory", "hosted"];

fn random_refspec(history: &mut History, tags: &[String], present: &str) -> String {
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
        // Git reports an error where a name that does not exist is deleted above or below another.
        0 if present.contains(&format!("\t{name}\n"))
            || !present.contains(&format!("/b{number}")) =>
        {
            format!(":{name}")
        }
        1 if !tags.is_empty() => format!("{force}{}:{name}", random.pick(tags)),
        _ => format!("{force}{}:{name}", random.pick(&commits)),
    }
}

/// Where two things are wrong with one ref, either may be told.
fn first_fault(message: String) -> String {
    let faults = ["cannot lock ref ", "cannot update ref "];
    match faults
        .iter()
        .find_map(|fault| message.strip_prefix("remote: error: ")?.strip_prefix(fault))
    {
        Some(rest) => rest.split(':').next().unwrap().to_owned(),
        None => message,
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
            .run(&[
                "for-each-ref",
                "--format=%(objectname)",
                "refs/tags/note*",
                "refs/tags/outer*",
            ])
            .lines()
            .map(str::to_owned)
            .collect();
        let atomic = history.random.once_in(3);
        let present = history.git.run(&["ls-remote", &world.url("stock")]) + "\n";
        let mut refspecs: Vec<String> = Vec::new();
        for _ in 0..history.random.below(4) + 1 {
            let refspec = random_refspec(&mut history, &tags, &present);
            let name = refspec.split(':').nth(1).unwrap().to_owned();
            let is_in_the_way = |other: &String| {
                let other = other.split(':').nth(1).unwrap();
                // Git's client refuses the same name twice by itself. One below the other in one transaction
                // is an error with both; which name it tells first is not worth following.
                other == name
                    || atomic
                        && (other.starts_with(&format!("{name}/"))
                            || name.starts_with(&format!("{other}/")))
            };
            if !refspecs.iter().any(is_in_the_way) {
                refspecs.push(refspec);
            }
        }
        let answers = REMOTES.map(|remote| {
            let url = world.url(remote);
            let mut args = vec!["push", "--porcelain"];
            if atomic {
                args.push("--atomic");
            }
            args.push(&url);
            args.extend(refspecs.iter().map(String::as_str));
            let (ok, report, messages) = told(&history.git.try_run(&args), &url);
            (
                ok,
                report,
                messages.into_iter().map(first_fault).collect::<Vec<_>>(),
            )
        });
        for (remote, answer) in REMOTES.iter().zip(&answers) {
            assert_eq!(
                answer, &answers[0],
                "seed {seed} step {step} {remote} atomic {atomic} {refspecs:?}"
            );
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
