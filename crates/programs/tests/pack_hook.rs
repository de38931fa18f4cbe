//! `uploadpack.packObjectsHook`: what it is called with, and what clients get, beside git's own program.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::doors::{BOTH, World, told};
use crate::git::Git;

/// Settings of the user with this command.
fn settings(folder: &TempDir, command: &str) -> String {
    let path = folder.path().join("settings");
    let text = format!("[uploadpack]\n\tpackObjectsHook = \"{command}\"\n");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A command that notes what it is called with, and runs it.
fn noting(folder: &TempDir) -> String {
    let path = folder.path().join("hook");
    let text = "#!/bin/sh\n{ pwd; echo $GIT_DIR; printf '<%s>' \"$@\"; echo; } >> $NOTES\ntee -a $NOTES | \"$@\"\n";
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_command_is_called_as_by_git() {
    let folder = TempDir::new().unwrap();
    let notes = folder.path().join("notes");
    let hook = noting(&folder);
    let with_words = format!("{hook} nice");
    let nice = folder.path().join("nice");
    fs::write(&nice, "#!/bin/sh\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&nice, fs::Permissions::from_mode(0o755)).unwrap();
    for command in [&hook, &with_words] {
        let settings = settings(&folder, command);
        let world = World::with(&[
            ("GIT_CONFIG_GLOBAL", &settings),
            ("NOTES", notes.to_str().unwrap()),
        ]);
        let work = world.work();
        work.run(&["tag", "-a", "-m", "note", "v1"]);
        world.push(&work, &["URL", "main", "other", "v1"]);
        world.set("uploadpack.allowFilter", "true");
        for version in [0, 2] {
            for args in [
                &["clone", "-q", "--bare"][..],
                &["clone", "--bare", "--progress"],
                &[
                    "clone",
                    "-q",
                    "--bare",
                    "--depth=1",
                    "--filter=blob:limit=1k",
                ],
                &[
                    "clone",
                    "-q",
                    "--bare",
                    "--filter=combine:tree:2+sparse:oid=main:a",
                ],
                &[
                    "clone",
                    "-q",
                    "--bare",
                    "--no-tags",
                    "--single-branch",
                    "--filter=tree:2",
                ],
            ] {
                let [ours, gits] = BOTH.map(|name| {
                    let url = world.url(name);
                    let args = [args, &[&url, "copy"]].concat();
                    let outcome = world.root().speaking(version).try_run(&args);
                    let copy = Git::at(world.path("copy"));
                    let objects = outcome.ok.then(|| copy.objects());
                    let _ = fs::remove_dir_all(&copy.dir);
                    let noted = fs::read_to_string(&notes).unwrap_or_default();
                    let _ = fs::remove_file(&notes);
                    let noted = noted.replace(name, "NAME");
                    (outcome.ok, objects, noted)
                });
                assert!(gits.2.contains("pack-objects"), "{}", gits.2);
                assert_eq!(ours, gits, "{version} {args:?}");
            }
        }
    }
}

/// Git's own program is ended by the command that does not read what it is given.
const FAILS: &str = "cat > /dev/null; echo no >&2; exit 3;";
const BREAKS_OFF: &str = "cat > /dev/null; printf PACK; exit 1;";

#[test]
fn a_command_that_fails_is_told_as_by_git() {
    let folder = TempDir::new().unwrap();
    for command in [FAILS, "/none", BREAKS_OFF] {
        let settings = settings(&folder, command);
        let world = World::with(&[("GIT_CONFIG_GLOBAL", &settings)]);
        let work = world.work();
        world.push(&work, &["URL", "main"]);
        let [ours, gits] = BOTH.map(|name| {
            let url = world.url(name);
            let outcome = world
                .root()
                .try_run(&["clone", "-q", "--bare", &url, "copy"]);
            let mut said = told(&outcome, &url).2;
            said.sort();
            (outcome.ok, said)
        });
        assert!(!gits.0);
        match command {
            // Git's own program ends there without a word to the client.
            "/none" => assert!(!ours.0),
            _ => assert_eq!(ours, gits, "{command}"),
        }
    }
}

/// Whoever can write a repository's settings must not say what is run for those who fetch from it.
#[test]
fn the_repositorys_own_setting_is_not_heeded() {
    let world = World::new();
    let work = world.work();
    world.push(&work, &["URL", "main"]);
    world.set("uploadpack.packObjectsHook", "false");
    for name in BOTH {
        let copy = format!("{name}.copy");
        world
            .root()
            .run(&["clone", "-q", "--bare", &world.url(name), &copy]);
    }
}
