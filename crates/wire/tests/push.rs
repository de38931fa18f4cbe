//! Pushes that a person would do, and what `git` then prints, against git's own server.

use crate::backends::World;
use crate::git::{Git, Outcome, init};

const REMOTES: [&str; 3] = ["stock", "directory", "hosted"];

/// What a push printed, without what names the server or is only advice.
pub(crate) fn told(outcome: &Outcome, url: &str) -> (bool, Vec<String>, Vec<String>) {
    let without_url = |line: &str| line.replace(url, "URL");
    let stdout = outcome.stdout.lines().map(without_url).collect();
    let stderr = outcome
        .stderr
        .split(['\n', '\r'])
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && *line != "remote:")
        // Progress, and the page of advice that git's server adds for a person at its configuration.
        .filter(|line| {
            !line.contains("objects: ")
                && !line.contains("deltas: ")
                && !line.contains("Delta compression")
        })
        .filter(|line| !line.contains("Total ") && !line.contains("POST git-receive-pack"))
        .filter(|line| !ADVICE.iter().any(|advice| line.contains(advice)))
        .map(without_url)
        .collect();
    (outcome.ok, stdout, stderr)
}

const ADVICE: [&str; 8] = [
    "By default, deleting the current branch",
    "'git clone' won't result",
    "You can set 'receive.denyDeleteCurrent'",
    "'warn' or 'ignore' in the remote",
    "current branch, with or without",
    "To squelch this message",
    "hint: ",
    // The name that a namespaced ref has inside differs between versions of git.
    "refs/namespaces/",
];

fn same_everywhere(world: &World, work: &Git, args: &[&str]) -> (bool, Vec<String>, Vec<String>) {
    let mut answers = REMOTES.map(|remote| {
        let url = world.url(remote);
        let mut all = vec!["push", "--porcelain"];
        all.extend(
            args.iter()
                .map(|arg| if *arg == "URL" { url.as_str() } else { arg }),
        );
        told(&work.try_run(&all), &url)
    });
    let refs = |remote: &str| work.run(&["ls-remote", &world.url(remote)]);
    for (index, remote) in REMOTES.iter().enumerate() {
        assert_eq!(answers[index], answers[0], "{remote} {args:?}");
        assert_eq!(refs(remote), refs("stock"), "{remote} {args:?}");
    }
    std::mem::take(&mut answers[0])
}

/// A working copy with three commits in a row and one beside them; `main` and `other` are published.
fn published(world: &World) -> Git {
    let work = init(&world.path("work"));
    work.commit_file("a", "one\n");
    work.run(&["branch", "other"]);
    work.commit_file("a", "two\n");
    same_everywhere(world, &work, &["URL", "main", "other"]);
    work
}

#[test]
fn branches_are_created_moved_and_deleted() {
    let world = World::new();
    let work = published(&world);
    work.commit_file("b", "three\n");
    assert!(same_everywhere(&world, &work, &["URL", "main"]).0);
    assert!(
        same_everywhere(
            &world,
            &work,
            &["URL", "main:refs/heads/fresh", "main:refs/tags/light"]
        )
        .0
    );
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    assert!(same_everywhere(&world, &work, &["URL", "v1", "--follow-tags"]).0);
    assert!(same_everywhere(&world, &work, &["URL", ":fresh", "other:other2"]).0);
    assert!(same_everywhere(&world, &work, &["URL", "--delete", "other2"]).0);
    assert!(
        same_everywhere(&world, &work, &["URL", "main"]).0,
        "nothing to do"
    );
    world.bare("directory").fsck();
}

#[test]
fn losing_commits_takes_force() {
    let world = World::new();
    let work = published(&world);
    work.run(&["commit", "-q", "--amend", "-m", "another second"]);
    assert!(!same_everywhere(&world, &work, &["URL", "main"]).0);
    assert!(same_everywhere(&world, &work, &["URL", "+main"]).0);
    assert!(same_everywhere(&world, &work, &["URL", "--force", "other:main"]).0);
}

#[test]
fn the_current_branch_is_not_deleted() {
    let world = World::new();
    let work = published(&world);
    let (ok, stdout, stderr) = same_everywhere(&world, &work, &["URL", ":main"]);
    assert!(!ok);
    assert!(
        stdout
            .iter()
            .any(|line| line
                .contains("[remote rejected] (deletion of the current branch prohibited)")),
        "{stdout:?}"
    );
    assert!(
        stderr
            .iter()
            .any(|line| line
                == "remote: error: refusing to delete the current branch: refs/heads/main"),
        "{stderr:?}"
    );
    // Alone, what can be done is done; together, nothing is.
    assert!(!same_everywhere(&world, &work, &["URL", ":main", "main:refs/heads/beside"]).0);
    let (_, stdout, _) = same_everywhere(
        &world,
        &work,
        &["--atomic", "URL", ":main", "main:refs/heads/beside2"],
    );
    assert!(
        stdout
            .iter()
            .any(|line| line.contains("[remote rejected] (atomic push failure)")),
        "{stdout:?}"
    );
}

