//! Excludes say what `git check-ignore` says.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use bstr::{BString, ByteSlice};
use packhouse_repo::store::ExcludeFilter;
use proptest::prelude::*;

/// The paths that `git check-ignore` calls ignored.
fn ignored_by_git(repo: &Path, paths: &[String]) -> Vec<String> {
    // Git looks at the disk for what is a folder; a slash at the end would be part of the name for patterns.
    let asked: Vec<&str> = paths
        .iter()
        .map(|path| path.trim_end_matches('/'))
        .collect();
    let mut git = Command::new("git")
        .args(["check-ignore", "--no-index", "-z", "--stdin"])
        .current_dir(repo)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let input = asked.join("\0") + "\0";
    let mut stdin = git.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = git.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)));
    let listed: Vec<&str> = output.stdout.to_str().unwrap().split('\0').collect();
    let ignored = |path: &&String| listed.contains(&path.trim_end_matches('/'));
    paths.iter().filter(ignored).cloned().collect()
}

fn repository() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let status = Command::new("git")
            .args(args)
            .current_dir(dir.path())
            .status();
        assert!(status.unwrap().success());
    };
    git(&["init", "-q"]);
    git(&["config", "core.excludesFile", "/dev/null"]);
    dir
}

/// What a walk over the folder leaves out, with what is below it.
fn ignored_by_filter(filter: &mut ExcludeFilter, root: &Path, paths: &[String]) -> Vec<String> {
    let mut ignored = Vec::new();
    for path in paths {
        let mut at = BString::default();
        filter.enter_directory(root, "");
        let is_folder = path.ends_with('/');
        let names: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        for (depth, name) in names.iter().enumerate() {
            if depth > 0 {
                at.push(b'/');
            }
            at.extend_from_slice(name.as_bytes());
            let is_last = depth + 1 == names.len();
            if filter.is_excluded_in_walk(&at, !is_last || is_folder) {
                ignored.push(path.clone());
                break;
            }
            filter.enter_directory(&root.join(at.to_str().unwrap()), &at);
        }
    }
    ignored
}

fn all_paths() -> Vec<String> {
    let names = ["a", "b", "ab", "a.c", "foo", "A", "a b", "x]"];
    let mut paths = Vec::new();
    for first in names {
        paths.push(first.to_owned());
        for second in names {
            paths.push(format!("{first}/{second}"));
            for third in ["a", "foo", "a.c"] {
                paths.push(format!("{first}/{second}/{third}"));
            }
        }
    }
    paths
}

/// Folders are those paths that others lie below, so that `git` sees them as such.
fn make_files(root: &Path) -> Vec<String> {
    let folders = [
        "d",
        "d/a",
        "d/foo",
        "e",
        "e/d",
        "foo.d",
        "foo.d/d",
        "foo.d/d/d",
    ];
    let mut paths = Vec::new();
    for folder in folders {
        fs::create_dir_all(root.join(folder)).unwrap();
        paths.push(format!("{folder}/"));
        for file in ["a.c", "x", "foobar", "b]", "k d"] {
            fs::write(root.join(folder).join(file), "").unwrap();
            paths.push(format!("{folder}/{file}"));
        }
    }
    paths
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "d", "e", "foo", "c", "x", "k", " ", ".", "]"]),
        3 => prop::sample::select(vec!["*", "**", "?", "/", "/", "/**/", "**/", "/**", "/*", "*/"]),
        1 => prop::sample::select(vec![
            "[a-d]", "[!a]", "[^d]", "[]]", "[[:alpha:]]", "[[:nope:]]", "[a", "\\", "\\*", "\\ ", "[a\\]b]", "[x-]",
        ]),
    ];
    (
        prop::sample::select(vec!["", "", "", "!", "/", "#", "\\!", "\\#"]),
        prop::collection::vec(piece, 1..6),
        prop::sample::select(vec!["", "", "/", " ", "\\ ", "\r"]),
    )
        .prop_map(|(start, pieces, end)| start.to_owned() + &pieces.concat() + end)
}

