//! `core.sharedRepository`: what is made gets the permissions that Git gives it, under any umask.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use packhouse_repo::store::{GcOptions, NoProgress, Store, StoreOptions, WriteOptions};

use super::{git_in, put};

/// What Git does, as a shell script in the repository's folder.
const BY_GIT: &str = "set -e
blob=$(echo one | git hash-object -w --stdin)
tree=$(printf '100644 blob %s\\ta\\n' $blob | git mktree)
commit=$(git commit-tree -m one -p main $tree)
git update-ref -m one refs/heads/main $commit
git update-ref -m set refs/heads/x/y $commit
git notes add -m note main
git repack -adq
git pack-refs --all
echo two | git hash-object -w --stdin
git update-ref -m two refs/heads/main main~1
git symbolic-ref HEAD refs/heads/x/y";

/// The same with a store.
fn by_store(path: &Path) {
    let store = Store::open(path, StoreOptions::default()).unwrap();
    let one = put(&store.branches().get("main").unwrap(), "a", "one");
    store.branches().set("x/y", &one).unwrap();
    let notes = store.notes("commits").unwrap();
    notes.set(&one.commit().to_string(), "note").unwrap();
    let options = GcOptions::default();
    assert!(store.gc_with(&options, &NoProgress).unwrap().packed > 0);
    // One that is streamed into its file, and small ones.
    let large = vec![b'x'; 2 << 20];
    let options = WriteOptions::default();
    let one = one.write("large", &large, &options).unwrap();
    put(&one, "b", "two");
    store.branches().set_current("x/y").unwrap();
}

/// Files and folders by name, with the inode and the mode of each.
fn found(folder: &Path) -> BTreeMap<PathBuf, (u64, u32)> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                open.push(path.clone());
            }
            all.insert(path, (metadata.ino(), metadata.mode()));
        }
    }
    all
}

/// What a path is, for things that have the same permissions.
fn kind(path: &Path) -> &'static str {
    let name = path.file_name().unwrap().as_bytes();
    let is_folder = path.is_dir();
    let text = path.to_str().unwrap();
    match (path.extension().map(OsStrExt::as_bytes), is_folder) {
        (Some(b"pack"), _) => "pack",
        (Some(b"idx"), _) => "index",
        (Some(b"bitmap"), _) => "bitmap",
        _ if name == b"incoming-packhouse" => "folder of ours",
        (_, true) if name.len() == 2 => "folder of objects",
        (_, false) if name.len() == 38 => "object",
        (_, true) if text.contains("/logs") => "folder of logs",
        (_, false) if text.contains("/logs/") => "log",
        (_, true) if text.contains("/refs/") => "folder of refs",
        (_, false) if text.contains("/refs/") => "ref",
        _ if name == b"packed-refs" => "packed refs",
        _ if name == b"HEAD" => "HEAD",
        _ if name == b"gitstore.lock" => "lock",
        _ => "other",
    }
}

/// The permissions of what is new, or was replaced.
fn modes(
    folder: &Path,
    before: &BTreeMap<PathBuf, (u64, u32)>,
) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut modes: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (path, (inode, mode)) in found(folder) {
        if before.get(&path).is_none_or(|(old, _)| *old != inode) {
            let mode = format!("{:o}", mode & 0o7777);
            modes.entry(kind(&path)).or_default().insert(mode);
        }
    }
    modes
}

fn under_umask(umask: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
    command
}

#[test]
#[ignore = "a part of `what_is_made_has_the_permissions_that_git_gives_it`"]
fn work_under_a_umask() {
    by_store(Path::new(
        &std::env::var_os("PACKHOUSE_TEST_SHARED_STORE").unwrap(),
    ));
}

#[test]
fn what_is_made_has_the_permissions_that_git_gives_it() {
    for (setting, umask) in [
        ("umask", "027"),
        ("group", "077"),
        ("all", "027"),
        ("0640", "022"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let [of_git, of_store] = ["git", "store"].map(|name| {
            let path = folder.path().join(name);
            git_in(folder.path(), &["init", "-q", "--bare", "-b", "main", name]);
            let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
            git_in(&path, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
            let first = git_in(&path, &["commit-tree", "-m", "first", tree]);
            git_in(&path, &["update-ref", "refs/heads/main", &first]);
            git_in(&path, &["config", "core.logAllRefUpdates", "true"]);
            git_in(&path, &["config", "core.sharedRepository", setting]);
            let before = found(&path);
            // What is open keeps its number: without that, what replaces it could be given the same.
            let held: Vec<File> = before
                .keys()
                .map(|path| File::open(path).unwrap())
                .collect();
            (path, before, held)
        });
        let done = under_umask(umask)
            .args(["sh", "-c", BY_GIT])
            .current_dir(&of_git.0)
            .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@x")])
            .envs([("GIT_COMMITTER_NAME", "A"), ("GIT_COMMITTER_EMAIL", "a@x")])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        let done = under_umask(umask)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "store::sharing::work_under_a_umask", "--ignored"])
            .env("PACKHOUSE_TEST_SHARED_STORE", &of_store.0)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");

        let expected = modes(&of_git.0, &of_git.1);
        let mut ours = modes(&of_store.0, &of_store.1);
        // These are made by no Git.
        let lock = ours.remove("lock").unwrap();
        let folder = ours.remove("folder of ours").unwrap();
        assert_eq!(lock, expected["HEAD"], "{setting} {umask}");
        assert_eq!(folder, expected["folder of objects"], "{setting} {umask}");
        assert_eq!(ours.len(), 11, "{ours:?}");
        for (kind, modes) in ours {
            assert_eq!(modes, expected[kind], "{kind}: {setting} {umask}");
        }
    }
}

#[test]
fn a_setting_that_makes_no_sense_is_named_and_nothing_is_written() {
    let world = super::World::new();
    let before = world.main();
    for setting in ["0440", "friends"] {
        let config = format!("[core]\n\tbare = true\n\tsharedRepository = {setting}\n");
        fs::write(world.path().join("config"), config).unwrap();
        let store = Store::open(world.path(), StoreOptions::default()).unwrap();
        let main = store.branches().get("main").unwrap();
        let refused = main.write("a", b"a", &WriteOptions::default()).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("core.sharedRepository") && text.contains(setting),
            "{text}"
        );
        assert_eq!(world.main().commit(), before.commit());
    }
}
