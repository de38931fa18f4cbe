//! Deciding what becomes of a repository's packs. No I/O.

use packhouse_catalog::PackSource;

/// How to repack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepackHow {
    /// As far as it pays.
    WhenDue,
    /// All of it, whatever it is like.
    Full,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RepackPlan {
    /// What refs reach goes into one pack with bitmaps. These packs, by place, give way, and what they have beside that goes
    /// into another.
    Full(Vec<usize>),
    /// These packs, by place, are merged into one.
    Merge(Vec<usize>),
}

/// What is asked of a pack.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackFact {
    pub(super) objects: u64,
    pub(super) source: PackSource,
    /// When it was set apart, if it was.
    pub(super) apart_at_ms: Option<i64>,
}

/// With fewer objects outside of the pack with bitmaps, a full repack does not pay: they are counted and sent quickly.
const LEAST_OBJECTS: u64 = 1000;
/// A full repack is due when what is outside has one in so many objects of the pack with bitmaps, and of shared ones.
const OUTSIDE_PART: u64 = 4;
/// Packs that may lie beside the one with bitmaps before they are merged.
const MOST_PACKS: usize = 8;
/// Packs of what nothing reached that are left as they are. Of more, the youngest half is kept from then on with what is
/// found now: so their number is bounded, and the others come of age.
const MOST_APART: usize = 8;

/// What is to be done with these packs; `None`: nothing.
pub(super) fn plan(packs: &[PackFact], how: RepackHow) -> Option<RepackPlan> {
    if packs.is_empty() {
        return None;
    }
    if how == RepackHow::Full {
        return Some(RepackPlan::Full(giving_way(packs)));
    }
    let objects_of = |source| {
        let of_it = packs.iter().filter(move |pack| pack.source == source);
        of_it.map(|pack| pack.objects)
    };
    // A fork shares its packs with the repository it comes from, and writes them again only when it has added much itself.
    let settled = objects_of(PackSource::Reachable).max().unwrap_or(0)
        + objects_of(PackSource::Fork).sum::<u64>();
    // Those that nothing reached have had their turn.
    let is_new = |pack: &PackFact| {
        !matches!(
            pack.source,
            PackSource::Reachable | PackSource::Unreachable | PackSource::Fork
        )
    };
    let outside: u64 = packs
        .iter()
        .filter(|pack| is_new(pack))
        .map(|pack| pack.objects)
        .sum();
    let is_much = outside >= settled / OUTSIDE_PART;
    if outside >= LEAST_OBJECTS && is_much {
        return Some(RepackPlan::Full(giving_way(packs)));
    }
    let mut places: Vec<usize> = (0..packs.len()).filter(|at| is_new(&packs[*at])).collect();
    if places.len() <= MOST_PACKS {
        return None;
    }
    places.sort_by_key(|at| packs[*at].objects);
    let objects: Vec<u64> = places.iter().map(|at| packs[*at].objects).collect();
    let merged = geometric(&objects);
    places.truncate(merged);
    (merged > 1).then_some(RepackPlan::Merge(places))
}

/// The packs that a full repack replaces: all but those of what nothing reached, whose time goes on. One without a time, as
/// nodes of an older version write them, gets one by this.
fn giving_way(packs: &[PackFact]) -> Vec<usize> {
    let is_apart = |at: &usize| {
        packs[*at].source == PackSource::Unreachable && packs[*at].apart_at_ms.is_some()
    };
    let (mut apart, mut places): (Vec<_>, Vec<_>) = (0..packs.len()).partition(is_apart);
    if apart.len() >= MOST_APART {
        apart.sort_by_key(|at| packs[*at].apart_at_ms);
        places.extend(apart.drain(apart.len() / 2..));
    }
    places
}

