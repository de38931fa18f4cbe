//! Ends of lines are those that `git clone` writes.

use std::path::Path;

use packhouse_client::cache::{Cache, CallOptions};

use super::{add, check_tree, config, files, path_of};
use crate::git::{Git, init};
use crate::world::World;

/// Files with all kinds of ends, stored as they are.
fn store(world: &World, attributes: &[(&str, &str)]) -> Git {
    let work = init(&world.path("work"));
    let long = "text\n".repeat(40_000);
    // The ends of lines come where a piece ends that is read.
    let across = format!(
        "{}\r\n{}\n",
        "x".repeat((64 << 10) - 1),
        "y".repeat(64 << 10)
    );
    let mostly_text = format!("{}\x01\n", "printable".repeat(100));
    let contents: [(&str, &[u8]); 16] = [
        ("lf", b"one\ntwo\n"),
        ("crlf", b"one\r\ntwo\r\n"),
        ("mixed", b"one\r\ntwo\n"),
        ("cr", b"one\rtwo\n"),
        ("cr-at-the-end", b"one\ntwo\r"),
        ("nul", b"one\0\ntwo\n"),
        ("control", b"\x01\x02\n"),
        ("mostly-text", mostly_text.as_bytes()),
        ("dos", b"one\n\x1a"),
        ("utf", "\u{e9}\u{4e16}\n\t\x1b\n".as_bytes()),
        ("empty", b""),
        ("no-end", b"one"),
        ("only-ends", b"\n\n\n"),
        ("long", long.as_bytes()),
        ("across", across.as_bytes()),
        ("delete", b"\x7f\n"),
    ];
    let add = |path: &str, content: &[u8]| {
        let id = work.feed(&["hash-object", "-w", "--no-filters", "--stdin"], content);
        let entry = format!("100644,{},{path}", id.trim());
        work.run(&["update-index", "--add", "--cacheinfo", &entry]);
    };
    for (name, content) in contents {
        for end in ["", ".txt", ".bin"] {
            add(&format!("{name}{end}"), content);
            add(&format!("sub/{name}{end}"), content);
        }
    }
    for (path, text) in attributes {
        add(path, text.as_bytes());
    }
    work.run(&["commit", "-q", "-m", "all"]);
    work.run(&["clone", "-q", "--bare", ".", "../source.git"]);
    Git::at(world.path("source.git"))
}

fn is_as_cloned(attributes: &[(&str, &str)], settings: &[(&str, &str)]) {
    let world = World::new();
    let source = store(&world, attributes);
    let mut config = config(&world.path("cache"));
    let mut clone = vec!["clone".to_owned(), "-q".to_owned()];
    for (name, value) in settings {
        clone.extend(["-c".to_owned(), format!("{name}={value}")]);
        let (name, value) = ((*name).to_owned(), (*value).to_owned());
        config.git_config.insert(name, value);
    }
    clone.extend([".".to_owned(), "../clone".to_owned()]);
    let clone: Vec<&str> = clone.iter().map(String::as_str).collect();
    source.run(&clone);
    let cache = Cache::open(config).unwrap();
    let entry = add(&cache, &path_of(&source));
    let what = format!("{attributes:?} {settings:?}");
    let compare = |copy: &Path| {
        let (found, expected) = (files(copy), files(&world.path("clone")));
        assert_eq!(found.len(), expected.len(), "{what}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.0, expected.0, "{what}");
            assert!(found.1 == expected.1, "{what}: {}", found.0.display());
        }
    };
    compare(&entry.cache_path);
    check_tree(&entry.cache_path);
    let call = CallOptions::default();
    compare(&cache.checkout(&entry.name, "main", &call).unwrap().path);
    // Files that are taken over from a tree before, with the same attributes and with others.
    let work = Git::at(world.path("work"));
    for (name, text) in [
        ("new", "x\n"),
        (".gitattributes", "* text eol=crlf\n"),
        (".gitattributes", ""),
    ] {
        let id = work.feed(
            &["hash-object", "-w", "--no-filters", "--stdin"],
            text.as_bytes(),
        );
        let cached = format!("100644,{},{name}", id.trim());
        work.run(&["update-index", "--add", "--cacheinfo", &cached]);
        work.run(&["commit", "-q", "-m", "more"]);
        work.run(&["push", "-q", "../source.git", "main"]);
        std::fs::remove_dir_all(world.path("clone")).unwrap();
        source.run(&clone);
        let entry = cache.refresh(&entry.name, &call).unwrap();
        compare(&entry.cache_path);
    }
}

#[test]
fn ends_of_lines_are_those_that_git_writes() {
    let top = ".gitattributes";
    is_as_cloned(&[(top, "*.txt eol=crlf\n*.bin binary\n")], &[]);
    is_as_cloned(&[(top, "* text=auto eol=crlf\n*.bin -text\n")], &[]);
    let kinds = "* text=auto\n*.txt text\n*.bin !text\n";
    is_as_cloned(&[(top, kinds)], &[("core.autocrlf", "true")]);
    is_as_cloned(&[(top, kinds)], &[("core.eol", "crlf")]);
    is_as_cloned(&[(top, kinds)], &[("core.autocrlf", "input")]);
    is_as_cloned(&[], &[("core.autocrlf", "true")]);
    is_as_cloned(
        &[(top, "*.txt crlf\n*.bin -crlf eol=crlf\n")],
        &[("core.autocrlf", "true")],
    );
    is_as_cloned(
        &[
            (top, "[attr]dos text eol=crlf\n*.txt dos\n* text=auto\n"),
            (
                "sub/.gitattributes",
                "*.txt !eol\n*.bin text eol=crlf\nlf* eol=lf\n",
            ),
        ],
        &[],
    );
}

#[test]
fn what_git_would_convert_otherwise_is_noted() {
    let world = World::new();
    let text =
        "*.txt working-tree-encoding=UTF-16LE\n*.bin ident\nlf working-tree-encoding=utf-8\n";
    let source = store(&world, &[(".gitattributes", text)]);
    let cache = Cache::open(config(&world.path("cache"))).unwrap();
    let notes = add(&cache, &path_of(&source)).notes;
    let rest = "of Git, and are as they are in the repository";
    assert_eq!(
        notes,
        [
            format!("32 files have the attribute `working-tree-encoding` {rest}"),
            format!("32 files have the attribute `ident` {rest}"),
        ]
    );
}
