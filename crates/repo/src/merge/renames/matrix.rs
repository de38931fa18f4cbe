//! All files that are gone against all that were added.

use std::cmp::Ordering;

use bstr::ByteSlice;
use packhouse_object::ReadError;

use super::counts::file_name;
use super::find::Finder;
use super::similarity::{HALF, Similarities};

/// Candidates that are kept for one added file.
const CANDIDATES: usize = 4;

#[derive(Clone, Copy)]
struct Candidate {
    source: usize,
    destination: usize,
    score: u64,
    has_name: bool,
}

/// The pairs that are alike, the best first, each file once.
pub(super) fn best_pairs(
    finder: &Finder,
    similarities: &mut Similarities<'_>,
) -> Result<Vec<(usize, usize)>, ReadError> {
    let mut candidates: Vec<Option<Candidate>> = Vec::new();
    for (destination, to) in finder.destinations.iter().enumerate() {
        if to.from.is_some() {
            continue;
        }
        let mut best = [None; CANDIDATES];
        for source in &finder.left {
            let from = &finder.sources[*source];
            let candidate = Candidate {
                source: *source,
                destination,
                score: similarities.compare(from.file, to.file, HALF)?,
                has_name: file_name(from.path.as_bstr()) == file_name(to.path.as_bstr()),
            };
            keep_if_better(&mut best, candidate);
        }
        candidates.extend(best);
    }
    candidates.sort_by(in_order);
    let mut used_sources = std::collections::HashSet::new();
    let mut used_destinations = std::collections::HashSet::new();
    let mut pairs = Vec::new();
    for candidate in candidates.into_iter().flatten() {
        if candidate.score < HALF {
            break;
        }
        if used_destinations.contains(&candidate.destination)
            || used_sources.contains(&candidate.source)
        {
            continue;
        }
        used_destinations.insert(candidate.destination);
        used_sources.insert(candidate.source);
        pairs.push((candidate.destination, candidate.source));
    }
    Ok(pairs)
}

/// Puts a candidate in the place of the worst, if it is better.
fn keep_if_better(best: &mut [Option<Candidate>; CANDIDATES], candidate: Candidate) {
    let mut worst = 0;
    for at in 1..CANDIDATES {
        if in_order(&best[at], &best[worst]).is_gt() {
            worst = at;
        }
    }
    if in_order(&best[worst], &Some(candidate)).is_gt() {
        best[worst] = Some(candidate);
    }
}

/// The better first, no candidate last.
fn in_order(a: &Option<Candidate>, b: &Option<Candidate>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => {
            let by_score = b.score.cmp(&a.score);
            by_score.then_with(|| b.has_name.cmp(&a.has_name))
        }
    }
}
