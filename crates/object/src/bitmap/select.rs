//! Which commits get a bitmap.
//!
//! As in Git: nearly all of the newest ones, since that is what clients have and want, and then one in every so many,
//! fewer the older they are. A walk from any commit meets one soon.

use std::collections::HashSet;

use crate::graph::{CommitNumber, Graph};

/// So many of the newest commits all get a bitmap.
const NEWEST: usize = 100;
/// Of those after them, up to this one, every so many.
const RECENT: usize = 20_000;
const RECENT_GAP: usize = 100;
/// Of the older ones, one in so many at first, and up to so many.
const OLDEST_GAP: usize = 5000;
/// Tips of refs that get a bitmap wherever they are, newest first.
const MOST_TIPS: usize = 512;

/// Chooses among `commits`, which are ordered newest first.
pub(super) fn select(
    graph: &mut Graph<'_>,
    commits: &[CommitNumber],
    tips: &HashSet<CommitNumber>,
) -> Result<HashSet<CommitNumber>, crate::ReadError> {
    let newest_tips = commits.iter().filter(|commit| tips.contains(commit));
    let mut chosen: HashSet<_> = newest_tips.take(MOST_TIPS).copied().collect();
    let mut at = 0;
    while at < commits.len() {
        let next = commits.len().min(at + 1 + gap(at));
        // Where several will do, one that many walks pass.
        let mut best = commits[next - 1];
        for commit in &commits[at..next] {
            if tips.contains(commit) {
                best = *commit;
                break;
            }
            if graph.parents(*commit)?.len() > 1 {
                best = *commit;
            }
        }
        chosen.insert(best);
        at = next;
    }
    Ok(chosen)
}

/// How many commits may be passed over when so many came before.
fn gap(before: usize) -> usize {
    match before.checked_sub(RECENT) {
        Some(old) => old.clamp(RECENT_GAP, OLDEST_GAP),
        None => before.saturating_sub(NEWEST).min(RECENT_GAP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_of(count: usize) -> usize {
        let (mut at, mut chosen) = (0, 0);
        while at < count {
            at += 1 + gap(at);
            chosen += 1;
        }
        chosen
    }

    #[test]
    fn few_commits_are_all_chosen_and_of_many_a_few() {
        assert_eq!(chosen_of(90), 90);
        assert_eq!(chosen_of(101), 101);
        assert!(chosen_of(20_000) < 500);
        assert!(chosen_of(1_000_000) < 1000);
    }

    #[test]
    fn gaps_grow() {
        assert!((0..30_000).is_sorted_by_key(gap));
    }
}
