//! Globs over snapshots and on disk.

use packhouse_repo::store::{CopyOut, disk_glob};

use super::Place;

fn found(place: &Place, pattern: &str) -> Vec<String> {
    let found = place.main().glob(pattern).unwrap();
    found.into_iter().map(|path| path.to_string()).collect()
}

#[test]
fn patterns_find_files_and_folders() {
    let place = Place::new();
    place.stored(&[
        "readme.md",
        ".hidden",
        "src/main.rs",
        "src/lib.rs",
        "src/.cfg",
        "src/deep/x/mod.rs",
        ".dot/in/a.rs",
        "[x].rs",
    ]);
    assert_eq!(found(&place, "*"), ["[x].rs", "readme.md", "src"]);
    assert_eq!(found(&place, ".*"), [".dot", ".hidden"]);
    assert_eq!(found(&place, "src/*.rs"), ["src/lib.rs", "src/main.rs"]);
    assert_eq!(
        found(&place, "*/*"),
        ["src/deep", "src/lib.rs", "src/main.rs"]
    );
    assert_eq!(
        found(&place, "**/*.rs"),
        ["[x].rs", "src/deep/x/mod.rs", "src/lib.rs", "src/main.rs"]
    );
    assert_eq!(
        found(&place, "src/**"),
        [
            "src/deep",
            "src/deep/x",
            "src/deep/x/mod.rs",
            "src/lib.rs",
            "src/main.rs"
        ]
    );
    assert_eq!(found(&place, "**/**/mod.rs"), ["src/deep/x/mod.rs"]);
    assert_eq!(found(&place, "src/**/x/**/*.rs"), ["src/deep/x/mod.rs"]);
    assert_eq!(found(&place, "src/????.rs"), ["src/main.rs"]);
    assert_eq!(found(&place, "src/[lm]*.rs"), ["src/lib.rs", "src/main.rs"]);
    assert_eq!(found(&place, "[x].rs"), ["[x].rs"]);
    assert_eq!(found(&place, ".dot/**/a.rs"), [".dot/in/a.rs"]);
    assert_eq!(found(&place, "/src/lib.rs/"), ["src/lib.rs"]);
    for none in [
        "",
        "/",
        "nope",
        "src/main.rs/*",
        "*.MD",
        "src//lib.rs",
        "**/.cfg/x",
    ] {
        assert!(found(&place, none).is_empty(), "{none}");
    }
    assert_eq!(found(&place, "**/.cfg"), ["src/.cfg"]);
}

#[test]
fn the_pivot_is_kept_in_the_paths() {
    let place = Place::new();
    place.stored(&["a/b/c.txt", "a/b/d/e.txt", "a/x/c.txt"]);
    assert_eq!(found(&place, "a/./b/*.txt"), ["a/./b/c.txt"]);
    assert_eq!(
        found(&place, "a/./**/*.txt"),
        ["a/./b/c.txt", "a/./b/d/e.txt", "a/./x/c.txt"]
    );
    assert_eq!(found(&place, "a/*/./c.txt"), ["a/b/./c.txt", "a/x/./c.txt"]);
    assert!(found(&place, "./a/b").is_empty());
}

#[test]
fn matches_come_one_by_one_and_once() {
    let place = Place::new();
    place.stored(&["a/a/a", "a/b"]);
    let mut all: Vec<String> = place
        .main()
        .iglob("**/**/a/**")
        .map(|path| path.unwrap().to_string())
        .collect();
    all.sort_unstable();
    assert_eq!(all, ["a/a", "a/a/a", "a/b"]);
}

/// Segments of a pattern that are not `**` against one name.
fn takes(segment: &str, name: &str) -> bool {
    match segment {
        "*" => !name.starts_with('.'),
        "?" => name.len() == 1 && name != ".",
        segment => segment == name,
    }
}

/// The rules once more, as plainly as they can be put.
fn matches(segments: &[&str], names: &[&str]) -> bool {
    match (segments, names) {
        ([], names) => names.is_empty(),
        (["**"], names) => !names.is_empty() && names.iter().all(|name| !name.starts_with('.')),
        (["**", rest @ ..], names) => (0..=names.len()).any(|taken| {
            let folders = &names[..taken];
            folders.iter().all(|name| !name.starts_with('.')) && matches(rest, &names[taken..])
        }),
        ([_, ..], []) => false,
        ([segment, rest @ ..], [name, names @ ..]) => takes(segment, name) && matches(rest, names),
    }
}

/// Whether the segments before a `/./` can match these folders: there `**` at the end may be none.
fn is_base(segments: &[&str], names: &[&str]) -> bool {
    matches(&[segments, &["end"]].concat(), &[names, &["end"]].concat())
}

