//! `sparse:oid`: which files a clone gets by patterns of paths, against git's own program.

use std::collections::BTreeSet;
use std::fs;

use packhouse_testkit::history::{self, HistoryOptions};

use crate::doors::{BOTH, World, told};
use crate::git::Git;

/// Random numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % limit
    }

    fn one<'t>(&mut self, of: &'t [String]) -> &'t str {
        &of[self.below(of.len())]
    }
}

/// Both with a random history in which folders are at several places, and all paths of it.
fn with_history(seed: u64, dice: &mut Dice) -> (World, Vec<String>) {
    let world = World::new();
    let path = world.path("source");
    fs::create_dir(&path).unwrap();
    let source = crate::git::init_bare(&path);
    source.feed(
        &["fast-import", "--quiet", "--force"],
        &history::stream(&HistoryOptions::small(seed)),
    );
    let commits: Vec<String> = source
        .run(&["rev-list", "--all"])
        .lines()
        .map(str::to_owned)
        .collect();
    for number in 0..6 {
        let (below, above) = (dice.one(&commits), dice.one(&commits));
        source.run(&["read-tree", above]);
        // Where there is such a folder already it stays as it is.
        let prefix = format!("--prefix=copy{}/of it/", number % 4);
        source.try_run(&["read-tree", &prefix, below]);
        let tree = source.run(&["write-tree"]);
        let commit = source.run(&["commit-tree", "-p", above, "-m", "copy", &tree]);
        source.run(&["update-ref", &format!("refs/heads/copy{number}"), &commit]);
    }
    let root = source.run(&["rev-parse", "copy0^{tree}"]);
    source.run(&["update-ref", "refs/tags/tree", &root]);
    let blob = source.feed(&["hash-object", "-w", "--stdin"], b"named by a tag\n");
    source.run(&["update-ref", "refs/tags/blob", &blob]);
    let mut paths = BTreeSet::new();
    for commit in source.run(&["rev-list", "--all", "--branches"]).lines() {
        let listed = source.run(&["ls-tree", "-r", "-t", "-z", "--name-only", commit]);
        paths.extend(
            listed
                .split('\0')
                .filter(|path| !path.is_empty())
                .map(str::to_owned),
        );
    }
    for name in BOTH {
        let url = world.path(name);
        source.run(&["push", "-q", "--mirror", url.to_str().unwrap()]);
    }
    world.set("uploadpack.allowFilter", "true");
    (world, paths.into_iter().collect())
}

/// Patterns as `git sparse-checkout` writes them in cone mode.
fn cone(paths: &[String], dice: &mut Dice) -> String {
    let mut text = "/*\n!/*/\n".to_owned();
    for _ in 0..1 + dice.below(3) {
        let path = dice.one(paths);
        let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
        for (end, _) in folder.match_indices('/') {
            text += &format!("/{}/\n!/{}/*/\n", &folder[..end], &folder[..end]);
        }
        text += &format!("/{folder}/\n");
    }
    text
}

/// Patterns of every form.
fn patterns(paths: &[String], dice: &mut Dice) -> String {
    let mut text = String::new();
    for _ in 0..1 + dice.below(6) {
        let path = dice.one(paths);
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let first = path.split_once('/').map_or(path, |(first, _)| first);
        let cut = (0..=name.len() / 2)
            .rev()
            .find(|at| name.is_char_boundary(*at))
            .unwrap();
        let pattern = match dice.below(12) {
            0 => name.to_owned(),
            1 => format!("/{path}"),
            2 => format!("/{first}/"),
            3 => format!("{first}/**"),
            4 => format!("**/{name}"),
            5 => format!("{}*", &name[..cut]),
            6 => "*".to_owned(),
            7 => "/*".to_owned(),
            8 => "*/".to_owned(),
            9 => "/**".to_owned(),
            10 => format!("/*/{name}\r"),
            _ => "# a comment\n\n [a-k]* ".to_owned(),
        };
        if dice.below(4) == 0 {
            text.push('!');
        }
        text += &pattern;
        if dice.below(8) > 0 {
            text.push('\n');
        }
    }
    text
}

fn held(git: &Git) -> BTreeSet<String> {
    git.objects()
        .into_iter()
        .map(|line| line[..40].to_owned())
        .collect()
}

/// Clones from both by a filter; the objects that came, if they did.
fn cloned(world: &World, version: u8, filter: &str) -> [Option<BTreeSet<String>>; 2] {
    BOTH.map(|name| {
        let (url, copy) = (world.url(name), world.path("copy"));
        let filter = format!("--filter={filter}");
        let args = ["clone", "-q", "--mirror", &filter, &url, "copy"];
        let ok = world.root().speaking(version).try_run(&args).ok;
        let found = ok.then(|| held(&Git::at(&copy)));
        let _ = fs::remove_dir_all(copy);
        found
    })
}

