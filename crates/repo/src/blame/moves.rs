//! Lines that moved within the file.

use packhouse_object::ReadError;

use super::board::{Board, Parent, compare};
use super::divide::Entry;
use super::{BlameError, Content};

/// Lines that weigh no more than this are too few to tell a move from chance: Git's own limit.
const MIN_WEIGHT: usize = 20;

/// What became of lines.
pub(super) struct Moves {
    /// Those that stay.
    pub(super) left: Vec<Entry>,
    /// Those that each parent has, at their places there.
    pub(super) moved: Vec<Vec<Entry>>,
}

/// Lines that one of the parents has somewhere, and the lines around them.
struct Split {
    before: Option<Entry>,
    moved: Entry,
    after: Option<Entry>,
}

/// Looks for lines anywhere in the parents' versions.
pub(super) fn find(
    board: &mut Board<'_>,
    parents: &[Parent],
    lines: Vec<Entry>,
) -> Result<Moves, BlameError> {
    let (mut small, mut left) = heavy(board, lines);
    let mut moved: Vec<Vec<Entry>> = vec![Vec::new(); parents.len()];
    for (parent, moved) in parents.iter().zip(&mut moved) {
        if left.is_empty() {
            break;
        }
        let content = board.versions.content(&parent.version)?;
        let mut open = std::mem::take(&mut left);
        while !open.is_empty() {
            let mut next = Vec::new();
            for entry in open {
                board.check_stop()?;
                match best(board, &content, &entry)? {
                    Some(split) => {
                        moved.push(split.moved);
                        next.extend(split.before.into_iter().chain(split.after));
                    }
                    None => left.push(entry),
                }
            }
            let (light, rest) = heavy(board, next);
            small.extend(light);
            open = rest;
        }
    }
    small.extend(left);
    Ok(Moves { left: small, moved })
}

/// The light entries and the others.
fn heavy(board: &Board<'_>, lines: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    lines
        .into_iter()
        .partition(|entry| weight(board, entry) <= MIN_WEIGHT)
}

fn weight(board: &Board<'_>, entry: &Entry) -> usize {
    board.text.weight(entry.line..entry.line + entry.len)
}

/// The heaviest stretch of an entry that a text has; of equal ones the last.
fn best(board: &Board<'_>, content: &Content, entry: &Entry) -> Result<Option<Split>, ReadError> {
    let lines = board.text.lines(entry.line..entry.line + entry.len);
    let mut best: Option<(usize, Split)> = None;
    let mut consider = |from: usize, to: usize, place: usize| {
        let to = to.min(entry.len);
        if from >= to {
            return;
        }
        let end = entry.at + entry.len;
        let (from_at, to_at) = (entry.at + from, entry.at + to);
        let part = entry.part(from_at, to_at);
        let weight = weight(board, &part);
        if best.as_ref().is_some_and(|(other, _)| weight < *other) {
            return;
        }
        let split = Split {
            before: (from > 0).then(|| entry.part(entry.at, from_at)),
            moved: Entry { at: place, ..part },
            after: (to_at < end).then(|| entry.part(to_at, end)),
        };
        best = Some((weight, split));
    };
    let (mut from, mut place) = (0, 0);
    for hunk in compare(content, lines) {
        consider(from, hunk.after.start, place);
        (from, place) = (hunk.after.end, hunk.before.end);
    }
    consider(from, entry.len, place);
    Ok(best
        .filter(|(weight, _)| *weight > MIN_WEIGHT)
        .map(|(_, split)| split))
}
