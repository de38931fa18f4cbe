//! Attacks on what turns promise.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use packhouse_catalog::OrgId;
use proptest::prelude::*;

use super::{Entered, NoTurn, Turn, TurnFor, TurnLimits, Turns, Waiter};

fn limits(all: usize, org: usize, repo: usize) -> TurnLimits {
    TurnLimits {
        all,
        org,
        repo,
        org_waiting: 1000,
        waiting: 10_000,
        wait: Duration::from_secs(3600),
    }
}

fn turns(limits: TurnLimits) -> Turns {
    Turns::new("fetch", "fetches", limits, None)
}

fn of(org: i64, repo: u8) -> TurnFor {
    TurnFor::repo(OrgId(org), &repo.to_string())
}

/// Whoever waits is here; whoever has a turn is in `running`.
#[derive(Default)]
struct Crowd {
    waiting: Vec<(TurnFor, Waiter)>,
    running: Vec<Turn>,
}

impl Crowd {
    fn come(&mut self, turns: &Turns, of: TurnFor) {
        match turns.enter(&of) {
            Ok(Entered::Turn(turn)) => self.running.push(turn),
            Ok(Entered::Waiter(waiter)) => self.waiting.push((of, waiter)),
            Err(_) => {}
        }
    }

    /// Moves those who got a turn; says who, in the order in which they came.
    fn collect(&mut self) -> Vec<TurnFor> {
        let mut granted = Vec::new();
        let mut left = Vec::new();
        for (of, mut waiter) in self.waiting.drain(..) {
            match waiter.granted.try_recv() {
                Ok(turn) => {
                    self.running.push(turn);
                    granted.push(of);
                }
                Err(_) => left.push((of, waiter)),
            }
        }
        self.waiting = left;
        granted
    }
}

/// Checks every invariant on the outside: counts by hand what runs and waits.
fn check(turns: &Turns, crowd: &Crowd, limits: &TurnLimits) {
    let mut by_org: BTreeMap<OrgId, usize> = BTreeMap::new();
    let mut by_repo: HashMap<&TurnFor, usize> = HashMap::new();
    for turn in &crowd.running {
        *by_org.entry(turn.of.org).or_default() += 1;
        *by_repo.entry(&turn.of).or_default() += 1;
    }
    assert!(crowd.running.len() <= limits.all);
    assert!(by_org.values().all(|count| *count <= limits.org));
    assert!(by_repo.values().all(|count| *count <= limits.repo));
    let state = turns.inner.state.lock();
    assert_eq!(state.running, crowd.running.len());
    assert_eq!(state.waiting, crowd.waiting.len());
    assert!(state.waiting <= limits.waiting);
    state.check(by_org.len(), by_repo.len(), limits);
    // Nobody waits who might run.
    for (of, _) in &crowd.waiting {
        assert!(!state.may_run(limits, of), "{of:?} waits in vain");
    }
}

