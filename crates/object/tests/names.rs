//! Names of refs and paths, as Git judges them.

use std::collections::BTreeSet;

use packhouse_object::{
    EntryMode, PathError, RefName, RefNameProblem, RepoPath, check_entry, check_ref_format,
};
use proptest::prelude::*;

use crate::git::Git;
use crate::repositories::pick;

fn git_takes_ref(git: &Git, name: &str) -> bool {
    git.try_run(&["check-ref-format", name], b"").0
}

/// Strings of `count` parts from `parts`, by seed.
pub(crate) fn strings<'a>(parts: &'a [&'a [u8]], count: u64) -> impl Iterator<Item = Vec<u8>> + 'a {
    (0..count).map(|seed| {
        let len = 1 + pick(seed, 1, 6) as u64;
        (0..len)
            .flat_map(|at| parts[pick(seed, at + 10, parts.len())].iter().copied())
            .collect()
    })
}

#[test]
fn ref_names_are_judged_as_check_ref_format_does() {
    let git = Git::init();
    let known = [
        "a/b",
        "HEAD",
        "@",
        "a/@",
        "@/a",
        "refs/heads/main",
        "refs/heads/-x",
        "refs/heads/a.lock",
        "refs/heads/a.lock/b",
        "refs/heads/.lock",
        "refs/heads/x.locked",
        "refs//heads",
        "/refs/heads",
        "refs/heads/",
        "refs/heads/a.",
        "refs/heads/a./b",
        "refs/heads/.a",
        "refs/heads/a..b",
        "refs/heads/a@{b",
        "refs/heads/a@b{",
        "refs/heads/ä",
        "refs/heads/a b",
        "refs/heads/a\tb",
        "refs/heads/a\x7fb",
        "refs/heads/a^b",
        "refs/heads/a~b",
        "refs/heads/a:b",
        "refs/heads/a?b",
        "refs/heads/a*b",
        "refs/heads/*",
        "refs/heads/a[b",
        "refs/heads/a]b",
        "refs/heads/a\\b",
        "",
        "refs/heads/@",
    ];
    for name in known {
        assert_eq!(
            check_ref_format(name.as_bytes()).is_ok(),
            git_takes_ref(&git, name),
            "{name:?}"
        );
    }
    let parts: Vec<&[u8]> = [
        "a", "b", "c", "/", "/", "ab", ".", "..", "@", "{", "@{", ".lock", "-", "~", " ", "é", "*",
        "b", "\\", "refs/",
    ]
    .map(str::as_bytes)
    .to_vec();
    let mut taken = 0;
    for (at, name) in strings(&parts, 700).enumerate() {
        let name = String::from_utf8(name).unwrap();
        // Half of them have a good start. And a dash in front would be an option to git.
        let start = if at % 2 == 0 { "refs/x" } else { "" };
        let name = format!("{start}{}", name.trim_start_matches('-'));
        let ours = check_ref_format(name.as_bytes()).is_ok();
        taken += usize::from(ours);
        assert_eq!(ours, git_takes_ref(&git, &name), "{name:?}");
    }
    assert!(taken > 50);
}

#[test]
fn branch_names_are_those_git_branch_takes() {
    let git = Git::init();
    for short in [
        "main",
        "a/b",
        "-x",
        "--",
        "HEAD",
        "HEAD/x",
        "@",
        "a..b",
        "",
        ".x",
        "a.lock",
        "ü",
        "x/HEAD",
        "refs/heads/x",
    ] {
        let taken = git.try_run(&["check-ref-format", "--branch", short], b"").0;
        assert_eq!(RefName::branch(short).is_ok(), taken, "{short:?}");
        assert_eq!(RefName::ephemeral_branch(short).is_ok(), taken, "{short:?}");
    }
}

#[test]
fn ref_names_say_where_they_belong() {
    let main = RefName::branch("team/main").unwrap();
    assert_eq!(main.to_string(), "refs/heads/team/main");
    assert_eq!(main.branch_short().unwrap(), "team/main");
    assert!(!main.is_ephemeral());
    let preview = RefName::ephemeral_branch("preview").unwrap();
    assert_eq!(
        preview.to_string(),
        "refs/namespaces/ephemeral/refs/heads/preview"
    );
    assert_eq!(preview.branch_short().unwrap(), "preview");
    assert!(preview.is_ephemeral());
    let tag = RefName::parse("refs/tags/v1").unwrap();
    assert_eq!(tag.branch_short(), None);
    assert_eq!(tag.strip_prefix("refs/tags/").unwrap(), "v1");
    assert_eq!(
        RefName::parse("heads/x").unwrap_err().problem,
        RefNameProblem::NotBelowRefs
    );
    let long = format!("refs/heads/{}", "x".repeat(251));
    assert_eq!(
        RefName::parse(long).unwrap_err().problem,
        RefNameProblem::TooLong
    );
    assert!(RefName::parse(format!("refs/heads/{}", "x".repeat(250))).is_ok());
}

/// Which of the paths Git puts into an index, with every protection on.
fn git_takes_paths(paths: &[Vec<u8>], mode: &str) -> BTreeSet<usize> {
    let git = Git::init();
    let blob = git.run_with(&["hash-object", "-w", "--stdin"], b"");
    let blob = std::str::from_utf8(blob.trim_ascii()).unwrap();
    let mut info = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        // In a folder of its own, so that no path is in the way of another.
        info.extend_from_slice(format!("{mode} {blob}\tn{at}/").as_bytes());
        info.extend_from_slice(path);
        info.push(0);
    }
    let protect = ["-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"];
    let command = ["update-index", "-z", "--add", "--index-info"];
    git.run_with(&[&protect[..], &command[..]].concat(), &info);
    let listed = git.run(&["ls-files", "-z"]);
    let lines = listed
        .split(|byte| *byte == 0)
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let slash = line.iter().position(|byte| *byte == b'/').unwrap();
            std::str::from_utf8(&line[1..slash])
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
}

