//! Files that Git itself reads: what `git fsck --strict` refuses is refused before it is written.

use packhouse_repo::store::{
    CommitOptions, Edits, FileType, NewContent, StoreErrorKind, WriteOptions,
};

use super::{World, put};

const EVIL: &[u8] = b"[submodule \"x\"]\n\tpath = a\n\turl = -u./x\n";
const GOOD: &[u8] = b"[submodule \"x\"]\n\tpath = a\n\turl = ../x\n";

#[test]
fn a_hostile_file_is_refused_wherever_it_waits() {
    let world = World::new();
    let start = put(&world.main(), "kept", "kept");
    let long_line = [b"a".repeat(1 << 20), b"\n".repeat(9), b"b".repeat(3000)].concat();
    let many = (0..200).map(|at| {
        let content = NewContent::Bytes(at.to_string().into());
        (format!("many/{at}"), content, None)
    });
    let cases: [(&str, &[u8], Vec<_>); 5] = [
        (".gitmodules", EVIL, Vec::new()),
        ("below/.GITMODULES", EVIL, Vec::new()),
        (".gitmodules", EVIL, many.collect()),
        (".gitattributes", &b"a".repeat(3000), Vec::new()),
        (".gitattributes", &long_line, Vec::new()),
    ];
    for (path, content, mut writes) in cases {
        writes.push((path.to_owned(), NewContent::Bytes(content.to_vec()), None));
        let refused = start
            .apply(writes, Vec::<&str>::new(), CommitOptions::default())
            .unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Value, "{refused}");
        assert!(refused.to_string().contains(path), "{refused}");
        assert_eq!(world.main().commit(), start.commit());
    }
    put(&start, ".gitmodules", std::str::from_utf8(GOOD).unwrap());
    world.fsck();
}

#[test]
fn a_name_given_later_is_judged_too() {
    let world = World::new();
    let fs = world
        .main()
        .write("harmless", EVIL, &WriteOptions::default())
        .unwrap();
    let entry = fs.entry("harmless").unwrap().unwrap();
    let mut edits = Edits::new(&world.store);
    edits.set(".gitmodules", FileType::Blob, entry.id).unwrap();
    let refused = fs
        .commit_edits(edits, CommitOptions::default())
        .unwrap_err();
    assert!(refused.to_string().contains("gitmodulesUrl"), "{refused}");
    world.fsck();
}

#[test]
fn the_names_are_those_of_files() {
    let world = World::new();
    let fs = world.main();
    let options = WriteOptions::default();
    assert!(fs.write(".gitmodules/inside", b"x", &options).is_err());
    assert!(
        fs.write_symlink(".gitmodules", "elsewhere", &options)
            .is_err()
    );
    world.fsck();
}
