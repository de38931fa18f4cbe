//! Random histories fetched in random ways: what arrives is what arrives from git's own server.

use crate::backends::{OURS, World};
use crate::git::{Git, init_bare};
use crate::history::{History, Random};

/// One client of one server.
struct Client {
    remote: &'static str,
    git: Git,
    random: Random,
}

/// The same fetch for every client whose `random` is in the same state.
fn random_fetch(client: &mut Client, url: &str, branches: &[String]) -> String {
    let random = &mut client.random;
    let mut args: Vec<String> = vec!["fetch".into(), "-q".into(), "--force".into()];
    match random.below(4) {
        0 => args.push("--no-tags".into()),
        1 => args.push("--tags".into()),
        _ => {}
    }
    // The shape of negotiation and of the pack.
    for (option, chosen) in [
        ("fetch.negotiationAlgorithm=skipping", random.once_in(3)),
        ("fetch.unpackLimit=1", random.once_in(3)),
    ] {
        if chosen {
            args.splice(0..0, ["-c".to_owned(), option.to_owned()]);
        }
    }
    args.push(url.to_owned());
    if random.once_in(4) {
        args.extend(["--prune", "+refs/*:refs/*"].map(str::to_owned));
    } else {
        for _ in 0..random.below(3) + 1 {
            let branch = random.pick(branches);
            args.push(format!("+refs/heads/{branch}:refs/remotes/x/{branch}"));
        }
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = client.git.try_run(&args);
    assert!(outcome.ok, "{} {args:?}: {}", client.remote, outcome.stderr);
    outcome.stderr
}

fn run(seed: u64) {
    let world = World::new();
    let mut history = History::new(init_bare(&world.path("seed.git")), seed);
    let mut clients = Vec::new();
    for version in [0, 1, 2] {
        for remote in [&["stock"][..], &OURS].concat() {
            let git =
                init_bare(&world.path(&format!("client-{remote}-{version}"))).speaking(version);
            clients.push(Client {
                remote,
                git,
                random: Random::new(seed * 31 + u64::from(version)),
            });
        }
    }
    for stage in 0..5 {
        let count = history.random.below(25) + 1;
        history.grow(count);
        history.move_refs(10);
        for remote in [&["stock"][..], &OURS].concat() {
            history
                .git
                .run(&["push", "-q", "--mirror", &world.url(remote)]);
        }
        let branches: Vec<String> = history
            .git
            .run(&["for-each-ref", "--format=%(refname:strip=2)", "refs/heads/"])
            .lines()
            .map(str::to_owned)
            .collect();
        for trio in clients.chunks_mut(3) {
            for client in &mut *trio {
                let url = world.url(client.remote);
                random_fetch(client, &url, &branches);
            }
            for client in &trio[1..] {
                assert_eq!(
                    client.git.refs(),
                    trio[0].git.refs(),
                    "seed {seed} stage {stage} {}",
                    client.remote
                );
                assert_eq!(
                    client.git.objects(),
                    trio[0].git.objects(),
                    "seed {seed} stage {stage} {}",
                    client.remote
                );
            }
        }
    }
    for client in &clients {
        client.git.fsck();
    }
    world.bare("directory").fsck();
    assert_eq!(world.bare("directory").refs(), history.git.refs());
}

#[test]
fn random_fetches_bring_what_git_brings_1() {
    (1..4).for_each(run);
}

#[test]
fn random_fetches_bring_what_git_brings_2() {
    (4..7).for_each(run);
}
