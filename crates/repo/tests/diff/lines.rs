//! The same hunks as `git diff`, on random texts.

use std::collections::BTreeMap;

use packhouse_repo::line_diff::{LineDiffOptions, LineHunk, diff_lines};

use super::chance::Chance;
use super::world::{Files, World};

const PAIRS: usize = 1500;
/// Texts so long that Git's searches end early.
const LONG_PAIRS: usize = 24;

/// By path: where Git says that the file's lines differ.
type GitHunks = BTreeMap<String, Vec<LineHunk>>;

fn pairs() -> (Files, Files) {
    let (mut before, mut after) = (Files::new(), Files::new());
    for number in 0..PAIRS + LONG_PAIRS {
        let mut chance = Chance::new(number as u64);
        let most = chance.one_of([6, 40, 300]);
        let lines = match number < PAIRS {
            true => chance.below(most),
            false => 1500 + chance.below(1500),
        };
        let old = chance.lines(lines);
        let new = match chance.one_in(6) {
            true => chance.lines(lines),
            false => chance.edited(&old),
        };
        let path = format!("f{number:05}").into_bytes();
        before.insert(path.clone(), ("100644", chance.joined(&old)));
        after.insert(path, ("100644", chance.joined(&new)));
    }
    (before, after)
}

/// Reads the hunks, taken apart where common lines are between changes, from what `git diff` prints.
fn parse(out: &[u8]) -> GitHunks {
    let mut hunks = GitHunks::new();
    let mut path = String::new();
    let (mut old, mut new, mut old_left, mut new_left) = (0, 0, 0, 0);
    let mut open: Option<LineHunk> = None;
    for line in out.split(|byte| *byte == b'\n') {
        let mut close = old_left + new_left == 0;
        if !close && matches!(line.first(), Some(b'-' | b'+')) {
            let hunk = open.get_or_insert(LineHunk {
                before: old..old,
                after: new..new,
            });
            let is_old = line[0] == b'-';
            old += usize::from(is_old);
            new += usize::from(!is_old);
            old_left -= usize::from(is_old);
            new_left -= usize::from(!is_old);
            hunk.before.end = old;
            hunk.after.end = new;
            continue;
        } else if !close && line.first() != Some(&b'\\') {
            (old, new, old_left, new_left) = (old + 1, new + 1, old_left - 1, new_left - 1);
            close = true;
        }
        if close && let Some(hunk) = open.take() {
            hunks.entry(path.clone()).or_default().push(hunk);
        }
        let text = String::from_utf8_lossy(line);
        if let Some(names) = text.strip_prefix("diff --git a/") {
            path = names.split(' ').next().unwrap().to_owned();
        } else if let Some(ranges) = text.strip_prefix("@@ -") {
            let mut ranges = ranges.split([' ', '+']).filter(|range| !range.is_empty());
            (old, old_left) = range(ranges.next().unwrap());
            (new, new_left) = range(ranges.next().unwrap());
        }
    }
    hunks
}

fn range(text: &str) -> (usize, usize) {
    let (start, lines) = text.split_once(',').unwrap_or((text, "1"));
    let (start, lines): (usize, usize) = (start.parse().unwrap(), lines.parse().unwrap());
    (start - usize::from(lines > 0), lines)
}

#[test]
fn hunks_are_those_of_git() {
    let (before, after) = pairs();
    let world = World::of(&[("before", &before), ("after", &after)]);
    let git_like = LineDiffOptions::default();
    let cases = [
        (git_like, vec!["-U1"]),
        (
            LineDiffOptions {
                trim_tail: true,
                ..git_like
            },
            vec!["-U0"],
        ),
        (
            LineDiffOptions {
                ignore_space_change: true,
                ..git_like
            },
            vec!["-U1", "-b"],
        ),
        (
            LineDiffOptions {
                indent_heuristic: false,
                ..git_like
            },
            vec!["-U1", "--no-indent-heuristic"],
        ),
    ];
    for (options, arguments) in cases {
        let mut command = vec!["diff", "--no-renames", "--text"];
        command.extend(&arguments);
        command.extend(["before", "after"]);
        let expected = parse(&world.git(&command));
        assert!(expected.len() > PAIRS * 8 / 10, "{}", expected.len());
        for (path, (_, old)) in &before {
            let found = diff_lines(old, &after[path].1, options);
            let name = String::from_utf8_lossy(path);
            let expected = expected.get(name.as_ref()).map_or(&[][..], Vec::as_slice);
            assert_eq!(found, expected, "{name} {arguments:?}");
        }
    }
}
