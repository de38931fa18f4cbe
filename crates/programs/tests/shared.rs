//! `core.sharedRepository`, wherever it stands.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::doors::{BOTH, World};

/// The modes of all that is below a folder, by its path.
fn modes(folder: &Path, below: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}/{}", entry.file_name().into_string().unwrap());
        let file = fs::symlink_metadata(entry.path()).unwrap();
        let mode = format!("{:o}", file.permissions().mode() & 0o7777);
        if file.is_dir() {
            modes(folder, &name, found);
        }
        found.insert(name, mode);
    }
}

#[test]
#[ignore = "a part of `what_is_pushed_has_the_permissions_that_git_gives_it`"]
fn pushes_under_a_umask() {
    let texts = [
        "[core]\n\tsharedRepository = group\n",
        "[core]\n\tsharedRepository\n",
        "[core]\n\tsharedRepository = 0640\n",
        "[core]\n\tsharedRepository = umask\n",
    ];
    for text in texts {
        let folder = tempfile::tempdir().unwrap();
        let of_user = folder.path().join("settings");
        fs::write(&of_user, text).unwrap();
        let of_user = of_user.to_str().unwrap();
        for variables in [&[][..], &[("GIT_CONFIG_GLOBAL", of_user)]] {
            let world = World::with(variables);
            let work = world.work();
            if variables.is_empty() {
                world.set("include.path", "more");
                for name in BOTH {
                    fs::write(world.path(name).join("more"), text).unwrap();
                }
            }
            assert!(world.push(&work, &["URL", "main:d/e"]).0);
            let [ours, gits] = BOTH.map(|name| {
                let mut found = BTreeMap::new();
                for below in ["refs/heads", "objects"] {
                    modes(&world.path(name), below, &mut found);
                }
                found
            });
            assert_eq!(ours, gits, "{text} {variables:?}");
        }
    }
}

#[test]
fn what_is_pushed_has_the_permissions_that_git_gives_it() {
    let done = Command::new("sh")
        .args(["-c", "umask 077; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "shared::pushes_under_a_umask", "--ignored"])
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}
