//! Globs over snapshots.

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