fn expected(paths: &[&str], segments: &[&str]) -> Vec<String> {
    let pivot = segments.iter().position(|segment| *segment == ".");
    let mut expected = Vec::new();
    for path in paths {
        let names: Vec<&str> = path.split('/').collect();
        match pivot {
            None if matches(segments, &names) => expected.push((*path).to_owned()),
            None => {}
            Some(at) => {
                let fits = |split: &usize| {
                    is_base(&segments[..at], &names[..*split])
                        && matches(&segments[at + 1..], &names[*split..])
                };
                if let Some(split) = (0..names.len()).find(fits) {
                    let base = match split {
                        0 => ".".to_owned(),
                        split => names[..split].join("/"),
                    };
                    expected.push(format!("{base}/./{}", names[split..].join("/")));
                }
            }
        }
    }
    expected.sort_unstable();
    expected
}

#[test]
fn patterns_find_the_same_in_a_store_and_on_disk() {
    let files = ["b", "w/b", "w/x/b", "w/x/y/b", "w/.h/b", "w/x/.h", "x/w/b"];
    let folders = ["w", "w/x", "w/x/y", "w/.h", "x", "x/w"];
    let paths = [&files[..], &folders].concat();
    let place = Place::new();
    place.stored(&files);
    place.make(&files);
    let main = place.main();
    let local = place.local("");
    let local = local.to_str().unwrap().trim_end_matches('/');
    let pool = ["w", "x", "b", "*", "**", "?", "."];
    let mut patterns: Vec<Vec<&str>> = vec![Vec::new()];
    let mut found_in_all = 0;
    for _ in 0..5 {
        patterns = patterns
            .iter()
            .flat_map(|pattern| pool.map(|last| [pattern.as_slice(), &[last]].concat()))
            .filter(|pattern| pattern[0] != ".")
            .filter(|pattern| pattern.iter().filter(|segment| **segment == ".").count() < 2)
            .collect();
        let whole = patterns
            .iter()
            .filter(|pattern| pattern.last() != Some(&"."));
        for segments in whole {
            let pattern = segments.join("/");
            let expected = expected(&paths, segments);
            let found = main.glob(&pattern).unwrap();
            let found: Vec<String> = found.into_iter().map(|path| path.to_string()).collect();
            assert_eq!(found, expected, "{pattern}");
            let on_disk: Vec<String> = disk_glob(format!("{local}/{pattern}"))
                .into_iter()
                .map(|path| path.to_str().unwrap()[local.len() + 1..].to_owned())
                .collect();
            // The folder itself is the base there.
            let below = expected.iter().map(|path| match path.strip_prefix("././") {
                Some(rest) => format!("./{rest}"),
                None => path.clone(),
            });
            assert_eq!(on_disk, below.collect::<Vec<_>>(), "{pattern}");
            found_in_all += expected.len();
        }
    }
    assert!(found_in_all > 5_000, "{found_in_all}");
}

#[test]
fn what_a_marked_pattern_finds_is_copied_with_what_is_behind_the_mark() {
    let place = Place::new();
    let main = place.stored(&["w/b", "w/x/b", "w/x/y/b", "v"]);
    place.make(&["w/b", "w/x/b", "w/x/y/b"]);
    let everywhere = ["w/./b", "w/x/./b", "w/x/y/./b"];
    assert_eq!(found(&place, "w/**/./b"), everywhere);
    // Of the places where the mark fits it is the first.
    assert_eq!(found(&place, "**/./*/y/b"), ["w/./x/y/b"]);
    assert_eq!(found(&place, "**/./**/y"), ["././w/x/y"]);
    let sources = main.glob("**/./w/b").unwrap();
    assert_eq!(sources, ["././w/b"]);
    assert_eq!(main.read(&sources[0], 0, None).unwrap(), b"w/b");
    let options = CopyOut {
        sources,
        dest: place.local("out"),
        ..CopyOut::default()
    };
    main.copy_out(&options).unwrap();
    assert!(place.local("out/w/b").is_file());
    // `.` and `..` are folders on a disk, also behind `**`.
    let local = place.local("w");
    let names = |pattern: &str| {
        let skipped = local.as_os_str().len() + 1;
        let names = disk_glob(local.join(pattern)).into_iter();
        names
            .map(|path| path.to_str().unwrap()[skipped..].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("*/**/././b"), ["x/././b", "x/y/././b"]);
    assert_eq!(names("x/**/../b"), ["x/../b", "x/y/../b"]);
}
