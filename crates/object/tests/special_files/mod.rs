//! `.gitmodules` and `.gitattributes`, judged wherever they come in, against `git fsck --full --strict`.

mod ways_in;

use std::collections::BTreeMap;

use packhouse_object::{
    Database, EntryMode, MAX_ATTRIBUTES_BYTES, MAX_MODULES_BYTES, NewObject, ObjectCache, ObjectId,
    ObjectKind, PathError, ReceiveError, ReceiveLimits, Received, SpecialFile, check_entry,
    hash_object, receive_pack, special_entry,
};
use tempfile::TempDir;

use crate::git::Git;
use crate::names::strings;
use crate::packs::crafted::{Crafted, tree};

const BAD_MODULES: &[u8] = b"[submodule \"x\"]\n\tpath = a\n\turl = -u./x\n";

fn nothing() -> Database {
    Database::new(ObjectCache::new(1 << 20).into(), 0)
}

fn blob(data: &[u8]) -> NewObject {
    NewObject::new(ObjectKind::Blob, data.to_vec()).unwrap()
}

/// A pack of blobs and a tree that has them under these names.
fn pack(files: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut crafted = Crafted::new();
    let mut blobs = BTreeMap::new();
    let mut entries = Vec::new();
    for (name, data) in files {
        let id = hash_object(ObjectKind::Blob, data).unwrap();
        blobs.insert(id, *data);
        entries.push((&b"100644"[..], *name, id));
    }
    crafted.object(ObjectKind::Tree, &tree(&entries));
    for data in blobs.values() {
        crafted.object(ObjectKind::Blob, data);
    }
    crafted.finish()
}

fn no_small() -> ReceiveLimits {
    ReceiveLimits {
        small_pack_bytes: 0,
        ..ReceiveLimits::default()
    }
}

