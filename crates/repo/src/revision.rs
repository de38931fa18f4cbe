//! What may follow the name in a revision: `~3`, `^2`, `^{commit}`, one after the other, as gitrevisions(7) has them.
//!
//! The text comes from strangers and `~999999999` is quickly written, so only [`MAX_STEPS`] commits are followed.

use packhouse_object::{Database, ObjectId, ReadError};

/// The most parents that are followed for one revision; what lies further back has to be named by its id.
const MAX_STEPS: u32 = 100_000;

/// One step from a commit to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Its parent of this number, counted from 1; 0 is the commit itself.
    Parent(u32),
    /// So many first parents back.
    Back(u32),
    /// The commit itself: what a tag stands for was looked for already.
    Peel,
}

/// Where a revision's name ends and its steps begin. No ref has `~` or `^` in its name.
pub(crate) fn split(rev: &str) -> (&str, &str) {
    rev.split_at(rev.find(['~', '^']).unwrap_or(rev.len()))
}

/// The commit that `steps` lead to from `commit`. `None`: they are none that Git knows for commits, or lead to
/// nothing, or are too many.
pub(crate) fn follow(
    database: &Database,
    commit: ObjectId,
    mut steps: &str,
) -> Result<Option<ObjectId>, ReadError> {
    let (mut at, mut left) = (commit, MAX_STEPS);
    while !steps.is_empty() {
        let Some((step, rest)) = parse(steps) else {
            return Ok(None);
        };
        steps = rest;
        let (number, times) = match step {
            Step::Parent(0) | Step::Peel => continue,
            Step::Parent(number) => (number, 1),
            Step::Back(times) => (1, times),
        };
        for _ in 0..times {
            let Some(fewer) = left.checked_sub(1) else {
                return Ok(None);
            };
            left = fewer;
            let Some(parent) = parent(database, at, number)? else {
                return Ok(None);
            };
            at = parent;
        }
    }
    Ok(Some(at))
}

fn parent(
    database: &Database,
    commit: ObjectId,
    number: u32,
) -> Result<Option<ObjectId>, ReadError> {
    let (_, parents, _) = database.commit_links(commit)?;
    Ok(parents.get(number as usize - 1).copied())
}

/// The first step, and what follows it.
fn parse(steps: &str) -> Option<(Step, &str)> {
    for peel in ["^{}", "^{commit}", "^{object}"] {
        if let Some(rest) = steps.strip_prefix(peel) {
            return Some((Step::Peel, rest));
        }
    }
    let rest = steps.strip_prefix(['~', '^'])?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits);
    let number = match number {
        "" => 1,
        number => number.parse().ok()?,
    };
    let step = if steps.starts_with('~') {
        Step::Back(number)
    } else {
        Step::Parent(number)
    };
    Some((step, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_one_by_one() {
        assert_eq!(split("main~3^2"), ("main", "~3^2"));
        assert_eq!(split("main"), ("main", ""));
        assert_eq!(parse("~3^2"), Some((Step::Back(3), "^2")));
        assert_eq!(parse("^^"), Some((Step::Parent(1), "^")));
        assert_eq!(parse("~~2"), Some((Step::Back(1), "~2")));
        assert_eq!(parse("^0"), Some((Step::Parent(0), "")));
        assert_eq!(parse("^{}~"), Some((Step::Peel, "~")));
        for bad in [
            "^{tree}",
            "^{/fix}",
            "^-",
            "~x",
            "~99999999999999999999",
            "x",
        ] {
            let (mut rest, mut is_known) = (bad, true);
            while is_known && !rest.is_empty() {
                (is_known, rest) = parse(rest).map_or((false, rest), |(_, rest)| (true, rest));
            }
            assert!(!is_known, "{bad}");
        }
    }
}