#[test]
fn paths_are_those_git_takes_with_every_protection_on() {
    let known: [&[u8]; 30] = [
        b"a",
        b"a/b",
        b".gitignore",
        b".GIT",
        b"git~1",
        b"GIT~1",
        b"git~2",
        b"git~10",
        b".git ",
        b".git.",
        b".git . .",
        b".git::$INDEX_ALLOCATION",
        b".gitx",
        b"a/.git/b",
        b"a\\.git",
        b"a\\.git\\b",
        b"..",
        b"a/..",
        b"./a",
        b"a/./b",
        b"...",
        b"a//b",
        b"/a",
        b"a/",
        ".g\u{200c}it".as_bytes(),
        "\u{feff}.git".as_bytes(),
        ".git\u{206f}".as_bytes(),
        ".gi\u{2070}t".as_bytes(),
        b".git\xff",
        b".g\xffit",
    ];
    let parts: [&[u8]; 30] = [
        b".git",
        b".GiT",
        b"git~1",
        b"gIt~1",
        b".",
        b"..",
        b"/",
        b"/",
        b"\\",
        b" ",
        b":",
        b"::$INDEX_ALLOCATION",
        b"modules",
        b".gitmodules",
        b"gitmod~1",
        b"gitmod~4",
        b"gitmod~5",
        b"gi7eba~1",
        b"gi7eb~12",
        b"gi7d29~1",
        b"GI7EBA~9",
        b"x",
        b"~1",
        b"g",
        "\u{200c}".as_bytes(),
        "\u{feff}".as_bytes(),
        "\u{ffff}".as_bytes(),
        b"\xff",
        b"\xe2\x80",
        "é".as_bytes(),
    ];
    let paths: Vec<Vec<u8>> = known
        .iter()
        .map(|path| path.to_vec())
        .chain(strings(&parts, 6000))
        .collect();
    for (mode, digits) in [(EntryMode::Blob, "100644"), (EntryMode::Symlink, "120000")] {
        let taken = git_takes_paths(&paths, digits);
        assert!(taken.len() > 1000);
        for (at, path) in paths.iter().enumerate() {
            let parsed = RepoPath::parse(path);
            let ours = parsed.and_then(|path| check_entry(path.file_name(), mode));
            // Git overlooks `.git` behind a backslash that begins a part.
            let begins_with_backslash = path
                .split(|byte| *byte == b'/')
                .any(|part| part.starts_with(b"\\"));
            // And it takes every file below a folder `.gitmodules` for that link.
            let below_modules = RepoPath::parse(path).is_ok_and(|path| {
                let folders = path.parent();
                folders.is_some_and(|folders| {
                    folders
                        .components()
                        .any(|part| check_entry(part, mode).is_err())
                })
            });
            if (begins_with_backslash && ours.is_err()) || (below_modules && ours.is_ok()) {
                continue;
            }
            let text = String::from_utf8_lossy(path);
            assert_eq!(
                ours.is_ok(),
                taken.contains(&at),
                "{text:?} as {digits}: {ours:?}"
            );
        }
    }
}

#[test]
fn paths_keep_to_rules_of_our_own_too() {
    let error = |path: &[u8]| RepoPath::parse(path).unwrap_err();
    assert_eq!(error(b""), PathError::Empty);
    assert_eq!(error(b"a\0b"), PathError::Nul);
    assert_eq!(error(&[b'a'; 256]), PathError::TooLong);
    assert_eq!(error(&b"abcdefg/".repeat(513)), PathError::TooLong);
    assert!(RepoPath::parse([b'a'; 255]).is_ok());
    let path = RepoPath::parse("a/b/c").unwrap();
    assert_eq!(path.components().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(path.file_name(), "c");
    assert_eq!(path.parent().unwrap().to_string(), "a/b");
    assert_eq!(RepoPath::parse("a").unwrap().parent(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = RefName::parse(&bytes);
        if let Ok(path) = RepoPath::parse(&bytes) {
            prop_assert_eq!(path.as_bytes(), &bytes[..]);
            let parts: Vec<&[u8]> = path.components().map(|part| &**part).collect();
            prop_assert_eq!(parts.join(&b'/'), bytes);
        }
    }

    #[test]
    fn a_taken_ref_name_is_kept_as_it_is(name in "refs/[a-z.@{/~-]{1,12}") {
        if let Ok(parsed) = RefName::parse(&name) {
            prop_assert_eq!(parsed.as_bytes(), name.as_bytes());
            prop_assert_eq!(check_ref_format(name.as_bytes()), Ok(()));
        }
    }
}
