//! Searching a tree: the lines found are those that `git grep` finds.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use packhouse_repo::directory::{DirectoryOptions, open};
use packhouse_repo::{
    GrepError, GrepPage, GrepQuery, Interrupt, Namespace, PassedOverReason, PathFilter, Pattern,
    TextCache, View, grep,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::plain_git::git;

/// Path, line, text, as bytes.
type Line = (Vec<u8>, u64, Vec<u8>);

struct World {
    folder: tempfile::TempDir,
    view: Arc<View>,
    texts: TextCache,
    /// How many lines each file has.
    lines: BTreeMap<Vec<u8>, u64>,
}

const WORDS: [&str; 18] = [
    "fn", "main", "let", "foo", "Foo", "FOO", "bar_baz", "x1", "42", "été", "日本", "ß", "a.b",
    "(call)", "//", "\t", "--", "the end",
];

impl World {
    /// A bare repository with one commit of these files.
    fn of(files: &BTreeMap<String, Vec<u8>>) -> World {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q", "--bare", "-b", "main", "."]);
        let mut stream = b"commit refs/heads/main\ncommitter A <a> 0 +0000\ndata 0\n".to_vec();
        for (path, data) in files {
            let mode = match path.rsplit('.').next() {
                Some("link") => "120000",
                Some("run") => "100755",
                _ => "100644",
            };
            let head = format!("M {mode} inline \"{path}\"\ndata {}\n", data.len());
            stream.extend_from_slice(head.as_bytes());
            stream.extend_from_slice(data);
            stream.push(b'\n');
        }
        let input = folder.path().join("stream");
        std::fs::write(&input, stream).unwrap();
        let import = Command::new("git")
            .args(["-c", "fastimport.unpackLimit=1", "fast-import", "--quiet"])
            .current_dir(folder.path())
            .stdin(std::fs::File::open(&input).unwrap())
            .status();
        assert!(import.unwrap().success());
        let repository = open(folder.path(), DirectoryOptions::default()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let view = runtime.block_on(repository.view()).unwrap();
        World {
            folder,
            view,
            texts: TextCache::new(8 << 20),
            lines: files
                .iter()
                .map(|(path, data)| (path.clone().into_bytes(), line_count(data)))
                .collect(),
        }
    }

    fn random(seed: u64) -> World {
        let mut random = StdRng::seed_from_u64(seed);
        let mut files = BTreeMap::new();
        for number in 0..60 {
            let depth = random.random_range(0..4);
            let mut path: String = (0..depth)
                .map(|_| ["src/", "a/", "a.b/", "été/"][random.random_range(0..4)])
                .collect();
            let ending = ["rs", "md", "run", "link", "bin"][random.random_range(0..5)];
            path.push_str(&format!("f{number}.{ending}"));
            let mut data = Vec::new();
            for _ in 0..random.random_range(0..40) {
                for _ in 0..random.random_range(0..6) {
                    let word = WORDS[random.random_range(0..WORDS.len())];
                    data.extend_from_slice(word.as_bytes());
                    data.push(b' ');
                }
                data.extend_from_slice([&b"\n"[..], b"\r\n", b"\n\n"][random.random_range(0..3)]);
            }
            if random.random_range(0..2) == 0 {
                data.extend_from_slice(b"let it end");
            }
            if ending == "bin" {
                let at = random.random_range(0..=data.len());
                data.insert(at, 0);
            }
            files.insert(path, data);
        }
        World::of(&files)
    }

    fn query(&self, pattern: &str, case_sensitive: bool) -> GrepQuery {
        let commit = self
            .view
            .resolve("main", Namespace::Default)
            .unwrap()
            .unwrap();
        GrepQuery {
            tree: self.view.database().commit(commit.id).unwrap().tree,
            pattern: Pattern::new(pattern, case_sensitive).unwrap(),
            filter: PathFilter::default(),
            before: 0,
            after: 0,
            max_matches_per_file: usize::MAX,
            max_file_bytes: 1 << 20,
            from: None,
            max_matches: usize::MAX,
            max_lines: usize::MAX,
        }
    }

    fn page(&self, query: &GrepQuery) -> GrepPage {
        grep(
            self.view.database(),
            &self.texts,
            query,
            &Interrupt::never(),
        )
        .unwrap()
    }

    /// What `git grep` finds.
    fn in_git(&self, arguments: &[&str], paths: &[&str]) -> Vec<Line> {
        let mut command = Command::new("git");
        command.args(["grep", "-z", "-n", "-I", "--no-color"]);
        command.args(arguments).arg("main").arg("--").args(paths);
        command
            .current_dir(self.folder.path())
            .env("LC_ALL", "C.UTF-8");
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.is_empty(), "{arguments:?}: {error}");
        let mut lines = Vec::new();
        for line in output.stdout.split(|&byte| byte == b'\n') {
            if line.is_empty() || line == b"--" {
                continue;
            }
            let mut parts = line.splitn(3, |&byte| byte == 0);
            let path = parts.next().unwrap().strip_prefix(b"main:").unwrap();
            let number = std::str::from_utf8(parts.next().unwrap()).unwrap();
            let number: u64 = number.parse().unwrap();
            // Where nothing else matches, Git finds an empty line behind the last line break.
            if number <= self.lines[path] {
                lines.push((path.to_vec(), number, parts.next().unwrap().to_vec()));
            }
        }
        lines
    }

    /// Everything, page by page.
    fn all(&self, mut query: GrepQuery) -> Vec<Line> {
        let mut lines = Vec::new();
        loop {
            let page = self.page(&query);
            let before = lines.len();
            lines.extend(lines_of(&page));
            query.from = page.next;
            if query.from.is_none() {
                return lines;
            }
            assert!(lines.len() > before, "a page gets on");
        }
    }
}

fn line_count(data: &[u8]) -> u64 {
    let breaks = data.iter().filter(|byte| **byte == b'\n').count() as u64;
    breaks + u64::from(data.last().is_some_and(|byte| *byte != b'\n'))
}

fn lines_of(page: &GrepPage) -> Vec<Line> {
    let lines = page.files.iter().flat_map(|file| {
        file.lines
            .iter()
            .map(|line| (file.path.to_vec(), line.number, line.text.to_vec()))
    });
    lines.collect()
}

#[test]
fn the_lines_found_are_those_of_git() {
    for seed in 0..6 {
        let world = World::random(seed);
        for pattern in [
            "foo",
            "Foo|42",
            "^let",
            "end$",
            "^$",
            "fn.*main",
            "[0-9]+",
            "x1|bar_baz",
            "(fn )+",
            "été|日本",
            "a\\.b",
            "\\(call\\)",
            "^[^f]*$",
            "o{2}",
            ".",
            "",
            // Where nothing of the pattern is a literal.
            "[a-f][a-z]+ [0-9]",
        ] {
            if pattern.is_empty() {
                continue;
            }
            for (flag, case_sensitive) in [(None, true), (Some("-i"), false)] {
                let flags: Vec<&str> = flag.into_iter().collect();
                let arguments = [&flags[..], &["-E", "-e", pattern]].concat();
                let expected = world.in_git(&arguments, &[]);
                let mut query = world.query(pattern, case_sensitive);
                assert_eq!(
                    world.all(query.clone()),
                    expected,
                    "{seed} {pattern} {flag:?}"
                );
                query.max_matches = 7;
                assert_eq!(
                    world.all(query),
                    expected,
                    "in pages: {seed} {pattern} {flag:?}"
                );
            }
        }
        for pattern in [
            "\\bfoo\\b",
            "\\d+\\s",
            "(?i)FOO\\s+bar",
            "^\\s*$",
            "\\w+\\.\\w",
            "x(?:1|2)",
        ] {
            let expected = world.in_git(&["-P", "-e", pattern], &[]);
            assert_eq!(
                world.all(world.query(pattern, true)),
                expected,
                "{seed} {pattern}"
            );
        }
    }
}

#[test]
fn context_and_paths_are_those_of_git() {
    for seed in 10..14 {
        let world = World::random(seed);
        for (before, after) in [(0, 1), (1, 0), (2, 3), (50, 50)] {
            let (b, a) = (format!("-B{before}"), format!("-A{after}"));
            for pattern in ["foo", "42", "^fn"] {
                let expected = world.in_git(&[&b, &a, "-E", "-e", pattern], &[]);
                for (max_matches, max_lines) in [(usize::MAX, usize::MAX), (3, usize::MAX), (4, 5)]
                {
                    let mut query = world.query(pattern, true);
                    (query.before, query.after) = (before, after);
                    (query.max_matches, query.max_lines) = (max_matches, max_lines);
                    assert_eq!(
                        world.all(query),
                        expected,
                        "{seed} {pattern} {b} {a} {max_lines}"
                    );
                }
            }
        }
        for paths in [
            &["src"][..],
            &["a.b/", "a"],
            &["src/a", "nothing"],
            &["été", "src", "src/a"],
        ] {
            let expected = world.in_git(&["-e", "let"], paths);
            let mut query = world.query("let", true);
            query.filter = PathFilter::default().paths(paths).unwrap();
            assert_eq!(world.all(query.clone()), expected, "{seed} {paths:?}");
            query.max_matches = 2;
            assert_eq!(world.all(query), expected, "{seed} {paths:?}");
        }
        let globs = [":(glob)**/*.rs", ":(glob,exclude)src/**"];
        let expected = world.in_git(&["-e", "let"], &globs);
        let mut query = world.query("let", true);
        query.filter = PathFilter::default().include(&["*.rs"]).unwrap();
        query.filter = query.filter.exclude(&["/src"]).unwrap();
        assert_eq!(world.all(query), expected, "{seed}");
    }
}

#[test]
fn a_file_counts_up_to_its_limit_as_in_git() {
    let world = World::random(20);
    let expected = world.in_git(&["-m", "3", "-e", "let"], &[]);
    let mut query = world.query("let", true);
    query.max_matches_per_file = 3;
    assert_eq!(world.all(query), expected);
}

#[test]
fn files_and_lines_that_are_too_large_are_said() {
    let long = "x".repeat(900_000);
    let files = BTreeMap::from([
        ("a".to_owned(), b"needle\n".to_vec()),
        ("big".to_owned(), "needle\n".repeat(200_000).into_bytes()),
        ("long".to_owned(), format!("needle {long}").into_bytes()),
    ]);
    let world = World::of(&files);
    let page = world.page(&world.query("needle", true));
    let paths: Vec<_> = page
        .files
        .iter()
        .map(|file| file.path.to_string())
        .collect();
    assert_eq!(paths, ["a", "long"]);
    assert_eq!(page.passed_over.len(), 1);
    assert_eq!(page.passed_over[0].path, "big");
    assert_eq!(page.passed_over[0].reason, PassedOverReason::FileTooLarge);
    let line = &page.files[1].lines[0];
    assert!(line.is_cut && line.text.len() == packhouse_repo::MAX_SHOWN_LINE_BYTES);

    let huge = "(?:needle|[a-z]{1,100}){1,40}";
    let page = world.page(&world.query(huge, true));
    assert!(
        page.passed_over
            .iter()
            .any(|file| { file.path == "long" && file.reason == PassedOverReason::LineTooLong })
    );
}

#[test]
fn the_second_search_reads_nothing() {
    let world = World::random(30);
    assert!(!world.page(&world.query("foo", true)).from_cache);
    assert!(world.page(&world.query("another", true)).from_cache);
}

/// Lines of 500 letters without any order.
fn two_letters(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    let letter = |at: usize| match at % 501 {
        500 => b'\n',
        _ => b'a' + random.random_range(0..2u8),
    };
    (0..bytes).map(letter).collect()
}

#[test]
fn a_search_ends_when_it_is_late_or_nobody_waits() {
    let files = (0..8).map(|n| (format!("f{n}"), two_letters(n, 500_000)));
    let world = World::of(&files.collect());
    // What has to be remembered is where in the last 400 letters each `a` is: too much for any cache.
    let query = world.query("(?:a|b)*a[ab]{400}[c-z]", true);
    let search = |interrupt: &Interrupt| {
        let began = Instant::now();
        let found = grep(world.view.database(), &world.texts, &query, interrupt);
        (found, began.elapsed())
    };
    let soon = Instant::now() + Duration::from_millis(300);
    let (found, took) = search(&Interrupt::new(soon, Arc::default()));
    assert!(matches!(found, Err(GrepError::TooSlow)), "{found:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");

    let later = Instant::now() + Duration::from_secs(600);
    let cancelled = Arc::new(AtomicBool::new(true));
    let (found, _) = search(&Interrupt::new(later, cancelled));
    assert!(matches!(found, Err(GrepError::Cancelled)), "{found:?}");
}
