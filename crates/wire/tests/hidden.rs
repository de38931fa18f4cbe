//! Refs that are not shown, and objects that may be wanted by their ids all the same.

use packhouse_wire::{FetchOptions, HiddenRefs, WantRules};

use crate::backends::{OURS, World};
use crate::git::{Git, init};

const VERSIONS: [u8; 3] = [0, 1, 2];

fn published(world: &World) -> Git {
    let work = init(&world.path("work"));
    work.commit_file("a", "one\n");
    work.run(&["update-ref", "refs/pull/1/head", "HEAD"]);
    work.commit_file("a", "two\n");
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    work.run(&["branch", "feature"]);
    work.run(&["branch", "feature-2"]);
    work.run(&["update-ref", "refs/pull/2/head", "HEAD"]);
    work.run(&["checkout", "-q", "--detach"]);
    work.commit_file("secret", "three\n");
    work.run(&["update-ref", "refs/pull/3/head", "HEAD"]);
    work.run(&["checkout", "-q", "main"]);
    for remote in ["directory", "hosted", "stock"] {
        work.run(&["push", "-q", "--mirror", &world.url(remote)]);
        let url = world.url(&format!("{remote}+ephemeral"));
        work.run(&["push", "-q", &url, "main:refs/heads/draft", "feature"]);
    }
    work
}

#[test]
fn listings_leave_out_what_git_leaves_out() {
    let world = World::new();
    let work = published(&world);
    let config = world.bare("stock").dir.join("config");
    let as_before = std::fs::read(&config).unwrap();
    for rules in [
        &["refs/pull"][..],
        &["refs/pull/", "!refs/pull/2"],
        &["refs", "!refs/heads/feature", "!refs/tags"],
        &["HEAD"],
        &["refs/heads/main"],
        &["^refs/heads", "refs/tags/v1"],
        &["^refs/namespaces/ephemeral/refs/heads/draft"],
    ] {
        std::fs::write(&config, &as_before).unwrap();
        let settings: Vec<_> = rules
            .iter()
            .map(|rule| ("transfer.hideRefs", *rule))
            .collect();
        world.bare("stock").configure(&settings);
        world.offer(FetchOptions {
            hidden: HiddenRefs::new(rules),
            ..FetchOptions::default()
        });
        for version in VERSIONS {
            for namespace in ["", "+ephemeral"] {
                let list = |remote: &str| {
                    let url = world.url(&format!("{remote}{namespace}"));
                    let text = work.speaking(version).run(&["ls-remote", "--symref", &url]);
                    // The other namespace is shown by git alone.
                    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
                    lines.retain(|line| !line.contains("refs/namespaces/"));
                    lines
                };
                for remote in OURS {
                    let of = format!("{remote}{namespace} {version} {rules:?}");
                    assert_eq!(list(remote), list("stock"), "{of}");
                }
            }
        }
    }
}

#[test]
fn hidden_objects_may_be_wanted_where_the_rules_say_so() {
    let world = World::new();
    let work = published(&world);
    let id = |rev: &str| work.run(&["rev-parse", rev]);
    let wanted = [
        id("main"),
        id("main~1"),
        id("refs/pull/3/head"),
        id("refs/pull/3/head:secret"),
        id("main:a"),
        id("v1"),
        id("main^{tree}"),
        "1".repeat(40),
    ];
    let none = WantRules::advertised_only();
    let cases: [(WantRules, &[(&str, &str)]); 4] = [
        (none, &[]),
        (
            WantRules { tip: true, ..none },
            &[("uploadpack.allowTipSHA1InWant", "true")],
        ),
        (WantRules::default(), &[]),
        (
            WantRules { any: true, ..none },
            &[("uploadpack.allowAnySHA1InWant", "true")],
        ),
    ];
    for (number, (rules, settings)) in cases.into_iter().enumerate() {
        world.offer(FetchOptions {
            hidden: HiddenRefs::new(["refs/pull"]),
            wants: rules,
            ..FetchOptions::default()
        });
        let reachable = if rules == WantRules::default() {
            "true"
        } else {
            "false"
        };
        let stock = world.bare("stock");
        stock.configure(&[("transfer.hideRefs", "refs/pull")]);
        stock.configure(&[("uploadpack.allowReachableSHA1InWant", reachable)]);
        stock.configure(settings);
        for version in [0, 2] {
            for (want, id) in wanted.iter().enumerate() {
                let fetch = |remote: &str| {
                    let name = format!("wants-{remote}-{number}-{version}-{want}");
                    let git = crate::git::init_bare(&world.path(&name)).speaking(version);
                    let outcome = git.try_run(&["fetch", "-q", &world.url(remote), id]);
                    (outcome.ok, git.objects().len())
                };
                let remote = OURS[(number + want) % OURS.len()];
                let of = format!("{remote} {version} {rules:?} {want}");
                assert_eq!(fetch(remote), fetch("stock"), "{of}");
            }
        }
    }
}