#[test]
fn clones_have_the_files_at_paths_that_match() {
    let mut some_are_left_out = 0;
    for seed in 0..4 {
        let mut dice = Dice(seed);
        let (world, paths) = with_history(seed, &mut dice);
        let all = held(&world.inside("gits"));
        for round in 0..16 {
            let text = match round % 2 {
                0 => cone(&paths, &mut dice),
                _ => patterns(&paths, &mut dice),
            };
            let ids = BOTH.map(|name| {
                let git = world.inside(name);
                git.feed(&["hash-object", "-w", "--stdin"], text.as_bytes())
            });
            let version = [0, 2][round / 2 % 2];
            let filter = format!("sparse:oid={}", ids[0]);
            let [ours, gits] = cloned(&world, version, &filter);
            assert_eq!(ours, gits, "seed {seed}, version {version}, {text:?}");
            some_are_left_out += usize::from(gits.unwrap().len() < all.len());
        }
    }
    assert!(some_are_left_out > 32, "{some_are_left_out}");
}

#[test]
fn what_came_later_is_fetched_by_the_same_patterns() {
    let world = World::new();
    let work = world.work();
    fs::create_dir_all(work.dir.join("in/deep")).unwrap();
    fs::create_dir_all(work.dir.join("out")).unwrap();
    let change = |text: &str| {
        for name in ["in/a", "in/deep/b", "out/c"] {
            work.commit_file(name, &format!("{name} {text}\n"));
        }
    };
    work.commit_file("paths", "/in/\n");
    change("one");
    world.push(&work, &["URL", "main"]);
    world.set("uploadpack.allowFilter", "true");
    for name in BOTH {
        let args = ["clone", "-q", "--mirror", "--filter=sparse:oid=main:paths"];
        world
            .root()
            .run(&[&args[..], &[&world.url(name), &format!("{name}.copy")]].concat());
    }
    change("two");
    world.push(&work, &["URL", "main"]);
    let [ours, gits] = BOTH.map(|name| {
        let copy = world.inside(&format!("{name}.copy"));
        copy.run(&["fetch", "-q"]);
        held(&copy)
    });
    assert_eq!(ours, gits);
    let of = |rev: &str| work.run(&["rev-parse", rev]);
    assert!(ours.contains(&of("main:in/deep/b")));
    assert!(!ours.contains(&of("main:out/c")));
    // With another filter, too, which all have to pass.
    let filter = "combine:sparse:oid=main:paths+blob:limit=8";
    let [ours, gits] = cloned(&world, 2, filter);
    assert_eq!(ours, gits);
}

/// Names of blobs, those that name none, and settings.
#[test]
fn filters_are_taken_and_refused_as_by_git() {
    let world = World::new();
    let work = world.work();
    work.commit_file("paths", "/a\n");
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    work.run(&["tag", "blob", "main:paths"]);
    world.push(&work, &["URL", "main", "other", "v1", "blob"]);
    world.set("uploadpack.allowFilter", "true");
    let id = work.run(&["rev-parse", "main:paths"]);
    let none = "1".repeat(40);
    let same = |version: u8, filter: &str| {
        let [ours, gits] = BOTH.map(|name| {
            let url = world.url(name);
            let filter = format!("--filter={filter}");
            let args = ["clone", "-q", "--bare", &filter, &url, "copy"];
            let outcome = world.root().speaking(version).try_run(&args);
            let copy = world.path("copy");
            let found = outcome.ok.then(|| held(&Git::at(&copy)));
            let _ = fs::remove_dir_all(copy);
            let mut said = told(&outcome, &url).2;
            // What was told on both ways may come in any order.
            said.sort();
            (found, said)
        });
        assert_eq!(ours, gits, "{version} {filter}");
        ours.0.is_some()
    };
    for version in [0, 2] {
        for name in [
            "main:paths",
            "HEAD:paths",
            "@~0:paths",
            "heads/main:paths",
            "refs/heads/main:paths",
            "v1:paths",
            "v1^{}:paths",
            "main^{commit}:paths",
            "blob",
            &id,
            &id[..10],
        ] {
            assert!(same(version, &format!("sparse:oid={name}")), "{name}");
        }
        for name in [
            "main:none",
            "other:paths",
            "none:paths",
            ":paths",
            "main",
            "main:",
            "",
            "none",
            &none,
            &none[..10],
        ] {
            assert!(!same(version, &format!("sparse:oid={name}")), "{name}");
        }
        world.set("uploadpackfilter.allow", "false");
        assert!(!same(version, "sparse:oid=main:paths"));
        world.set("uploadpackfilter.sparse:oid.allow", "true");
        assert!(same(version, "sparse:oid=main:paths"));
        assert!(!same(version, "combine:sparse:oid=main:paths+blob:none"));
        world.unset("uploadpackfilter.allow");
        world.unset("uploadpackfilter.sparse:oid.allow");
        world.set("uploadpackfilter.sparse:oid.allow", "false");
        assert!(!same(version, "sparse:oid=main:paths"));
        world.unset("uploadpackfilter.sparse:oid.allow");
    }
}
