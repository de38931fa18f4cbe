//! Which reflogs pushes write, and what stands in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::doors::{BOTH, World};

/// Every log below a folder by its path, without the times of its lines.
fn logs(git_dir: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![git_dir.join("logs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(git_dir).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().map(|line| {
                let (before, after) = line.split_once("> ").unwrap();
                format!("{before}> {}", after.split_once('\t').unwrap().1)
            });
            found.insert(name, lines.collect());
        }
    }
    found
}

#[test]
fn reflogs_are_written_where_the_settings_say() {
    for (setting, has_log, bare) in [
        (None, false, true),
        (None, true, true),
        (Some("false"), false, true),
        (Some("false"), true, true),
        (Some("true"), false, true),
        (Some("always"), false, true),
        (None, false, false),
        (Some("false"), false, false),
    ] {
        let world = World::bare_if(bare);
        world.set("receive.denyCurrentBranch", "ignore");
        world.set("receive.denyDeleteCurrent", "ignore");
        let git_dirs = BOTH.map(|name| {
            let inside = world.inside(name);
            Path::new(&inside.run(&["rev-parse", "--absolute-git-dir"])).to_owned()
        });
        for git_dir in &git_dirs {
            if let Some(value) = setting {
                let git = crate::git::Git::at(git_dir);
                git.run(&["config", "core.logAllRefUpdates", value]);
            }
            if has_log {
                fs::create_dir_all(git_dir.join("logs/refs/heads")).unwrap();
                fs::write(git_dir.join("logs/refs/heads/main"), "").unwrap();
                fs::write(git_dir.join("logs/HEAD"), "").unwrap();
            }
        }
        let work = world.work();
        let pushes: [&[&str]; 4] = [
            &[
                "URL",
                "main",
                "main:refs/notes/n",
                "main:refs/x/y",
                "main:refs/namespaces/n/refs/heads/a",
            ],
            &["URL", "+main~1:main", "main:other"],
            &["--atomic", "URL", "main", "main~1:refs/heads/third"],
            &["URL", ":main"],
        ];
        for push in pushes {
            world.push(&work, push);
            let [ours, gits] = git_dirs.each_ref().map(|git_dir| logs(git_dir));
            assert_eq!(ours, gits, "{setting:?} {has_log} {bare} {push:?}");
        }
    }
}

/// What was pushed by mistake and taken away by force is gone where no reflog is wanted.
#[test]
fn what_was_taken_away_by_force_does_not_stay() {
    let world = World::new();
    let work = world.work();
    work.commit_file("secret", "a secret\n");
    let secret = work.run(&["rev-parse", "main:secret"]);
    world.push(&work, &["URL", "main"]);
    world.push(&work, &["URL", "+main~1:main"]);
    for name in BOTH {
        let inside = world.inside(name);
        inside.run(&["gc", "-q", "--prune=now"]);
        let found = inside.try_run(&["cat-file", "-e", &secret]);
        assert!(!found.ok, "{name}");
    }
}

#[test]
fn moves_are_made_when_the_environment_says() {
    for (date, zone) in [
        ("2022-01-01T00:00:00Z", "UTC"),
        ("1640995200 +0130", "UTC"),
        ("Sat, 01 Jan 2022 00:00:00 -0330", "Europe/Berlin"),
        ("2022-07-01 12:00:00", "America/New_York"),
    ] {
        let world = World::with(&[("GIT_COMMITTER_DATE", date), ("TZ", zone)]);
        world.set("core.logAllRefUpdates", "true");
        let work = world.work();
        assert!(world.push(&work, &["URL", "main"]).0);
        let [ours, gits] =
            BOTH.map(|name| fs::read(world.path(name).join("logs/refs/heads/main")).unwrap());
        assert!(!ours.is_empty());
        assert_eq!(ours, gits, "{date} {zone}");
    }
}

#[test]
fn what_is_no_time_matters_where_it_would_be_noted() {
    let world = World::with(&[("GIT_COMMITTER_DATE", "soon")]);
    let work = world.work();
    assert!(world.push(&work, &["URL", "main", "main:other"]).0);
    world.set("core.logAllRefUpdates", "true");
    work.commit_file("a", "three\n");
    for name in BOTH {
        let pushed = work.try_run(&["push", &world.url(name), "main"]);
        assert!(!pushed.ok, "{name}");
        let why = "invalid date format: soon";
        assert!(name == "gits" || pushed.stderr.contains(why), "{pushed:?}");
        let refs = world.inside(name).refs();
        assert!(!refs.contains(&work.run(&["rev-parse", "main"])), "{refs}");
    }
    assert!(world.push(&work, &["URL", ":other"]).0);
}