/// Receives a pack as objects and as a file; both must come out alike.
fn receive(pack: &[u8], base: &Database) -> Result<(), ReceiveError> {
    let dir = TempDir::new().unwrap();
    let small = receive_pack(
        &mut &pack[..],
        dir.path(),
        base,
        &ReceiveLimits::default(),
        &(),
    );
    let large = receive_pack(&mut &pack[..], dir.path(), base, &no_small(), &());
    assert_eq!(small.is_ok(), large.is_ok(), "{small:?}, {large:?}");
    if large.is_err() {
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
    assert!(!matches!(large, Ok(Received::Small(_))));
    small.map(|_| ())
}

/// What `git fsck --full --strict` says of the objects of a pack; `None`: nothing.
fn git_says(pack: &[u8]) -> Option<String> {
    let git = Git::init();
    git.run_with(&["index-pack", "--stdin"], pack);
    let (clean, out, err) = git.try_run(&["fsck", "--full", "--strict", "--no-progress"], b"");
    (!clean).then(|| String::from_utf8_lossy(&out).into_owned() + &err)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}

#[track_caller]
fn agree(name: &str, content: &[u8]) {
    let pack = pack(&[(name.as_bytes(), content)]);
    let (ours, theirs) = (receive(&pack, &nothing()), git_says(&pack));
    assert_eq!(
        ours.is_err(),
        theirs.is_some(),
        "{:?}: {ours:?}, {theirs:?}",
        text(content)
    );
    if let (Err(ReceiveError::BadSpecialFile { reason, file, .. }), Some(theirs)) = (ours, theirs) {
        let rule = reason.to_string();
        let rule = rule.split(':').next().unwrap();
        assert!(
            theirs.contains(rule),
            "{:?}: {rule}, {theirs}",
            text(content)
        );
        assert_eq!(file.name(), name);
    }
}

/// Git's newest refuse it, and so do we; the one at hand may not.
#[track_caller]
fn refused(name: &str, content: &[u8]) {
    let refused = receive(&pack(&[(name.as_bytes(), content)]), &nothing());
    assert!(
        matches!(refused, Err(ReceiveError::BadSpecialFile { .. })),
        "{:?}: {refused:?}",
        text(content)
    );
}

#[test]
fn modules_are_judged_as_git_fsck_judges_them() {
    let settings = [
        "path = a",
        "path = -a",
        "path",
        "path = \"\" -a",
        "path = a\\\n-b",
        "path = \\\n -a",
        "PATH=-a",
        "update = checkout",
        "update = !sh",
        "update = \" !sh\"",
        "update = \"!\" ",
        "other = !-",
        "url = ./a",
        "url = ../a",
        "url = -a",
        "url",
        "url = --x ; y",
        "url = git@host:a",
        "url = /srv/a",
        "url = ./%0a",
        "url = ./a%0Ab",
        "url = ./%0:a",
        "url = ./%0a:",
        "url = ./%0b",
        "url = \"./a\\nb\"",
        "url = ../:a",
        "url = ..//a",
        "url = .././:a",
        "url = ./:a",
        "url = .//a",
        "url = ..\\\\:a",
        "url = ..\\\\..\\\\/a",
        "url = https://host/a",
        "url = http:///a",
        "url = http://",
        "url = ftp://h/%0a",
        "url = https://u:p@host:1/a?b#c",
        "url = http::https://h/a",
        "url = https::a",
        "url = ftps::://a",
        "url = https::file:///a",
        "url = http://@/a",
        "url = HTTP:///a",
        "url = ssh://h/%0a",
        "url = http://%0ahost/a",
        "url = http://u%0a@host/a",
        "key ; comment",
        "key \\",
        "[other]\nurl = -a",
        "# comment\nurl = -a",
        "!bad\nurl = -a",
        "url = -a\n!bad",
        "url = \"-a",
        "url = \"-a\"",
        "url = -a \\q",
        "url\t=\t-a",
        "url\r=-a",
        "url = -a\r",
        "a=1]url=-a",
        "[submodule \"..\"]",
    ];
    for setting in settings {
        agree(
            ".gitmodules",
            format!("[submodule \"x\"]\n{setting}\n").as_bytes(),
        );
    }
    let headers = [
        "[submodule \"..\"]",
        "[submodule \"a/..\"]",
        "[submodule \"..a\"]",
        "[submodule \"a\\\\..\\\\b\"]",
        "[submodule \"a\\..b\"]",
        "[submodule \"\"]",
        "[submodule]",
        "[SubModule \"..\"]",
        "[submodule...]",
        "[submodule.a/..]",
        "[submodule.]",
        "[submodule.x]",
        "[submodule  \t\"..\"]",
        "[submodule \"..\" ]",
        "[submodule \n\"..\"]",
        "[submodule\"..\"]",
        "[submodules \"..\"]",
        "[sub \"..\"]",
        "[submodule \"a\0b\"]",
        "[submodule \"../a.b\0c\"]",
        "[submodule \"a.path\0\"]",
        "[submodule \"a.Path\0\"]",
        "[]",
        "[submodule \"x\"",
    ];
    for header in headers {
        agree(".gitmodules", format!("{header}\nkey = -x\n").as_bytes());
        agree(".gitmodules", format!("{header} url = -x").as_bytes());
    }
    for whole in [
        "",
        "\0",
        "url = -x",
        "[submodule \"x\"]\nurl=a\0-",
        "[submodule \"x\"]\nurl=-\0",
    ] {
        agree(".gitmodules", whole.as_bytes());
    }
    agree(".gitmodules", b"[submodule \"a.url\0\"]\na=b\xffc=-x\n");
    agree(".gitmodules", b"[submodule \"x\"]\nurl=\xff-x\n");
    agree(".gitmodules", b"[submodule \"x\"]\nurl=a\r\xff-x\n");
}

#[test]
fn modules_that_newer_or_other_gits_refuse_are_refused() {
    for url in [
        "http://a%b/x",
        "http://a/../x",
        "http://a:99999/x",
        "http://a b/x",
        "http://a/%0a:x",
        "http://h/%zz",
    ] {
        refused(
            ".gitmodules",
            format!("[submodule \"x\"]\nurl = {url}\n").as_bytes(),
        );
    }
    // Where `char` has a sign, Git overlooks what it reads from a file.
    refused(".gitmodules", b"\xef\xbb\xbf[submodule \"x\"]\nurl = -x\n");
    refused(".gitmodules", b"[submodule \"x\"]\nurl=\xff\nurl=-x\n");
    let large = vec![b'\n'; MAX_MODULES_BYTES as usize + 1];
    refused(".gitmodules", &large);
    assert!(receive(&pack(&[(b".gitmodules", &large[1..])]), &nothing()).is_ok());
}

#[test]
fn attributes_are_judged_as_git_fsck_judges_them() {
    let (fits, long) = (vec![b'a'; 2047], vec![b'a'; 2048]);
    agree(".gitattributes", b"");
    agree(".gitattributes", b"* text=auto\n");
    agree(".gitattributes", &fits);
    agree(".gitattributes", &long);
    agree(".gitattributes", &[&fits[..], b"\n", &fits, b"\n"].concat());
    agree(".gitattributes", &[&fits[..], b"\n", &long].concat());
    agree(".gitattributes", &[&fits[..], b"\r\n"].concat());
    agree(".gitattributes", &[b"a\0", &long[..]].concat());
    agree(".gitattributes", &[b"a\n\0", &long[..]].concat());
    agree(".gitattributes", &[&long[..], b"\0"].concat());
    agree(".gitattributes", BAD_MODULES);
    agree(".gitmodules", &long);
    agree("gitattributes", &long);
    let large = vec![b'\n'; MAX_ATTRIBUTES_BYTES as usize + 1];
    agree(".gitattributes", &large);
    agree(".gitattributes", &large[1..]);
}

#[test]
fn the_names_are_those_git_takes_for_them() {
    let parts: [&[u8]; 24] = [
        b".gitmodules",
        b".GitModules",
        b".gitattributes",
        b".gitAttributes",
        b"gitmod~1",
        b"GITMOD~4",
        b"gitmod~5",
        b"gitatt~1",
        b"gitatt~4",
        b"gitatt~5",
        b"gi7eba~1",
        b"GI7EB~12",
        b"gi7d29~1",
        b"gi7d2~99",
        b"gi7d29~0",
        b"\\",
        b" ",
        b".",
        b":",
        b"::$DATA",
        "\u{200c}".as_bytes(),
        "\u{feff}".as_bytes(),
        b"x",
        b"\xff",
    ];
    let inside: [&[u8]; 6] = [
        ".git\u{200d}modules".as_bytes(),
        "\u{206f}.gitattributes".as_bytes(),
        ".g\u{202e}itATTRIBUTES".as_bytes(),
        ".gitmodules\u{2070}".as_bytes(),
        b"\\.gitmodules",
        b".gitattribute",
    ];
    let names: Vec<Vec<u8>> = inside
        .iter()
        .map(|name| name.to_vec())
        .chain(strings(&parts, 3000))
        .filter(|name| check_entry(name, EntryMode::Blob).is_ok())
        .collect();
    // Each blob is bad as either file, and another for every name.
    let content =
        |at: usize| format!("[submodule \"x\"]\nurl = -{at}{}", "a".repeat(2048)).into_bytes();
    let mut crafted = Crafted::new();
    let mut blobs: Vec<ObjectId> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let id = hash_object(ObjectKind::Blob, &content(at)).unwrap();
        crafted.object(ObjectKind::Blob, &content(at));
        crafted.object(ObjectKind::Tree, &tree(&[(b"100644", name, id)]));
        blobs.push(id);
    }
    let said = git_says(&crafted.finish()).unwrap();
    let mut found: BTreeMap<String, SpecialFile> = BTreeMap::new();
    for line in said
        .lines()
        .filter_map(|line| line.strip_prefix("error in blob "))
    {
        let (id, rest) = line.split_once(": ").unwrap();
        let file = match rest.starts_with("gitmodulesUrl") {
            true => SpecialFile::Modules,
            false => SpecialFile::Attributes,
        };
        found.insert(id.to_owned(), file);
    }
    assert!(names.len() > 1000 && found.len() > 100, "{}", found.len());
    for (name, id) in names.iter().zip(&blobs) {
        let ours = special_entry(name, EntryMode::Blob).unwrap();
        assert_eq!(
            ours,
            found.get(&id.to_string()).copied(),
            "{:?}",
            text(name)
        );
    }
}