proptest! {
    #[test]
    fn limits_hold_and_nobody_waits_in_vain(
        all in 1_usize..6,
        org in 1_usize..5,
        repo in 1_usize..4,
        org_waiting in 0_usize..8,
        waiting in 0_usize..16,
        steps in prop::collection::vec((0_u8..4, 0_i64..4, 0_u8..3, any::<prop::sample::Index>()), 1..200),
    ) {
        let limits = TurnLimits { org_waiting, waiting, ..limits(all, org, repo) };
        let (turns, mut crowd) = (turns(limits), Crowd::default());
        for (step, org, repo, index) in steps {
            match step {
                // Twice as many come as end or leave.
                0 | 1 => crowd.come(&turns, of(org, repo)),
                2 if !crowd.running.is_empty() => {
                    let at = index.index(crowd.running.len());
                    drop(crowd.running.swap_remove(at));
                }
                3 if !crowd.waiting.is_empty() => {
                    // Some have their turn already, and it goes to others.
                    let at = index.index(crowd.waiting.len());
                    drop(crowd.waiting.remove(at));
                }
                _ => {}
            }
            if index.index(3) > 0 {
                crowd.collect();
                check(&turns, &crowd, &limits);
            }
        }
        // When all is done nothing is left of it.
        while !crowd.running.is_empty() || !crowd.waiting.is_empty() {
            crowd.running.clear();
            crowd.collect();
        }
        check(&turns, &crowd, &limits);
    }

    /// Between two turns of an organisation that always waits, every other that waits has one, whatever their numbers.
    #[test]
    fn organisations_take_turns(
        greedy in 1_usize..60,
        others in prop::collection::vec(1_usize..6, 1..6),
        all in 1_usize..4,
    ) {
        let limits = limits(all, all, all);
        let (turns, mut crowd) = (turns(limits), Crowd::default());
        for _ in 0..greedy + all {
            crowd.come(&turns, of(0, 0));
        }
        for (org, count) in others.iter().enumerate() {
            for at in 0..*count {
                crowd.come(&turns, of(org as i64 + 1, at as u8));
            }
        }
        let mut left: BTreeMap<i64, usize> = BTreeMap::new();
        for (of, _) in &crowd.waiting {
            *left.entry(of.org.0).or_default() += 1;
        }
        // What is granted, one after the other.
        let mut since: BTreeMap<i64, usize> = BTreeMap::new();
        while !crowd.waiting.is_empty() {
            drop(crowd.running.remove(0));
            let granted = crowd.collect();
            prop_assert_eq!(granted.len(), 1);
            let org = granted[0].org.0;
            *left.get_mut(&org).unwrap() -= 1;
            since.insert(org, 0);
            for (other, waiting) in &left {
                if *other != org && *waiting > 0 {
                    let passed = since.entry(*other).or_default();
                    *passed += 1;
                    prop_assert!(*passed <= left.len(), "{other} is passed over");
                }
            }
        }
    }
}

#[tokio::test]
async fn who_waits_too_long_or_finds_the_queue_full_is_told() {
    let limits = TurnLimits {
        org_waiting: 1,
        waiting: 2,
        wait: Duration::from_millis(20),
        ..limits(1, 1, 1)
    };
    let turns = turns(limits);
    let held = turns.take(&of(1, 1)).await.unwrap();
    let refused = turns.take(&of(1, 1)).await.unwrap_err();
    assert_eq!(refused.why, NoTurn::Waited);
    assert_eq!(
        refused.to_string(),
        "too many fetches at once: none ended within 0.02 s; try again in 1 s"
    );
    let mut crowd = Crowd::default();
    crowd.come(&turns, of(1, 1));
    assert_eq!(
        turns.check(&of(1, 2)).unwrap_err().why,
        NoTurn::OrgQueueFull
    );
    let full = turns.take(&of(1, 2)).await.unwrap_err();
    assert_eq!(
        full.to_string(),
        "too many fetches at once: 1 of this organisation wait already; try again in 1 s"
    );
    assert!(turns.check(&of(2, 1)).is_ok());
    crowd.come(&turns, of(2, 1));
    assert_eq!(
        turns.take(&of(3, 1)).await.unwrap_err().why,
        NoTurn::QueueFull
    );
    drop(crowd);
    drop(held);
    assert!(turns.check(&of(3, 1)).is_ok());
    assert_eq!(turns.under_way(), ("fetch", 0));
}

#[tokio::test]
async fn who_is_cancelled_leaves_the_queue_and_what_they_got_goes_on() {
    let turns = turns(limits(1, 1, 1));
    let held = turns.take(&of(1, 1)).await.unwrap();
    let waiting = |org| {
        let turns = turns.clone();
        tokio::spawn(async move { turns.take(&of(org, 1)).await.map(drop) })
    };
    let (gone, stays) = (waiting(2), waiting(3));
    while turns.inner.state.lock().waiting < 2 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    assert_eq!(turns.inner.state.lock().waiting, 1);
    drop(held);
    stays.await.unwrap().unwrap();
    assert_eq!(turns.under_way().1, 0);
}