/// How many of the smallest packs to merge, so that each pack has at least twice the objects of the one before it, the
/// new one included. As in `git repack --geometric=2`: each object is merged about as often as the count doubles.
fn geometric(objects: &[u64]) -> usize {
    let mut split = objects.len();
    while split > 1 && objects[split - 1] >= objects[split - 2].saturating_mul(2) {
        split -= 1;
    }
    if split <= 1 {
        return 0;
    }
    let mut total: u64 = objects[..split].iter().sum();
    while split < objects.len() && objects[split] < total.saturating_mul(2) {
        total += objects[split];
        split += 1;
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packs(of: &[(u64, PackSource)]) -> Vec<PackFact> {
        of.iter()
            .map(|(objects, source)| PackFact {
                objects: *objects,
                source: *source,
                apart_at_ms: (*source == PackSource::Unreachable).then_some(1),
            })
            .collect()
    }

    fn pushes(objects: &[u64]) -> Vec<PackFact> {
        let all: Vec<_> = objects
            .iter()
            .map(|objects| (*objects, PackSource::Push))
            .collect();
        packs(&all)
    }

    #[test]
    fn a_large_push_makes_a_full_repack_due_and_a_small_one_does_not() {
        use PackSource::{Fork, Push, Reachable, Unreachable};
        let due = |of: &[_]| plan(&packs(of), RepackHow::WhenDue);
        assert_eq!(due(&[(100_000, Fork)]), None);
        assert_eq!(due(&[(100_000, Fork), (20_000, Push)]), None);
        assert_eq!(
            due(&[(100_000, Fork), (30_000, Push)]),
            Some(RepackPlan::Full(vec![0, 1]))
        );
        assert_eq!(due(&[(100_000, Push)]), Some(RepackPlan::Full(vec![0])));
        assert_eq!(due(&[(999, Push)]), None);
        assert_eq!(due(&[(100_000, Reachable), (20_000, Push)]), None);
        assert_eq!(
            due(&[(100_000, Reachable), (30_000, Push)]),
            Some(RepackPlan::Full(vec![0, 1]))
        );
        // What was found unreachable does not make it due again.
        assert_eq!(due(&[(100_000, Reachable), (90_000, Unreachable)]), None);
        let mut untimed = packs(&[(1, Reachable), (9, Unreachable), (9, Unreachable)]);
        untimed[2].apart_at_ms = None;
        let replaced = plan(&untimed, RepackHow::Full);
        assert_eq!(replaced, Some(RepackPlan::Full(vec![0, 2])));
        assert_eq!(due(&[]), None);
        assert_eq!(
            plan(&packs(&[(1, Reachable)]), RepackHow::Full),
            Some(RepackPlan::Full(vec![0]))
        );
    }

    #[test]
    fn packs_set_apart_come_of_age_however_many_repacks_there_are() {
        const KEEP: i64 = 20;
        // Each repack finds one object; what a pack has is told by the time at which its oldest object was found.
        let mut all = packs(&[(0, PackSource::Reachable)]);
        for now in 1..200 {
            let Some(RepackPlan::Full(places)) = plan(&all, RepackHow::Full) else {
                panic!("it is asked for");
            };
            let merged = places.iter().map(|at| all[*at]);
            let merged = merged.filter(|pack| pack.source == PackSource::Unreachable);
            let oldest = merged.map(|pack| pack.objects).min();
            let mut at = 0..;
            all.retain(|_| !places.contains(&at.next().unwrap()));
            all.extend(packs(&[(0, PackSource::Reachable)]));
            all.push(PackFact {
                objects: oldest.unwrap_or(now as u64),
                source: PackSource::Unreachable,
                apart_at_ms: Some(now),
            });
            assert!(all.len() <= MOST_APART + 1, "{}", all.len());
            all.retain(|pack| pack.apart_at_ms.is_none_or(|at_ms| at_ms > now - KEEP));
            let found = all.iter().filter(|pack| pack.apart_at_ms.is_some());
            let oldest = found.map(|pack| pack.objects as i64).min().unwrap();
            assert!(now - oldest <= 2 * KEEP, "{oldest} at {now}");
        }
    }

    #[test]
    fn many_small_packs_are_merged_and_large_ones_left_alone() {
        let nine = [1, 1, 1, 1, 1, 1, 1, 1, 500];
        assert_eq!(
            plan(&pushes(&nine), RepackHow::WhenDue),
            Some(RepackPlan::Merge((0..8).collect()))
        );
        assert_eq!(plan(&pushes(&nine[1..]), RepackHow::WhenDue), None);
    }

    #[test]
    fn what_is_left_is_geometric() {
        for seed in 1..200u64 {
            let mut objects: Vec<u64> = (0..12)
                .map(|n| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (n * 4)) % 60 + 1)
                .collect();
            objects.sort_unstable();
            let merged = geometric(&objects);
            let mut left: Vec<u64> = vec![objects[..merged].iter().sum()];
            left.extend(&objects[merged..]);
            left.retain(|objects| *objects > 0);
            assert!(
                left.windows(2).all(|pair| pair[1] >= pair[0] * 2),
                "{left:?}"
            );
        }
    }
}