#[test]
fn a_ref_is_not_created_below_another() {
    let world = World::new();
    let work = published(&world);
    let (ok, stdout, stderr) =
        same_everywhere(&world, &work, &["URL", "main:refs/heads/other/below"]);
    assert!(!ok);
    assert!(
        stdout
            .iter()
            .any(|line| line.contains("[remote rejected] (failed to update ref)")),
        "{stdout:?}"
    );
    assert!(
        stderr.iter().any(|line| line
            .contains("'refs/heads/other' exists; cannot create 'refs/heads/other/below'")),
        "{stderr:?}"
    );
}

#[test]
fn a_deleted_ref_makes_room_below_it() {
    let world = World::new();
    let work = published(&world);
    assert!(
        same_everywhere(
            &world,
            &work,
            &["URL", ":other", "main:refs/heads/other/below"]
        )
        .0
    );
    assert!(same_everywhere(&world, &work, &["URL", ":other/below", "main:other"]).0);
    // One transaction cannot do both.
    let (_, stdout, stderr) = same_everywhere(
        &world,
        &work,
        &["--atomic", "URL", ":other", "main:refs/heads/other/below"],
    );
    assert!(
        stdout
            .iter()
            .any(|line| line.contains("[remote rejected] (atomic transaction failed)")),
        "{stdout:?}"
    );
    assert!(
        stderr
            .iter()
            .any(|line| line.contains("'refs/heads/other' exists; cannot create")),
        "{stderr:?}"
    );
    world.bare("directory").fsck();
}

#[test]
fn a_branch_is_a_commit() {
    let world = World::new();
    let work = published(&world);
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    let tag = work.run(&["rev-parse", "v1"]);
    let (ok, _, stderr) =
        same_everywhere(&world, &work, &["URL", &format!("{tag}:refs/heads/tagged")]);
    assert!(!ok);
    assert!(
        stderr
            .iter()
            .any(|line| line.contains("trying to write non-commit object")),
        "{stderr:?}"
    );
    let blob = work.run(&["rev-parse", "main:a"]);
    assert!(
        same_everywhere(
            &world,
            &work,
            &["URL", &format!("{blob}:refs/tags/content")]
        )
        .0
    );
    assert!(
        !same_everywhere(
            &world,
            &work,
            &["URL", &format!("{blob}:refs/heads/content")]
        )
        .0
    );
}

#[test]
fn a_policy_speaks_to_the_person_who_pushes() {
    let world = World::new();
    let work = published(&world);
    same_everywhere(&world, &work, &["URL", "main:kept"]);
    for remote in ["directory", "hosted"] {
        let outcome = work.try_run(&["push", &world.url(remote), ":kept"]);
        assert!(!outcome.ok);
        assert!(
            outcome
                .stderr
                .contains("! [remote rejected] kept (this branch is kept)"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn a_push_may_be_quiet() {
    let world = World::new();
    let work = published(&world);
    work.commit_file("c", "quiet\n");
    for remote in REMOTES {
        let outcome = work.try_run(&["push", "-q", &world.url(remote), "main"]);
        assert_eq!(
            (outcome.ok, outcome.stderr.as_str()),
            (true, ""),
            "{remote}"
        );
    }
}

#[test]
fn a_large_push_arrives_whole() {
    let world = World::new();
    let work = init(&world.path("work"));
    let mut random = crate::history::Random::new(7);
    for n in 0..3 {
        let noise: String = (0..400_000)
            .map(|_| char::from(b'!' + random.below(90) as u8))
            .collect();
        work.commit_file(&format!("noise{n}"), &noise);
    }
    let updates: String = (0..3)
        .map(|n| format!("create refs/heads/b{n} HEAD~{n}\n"))
        .collect();
    work.feed(&["update-ref", "--stdin"], updates.as_bytes());
    for remote in REMOTES {
        // Over the client's buffer: chunked, and preceded by an empty request.
        work.run(&[
            "-c",
            "http.postBuffer=65536",
            "push",
            "-q",
            "--mirror",
            &world.url(remote),
        ]);
        let name = format!("clone-{remote}");
        world
            .root()
            .run(&["clone", "-q", "--mirror", &world.url(remote), &name]);
        let cloned = Git::at(world.path(&name));
        cloned.fsck();
        assert_eq!(cloned.refs(), work.refs());
    }
}