fn file() -> impl Strategy<Value = String> {
    prop::collection::vec(pattern(), 0..6).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gitignore_files_exclude_what_git_ignores(root in file(), d in file(), foo in file()) {
        let dir = repository();
        let paths = make_files(dir.path());
        fs::write(dir.path().join(".gitignore"), &root).unwrap();
        fs::write(dir.path().join("d/.gitignore"), &d).unwrap();
        fs::write(dir.path().join("foo.d/d/.gitignore"), &foo).unwrap();
        let mut filter = ExcludeFilter::new([""; 0], None, true).unwrap();
        let ours = ignored_by_filter(&mut filter, dir.path(), &paths);
        let gits = ignored_by_git(dir.path(), &paths);
        prop_assert_eq!(ours, gits, "{:?} {:?} {:?}", root, d, foo);
    }

    #[test]
    fn base_patterns_exclude_what_git_ignores(lines in prop::collection::vec(pattern(), 1..6)) {
        // A file has its own rules for white space, comments and the end of a line.
        let special = |line: &String| line.ends_with([' ', '\r']) || line.starts_with('#');
        let lines: Vec<String> = lines.into_iter().filter(|line| !special(line)).collect();
        let dir = repository();
        let mut paths = make_files(dir.path());
        paths.extend(all_paths());
        fs::write(dir.path().join(".git/info/exclude"), lines.join("\n")).unwrap();
        let filter = ExcludeFilter::new(&lines, None, false).unwrap();
        let ours: Vec<String> = paths
            .iter()
            .filter(|path| filter.is_excluded(path.trim_end_matches('/'), path.ends_with('/')))
            .cloned()
            .collect();
        prop_assert_eq!(ours, ignored_by_git(dir.path(), &paths), "{:?}", lines);
    }

    #[test]
    fn files_of_patterns_exclude_what_git_ignores(file in file(), bom in any::<bool>()) {
        let dir = repository();
        let mut paths = make_files(dir.path());
        paths.extend(all_paths());
        let file = if bom { "\u{feff}".to_owned() + &file } else { file };
        let list = dir.path().join(".git/info/exclude");
        fs::write(&list, &file).unwrap();
        let filter = ExcludeFilter::new([""; 0], Some(&list), false).unwrap();
        let ours: Vec<String> = paths
            .iter()
            .filter(|path| filter.is_excluded(path.trim_end_matches('/'), path.ends_with('/')))
            .cloned()
            .collect();
        prop_assert_eq!(ours, ignored_by_git(dir.path(), &paths), "{:?}", file);
    }
}

/// What each line means to Git, in a file and by itself.
#[test]
fn white_space_and_comments_count_as_to_git() {
    let names = [
        "foo", "foo ", " foo", "\t", "foo\t", "#x", "x", " #x", "\u{c}",
    ];
    let dir = repository();
    for name in names {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let paths: Vec<String> = names.map(str::to_owned).into();
    let list = dir.path().join(".git/info/exclude");
    let lines = [
        "foo\\ ", "foo ", "foo\\  ", " foo", "\t", "foo\t", "#x", "\\#x", " #x", "x\r", "\u{c}",
        "   ", "",
    ];
    for line in lines {
        let excluded = |filter: &ExcludeFilter| -> Vec<String> {
            let mut paths = paths.clone();
            paths.retain(|path| filter.is_excluded(path, false));
            paths
        };
        fs::write(&list, format!("{line}\n")).unwrap();
        let filter = ExcludeFilter::new([""; 0], Some(&list), false).unwrap();
        assert_eq!(
            excluded(&filter),
            ignored_by_git(dir.path(), &paths),
            "{line:?}"
        );
        let filter = ExcludeFilter::new([line], None, false).unwrap();
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--others", "--ignored"])
            .arg(format!("--exclude={line}"))
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(listed.status.success(), "{listed:?}");
        let listed = String::from_utf8(listed.stdout).unwrap();
        let mut by_git: Vec<&str> = listed.split_terminator('\0').collect();
        let mut ours = excluded(&filter);
        by_git.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, by_git, "{line:?} by itself");
    }
}

#[test]
fn base_patterns_speak_before_gitignore_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join(".gitignore"), "*.log\n!sub\n").unwrap();
    fs::write(dir.path().join("sub/.gitignore"), "!kept.log\n").unwrap();
    let mut filter = ExcludeFilter::new(["!mine.log", "*.tmp"], None, true).unwrap();
    filter.enter_directory(dir.path(), "");
    filter.enter_directory(&dir.path().join("sub"), "sub");
    let excluded = |path: &str| filter.is_excluded_in_walk(path, false);
    assert!(excluded("a.log") && excluded("sub/a.log") && excluded("a.tmp"));
    assert!(!excluded("mine.log") && !excluded("sub/kept.log") && !excluded("a.txt"));
    assert!(excluded(".gitignore") && excluded("sub/.gitignore"));
    assert!(filter.is_excluded_in_walk(".git", true));
    assert!(!filter.is_excluded("a.log", false), "only base patterns");
}

#[test]
fn patterns_from_a_file_follow_those_that_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("patterns");
    fs::write(&path, "# all logs\n\n*.log  \n!keep.log\nbuild/\n").unwrap();
    let filter = ExcludeFilter::new(["#literal"], Some(&path), false).unwrap();
    assert!(filter.active());
    assert!(filter.is_excluded("a/b.log", false) && filter.is_excluded("#literal", false));
    assert!(!filter.is_excluded("a/keep.log", false) && !filter.is_excluded("build", false));
    assert!(filter.is_excluded("build", true) && filter.is_excluded("build/x/y", false));
    assert!(!ExcludeFilter::new([""; 0], None, false).unwrap().active());
    let missing = ExcludeFilter::new([""; 0], Some(&dir.path().join("none")), false);
    assert_eq!(
        missing.unwrap_err().kind(),
        packhouse_repo::store::StoreErrorKind::NotFound
    );
}