#[test]
fn they_are_files_and_nothing_else() {
    let file = blob(b"");
    let empty = ObjectId::empty_tree(packhouse_object::HashKind::Sha1);
    let modes = [
        (EntryMode::Blob, "100644", file.id),
        (EntryMode::Executable, "100755", file.id),
        (EntryMode::Symlink, "120000", file.id),
        (EntryMode::Tree, "40000", empty),
        (EntryMode::Submodule, "160000", file.id),
    ];
    for name in [
        ".gitmodules",
        ".gitattributes",
        "a\\.gitmodules",
        "a\\.gitattributes",
        "GITATT~2",
    ] {
        for (mode, digits, id) in modes {
            let ours = check_entry(name.as_bytes(), mode);
            let mut crafted = Crafted::new();
            crafted.object(ObjectKind::Blob, b"");
            crafted.object(ObjectKind::Tree, b"");
            crafted.object(
                ObjectKind::Tree,
                &tree(&[(digits.as_bytes(), name.as_bytes(), id)]),
            );
            // A submodule's commit that happens to be an empty file is taken for one by Git.
            let theirs = match mode {
                EntryMode::Submodule => special_entry(name.as_bytes(), EntryMode::Blob)
                    .unwrap()
                    .is_some(),
                _ => git_says(&crafted.finish()).is_some(),
            };
            assert_eq!(ours.is_err(), theirs, "{digits} {name}: {ours:?}");
        }
    }
}

#[test]
fn a_name_that_stands_for_both_is_refused() {
    // Git judges it as either.
    let name = b".gitattributes:\\.gitmodules";
    for content in [BAD_MODULES, &[b'a'; 2048]] {
        assert!(git_says(&pack(&[(name, content)])).is_some());
    }
    let both = special_entry(name, EntryMode::Blob);
    assert_eq!(both, Err(PathError::TwoFiles));
    let refused = receive(&pack(&[(name, b"")]), &nothing());
    assert!(
        matches!(refused, Err(ReceiveError::BadObject { .. })),
        "{refused:?}"
    );
}
