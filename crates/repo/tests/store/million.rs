//! A folder of a million files.

use std::io::Write;
use std::process::{Command, Stdio};

use packhouse_repo::store::{CommitOptions, NewContent, WriteOptions};

use super::World;

const FILES: usize = 1_000_000;

fn name(n: usize) -> String {
    format!("file-{n:07}")
}

/// A commit whose tree was made by `git`.
fn commit_a_million(world: &World) {
    let hash = |kind: &str, data: &[u8]| {
        let mut git = Command::new("git")
            .arg("-C")
            .arg(world.path())
            .args(["-c", "core.compression=0"])
            .args(["hash-object", "-w", "--stdin", "-t", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        git.stdin.take().unwrap().write_all(data).unwrap();
        let output = git.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let blob = hash("blob", b"content\n");
    let id: Vec<u8> = (0..20)
        .map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let mut tree = Vec::with_capacity(FILES * 41);
    for n in 0..FILES {
        write!(tree, "100644 {}\0", name(n)).unwrap();
        tree.extend_from_slice(&id);
    }
    let tree = hash("tree", &tree);
    let commit = world.git(&["commit-tree", &tree, "-m", "a million", "-p", "main"]);
    world.git(&["update-ref", "refs/heads/main", &commit]);
}

#[test]
fn a_folder_of_a_million_files_is_read_and_written() {
    let world = World::new();
    commit_a_million(&world);
    let before = world.main();
    assert_eq!(before.ls("").unwrap().len(), FILES);
    assert_eq!(before.read(name(777_777), 0, None).unwrap(), b"content\n");

    let write = WriteOptions::default();
    let after = before.write(name(500_000), b"changed", &write).unwrap();
    let writes = [
        (name(FILES), NewContent::Bytes(b"last".to_vec()), None),
        (
            "a/below".to_owned(),
            NewContent::Bytes(b"first".to_vec()),
            None,
        ),
        (name(3), NewContent::Bytes(b"third".to_vec()), None),
    ];
    let removes = [name(0), name(FILES - 1)];
    let after = after
        .apply(writes, removes, CommitOptions::default())
        .unwrap();
    assert_eq!(after.read(name(500_000), 0, None).unwrap(), b"changed");
    assert_eq!(after.ls("").unwrap().len(), FILES);
    let range = format!("{}..main", before.commit());
    assert_eq!(
        world.git(&["diff", "--name-status", "--no-renames", &range]),
        "A\ta/below\n\
         D\tfile-0000000\n\
         M\tfile-0000003\n\
         M\tfile-0500000\n\
         D\tfile-0999999\n\
         A\tfile-1000000"
    );
    let listed = world.git(&["ls-tree", "--name-only", "main"]);
    assert_eq!(listed.lines().count(), FILES);
    world.fsck();
}
